//! `nephila snap` and `nephila check`.

use std::io::Write;
use std::process::Stdio;

use super::{Folder, Ran, normalised, site};

const SPIDER: &str = "start = 'http://e.x/'
[step.list]
follow = { 'article.product h3 a' = 'book', 'li.next a' = 'list' }
[step.book]
url = '/book/{id}'
[step.book.item]
table = 'books'
key = 'url'
[step.book.item.fields]
url = '@url'
title = 'h1'
price = { css = 'p.price, p.price_color', parse = 'money' }
";

#[tokio::test(flavor = "multi_thread")]
async fn kept_replayed_reviewed() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("spiders")).unwrap();
    folder.write("spiders/shop.toml", SPIDER);
    let none = folder.run("check");
    assert_eq!(none.code, 2);
    assert!(
        none.stderr.contains("no fixtures in fixtures"),
        "{}",
        none.stderr
    );
    let file = "fixtures/shop/book-book-7.json";
    {
        let site = site().await;
        let ran = folder.run(&format!("snap shop {}", site.page("/book/7")));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains(&format!("Written  {file}: 1 item, 0 requests")),
            "{}",
            ran.stderr
        );
        let again = folder.run(&format!("snap shop {}", site.page("/book/7")));
        assert_eq!(again.code, 2);
        assert!(
            again.stderr.contains("is there already"),
            "{}",
            again.stderr
        );
        let list = folder.run(&format!(
            "snap shop {} --name first --step list",
            site.url()
        ));
        assert_eq!(list.code, 0, "{}", list.stderr);
    }
    let kept: serde_json::Value = serde_json::from_str(&folder.read(file)).unwrap();
    assert_eq!(kept["items"][0]["table"], "books");
    assert_eq!(kept["body"], "book-book-7.html");
    // The site is gone, and nobody misses it.
    let ran = folder.run("check");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (0, "2 fixtures as before\n")
    );
    // The spider changes.
    folder.write(
        "spiders/shop.toml",
        &SPIDER
            .replace("'h1'", "'h1::attr(class)'")
            .replace("'li.next a' = 'list'", "'li.none a' = 'list'"),
    );
    let ran = folder.run("check");
    assert_eq!(ran.code, 1);
    let said = normalised(&ran.stderr);
    let title = kept["items"][0]["title"].as_str().unwrap();
    assert!(
        said.contains("failure: no failure -> field `title`"),
        "{title}: {said}"
    );
    assert!(said.contains("items: 1 -> 0"), "{said}");
    assert!(said.contains("- list GET http://127.0.0.1:PORT/"), "{said}");
    assert!(said.contains("0 fixtures as before, 2 different"), "{said}");
    // One is right, the other not.
    let mut child = folder
        .nephila(&["check", "--review"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"n\ny\n").unwrap();
    let ran = Ran::from(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr
            .contains("0 fixtures as before, 1 accepted, 1 different"),
        "{}",
        ran.stderr
    );
    let ran = folder.run("check shop --accept");
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr.contains("1 fixture as before, 1 accepted"),
        "{}",
        ran.stderr
    );
    let ran = folder.run("check other");
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no fixtures of `other`"),
        "{}",
        ran.stderr
    );
}

/// A step's argument is kept with its page, and given to it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_an_argument() {
    let folder = Folder::new();
    let site = site().await;
    let url = site.page("/api/quotes?page=2");
    let snap = |name: &str, args: &[&str]| {
        let all = [
            &[
                "snap",
                "quotes",
                url.as_str(),
                "--step",
                "page",
                "--name",
                name,
            ],
            args,
        ];
        let ran = folder.run_args(&all.concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stderr
    };
    let said = snap("second", &["--step-args", "{\"page\":2}"]);
    assert!(said.contains("1 request"), "{said}");
    let without = snap("without", &[]);
    assert!(without.contains("takes an argument"), "{without}");
    let ran = folder.run("check");
    assert_eq!(ran.stderr, "2 fixtures as before\n");
}
