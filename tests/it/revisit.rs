//! Crawls that are run again: rounds that ask for what is due and read what has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nephila::engine::Report;
use nephila::prelude::*;
use nephila::{Crawl, store};

use crate::cli::server::serve_with;

/// A site whose pages a test changes: path to ETag and body. It tells what it was asked.
#[derive(Clone, Default)]
struct Web {
    pages: Arc<Mutex<BTreeMap<String, (String, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn serve(&self) -> String {
        let web = self.clone();
        let address = serve_with(move |path, header| web.answer(path, header));
        format!("http://{address}")
    }

    fn answer(&self, path: &str, header: &str) -> (u16, String) {
        let condition = header.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("if-none-match")
                .then(|| value.to_owned())
        });
        let pages = self.pages.lock().unwrap();
        let status = match (pages.get(path), &condition) {
            (None, _) => 404,
            (Some((etag, _)), Some(condition)) if etag == condition => 304,
            _ => 200,
        };
        if path != "/robots.txt" {
            self.asked.lock().unwrap().push(format!("{path} {status}"));
        }
        match pages.get(path) {
            Some((etag, body)) if status == 200 && !etag.is_empty() => {
                (status, format!("ETag: {etag}\r\n\r\n{body}"))
            }
            Some((_, body)) if status == 200 => (status, body.clone()),
            _ => (status, String::new()),
        }
    }

    fn put(&self, path: &str, etag: &str, body: &str) {
        let page = (etag.to_owned(), body.to_owned());
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    fn remove(&self, path: &str) {
        self.pages.lock().unwrap().remove(path);
    }

    /// What was asked since the last call, in order of paths.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

/// Lists are read in every round, books if they have changed.
#[derive(serde::Deserialize)]
struct Shop {
    site: String,
}

#[spider(name = "revisit_shop")]
impl Shop {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(format!("{}/", self.site), Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("a.book", Self::book)?;
        page.follow("a.old", Self::archived)?;
        Ok(())
    }

    #[step(revisit = "changed")]
    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }

    #[step(revisit = "every 7d")]
    async fn archived(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

struct Bed {
    web: Web,
    site: String,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let web = Web::default();
        Self {
            site: web.serve(),
            web,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn db(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("crawl.db").display())
    }

    fn crawl(&self, spider: impl nephila::spider::Spider) -> Crawl {
        Crawl::new(spider).db(self.db())
    }

    async fn shop(&self) -> Report {
        let site = self.site.clone();
        self.crawl(Shop { site }).run().await.unwrap()
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        let reader = store::open_reader(&self.db()).await.unwrap();
        let (_, rows) = store::collect(&*reader, sql).await.unwrap();
        let cell = |value: &nephila::item::Value| match value {
            nephila::item::Value::Text(text) => text.clone(),
            other => other.to_json().to_string(),
        };
        let line = |row: &Vec<_>| row.iter().map(cell).collect::<Vec<_>>().join(" ");
        rows.iter().map(line).collect()
    }
}

fn links(class: &str, paths: &[&str]) -> String {
    let link = |path: &&str| format!("<a class={class} href={path}>x</a>");
    paths.iter().map(link).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_reads_what_has_changed() {
    let bed = Bed::new();
    let web = &bed.web;
    let books = ["/1", "/2", "/3", "/4", "/6"];
    web.put("/", "", &(links("book", &books) + &links("old", &["/old"])));
    web.put("/1", "\"one\"", "<h1>tagged</h1>");
    for (path, title) in [
        ("/2", "plain"),
        ("/3", "before"),
        ("/4", "lost"),
        ("/6", "unlinked"),
    ] {
        web.put(path, "", &format!("<h1>{title}</h1>"));
    }
    web.put("/old", "\"old\"", "<h1>old</h1>");
    let first = bed.shop().await;
    assert_eq!((first.exit_code(), first.statistics.pages), (0, 7));
    assert!(first.statistics.round.is_none());
    web.asked();

    web.put("/", "", &links("book", &["/1", "/2", "/3", "/5"]));
    web.put("/3", "", "<h1>after</h1>");
    web.put("/5", "", "<h1>new</h1>");
    web.remove("/4");
    let second = bed.shop().await;
    let expected = [
        "/ 200", "/1 304", "/2 200", "/3 200", "/4 404", "/5 200", "/6 200",
    ];
    assert_eq!(web.asked(), expected);
    let run = &second.statistics;
    assert_eq!((run.pages, run.unchanged, run.failed), (3, 3, 1), "{run:?}");
    assert_eq!(run.steps["book"].pages, 2);
    let round = run.round.unwrap();
    assert_eq!((round.number, round.queued, round.resting), (2, 6, 1));
    assert_eq!(second.exit_code(), 0);
    assert_eq!(run.left(), 0);
    let items =
        "SELECT title, _run, _changed IS NOT NULL, _gone IS NOT NULL FROM books ORDER BY _url";
    let expected = [
        "tagged 2 0 0",
        "plain 2 0 0",
        "after 2 1 0",
        "lost 1 0 1",
        "new 2 0 0",
        "unlinked 2 0 0",
        "old 1 0 0",
    ];
    assert_eq!(bed.rows(items).await, expected);
    let kept = "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM page), (SELECT count(*) FROM queue)";
    assert_eq!(bed.rows(kept).await, ["0 0"]);

    // Nothing has changed: nothing is read but the list, and that is a success.
    let third = bed.shop().await;
    let run = &third.statistics;
    assert_eq!((run.pages, run.unchanged), (1, 5), "{third:?}");
    assert_eq!(third.exit_code(), 0);
    web.asked();

    // Anew, all is read.
    let site = bed.site.clone();
    let fresh = bed.crawl(Shop { site }).fresh(true).run().await.unwrap();
    assert_eq!((fresh.statistics.pages, fresh.statistics.unchanged), (5, 0));
    assert!(fresh.statistics.round.is_none());
    assert!(web.asked().iter().all(|asked| asked.ends_with("200")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_is_stopped_goes_on() {
    let bed = Bed::new();
    let books = ["/1", "/2", "/3", "/4", "/5"];
    bed.web.put("/", "", &links("book", &books));
    for path in books {
        bed.web.put(path, "\"v\"", "<h1>same</h1>");
    }
    bed.shop().await;
    bed.web.asked();
    let site = bed.site.clone();
    let stopped = bed
        .crawl(Shop { site })
        .with(|settings| settings.max_pages = Some(2))
        .concurrency(1)
        .run()
        .await
        .unwrap();
    assert_eq!(stopped.exit_code(), 3);
    let rest = bed.shop().await;
    assert_eq!(rest.exit_code(), 0);
    let resumed = rest.statistics.resumed.unwrap();
    assert_eq!((resumed.pages, resumed.queued), (2, 4));
    assert_eq!(rest.statistics.round.unwrap().number, 2);
    // Every page once, by both runs together.
    let expected = ["/ 200", "/1 304", "/2 304", "/3 304", "/4 304", "/5 304"];
    assert_eq!(bed.web.asked(), expected);
}

/// A feed, newest first.
#[derive(serde::Deserialize)]
struct Feed {
    site: String,
}

#[spider(name = "revisit_feed")]
impl Feed {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds
            .push(format!("{}/page/1", self.site), Self::list)
            .await
    }

    #[step(stop_when_known = 2)]
    async fn list(&self, page: Page) -> Result {
        page.follow("a.book", Self::book)?;
        page.follow("a.next", Self::list)?;
        Ok(())
    }

    #[step(revisit = "never")]
    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_where_all_is_known() {
    let bed = Bed::new();
    let shelve = |books: std::ops::RangeInclusive<usize>| {
        let books: Vec<usize> = books.rev().collect();
        for (number, piece) in books.chunks(3).enumerate() {
            let paths: Vec<String> = piece.iter().map(|book| format!("/book/{book}")).collect();
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let next = format!("/page/{}", number + 2);
            let body = links("book", &paths) + &links("next", &[&next]);
            bed.web.put(&format!("/page/{}", number + 1), "", &body);
            for path in paths {
                bed.web.put(path, "", "<h1>x</h1>");
            }
        }
        bed.web.put(
            &format!("/page/{}", books.len().div_ceil(3) + 1),
            "",
            "the end",
        );
    };
    let crawl = async || {
        let site = bed.site.clone();
        bed.crawl(Feed { site }).run().await.unwrap()
    };
    shelve(1..=12);
    assert_eq!(crawl().await.statistics.pages, 5 + 12);
    bed.web.asked();
    // Four new ones: the second page has one of them and two that are known.
    shelve(1..=16);
    let second = crawl().await;
    assert_eq!(second.exit_code(), 0);
    let expected = [
        "/book/13 200",
        "/book/14 200",
        "/book/15 200",
        "/book/16 200",
        "/page/1 200",
        "/page/2 200",
    ];
    assert_eq!(bed.web.asked(), expected);
    let kept = "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM page), (SELECT count(*) FROM books)";
    assert_eq!(bed.rows(kept).await, ["0 16"]);
    // None: the first page says so.
    assert_eq!(crawl().await.statistics.pages, 1);
    assert_eq!(bed.web.asked(), ["/page/1 200"]);
}

/// A site whose sitemap says what has changed.
#[derive(serde::Deserialize)]
struct Mapped {
    site: String,
}

#[spider(name = "revisit_mapped")]
impl Mapped {
    async fn start(&self, seeds: Seeds) -> Result {
        let index = format!("{}/sitemap.xml", self.site);
        seeds.push(index, Self::map).await
    }

    #[step(revisit = "lastmod")]
    async fn map(&self, page: Page) -> Result {
        page.sitemap()?.follow(Self::map, Self::book)?;
        Ok(())
    }

    #[step(revisit = "lastmod")]
    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

fn sitemap(root: &str, entry: &str, named: &[(&str, &str)]) -> String {
    let entry = |(path, lastmod): &(&str, &str)| {
        let lastmod = match *lastmod {
            "" => String::new(),
            moment => format!("<lastmod>{moment}</lastmod>"),
        };
        format!("<{entry}><loc>{path}</loc>{lastmod}</{entry}>")
    };
    let entries: String = named.iter().map(entry).collect();
    format!("<?xml version='1.0'?><{root}>{entries}</{root}>")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sitemap_says_what_has_changed() {
    let bed = Bed::new();
    let web = &bed.web;
    let crawl = async || {
        let site = bed.site.clone();
        bed.crawl(Mapped { site }).run().await.unwrap()
    };
    let maps = |named: &[(&str, &str)]| {
        web.put(
            "/sitemap.xml",
            "",
            &sitemap("sitemapindex", "sitemap", named),
        );
    };
    let books = |map: &str, named: &[(&str, &str)]| {
        web.put(map, "", &sitemap("urlset", "url", named));
    };
    let long_ago = "2001-02-03T04:05:06Z";
    maps(&[("/a.xml", long_ago), ("/b.xml", long_ago)]);
    books("/a.xml", &[("/1", long_ago), ("/2", long_ago), ("/3", "")]);
    books("/b.xml", &[("/4", long_ago)]);
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        web.put(path, &format!("\"{path}\""), "<h1>before</h1>");
    }
    let first = crawl().await;
    assert_eq!((first.exit_code(), first.statistics.pages), (0, 7));
    web.asked();

    // The index is always asked for. What is not newer rests, and so does the map that says so.
    let soon = (nephila::clock::now() + jiff::SignedDuration::from_secs(30)).to_string();
    let today = nephila::clock::now().strftime("%Y-%m-%d").to_string();
    maps(&[("/a.xml", &soon), ("/b.xml", long_ago)]);
    books(
        "/a.xml",
        &[("/1", long_ago), ("/2", &soon), ("/3", ""), ("/5", &today)],
    );
    web.put("/2", "\"new\"", "<h1>after</h1>");
    let second = crawl().await;
    let expected = [
        "/2 200",
        "/3 304",
        "/5 200",
        "/a.xml 200",
        "/sitemap.xml 200",
    ];
    assert_eq!(web.asked(), expected);
    let run = &second.statistics;
    assert_eq!((run.pages, run.unchanged, run.left()), (4, 1, 0), "{run:?}");
    let round = run.round.unwrap();
    assert_eq!((round.number, round.queued, round.resting), (2, 1, 6));
    let kept = "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM page), (SELECT count(*) FROM queue), \
                (SELECT sum(known + requeued - done - failed - skipped) FROM run)";
    assert_eq!(bed.rows(kept).await, ["0 0 0"]);
    let items = "SELECT title FROM books ORDER BY _url";
    let titles = ["before", "after", "before", "before", "before"];
    assert_eq!(bed.rows(items).await, titles);

    // A day may last longer than the visit; nothing else is new, though the index is as it was.
    maps(&[("/a.xml", ""), ("/b.xml", long_ago)]);
    books("/a.xml", &[("/1", long_ago), ("/5", &today)]);
    crawl().await;
    let expected = ["/5 304", "/a.xml 200", "/sitemap.xml 200"];
    assert_eq!(web.asked(), expected);
    crawl().await;
    assert_eq!(web.asked(), expected);
}
