//! `--cache`.

use super::{Folder, site};

#[tokio::test(flavor = "multi_thread")]
async fn dev_replays_without_asking() {
    let site = site().await;
    let folder = Folder::new();
    let run = |more: &str| {
        let line = format!("crawl books -a site={} --cache dev{more}", site.url());
        let cache = folder.path("cache");
        let args: Vec<&str> = line.split_whitespace().collect();
        super::Ran::from(
            &folder
                .nephila(&args)
                .env("XDG_CACHE_HOME", cache)
                .output()
                .unwrap(),
        )
    };
    let first = run("");
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(!first.stderr.contains("from the cache"), "{}", first.stderr);
    let asked = site.log().len();
    site.clear_log();
    // With such a delay it would never end if it waited for its turns.
    let second = run(" --db other.db -s delay=1h -s robots=ignore");
    assert_eq!(second.code, 0, "{}", second.stderr);
    let pages = asked - 1;
    let said = format!("{pages} pages ({pages} from the cache), 60 items in");
    assert!(second.stderr.contains(&said), "{}", second.stderr);
    assert_eq!(site.log().len(), 0);
    assert!(folder.path("cache/nephila/dev/page").is_dir());
}

#[test]
fn a_mode_that_is_none() {
    let folder = Folder::new();
    let ran = folder.run("crawl books --cache on");
    assert_eq!(ran.code, 2);
    let said = "`cache` = \"on\"";
    assert!(
        ran.stderr.contains(said) || ran.stderr.contains("off, http, dev or keep"),
        "{}",
        ran.stderr
    );
}
