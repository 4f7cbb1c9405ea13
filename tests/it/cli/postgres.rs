//! The same commands on a PostgreSQL server: they differ in `--db` alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nephila::site::Site;
use regex::Regex;

use super::again::flaky;
use super::{Folder, normalised, site};
use crate::postgres;

/// What the commands of `script` say and answer, one after the other, in a folder with a database of its
/// own. `{db}` is the flag that names it.
struct Session {
    folder: Folder,
    db: String,
}

impl Session {
    fn new(db: impl Into<String>) -> Self {
        Self {
            folder: Folder::new(),
            db: db.into(),
        }
    }

    /// Runs a command; what it says, without what differs from one database or moment to the other.
    fn run(&self, args: &[&str]) -> String {
        let mut line: Vec<&str> = args.to_vec();
        line.extend(["--db", &self.db]);
        let ran = self.folder.run_args(&line);
        let all = format!(
            "$ nephila {}\n{}{}",
            args.join(" "),
            normalised(&ran.stdout),
            ran.said()
        );
        let shown = Regex::new(r"(sqlite:|postgres://(nephila@)?[^/]*/|'postgres[^']*')?(crawl\.db|nephila_test_\d+_\d+)").unwrap();
        let all = shown.replace_all(&all, "DB");
        let sizes = Regex::new(r" \(SIZE\)|; [\d.]+ [kM]?B became [\d.]+ [kM]?B").unwrap();
        let all = sizes.replace_all(&all, "");
        let took = Regex::new(r#""elapsed": ?[\d.]+|\b\d+ ms\b|,\d+,read,"#).unwrap();
        took.replace_all(&all, "TIME").into_owned()
    }

    /// The same of a whole session.
    fn all(&self, script: &[&[&str]]) -> Vec<String> {
        script.iter().map(|args| self.run(args)).collect()
    }
}

/// Two sessions that are to say the same; none where there is no PostgreSQL.
async fn both() -> Option<[Session; 2]> {
    let url = postgres::database().await?;
    Some([Session::new("sqlite:crawl.db"), Session::new(url)])
}

fn same(sessions: &[Session; 2], script: &[&[&str]]) -> Vec<String> {
    let [file, server] = sessions.each_ref().map(|session| session.all(script));
    // What differs, and nothing else.
    let pairs = file
        .iter()
        .zip(&server)
        .filter(|(file, server)| file != server);
    let (file, other): (Vec<_>, Vec<_>) = pairs.unzip();
    assert!(
        file.is_empty(),
        "{}\n--- on PostgreSQL\n{}",
        file.into_iter().cloned().collect::<Vec<_>>().join("\n"),
        other.into_iter().cloned().collect::<Vec<_>>().join("\n")
    );
    server
}

const SPIDER: &str = r#"
start = "{site}"

[step.list.follow]
"article h3 a" = "book"
"li.next a" = "list"

[step.book.item]
table = "Books"
key = "url"
fields = { url = "@url", title = "h1", Price = { css = "p.price", parse = "money" } }
"#;

fn spider(site: &Site, sessions: &[Session; 2]) {
    for Session { folder, .. } in sessions {
        std::fs::create_dir(folder.path("spiders")).unwrap();
        folder.write(
            "spiders/shelf.toml",
            &SPIDER.replace("{site}", site.url().as_str()),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_differs_in_the_database_alone() {
    let Some(sessions) = both().await else { return };
    let site = site().await;
    spider(&site, &sessions);
    let said = same(
        &sessions,
        &[
            &["crawl", "shelf"],
            &[
                "query",
                "select title, price as price from books order by price, title limit 5",
            ],
            &[
                "query",
                "--format",
                "json",
                "select count(*) as n, round(sum(price)) as sum from books",
            ],
            &["query"],
            &["export", "books", "-o", "books.csv"],
            &["stats", "--format", "csv"],
            &["stats", "last", "--format", "table"],
            &["failed"],
            &["hosts", "--format", "csv"],
            &["explain", site.page("/").as_str()],
            &["explain", "http://elsewhere.example/"],
            &["list"],
            &["gc", "--crawls", "0s", "--dry-run"],
        ],
    );
    assert!(said[0].contains("60 items"), "{}", said[0]);
    let [file, server] = sessions
        .each_ref()
        .map(|session| session.folder.read("books.csv"));
    for session in &sessions {
        let hint = |sql: &str| session.run(&["query", sql]);
        assert!(hint("select prise from books").contains("did you mean `price`?"));
        assert!(hint("select b.titel from books b").contains("did you mean `title`?"));
        assert!(hint("select 1 from bookz").contains("did you mean `books`?"));
    }
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&file), sorted(&server));
    assert_eq!(sorted(&file).len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_crawl_is_gone_on_with() {
    let Some(sessions) = both().await else { return };
    let site = site().await;
    spider(&site, &sessions);
    let first = same(
        &sessions,
        &[&["crawl", "shelf", "--limit", "20", "-j", "1"]],
    );
    assert!(first[0].contains("exit 3"), "{}", first[0]);
    let rest = same(
        &sessions,
        &[
            &["resume", "--limit", "20", "-j", "1"],
            &["crawl", "shelf"],
            &["resume"],
            &[
                "query",
                "--format",
                "csv",
                "select count(*) as n, count(distinct url) as d from books",
            ],
            // Anew, and what was replaced goes.
            &["crawl", "shelf", "--fresh"],
            &[
                "query",
                "--format",
                "csv",
                "select count(*) as n, count(_changed) as c from books",
            ],
            &["gc"],
            &["gc", "--crawls", "0s"],
            &["query", "--format", "csv", "select count(*) as n from page"],
            &["retry", "last"],
        ],
    );
    assert!(rest[1].contains("exit 0"), "{}", rest[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_pages_are_tried_again() {
    let Some(sessions) = both().await else { return };
    let broken = Arc::new(AtomicUsize::new(9));
    let url = format!("http://{}/", flaky(&broken));
    let fast = ["-s", "retries=0", "-j", "1"];
    let crawl: Vec<&str> = ["crawl", &url].into_iter().chain(fast).collect();
    let retry = |args: &[&'static str]| -> Vec<&'static str> {
        ["retry"].iter().chain(args).chain(&fast).copied().collect()
    };
    let canary = retry(&["last", "--canary", "1", "--status", "5xx"]);
    same(
        &sessions,
        &[
            &crawl,
            &["failed", "--format", "csv"],
            &["retry", "1", "--status", "404"],
            &["retry", "1", "--where", "colour = 'red'"][..3],
            &canary,
        ],
    );
    broken.store(0, Ordering::Relaxed);
    let (filter, rest) = (
        retry(&["1", "--where", "url like '%/3' -- no more"]),
        retry(&["1"]),
    );
    same(&sessions, &[&filter, &rest]);
    let said = same(
        &sessions,
        &[
            &retry(&["2"]),
            &[
                "query",
                "--format",
                "csv",
                "select count(*) as n, count(distinct title) as d from links",
            ],
            &["stats", "--format", "csv"],
        ],
    );
    assert!(said[1].contains("9,9"), "{}", said[1]);
    // What is queued for a step that is gone is given up.
    let stop: Vec<&str> = crawl
        .iter()
        .copied()
        .chain(["--limit", "2", "--fresh"])
        .collect();
    same(
        &sessions,
        &[
            &stop,
            &["retry", "last", "--step", "page", "--discard"],
            &[
                "query",
                "--format",
                "csv",
                "select state, count(*) as n from page group by state order by 1",
            ],
            &["failed", "--skipped", "--format", "csv"],
        ],
    );
}
