//! Politeness as it is set and seen on the command line.

use super::{Folder, site};

#[test]
fn settings_of_single_hosts_are_shown_and_checked() {
    let folder = Folder::new();
    folder.write(
        "nephila.toml",
        "[host.\"Shop.example\"]\nrate = \"4/s\"\nper_day = 20_000\n\
         [spider.books.host.\"*.shop.example\"]\nconcurrency = 2\n",
    );
    let hosts = |line: &str| {
        let ran = folder.run(line);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let hosts = ran.stdout.lines().filter(|line| line.contains("host."));
        hosts.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(hosts("config --origin --format csv"), @r#"
    "host.""shop.example"".delay",250ms,nephila.toml:2:1 [host]
    "host.""shop.example"".per_day",20000,nephila.toml:3:1 [host]
    "#);
    insta::assert_snapshot!(
        hosts("config books -s host.shop.example.per_day=9 --format csv"),
        @r#"
    "host.""*.shop.example"".concurrency",2
    "host.""shop.example"".delay",250ms
    "host.""shop.example"".per_day",9
    "#
    );
    folder.write("nephila.toml", "[host.\"shop.example\"]\nrat = \"4/s\"\n");
    insta::assert_snapshot!(folder.run("config").said(), @r#"
    error: unknown setting `host."shop.example".rat` in nephila.toml:2:1; did you mean `rate`?
    exit 2
    "#);
}

/// The quota holds over a resume and over a new beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_daily_quota_outlives_the_process() {
    let site = site().await;
    let folder = Folder::new();
    folder.write(
        "nephila.toml",
        "[defaults]\nmax_wait = \"1s\"\n[host.\"127.0.0.1\"]\nper_day = 10\n",
    );
    let line = format!("crawl books -a site={}", site.url());
    let first = folder.run(&line);
    insta::assert_snapshot!(first.said(), @r"
    ■ books  run 1: stopped at max_wait (13 queued), 9 pages, 8 items in TIME   exit 3
    warning: http://127.0.0.1:PORT was slowed down once: its 10 requests of today (per_day); it is left alone until TIME
      db crawl.db (SIZE)   go on: nephila crawl books -a site=http://127.0.0.1:PORT/
    exit 3
    ");
    assert_eq!(site.log().len(), 10);
    let second = folder.run(&line);
    assert_eq!(second.code, 3, "{}", second.stderr);
    let fresh = folder.run(&format!("{line} --fresh"));
    assert_eq!(fresh.code, 3, "{}", fresh.stderr);
    assert_eq!(site.log().len(), 10);
}
