//! Several processes on one crawl, as people start them.

use std::process::{Child, Output};
use std::time::Duration;

use nephila::site::{Options, Site};
use nephila::store;
use regex::Regex;
use sqlx::Connection;

use super::{Folder, Ran, normalised, site_with};
use crate::postgres;

const SPIDER: &str = r#"
start = [{starts}]

[step.list.follow]
"article h3 a" = "book"
"li.next a" = "list"

[step.book.item]
table = "books"
key = "url"
fields = { url = "@url", title = "h1" }
"#;

/// A folder with a spider of some sites, and the database that all of its processes crawl into.
async fn bed(sites: usize) -> Option<(Folder, Vec<Site>, String)> {
    let db = postgres::database().await?;
    let mut all = Vec::new();
    for _ in 0..sites {
        let products = 40;
        all.push(
            site_with(Options {
                products,
                ..Options::default()
            })
            .await,
        );
    }
    let starts = all.iter().map(|site| format!("\"{}\"", site.url()));
    let starts = starts.collect::<Vec<_>>().join(", ");
    let folder = Folder::new();
    folder.write("books.toml", &SPIDER.replace("{starts}", &starts));
    Some((folder, all, db))
}

fn start(folder: &Folder, db: &str) -> Child {
    let slow = [
        "-s",
        "delay=150ms",
        "-s",
        "jitter=0",
        "-s",
        "lease=1s",
        "-s",
        "concurrency_per_host=1",
    ];
    let mut line = vec!["crawl", "books.toml", "--progress", "none", "--db", db];
    line.extend(slow);
    folder.nephila(&line).spawn().unwrap()
}

async fn end(child: Child) -> Ran {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output: Output = output.await.unwrap().unwrap();
    Ran::from(&output)
}

async fn number(db: &str, sql: &str) -> i64 {
    let Ok(reader) = store::open_reader(db).await else {
        return 0;
    };
    let (_, rows) = store::collect(&*reader, sql).await.unwrap();
    rows[0][0].to_json().as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_says_the_same() {
    let Some((folder, sites, db)) = bed(4).await else {
        return;
    };
    let mut one = start(&folder, &db);
    let mut two = start(&folder, &db);
    let mut three = start(&folder, &db);
    // Who comes late may get no host for a while.
    let done = "SELECT coalesce(sum(done), 0) FROM run";
    while number(&db, done).await < 10 || number(&db, "SELECT count(*) FROM run").await < 3 {
        let all = [&mut one, &mut two, &mut three];
        let mut over = all.into_iter().map(|child| child.try_wait().unwrap());
        assert!(!over.all(|code| code.is_some()), "it was over too soon");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.kill().unwrap();
    one.wait().unwrap();
    // Who joins late counts, too.
    let four = start(&folder, &db);
    let (two, three, four) = tokio::join!(end(two), end(three), end(four));
    let verdict = |ran: &Ran| {
        let said = normalised(&ran.stderr);
        let from = said.find('✓').unwrap_or_else(|| panic!("{said}"));
        said[from..].to_owned()
    };
    assert_eq!(verdict(&two), verdict(&three));
    assert_eq!(verdict(&two), verdict(&four));
    assert_eq!([two.code, three.code, four.code], [0, 0, 0]);
    let said = verdict(&two);
    let pages = number(&db, "SELECT sum(done) FROM run").await;
    assert_eq!(pages as usize, sites.len() * 42);
    let head = format!("runs 1, 2, 3, 4: {pages} pages, {} items", sites.len() * 40);
    assert!(said.contains(&head), "{said}");
    assert_eq!(said.matches(", killed\n").count(), 1, "{said}");
    // The lines of the processes add up.
    let line = Regex::new(r"run \d, process \d+: (\d+) pages?, (\d+) items?").unwrap();
    let sums = line
        .captures_iter(&said)
        .fold((0, 0), |(pages, items), found| {
            let number = |at: usize| found[at].parse::<i64>().unwrap();
            (pages + number(1), items + number(2))
        });
    assert_eq!(sums, (pages, (sites.len() * 40) as i64), "{said}");
    assert_eq!(line.captures_iter(&said).count(), 4);
}

/// While a new version is rolled out, the old one joins in and leaves alone what it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn two_versions_work_side_by_side() {
    let Some((new, sites, db)) = bed(3).await else {
        return;
    };
    let old = Folder::new();
    old.write("books.toml", &new.read("books.toml"));
    let spider = new.read("books.toml");
    let spider = spider.replace(
        "\"li.next a\" = \"list\"\n",
        "\"li.next a\" = \"list\"\n\"a[href^='/category/']\" = \"shelf\"\n",
    );
    new.write("books.toml", &(spider + "\n[step.shelf]\n"));
    let first = start(&new, &db);
    let waits = "SELECT count(*) FROM queue WHERE step = 'shelf'";
    while number(&db, waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (first, second) = tokio::join!(end(first), end(start(&old, &db)));
    assert_eq!(
        (first.code, second.code),
        (0, 0),
        "{}\n{}",
        first.stderr,
        second.stderr
    );
    assert!(first.stderr.contains("runs 1, 2: "), "{}", first.stderr);
    // What the old one has read leads to no shelf, but nothing that was found is lost.
    let shelves = number(
        &db,
        "SELECT count(*) FROM page WHERE step = 'shelf' AND state = 'done'",
    )
    .await;
    assert!(shelves > 0);
    let by_old = "SELECT count(*) FROM page WHERE step = 'shelf' AND run = 2";
    assert_eq!(number(&db, by_old).await, 0);
    let books = number(&db, "SELECT count(*) FROM books").await;
    assert_eq!(books as usize, sites.len() * 40);
    assert_eq!(number(&db, "SELECT count(*) FROM queue").await, 0);
    // Alone, the old one says what waits and for what.
    let left =
        "INSERT INTO queue SELECT id, 0, 0, 0, 99999, 99999, 0, 'shelf', '/x' FROM host LIMIT 1;
        INSERT INTO seen SELECT host, fp, seq FROM queue; UPDATE crawl SET state = 'open'";
    let mut connection = sqlx::PgConnection::connect(&db).await.unwrap();
    sqlx::raw_sql(left).execute(&mut connection).await.unwrap();
    let alone = end(start(&old, &db)).await;
    assert_eq!(alone.code, 2);
    let said = "queued for step `shelf`, which spider `books` no longer has";
    assert!(alone.stderr.contains(said), "{}", alone.stderr);
}
