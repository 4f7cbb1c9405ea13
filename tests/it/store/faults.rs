//! A server that goes away and comes back.

use std::sync::Arc;

use nephila::store::{self, Batch, PageCommit, Rest};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::database::begin;
use super::steps::{Crawl, at, done, pages};
use crate::postgres::{Server, database_of, missing};

const SITE: &str = "http://a.example";

/// Whatever the store is asked while the server crashes, it answers when that is back: nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_waited_for() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let url = database_of(&server.url).await;
    let crawl = Crawl::begin(store::open(&url).await.unwrap(), begin("books")).await;
    let urls = (0..60).map(|n| format!("{SITE}/{n}")).collect::<Vec<_>>();
    crawl
        .seed(&urls.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    assert_eq!(crawl.lease(at(0)).await.len(), 1);
    let server = Arc::new(server);
    for round in 0..3 {
        let server = Arc::clone(&server);
        let restart = tokio::task::spawn_blocking(move || server.restart());
        for _ in 0..20 {
            let ticket = crawl.take(SITE, at(0)).await.remove(0);
            let receipt = crawl.commit(pages([done(&ticket)])).await;
            // The answer to a commit may be lost, not the commit.
            assert_eq!(receipt.pages.len(), 1);
        }
        restart.await.unwrap();
        assert!(
            crawl.store.beat().await.unwrap().lapses.is_some(),
            "round {round}"
        );
    }
    assert_eq!(crawl.rest().await, Rest::Nothing);
    let batch = Batch::default();
    crawl.commit(batch).await;
    crawl.end(true).await;
    let reader = store::open_reader(&url).await.unwrap();
    let runs = reader.runs().await.unwrap();
    assert_eq!((runs[0].done, runs[0].known), (60, 60));
}

/// A server that does not wait for its disk may lose its last commits. What a lost page had found is found
/// again: nothing of it is known by heart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_lost_is_not_remembered() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let url = database_of(&server.url).await;
    let run = async |sql: &str| {
        let mut db = PgConnection::connect(&url).await.unwrap();
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    };
    run("ALTER SYSTEM SET synchronous_commit = off").await;
    run("ALTER SYSTEM SET wal_writer_delay = '10s'").await;
    server.reload();
    let crawl = Crawl::begin(store::open(&url).await.unwrap(), begin("books")).await;
    let (mut lost, mut found) = (0, 0);
    for round in 0..20 {
        crawl.seed(&[&format!("{SITE}/{round}")]).await;
        crawl.lease(at(0)).await;
        // This one waits for the disk, and so has all before it.
        run("SET synchronous_commit = on; CREATE TABLE IF NOT EXISTS flushed (n int); INSERT INTO flushed VALUES (1)").await;
        let host = crawl.host(SITE);
        let taken = crawl.store.take(host, 1, at(0)).await.unwrap();
        let page = || PageCommit {
            requests: vec![crawl.request(&format!("{SITE}/found/{round}"))],
            ..done(&taken.tickets[0])
        };
        found += crawl.commit(pages([page()])).await.pages[0].fresh;
        tokio::task::block_in_place(|| server.restart());
        let again = crawl.store.take(host, 1, at(0)).await.unwrap();
        assert!(again.generation > taken.generation);
        if again.tickets[0].key == taken.tickets[0].key {
            lost += 1;
            assert_eq!(crawl.commit(pages([page()])).await.pages[0].fresh, 1);
        }
        // Only pages of the next round are left.
        while let Some(ticket) = crawl.take(SITE, at(0)).await.first() {
            crawl.commit(pages([done(ticket)])).await;
        }
        if lost > 1 {
            break;
        }
    }
    assert!(
        found > 1 && lost > 1,
        "the server lost nothing: {found}, {lost}"
    );
}
