//! A server that goes away and comes back.

use std::sync::Arc;

use nephila::store::{self, Batch, Rest};

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
