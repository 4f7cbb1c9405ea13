//! Politeness as it is set and seen on the command line.

use nephila::site::Options;

use super::{Folder, site, site_with};

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

const ROBOTS: &str = "\
User-agent: *
Crawl-delay: 2
Disallow: /private # not for robots
Allow: /private/open
Sitemap: https://shop.example/sitemap.xml

User-agent: OtherBot
Disallow: /
";

#[test]
fn robots_of_a_file() {
    let folder = Folder::new();
    folder.write("robots.txt", ROBOTS);
    let robots = |line: &str| {
        let ran = folder.run(&format!("robots --file robots.txt {line}"));
        format!("{}{}exit {}", ran.stdout, ran.stderr, ran.code)
    };
    insta::assert_snapshot!(robots("https://shop.example/private/a"), @r"
    forbidden  https://shop.example/private/a
      by       line 3 of robots.txt: Disallow: /private # not for robots
      agent    nephila
      delay    Crawl-delay of 2.0 s
      sitemap  https://shop.example/sitemap.xml
    exit 1
    ");
    insta::assert_snapshot!(robots("/private/open /other /private"), @r"
    allowed    /private/open
      by       line 4 of robots.txt: Allow: /private/open
    allowed    /other
      robots.txt no line of it forbids it
    forbidden  /private
      by       line 3 of robots.txt: Disallow: /private # not for robots
    exit 1
    ");
    insta::assert_snapshot!(robots("/ --agent OtherBot/2.0"), @r"
    forbidden  /
      by       line 8 of robots.txt: Disallow: /
      agent    OtherBot
      sitemap  https://shop.example/sitemap.xml
    exit 1
    ");
    let missing = folder.run("robots --file nothing.txt /");
    assert_eq!(missing.code, 2, "{}", missing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_of_a_host() {
    let folder = Folder::new();
    let check = async |robots: Option<(u16, String)>, path: &str| {
        let options = Options {
            robots,
            ..Options::default()
        };
        let site = site_with(options).await;
        let ran = folder.run_args(&["robots", site.page(path).as_str()]);
        let said = format!("{}{}exit {}", ran.stdout, ran.stderr, ran.code);
        super::normalised(&said)
    };
    let file = Some((200, ROBOTS.to_owned()));
    insta::assert_snapshot!(check(file, "/private").await, @r"
    forbidden  http://127.0.0.1:PORT/private
      by       line 3 of robots.txt: Disallow: /private # not for robots
      agent    nephila
      delay    Crawl-delay of 2.0 s
      sitemap  https://shop.example/sitemap.xml
    exit 1
    ");
    insta::assert_snapshot!(check(Some((404, String::new())), "/private").await, @r"
    allowed    http://127.0.0.1:PORT/private
      robots.txt answered 404: there is none, and everything is allowed
      agent    nephila
    exit 0
    ");
    insta::assert_snapshot!(check(Some((503, String::new())), "/private").await, @r"
    forbidden  http://127.0.0.1:PORT/private
      robots.txt answered 503: nothing is allowed until it can be read
      agent    nephila
    exit 1
    ");
    let nobody = folder.run("robots http://127.0.0.1:9/");
    assert_eq!(nobody.code, 1, "{}", nobody.stdout);
    let usage = folder.run("robots shop");
    insta::assert_snapshot!(usage.said(), @r"
    error: `shop` is no URL: relative URL without a base
         write it whole: nephila robots https://shop.example/book/7
    exit 2
    ");
}

/// Whatever a host asks for, the crawl ends, says until when it is paused, and can go on later.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_refuses_for_ever() {
    let site = site().await;
    let folder = Folder::new();
    let url = site.page("/flaky/429/999/a?after=1");
    let settings = "-s max_retry_after=1s -s max_host_errors=2 -s retries=9 -s retry_delay=5ms";
    let line = format!("crawl {url} {settings}");
    let first = folder.run(&line);
    insta::assert_snapshot!(first.said(), @r"
    ■ links  run 1: stopped at max_wait (1 queued), 0 pages, 0 items in TIME   exit 3
    warning: http://127.0.0.1:PORT was slowed down 3 times: 429 Too Many Requests (Retry-After 1 s); it is left alone until TIME
      db crawl.db (SIZE)   go on: nephila crawl 'http://127.0.0.1:PORT/flaky/429/999/a?after=1' -s max_retry_after=1s -s max_host_errors=2 -s retries=9 -s retry_delay=5ms
    exit 3
    ");
    let asked = |path: &str| {
        site.log()
            .iter()
            .filter(|hit| hit.path.starts_with(path))
            .count()
    };
    assert_eq!((asked("/robots.txt"), asked("/flaky")), (1, 3));
    let again = folder.run(&line);
    assert_eq!(again.code, 3, "{}", again.stderr);
    assert_eq!(asked("/flaky"), 3, "it is parked for an hour");
}
