//! Pages that are kept, and read again without a network.

use std::io::{BufRead, BufReader};

use serde_json::Value;

use super::{Folder, Ran, site};

fn spider(url: &str, title: &str) -> String {
    format!(
        "start = '{url}'
[step.list]
follow = {{ 'article.product h3 a' = 'book' }}
[step.book]
[step.book.item]
table = 'books'
key = 'url'
[step.book.item.fields]
url = '@url'
title = {title}
stars = {{ css = 'p.stars::attr(data-n)', type = 'int?' }}
"
    )
}

fn run(folder: &Folder, line: &str) -> Ran {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = folder.nephila(&args);
    command.env("XDG_CACHE_HOME", folder.path("cache"));
    Ran::from(&command.output().unwrap())
}

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_again_over_kept_pages() {
    let folder = Folder::new();
    let url;
    {
        let site = site().await;
        url = site.url().to_string();
        folder.write("shop.toml", &spider(&url, "'h1'"));
        let none = run(&folder, "reparse shop.toml");
        assert_eq!(none.code, 2);
        assert!(
            none.stderr.contains("nephila crawl shop --cache keep"),
            "{}",
            none.stderr
        );
        let ran = run(&folder, "crawl shop.toml --cache keep --progress none");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        // Every request goes out again.
        let asked = site.log().len();
        let ran = run(
            &folder,
            "crawl shop.toml --cache keep --fresh --progress none",
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(site.log().len(), 2 * asked);
    }
    // The site is gone.
    let ran = run(&folder, "reparse shop.toml");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let items = rows(&ran.stdout);
    assert_eq!(items.len(), 20, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("21 pages read again, 20 items"),
        "{}",
        ran.stderr
    );
    let same = run(&folder, "reparse shop.toml --diff");
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (0, ""),
        "{}",
        same.stderr
    );
    assert!(
        same.stderr
            .contains("20 items as before, 0 changed, 0 lost, 0 new"),
        "{}",
        same.stderr
    );
    // Another selector: what it makes of the pages is seen before anything is fetched.
    let first = items[0]["url"].as_str().unwrap();
    folder.write("shop.toml", &spider(&url, "{ css = 'h1', re = '^(.)' }"));
    let changed = run(&folder, "reparse shop.toml --step book --diff");
    assert_eq!(changed.code, 1);
    assert!(
        changed
            .stderr
            .contains("0 items as before, 20 changed, 0 lost, 0 new"),
        "{}",
        changed.stderr
    );
    let change = rows(&changed.stdout)
        .into_iter()
        .find(|row| row["key"] == first)
        .unwrap();
    assert_eq!(
        (change["change"].as_str(), change["column"].as_str()),
        (Some("changed"), Some("title"))
    );
    assert_eq!(change["was"], items[0]["title"]);
    assert_eq!(change["is"].as_str().unwrap().chars().count(), 1);
    folder.write("shop.toml", &spider(&url, "'h1.none'"));
    let lost = run(&folder, "reparse shop.toml --diff");
    assert_eq!(lost.code, 1);
    assert!(
        lost.stderr
            .contains("0 items as before, 0 changed, 20 lost, 0 new"),
        "{}",
        lost.stderr
    );
    assert!(
        lost.stderr
            .contains("20 pages of them fail: field `title`: `h1.none` matches nothing"),
        "{}",
        lost.stderr
    );
    let wrong = run(&folder, "reparse shop.toml --step bok");
    assert_eq!(wrong.code, 2);
    // And a crawl may take them, without a network.
    folder.write("shop.toml", &spider(&url, "'h1'"));
    let ran = run(
        &folder,
        "crawl shop.toml --cache dev --fresh --progress none",
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// Kept pages become an archive, and those of an archive are kept.
#[tokio::test(flavor = "multi_thread")]
async fn web_archives() {
    let folder = Folder::new();
    let url;
    {
        let site = site().await;
        url = site.url().to_string();
        // Nothing in it says which step reads a page: the archive does.
        folder.write("shop.toml", &spider(&url, "'h1'"));
        let none = run(&folder, "warc shop.toml -o a.warc.gz");
        assert_eq!(none.code, 2, "{}", none.stderr);
        let ran = run(&folder, "crawl shop.toml --cache keep --progress none");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let ran = run(&folder, "warc shop.toml -o a.warc.gz");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("21 pages in a.warc.gz"),
        "{}",
        ran.stderr
    );
    let before = run(&folder, "reparse shop.toml").stdout;
    std::fs::remove_dir_all(folder.path("cache")).unwrap();
    assert_eq!(run(&folder, "reparse shop.toml").code, 2);
    let ran = run(&folder, "warc shop.toml --import a.warc.gz");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("21 pages kept of a.warc.gz"),
        "{}",
        ran.stderr
    );
    assert_eq!(run(&folder, "reparse shop.toml").stdout, before);
    // And a crawl takes them, without a network; robots.txt is none of them.
    let ran = run(
        &folder,
        "crawl shop.toml --cache dev --fresh --progress none -s robots=ignore",
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // Of what others have archived, pages that no step would read are left out.
    let answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\nno";
    let record = format!(
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}book/0\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n\
         WARC-Record-ID: <urn:uuid:07e877cb-4563-4f78-96a0-5eb8e3e46907>\r\n\
         Content-Type: application/http;msgtype=response\r\nContent-Length: {}\r\n\r\n{answer}\r\n\r\n",
        answer.len()
    );
    folder.write("gone.warc", &record);
    let ran = run(&folder, "warc shop.toml --import gone.warc");
    let said = "  1 page left out, of a status that their step does not read\n  0 pages kept of gone.warc;";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
    folder.write("b.warc", "<html>");
    let wrong = run(&folder, "warc shop.toml --import b.warc");
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("can't read b.warc: no WARC"),
        "{}",
        wrong.stderr
    );
}

/// Each save is read, and what differs is shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_on_every_save() {
    let folder = Folder::new();
    let url;
    {
        let site = site().await;
        url = site.url().to_string();
        folder.write("shop.toml", &spider(&url, "'h1'"));
        let ran = run(&folder, "crawl shop.toml --cache keep --progress none");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    let mut command = folder.nephila(&["dev", "shop.toml"]);
    command.env("XDG_CACHE_HOME", folder.path("cache"));
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = |text: &str| {
        let found = said
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(text));
        assert!(found.is_some(), "{text}");
    };
    until("20 items from the kept pages");
    until("waiting for the next save");
    folder.write("shop.toml", &spider(&url, "{ css = 'h1', re = '^(.)' }"));
    until("20 items: 20 changed, 0 lost, 0 new");
    until("waiting for the next save");
    // A file that can't be read is told of, and waited for.
    folder.write("shop.toml", "start = 7");
    until("shop.toml:1:");
    until("waiting for the next save");
    folder.write("shop.toml", &spider(&url, "'h1.none'"));
    until("0 items: 0 changed, 20 lost, 0 new");
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("title: "), "{shown}");
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.starts_with("- books "))
            .count(),
        20
    );
}
