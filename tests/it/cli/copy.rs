//! `nephila db copy`: a crawl goes on in another database, and comes back.

use nephila::site::Site;
use nephila::store;

use super::{Folder, site};
use crate::postgres;

const SPIDER: &str = r#"
start = "{site}"

[step.list.follow]
"article h3 a" = "book"
"li.next a" = "list"
"a.missing" = "book"

[step.book.item]
table = "Books"
key = "url"
fields = { url = "@url", title = "h1", Price = { css = "p.price", parse = "money" }, links = { css = "a::attr(href)", type = "[text]" } }
"#;

/// All rows of all tables of a file but for `leave`, as text.
async fn dump(folder: &Folder, file: &str) -> Vec<(String, Vec<String>)> {
    let url = format!("sqlite:{}", folder.path(file).display());
    let reader = store::open_reader(&url).await.unwrap();
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '_sqlx%' ORDER BY 1";
    let (_, tables) = store::collect(&*reader, tables).await.unwrap();
    let mut dumped = Vec::new();
    for table in tables {
        let name = table[0].to_json().as_str().unwrap().to_owned();
        let (columns, rows) = store::collect(&*reader, &format!("SELECT * FROM \"{name}\""))
            .await
            .unwrap();
        let row = |row: &Vec<nephila::item::Value>| {
            let cells = columns.iter().zip(row).filter(|(column, _)| {
                // A run that went on is told to have ended; numbers go on after the last.
                !(name == "run" && *column == "seq")
            });
            let cells = cells.map(|(column, cell)| format!("{column}={}", cell.to_json()));
            cells.collect::<Vec<_>>().join(" ")
        };
        let mut rows: Vec<String> = rows.iter().map(row).collect();
        rows.sort();
        dumped.push((name, rows));
    }
    dumped
}

/// Names the first row that differs.
fn same(one: &[(String, Vec<String>)], two: &[(String, Vec<String>)]) {
    assert_eq!(one.len(), two.len());
    for ((table, one), (_, two)) in one.iter().zip(two) {
        let differs = one.iter().zip(two).find(|(one, two)| one != two);
        assert_eq!((differs, one.len()), (None, two.len()), "{table}");
    }
}

/// A folder with the spider of a site.
fn shelf(site: &Site) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("spiders")).unwrap();
    folder.write(
        "spiders/shelf.toml",
        &SPIDER.replace("{site}", site.url().as_str()),
    );
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_goes_on_elsewhere_and_comes_back() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let site = site().await;
    let folder = shelf(&site);
    let run = |args: &[&str], code: i32| {
        let ran = folder.run_args(args);
        assert_eq!(ran.code, code, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran.stderr
    };
    run(&["crawl", "shelf", "--limit", "20", "-j", "1"], 3);
    let said = run(&["db", "copy", "crawl.db", &db], 0);
    assert!(
        said.contains(
            "copied 20 pages and 2 queued requests, 19 items of 1 table into postgres://"
        ),
        "{said}"
    );
    assert!(
        said.contains("go on there:  nephila resume --db postgres://nephila@"),
        "{said}"
    );
    // And back: what comes is what went.
    run(&["db", "copy", &db, "same.db"], 0);
    same(
        &dump(&folder, "crawl.db").await,
        &dump(&folder, "same.db").await,
    );
    run(&["resume", "--db", &db, "--limit", "20", "-j", "1"], 3);
    run(&["db", "copy", &db, "back.db"], 0);
    run(&["crawl", "shelf", "--db", "back.db"], 0);
    let count = "select count(*) as n, count(distinct url) as d, min(_id) as first from Books";
    let counted = folder.run_args(&["query", count, "--db", "back.db"]).stdout;
    assert_eq!(counted.trim(), r#"{"n":60,"d":60,"first":1}"#);
    let kept = "select (select count(*) from seen) as seen, (select count(*) from page) as pages";
    let kept = folder.run_args(&["query", kept, "--db", "back.db"]).stdout;
    assert_eq!(kept.trim(), r#"{"seen":63,"pages":63}"#);
    // What is there is not written over.
    let said = run(&["db", "copy", "crawl.db", &db], 2);
    assert!(
        said.contains("there are crawls or items in it already"),
        "{said}"
    );
    let said = run(&["db", "copy", &db, "back.db"], 2);
    assert!(
        said.contains("back.db: it is there already; name a new file"),
        "{said}"
    );
    let said = run(&["db", "copy", "nothing.db", "new.db"], 2);
    assert!(said.contains("nothing.db: there is no such file"), "{said}");
    assert!(!folder.path("new.db").exists() && !folder.path("new.db.part").exists());
    // From file to file, too.
    run(&["db", "copy", "back.db", "again.db"], 0);
    same(
        &dump(&folder, "back.db").await,
        &dump(&folder, "again.db").await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_works_on_what_is_copied() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let (folder, site) = (Folder::new(), site().await);
    let url = format!("sqlite:{}", folder.path("crawl.db").display());
    let crawl = format!("crawl {} --limit 3", site.url());
    folder.run(&crawl);
    let held = store::open(&url).await.unwrap();
    let refused = folder.run_args(&["db", "copy", "crawl.db", &db]);
    assert!(
        refused.stderr.contains("is locked by process"),
        "{}",
        refused.stderr
    );
    drop(held);
    folder.run(&format!("{crawl} --db {db}"));
    let begin = store::Begin {
        spider: "other".into(),
        args: "{}".into(),
        settings: "{}".into(),
        fresh: false,
        steps: Vec::new(),
        lease: std::time::Duration::from_secs(30),
        finished: store::Finished::Replace,
    };
    store::open(&db).await.unwrap().begin(begin).await.unwrap();
    let refused = folder.run_args(&["db", "copy", &db, "copy.db"]);
    assert!(
        refused.stderr.contains("works on a crawl in it"),
        "{}",
        refused.stderr
    );
    assert!(!folder.path("copy.db").exists());
}

/// In a copy nothing is divided; and commands see one host before and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_divided_host_is_one_again() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let site = site().await;
    let folder = shelf(&site);
    folder.write(
        "nephila.toml",
        "[host.\"127.0.0.1\"]\nprocesses = 3\nper_day = 100\n",
    );
    let run = |args: &[&str], code: i32| {
        let ran = folder.run_args(args);
        assert_eq!(ran.code, code, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    run(
        &["crawl", "shelf", "--db", &db, "--limit", "20", "-j", "1"],
        3,
    );
    let count = "select count(*) as rows, count(distinct id) as hosts from host";
    let said = run(&["query", count, "--db", &db], 0);
    assert_eq!(said.trim(), r#"{"rows":3,"hosts":3}"#);
    let hosts = |db: &str| {
        let said = run(&["hosts", "--db", db, "--format", "json"], 0);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
        let [row] = &rows[..] else {
            panic!("one host: {said}");
        };
        (row["done"].clone(), row["queued"].clone())
    };
    let before = hosts(&db);
    assert_eq!(before.0, 20);
    let done = "select url from url where state = 'done' and step = 'book' limit 1";
    let done = run(&["query", done, "--db", &db, "--format", "csv"], 0);
    let done = done.lines().nth(1).unwrap();
    let said = run(&["explain", done, "--db", &db], 0);
    assert!(said.contains("done"), "{said}");

    run(&["db", "copy", &db, "back.db"], 0);
    assert_eq!(hosts("back.db"), before);
    let said = run(&["explain", done, "--db", "back.db"], 0);
    assert!(said.contains("done"), "{said}");
    let sent = "select sum(sent) >= 20 and sum(sent) <= 100 as is_counted from host";
    let said = run(&["query", sent, "--db", "back.db"], 0);
    assert_eq!(said.trim(), r#"{"is_counted":1}"#);
    run(&["crawl", "shelf", "--db", "back.db"], 0);
    let count = "select count(*) as n, count(distinct url) as d from Books";
    let said = run(&["query", count, "--db", "back.db"], 0);
    assert_eq!(said.trim(), r#"{"n":60,"d":60}"#);
}

/// How hosts are divided is settled when a crawl begins; the next one goes by the settings, with what is left of
/// the day.
#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_stays_divided_as_it_began() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let (folder, site) = (Folder::new(), site().await);
    let set = |settings: &str| {
        let host = format!("[host.\"127.0.0.1\"]\nper_day = 30\n{settings}\n");
        folder.write("nephila.toml", &host);
    };
    let (url, begins) = (site.url(), "stay divided among processes as they were");
    let crawl = |more: &str| folder.run(&format!("crawl {url} --db {db} {more}"));
    set("processes = 3");
    let first = crawl("--limit 9 -j 1");
    assert_eq!(first.code, 3, "{}", first.stderr);
    assert!(!first.stderr.contains(begins), "{}", first.stderr);
    set("processes = 2");
    let second = crawl("--limit 1 -j 1");
    assert!(second.stderr.contains(begins), "{}", second.stderr);
    // What is not possible any more is said, not bent.
    set("processes = 3\nconcurrency = 2");
    let third = crawl("--limit 1 -j 1");
    assert_eq!(third.code, 70, "{}", third.stderr);
    let why =
        "has been shared by 3 processes since this crawl began, so its `concurrency` can't be 2";
    assert!(third.stderr.contains(why), "{}", third.stderr);
    set("processes = 2");
    let fresh = crawl("--fresh -s max_wait=1s");
    assert!(!fresh.stderr.contains(begins), "{}", fresh.stderr);
    assert!(site.hits() <= 30, "{} requests in a day", site.hits());
}
