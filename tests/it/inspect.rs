//! What limits a crawl, what it is at, and crawls that share their room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::SharedRoom;
use nephila::prelude::*;

use crate::cli::server::serve_with;

#[derive(serde::Deserialize)]
struct Links {
    site: String,
}

#[spider(name = "inspect_links")]
impl Links {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(format!("{}/", self.site), Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("a", Self::leaf)?;
        Ok(())
    }

    async fn leaf(&self, _: Page) -> Result {
        Ok(())
    }
}

/// A list of eight pages that take their time; how many were asked for at once, at the most.
fn slow(took: Duration) -> (String, Arc<AtomicUsize>) {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&most);
    let address = serve_with(move |path, _| {
        let count = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(count, Ordering::SeqCst);
        // The server's own thread, not the crawl's.
        #[expect(clippy::disallowed_methods, reason = "a slow server")]
        std::thread::sleep(took);
        now.fetch_sub(1, Ordering::SeqCst);
        match path {
            "/" => (
                200,
                ["1", "2", "3", "4", "5", "6", "7", "8"]
                    .map(|n| ["<a href=/", n, ">x</a>"].concat())
                    .concat(),
            ),
            "/robots.txt" => (404, String::new()),
            _ => (200, String::new()),
        }
    });
    (format!("http://{address}"), told)
}

fn crawl(site: &str) -> Crawl {
    let site = site.to_owned();
    let crawl = Crawl::new(Links { site }).db("sqlite::memory:");
    crawl.with(|settings| (settings.allow_empty, settings.jitter) = (true, 0.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_limits_a_crawl() {
    let (site, _) = slow(Duration::ZERO);
    let paced = crawl(&site).with(|settings| settings.delay = Some(Duration::from_millis(60)));
    let report = paced.run().await.unwrap();
    let (by, share) = report.statistics.limit().unwrap();
    assert_eq!(by, format!("{}: delay", site.trim_start_matches("http://")));
    assert!(share > 0.5, "{:?}", report.statistics.limited_ms);
    let (site, _) = slow(Duration::from_millis(60));
    let narrow = crawl(&site).concurrency(1).run().await.unwrap();
    assert_eq!(narrow.statistics.limit().unwrap().0, "concurrency");
    let one = crawl(&site).with(|settings| settings.concurrency_per_host = 1);
    let report = one.run().await.unwrap();
    let host = format!("{}: its connections", site.trim_start_matches("http://"));
    assert_eq!(report.statistics.limit().unwrap().0, host);
    // Nothing listens on port 1, and its robots.txt is asked for again and again.
    let gone = "http://127.0.0.1:1";
    let gone = crawl(gone).with(|settings| {
        settings.retry_delay = Duration::from_millis(100);
        settings.retries = 2;
    });
    let report = gone.run().await.unwrap();
    let host = "127.0.0.1:1: left alone after failures";
    assert_eq!(report.statistics.limit().unwrap().0, host);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crawl_is_at() {
    let (site, _) = slow(Duration::from_millis(100));
    let crawl = crawl(&site).with(|settings| settings.concurrency_per_host = 2);
    let inspector = crawl.inspector();
    let run = tokio::spawn(crawl.run());
    let told = loop {
        let told = inspector.look().await.unwrap();
        if told.contains("being fetched  leaf") {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert!(told.starts_with("inspect_links: "), "{told}");
    for line in [
        "2 of 32 being fetched",
        "hosts: 1 leased",
        "requests: ",
        &format!("  leaf  {site}/"),
        "steps: 0 pages wait",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    run.await.unwrap().unwrap();
    assert_eq!(inspector.look().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn crawls_share_their_room() {
    let (site, most) = slow(Duration::from_millis(5));
    let room = SharedRoom::new(2);
    let crawls = (0..3).map(|_| crawl(&site).shared(&room).run());
    let reports = futures_util::future::join_all(crawls).await;
    for report in reports {
        assert_eq!(report.unwrap().statistics.pages, 9);
    }
    // Each may have its robots.txt on the way besides.
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 2 + 3, "{most}");
    // Without a shared room they have eight each.
    let (site, most) = slow(Duration::from_millis(50));
    let crawls = (0..3).map(|_| crawl(&site).run());
    futures_util::future::join_all(crawls).await;
    assert!(most.load(Ordering::SeqCst) > 5);
}
