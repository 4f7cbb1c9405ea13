//! What items pass before they are stored, rows that are left out, and what a crawl is expected to find.

use nephila::Crawl;
use nephila::engine::{Problem, Report};
use nephila::fetch::{Fetch, FetchError};
use nephila::item::Record;
use nephila::pipeline::{Download, Pipeline};
use nephila::prelude::*;
use nephila::request::{Request, Response};
use sqlx::{Connection, Row as _, SqliteConnection};

#[derive(Item)]
#[item(table = "rows", key = "name")]
struct Row {
    #[css("b")]
    name: String,
    #[css("i")]
    price: Option<f64>,
    #[css("u")]
    image: Option<String>,
}

/// Pages of rows: `name price image`.
struct Site(&'static [(&'static str, &'static [&'static str])]);

impl Fetch for Site {
    async fn fetch(&self, request: &Request) -> std::result::Result<Response, FetchError> {
        let path = request.url.path();
        let rows = self.0.iter().find(|(known, _)| *known == path);
        let Some((_, rows)) = rows else {
            return Ok(Response::new(request.url.clone(), ""));
        };
        let mut html = "<title>x</title><a href=/2>2</a><a href=/3>3</a>".to_owned();
        for row in *rows {
            let cells: Vec<&str> = row.split(' ').collect();
            html += "<li>";
            for (tag, cell) in ["b", "i", "u"].into_iter().zip(cells) {
                html.extend(["<", tag, ">", cell, "</", tag, ">"]);
            }
        }
        let mut response = Response::new(request.url.clone(), html);
        let kind = "text/html".parse().expect("a header");
        response.headers.insert("content-type", kind);
        Ok(response)
    }
}

struct Shop;

#[spider(name = "piped", start = "http://shop.example/1", delay = "0s")]
impl Shop {
    fn pipeline(&self) -> Pipelines {
        Pipelines::new()
            .of::<Row>(async |item, _| match item.text("name") {
                Some(name) if name.starts_with("no-") => Ok(Processed::drop("not wanted")),
                Some("broken") => Err("the service is down".into()),
                Some("slow") => {
                    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
                    Ok(item.into())
                }
                Some("panics") => panic!("in a stage"),
                _ => Ok(item.into()),
            })
            .of::<Row>(async |mut item, _| {
                // I/O on the step's thread: its runtime has time and sockets.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                let price = item.number("price").map(|price| price * 2.0);
                item.set("price", price)?;
                Ok(item.into())
            })
            .with(Download::of("image"))
    }

    async fn list(&self, page: Page) -> Result<Vec<Row>> {
        page.follow("a", Self::list)?;
        page.items("li")
    }
}

impl Default for Shop {
    fn default() -> Self {
        Self
    }
}

/// The report, and all rows that are stored.
async fn crawl(
    pages: &'static [(&'static str, &'static [&'static str])],
    change: impl FnOnce(Crawl) -> Crawl,
) -> (Report, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("x.db").display());
    let crawl = Crawl::new(Shop).db(&db).fetch(Site(pages));
    let crawl = crawl.with(|settings| {
        settings.files = folder.path().join("files").display().to_string();
        settings.step_timeout = std::time::Duration::from_millis(500);
    });
    let report = change(crawl).run().await.unwrap();
    let mut connection = SqliteConnection::connect(&db).await.unwrap();
    let sql = "SELECT name || ' ' || coalesce(price, '-') AS row FROM rows ORDER BY 1";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await;
    let rows = rows.unwrap_or_default();
    let rows = rows.iter().map(|row| row.get::<String, _>("row"));
    (report, rows.collect())
}

fn failures(report: &Report) -> Vec<(&str, &str)> {
    let groups = report.statistics.errors.iter();
    let mut all: Vec<_> = groups
        .map(|group| (group.reason.as_str(), group.message.as_str()))
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn items_pass_the_stages_before_their_page_is_committed() {
    let pages: &[(&str, &[&str])] = &[
        ("/1", &["a 1", "no-b 2", "no-c 3", "d 4 /d.png"]),
        ("/2", &["e 5", "broken 6"]),
        ("/3", &["f 7", "panics 8"]),
    ];
    let (report, rows) = crawl(pages, |crawl| {
        crawl.with(|s| s.robots = nephila::settings::RobotsMode::Ignore)
    })
    .await;
    // A page is a transaction: of one with an item that broke a stage nothing is stored.
    assert_eq!(rows, ["a 2.0", "d 8.0"]);
    let dropped = &report.statistics.dropped;
    assert_eq!(dropped.len(), 1);
    let dropped = &dropped["rows: not wanted"];
    assert_eq!(
        (dropped.count, dropped.sample.as_str()),
        (2, "http://shop.example/1")
    );
    assert_eq!(
        failures(&report),
        [
            // The file was asked for; this site has none.
            ("file", "this fetch saves no files"),
            ("panic", "panicked: in a stage"),
            ("pipeline", "the service is down"),
        ]
    );
}

#[tokio::test]
async fn a_stage_that_takes_too_long_costs_its_page() {
    let pages: &[(&str, &[&str])] = &[("/1", &["a 1"]), ("/2", &["slow 1"])];
    let (report, rows) = crawl(pages, |crawl| crawl).await;
    assert_eq!(rows, ["a 2.0"]);
    let (reason, message) = failures(&report)[0];
    assert_eq!(
        (reason, message),
        ("step_timeout", "the pipeline took longer than 0.5 s")
    );
}

#[tokio::test]
async fn stages_of_the_crawl_come_after_those_of_the_spider() {
    struct Cheap;
    impl Pipeline for Cheap {
        async fn process(&self, item: Record, _: &Page) -> Result<Processed> {
            match item.number("price") {
                Some(price) if price > 5.0 => Ok(Processed::drop("over 5")),
                _ => Ok(item.into()),
            }
        }
    }
    let pages: &[(&str, &[&str])] = &[("/1", &["a 1", "b 3"])];
    let (report, rows) = crawl(pages, |crawl| crawl.pipeline(Cheap)).await;
    // The spider's own doubled the price before.
    assert_eq!(rows, ["a 2.0"]);
    // What differs from item to item does not make reasons of its own.
    assert!(report.statistics.dropped.contains_key("rows: over *"));
}

#[tokio::test]
async fn one_bad_row_keeps_the_good_ones() {
    let pages: &[(&str, &[&str])] = &[
        ("/1", &["a 1", "b call", "c 3"]),
        ("/2", &["d x", "e y", "f 6"]),
        ("/3", &["g 7", "h call"]),
    ];
    let (report, rows) = crawl(pages, |crawl| crawl).await;
    assert_eq!(rows, ["a 2.0", "c 6.0", "g 14.0"]);
    let bad = &report.statistics.bad_rows["list: field `price`: can't read * as f*"];
    assert_eq!((bad.count, bad.pages), (2, 2));
    assert_eq!(bad.selector.as_deref(), Some("i"));
    let too_many = "2 of 3 rows are bad (max_bad_rows): field `price`: can't read \"x\" as f64";
    assert_eq!(failures(&report), [("field", too_many)]);
    assert_eq!(report.statistics.errors[0].selector.as_deref(), Some("i"));
}

#[tokio::test]
async fn what_is_expected_and_not_found_is_a_problem() {
    const PAGES: &[(&str, &[&str])] = &[
        ("/1", &["a 1", "b 2", "no-c 3"]),
        ("/2", &["d", "e 5", "f 6", "x y", "g 1"]),
        ("/3", &[]),
    ];
    let check = async |expected: &str, found: Option<&str>| {
        let expect = vec![expected.to_owned()];
        let (report, _) = crawl(PAGES, |crawl| crawl.with(|s| s.expect = expect)).await;
        let unmet: Vec<&str> = report
            .unmet
            .iter()
            .map(|unmet| unmet.found.as_str())
            .collect();
        assert_eq!(unmet, found.into_iter().collect::<Vec<_>>(), "{expected}");
        assert_eq!(
            report.problems.contains(&Problem::Unexpected),
            found.is_some()
        );
        assert_eq!(report.exit_code(), u8::from(found.is_some()), "{expected}");
    };
    check("items >= 6", None).await;
    check("items >= 7", Some("6")).await;
    check("rows <= 5", Some("6")).await;
    check("pages >= 3", None).await;
    check("rows.price >= 83%", None).await;
    check("rows.price >= 84%", Some("83%")).await;
    check("list: items >= 1", Some("0")).await;
    check("list: items <= 4", None).await;
    check("bad_rows <= 0", Some("1")).await;
    check("dropped <= 1", None).await;
    check("failed <= 0", None).await;
}

#[tokio::test]
async fn what_is_expected_must_be_the_spiders() {
    let check = async |expected: &str, why: &str| {
        let expect = vec![expected.to_owned()];
        let crawl = Crawl::new(Shop)
            .db("sqlite::memory:")
            .with(|s| s.expect = expect);
        assert_eq!(crawl.run().await.unwrap_err().to_string(), why);
    };
    check(
        "row >= 1",
        "expectation `row >= 1`: no table `row`; did you mean `rows`?",
    )
    .await;
    check(
        "rows.prize >= 1%",
        "expectation `rows.prize >= 1%`: no column `prize`; did you mean `price`?",
    )
    .await;
    check(
        "book: items >= 1",
        "expectation `book: items >= 1`: no step `book`; there are list",
    )
    .await;
}
