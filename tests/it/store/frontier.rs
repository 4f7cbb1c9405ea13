//! Tickets, order, time, and the end of a crawl.

use nephila::store::{PageReceipt, Rest};

use super::database::Database;
use super::promises;
use super::steps::{at, done, pages, retry};

promises! {
    a_page_is_written_once,
    what_waits_for_its_time,
}

const SITE: &str = "http://a.example";

/// The ticket is the queue row: who comes second writes nothing.
async fn a_page_is_written_once(database: &Database) {
    let crawl = database.crawl().await;
    assert_eq!(crawl.seed(&["http://a.example/1"]).await, 1);
    assert_eq!(crawl.lease(at(0)).await.len(), 1);
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    let mut page = done(&ticket);
    page.requests = vec![
        crawl.request("http://a.example/2"),
        crawl.request("http://a.example/1"),
    ];
    let receipt = crawl.commit(pages([page.clone(), page.clone()])).await;
    let written = PageReceipt {
        written: true,
        fresh: 1,
        ..PageReceipt::default()
    };
    assert_eq!(receipt.pages, [written, PageReceipt::default()]);
    page.requests.push(crawl.request("http://a.example/3"));
    let receipt = crawl.commit(pages([page])).await;
    assert_eq!(receipt.pages, [PageReceipt::default()]);
    assert!(receipt.fresh.is_empty());
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/2"]);
}

async fn what_waits_for_its_time(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let hosts = crawl.lease(at(0)).await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.commit(pages([retry(&ticket, at(60), true)])).await;
    let taken = crawl.store.take(ticket.key.host, 10, at(59)).await.unwrap();
    assert_eq!((taken.tickets.len(), taken.next_due), (0, Some(at(60))));
    assert_eq!(crawl.rest().await, Rest::Until(at(60)));
    crawl.store.release(hosts).await.unwrap();
    assert_eq!(crawl.rest().await, Rest::Until(at(60)));
    assert!(crawl.lease(at(59)).await.is_empty());
    assert_eq!(crawl.lease(at(60)).await.len(), 1);
    let again = crawl.take(SITE, at(60)).await.remove(0);
    assert_eq!((again.key, again.tries), (ticket.key, 1));
    crawl.commit(pages([done(&again)])).await;
    assert_eq!(crawl.rest().await, Rest::Nothing);
}
