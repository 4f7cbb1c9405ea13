//! Resuming, starting anew, and several crawls in one database.

use std::time::Duration;

use nephila::store::{Batch, Begin, Cookie, Host, Rest, StoreError};

use super::database::{Database, begin, fresh};
use super::promises;
use super::steps::{Crawl, at, done, pages};

promises! {
    an_interrupted_crawl_goes_on,
    a_finished_crawl_is_not_resumed,
    fresh_forgets_the_crawl_and_keeps_politeness,
    spiders_share_a_database,
    other_arguments_are_another_crawl,
    cookies_come_back,
}

const SITE: &str = "http://a.example";

/// Seeds three pages and finishes the first, which finds a fourth.
async fn start(crawl: &Crawl) {
    crawl
        .seed(&[
            "http://a.example/1",
            "http://a.example/2",
            "http://a.example/3",
        ])
        .await;
    crawl.lease(at(0)).await;
    let mut page = done(&crawl.take(SITE, at(0)).await[0]);
    page.requests = vec![crawl.request("http://a.example/4")];
    crawl.commit(pages([page])).await;
}

async fn an_interrupted_crawl_goes_on(database: &Database) {
    let crawl = database.crawl().await;
    assert!(crawl.opening.resumed.is_none() && !crawl.opening.seeded);
    start(&crawl).await;
    let (key, run) = (crawl.opening.key, crawl.opening.run);
    drop(crawl);
    let crawl = database.crawl().await;
    let resumed = crawl.opening.resumed.unwrap();
    assert_eq!((resumed.pages, resumed.queued), (1, 3));
    assert!(crawl.opening.seeded);
    assert_eq!(crawl.opening.seed_hosts, [SITE]);
    assert_eq!(crawl.opening.key, key);
    assert!(crawl.opening.run.0 > run.0);
    // The lease of the run that died is void.
    assert_eq!(crawl.lease(at(0)).await.len(), 1);
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/2", "/3", "/4"]);
    assert_eq!(crawl.seed(&["http://a.example/1"]).await, 0);
    assert_eq!(crawl.seed(&["http://a.example/5"]).await, 1);
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/2", "/3", "/4", "/5"]);
}

async fn a_finished_crawl_is_not_resumed(database: &Database) {
    let crawl = database.crawl().await;
    start(&crawl).await;
    crawl.end(true).await;
    let crawl = Crawl::begin(crawl.store, begin("books")).await;
    assert!(crawl.opening.resumed.is_none() && !crawl.opening.seeded);
    assert_eq!(crawl.rest().await, Rest::Nothing);
    assert_eq!(crawl.seed(&["http://a.example/1"]).await, 1);
}

async fn fresh_forgets_the_crawl_and_keeps_politeness(database: &Database) {
    let crawl = database.crawl().await;
    start(&crawl).await;
    let later = nephila::clock::now() + jiff::SignedDuration::from_hours(1);
    let host = Host {
        key: crawl.host(SITE),
        origin: SITE.into(),
        seed: true,
        next_at: later,
        errors: 3,
        robots: None,
        delay: Duration::from_secs(2),
        ceiling: Duration::from_secs(1),
        day: later.as_second() / 86_400,
        sent: 9,
        lapsed: false,
    };
    crawl.store.release(vec![host.clone()]).await.unwrap();
    let cookie = Cookie {
        session: String::new(),
        key: "a".into(),
        json: Some("{}".into()),
    };
    let batch = Batch {
        cookies: vec![cookie],
        ..Batch::default()
    };
    crawl.commit(batch).await;
    let crawl = Crawl::begin(crawl.store, fresh("books")).await;
    assert!(crawl.opening.resumed.is_none() && !crawl.opening.seeded);
    assert!(crawl.opening.cookies.is_empty() && crawl.opening.seed_hosts.is_empty());
    assert_eq!(crawl.rest().await, Rest::Nothing);
    assert_eq!(crawl.seed(&["http://a.example/1"]).await, 1);
    let ms = later.as_millisecond();
    assert!(matches!(crawl.rest().await, Rest::Until(moment) if moment.as_millisecond() == ms));
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/1"]);
    let kept = crawl.lease(later).await.remove(0);
    assert_eq!(
        (kept.errors, kept.delay, kept.ceiling),
        (3, host.delay, host.ceiling)
    );
    assert_eq!((kept.day, kept.sent), (host.day, 9));
}

async fn spiders_share_a_database(database: &Database) {
    let books = database.crawl().await;
    start(&books).await;
    let store = books.store;
    let quotes = Crawl::begin(store.clone(), begin("quotes")).await;
    assert!(quotes.opening.resumed.is_none());
    assert_eq!(quotes.rest().await, Rest::Nothing);
    assert!(quotes.lease(at(0)).await.is_empty());
    assert_eq!(quotes.seed(&["http://a.example/1"]).await, 1);
    // What one forgets, the other keeps.
    let quotes = Crawl::begin(store.clone(), fresh("quotes")).await;
    assert_eq!(quotes.rest().await, Rest::Nothing);
    let books = Crawl::begin(store, begin("books")).await;
    assert_eq!(books.opening.resumed.unwrap().queued, 3);
    assert_eq!(books.lease(at(0)).await.len(), 1);
    assert_eq!(books.paths(SITE, at(0)).await, ["/2", "/3", "/4"]);
    assert_eq!(books.seed(&["http://a.example/1"]).await, 0);
}

async fn other_arguments_are_another_crawl(database: &Database) {
    let all = database.crawl().await;
    start(&all).await;
    let args = Begin {
        args: r#"{"category":"poetry"}"#.into(),
        ..begin("books")
    };
    let poetry = Crawl::begin(all.store.clone(), args).await;
    assert!(poetry.opening.resumed.is_none());
    assert_eq!(poetry.seed(&["http://a.example/1"]).await, 1);
    let all = Crawl::begin(all.store, begin("books")).await;
    assert_eq!(all.opening.resumed.unwrap().queued, 3);
}

#[tokio::test]
async fn a_file_is_for_one_process_at_a_time() {
    let database = Database::sqlite();
    let crawl = database.crawl().await;
    let refused = nephila::store::open(&database.url).await.err().unwrap();
    let StoreError::Locked { path, holder } = refused else {
        panic!("{refused}");
    };
    assert!(path.ends_with("crawl.db"), "{path}");
    let expected = format!("{} (crawl books, since ", std::process::id());
    assert!(holder.starts_with(&expected), "{holder}");
    drop(crawl);
    database.crawl().await;
}

async fn cookies_come_back(database: &Database) {
    let crawl = database.crawl().await;
    let cookie = |session: &str, key: &str, json: Option<&str>| Cookie {
        session: session.into(),
        key: key.into(),
        json: json.map(str::to_owned),
    };
    let batch = |cookies| Batch {
        cookies,
        ..Batch::default()
    };
    let first = vec![
        cookie("", "a", Some("1")),
        cookie("", "b", Some("1")),
        cookie("s", "a", Some("2")),
        cookie("", "a", Some("3")),
    ];
    crawl.commit(batch(first)).await;
    crawl.commit(batch(vec![cookie("", "b", None)])).await;
    let crawl = Crawl::begin(crawl.store, begin("books")).await;
    let expected = [cookie("", "a", Some("3")), cookie("s", "a", Some("2"))];
    assert_eq!(crawl.opening.cookies, expected);
}
