//! `nephila gen`: what it makes of five kinds of lists crawls them without an edit.

use std::fmt::Write;

use serde_json::Value;

use super::server::serve_with;
use super::{Folder, site};

/// Generates a spider for `url`, crawls it, and gives the rows of its table.
fn generated(name: &str, url: &str, table: &str) -> Vec<Value> {
    let folder = Folder::new();
    let ran = folder.run(&format!("gen {name} {url} -s delay=0s"));
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
    let file = folder.read(&format!("spiders/{name}.toml"));
    let ran = folder.run(&format!("crawl {name} -s delay=0s"));
    assert_eq!(ran.code, 0, "{file}\n{}", ran.stderr);
    let sql = format!("select * from {table} order by _id");
    let ran = folder.run_args(&["query", "--format", "jsonl", &sql]);
    let rows: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!rows.is_empty(), "{file}");
    rows
}

/// The row whose `column` is `value`.
fn row<'a>(rows: &'a [Value], column: &str, value: &Value) -> &'a Value {
    let found = rows.iter().find(|row| row[column] == *value);
    found.unwrap_or_else(|| panic!("no row with {column} {value}; the first is {}", rows[0]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_with_pages_of_products() {
    let site = site().await;
    let rows = generated("books", site.url().as_str(), "detail");
    assert_eq!(rows.len(), 60);
    let book = row(&rows, "url", &format!("{}book/7", site.url()).into());
    assert!(
        book["title"]
            .as_str()
            .is_some_and(|title| !title.is_empty()),
        "{book}"
    );
    assert!(book["price"].is_f64(), "{book}");
    assert_eq!(book["sku"].as_str().map(str::len), Some(16), "{book}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_api() {
    let site = site().await;
    let rows = generated(
        "quotes",
        &format!("{}api/quotes?page=1", site.url()),
        "list",
    );
    assert_eq!(rows.len(), 100);
    assert!(rows[0]["author_name"].is_string(), "{}", rows[0]);
    assert!(
        rows[0]["text"].is_string() && rows[0]["tags"].is_array(),
        "{}",
        rows[0]
    );
}

#[test]
fn a_table_over_several_pages() {
    let server = serve_with(|path, _| {
        let page: usize = match path {
            "/list" => 1,
            "/list?p=2" => 2,
            "/list?p=3" => 3,
            _ => return (404, String::new()),
        };
        let mut rows = String::new();
        for n in 0..10 {
            let n = page * 10 + n;
            let _ = write!(
                rows,
                "<tr class={}><td>City {n}</td><td>{},{n:03}</td><td>2026-03-{:02}</td><td>x</td></tr>",
                if n.is_multiple_of(2) { "even" } else { "odd" },
                n,
                n % 28 + 1,
            );
        }
        let next = if page < 3 {
            format!("<a href='/list?p={}'>Next page</a>", page + 1)
        } else {
            String::new()
        };
        let html = format!(
            "<nav><ul><li><a href=/>Home</a><li><a href=/a>About us</a><li><a href=/c>Contact</a></ul></nav>
            <table id=cities><tr><th>Name</th><th>People</th><th>Counted on</th><th></th></tr>{rows}</table>{next}"
        );
        (200, html)
    });
    let rows = generated("cities", &format!("http://{server}/list"), "list");
    assert_eq!(rows.len(), 30);
    let city = row(&rows, "name", &"City 27".into());
    assert_eq!(
        (&city["people"], &city["counted_on"]),
        (&27_027.into(), &"2026-03-28".into())
    );
    assert!(rows[0].get("column_4").is_none(), "{}", rows[0]);
}

#[test]
fn news_whose_articles_describe_themselves() {
    let server = serve_with(|path, _| {
        if path == "/news" {
            let mut items = String::new();
            for n in 1..=8 {
                let _ = write!(
                    items,
                    "<li class=teaser><a href='/news/{n}'>Story {n} of the day</a> <span>read</span></li>"
                );
            }
            return (200, format!("<h1>News</h1><ul>{items}</ul>"));
        }
        let Some(n) = path.strip_prefix("/news/") else {
            return (404, String::new());
        };
        let json = format!(
            "{{\"@type\":\"NewsArticle\",\"headline\":\"Story {n}\",\"datePublished\":\"2026-0{n}-01\",\
             \"author\":{{\"name\":\"Ann {n}\"}}}}"
        );
        let html = format!(
            "<script type='application/ld+json'>{json}</script><main><h1>Story {n}</h1>
            <p class=lead>It happened {n} times.</p></main>"
        );
        (200, html)
    });
    let rows = generated("news", &format!("http://{server}/news"), "detail");
    assert_eq!(rows.len(), 8);
    let story = row(&rows, "title", &"Story 3".into());
    assert_eq!(story["date_published"], "2026-03-01", "{story}");
    assert_eq!(story["author"], "Ann 3", "{story}");
    assert_eq!(story["lead"], "It happened 3 times.", "{story}");
}

#[test]
fn cards_without_pages_of_their_own() {
    let server = serve_with(|path, _| {
        if path != "/offers" {
            return (404, String::new());
        }
        let mut cards = String::new();
        for n in 1..=12 {
            let old = if n % 3 == 0 {
                "<s class=was>€ 99,00</s>"
            } else {
                ""
            };
            let _ = write!(
                cards,
                "<div class='card card-{n} col-4'><img src='/i/{n}.png'><h4>Lamp {n}</h4>
                <span class='price now'>€ 1.{n:03},50</span>{old}<b class=badge>Sale</b></div>"
            );
        }
        (
            200,
            format!("<div class=grid>{cards}</div><div class=foot><p>a<p>b<p>c</div>"),
        )
    });
    let url = format!("http://{server}/offers");
    let rows = generated("offers", &url, "list");
    assert_eq!(rows.len(), 12);
    let lamp = row(&rows, "title", &"Lamp 6".into());
    assert_eq!(lamp["price"], 1006.5, "{lamp}");
    assert_eq!(lamp["image"], format!("http://{server}/i/6.png"), "{lamp}");
    assert!(lamp.get("badge").is_none(), "{lamp}");

    let folder = Folder::new();
    let ran = folder.run(&format!("gen offers {url} --stdout"));
    assert!(
        ran.stdout
            .contains("price = { select = \"span.price\", parse = \"money\" }"),
        "{}",
        ran.stdout
    );
    assert!(!folder.path("spiders").exists());
    let ran = folder.run(&format!("gen 2offers {url}"));
    assert!(
        ran.stderr.contains("`2offers` is no name of a spider"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_no_list() {
    let server = serve_with(|path, _| match path {
        "/a" => (200, "<h1>Hello</h1><p>One<p>Two<p>Three".to_owned()),
        _ => (404, String::new()),
    });
    let folder = Folder::new();
    let ran = folder.run(&format!("gen hello http://{server}/a"));
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no list was found on this page"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        folder.run(&format!("gen hello http://{server}/none")).code,
        1
    );
    folder.run(&format!("gen hello http://{server}/a --force"));
    assert!(!folder.path("spiders/hello.toml").exists());
}
