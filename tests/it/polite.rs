//! Politeness as the servers see it, by their own logs.

mod groups;
mod robots;
mod trouble;
mod web;

use std::time::Duration;

use nephila::Crawl;
use nephila::engine::Stop;
use nephila::prelude::*;
use nephila::settings::HostSettings;
use nephila::site::{Hit, Options, Site};
use serde::Deserialize;

#[derive(Item)]
#[item(table = "nodes", key = "url")]
struct Node {
    #[url]
    url: Url,
}

/// The graphs of several sites, each with links within.
#[derive(Deserialize)]
struct Graphs(Vec<Url>);

#[spider]
impl Graphs {
    async fn start(&self, seeds: Seeds) -> Result {
        for seed in &self.0 {
            seeds.push(seed, Self::node).await?;
        }
        Ok(())
    }

    async fn node(&self, page: Page) -> Result<Node> {
        page.follow("a", Self::node)?;
        page.item()
    }
}

fn crawl(seeds: Vec<Url>) -> Crawl {
    Crawl::new(Graphs(seeds))
        .db("sqlite::memory:")
        .with(|settings| settings.retry_delay = Duration::from_millis(10))
}

/// Any number of requests took a server as many delays, less one: a busy machine may deliver one of
/// them late, and the next in time.
fn check_pace(hits: &[Hit], delay: Duration, name: &str) {
    for (number, first) in hits.iter().enumerate() {
        for (gaps, last) in hits.iter().skip(number).enumerate().skip(2) {
            let (took, least) = (last.at.saturating_sub(first.at), delay * (gaps as u32 - 1));
            assert!(
                took >= least,
                "{name}: {gaps} gaps in {took:?}, from {} to {}",
                first.path,
                last.path
            );
        }
    }
}

#[tokio::test]
async fn each_host_by_its_own_settings() {
    let slow = Site::start("127.0.0.1:0").await.unwrap();
    let narrow = Options {
        latency: Duration::from_millis(3),
        ..Options::default()
    };
    let narrow = Site::start_with("127.0.0.1:0", narrow).await.unwrap();
    let report = crawl(vec![
        slow.page("/graph/0?of=8"),
        narrow.page("/graph/0?of=40"),
    ])
    .with(|settings| {
        let name = |site: &Site| format!("127.0.0.1:{}", site.url().port().unwrap());
        let delay = Some(Duration::from_millis(40));
        settings.host.insert(
            name(&slow),
            HostSettings {
                delay,
                ..HostSettings::default()
            },
        );
        settings.host.insert(
            name(&narrow),
            HostSettings {
                concurrency: Some(1),
                ..HostSettings::default()
            },
        );
    })
    .run()
    .await
    .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.pages, 48);
    assert_eq!(slow.log().len(), 9);
    check_pace(&slow.log(), Duration::from_millis(40), "slow");
    assert!(narrow.log().iter().all(|hit| hit.open == 1));
}

/// Fifty hosts at once, with failures, redirects and robots.txt; one of them takes seconds.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_hosts() {
    const DELAY: Duration = Duration::from_millis(60);
    let mut sites = Vec::new();
    for number in 0..50_u8 {
        let slow = number == 7;
        let options = Options {
            latency: Duration::from_millis(if slow { 5_000 } else { 0 }),
            ..Options::default()
        };
        let address = format!("127.0.0.{}:0", number + 2);
        let site = match Site::start_with(&address, options).await {
            Ok(site) => site,
            Err(error) => {
                eprintln!("skipped: this system has no {address} ({error})");
                return;
            }
        };
        sites.push((site, slow));
    }
    let pages = |slow| if slow { 1 } else { 8 };
    let seeds = sites.iter().map(|(site, slow)| {
        site.page(&format!("/graph/0?of={}&fail=25&redirect=25", pages(*slow)))
    });
    let report = crawl(seeds.collect())
        .with(|settings| {
            settings.delay = Some(DELAY);
            settings.jitter = 0.0;
            settings.concurrency_per_host = 1;
            settings.concurrency = 100;
        })
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.pages, 49 * 8 + 1, "{:?}", report.problems);
    assert!(report.statistics.retries > 20 && report.statistics.redirects > 20);
    let mut ends = Vec::new();
    let mut slow_began = Duration::ZERO;
    for (site, slow) in &sites {
        let (hits, name) = (site.log(), site.url().to_string());
        assert_eq!(hits[0].path, "/robots.txt", "{name}");
        assert!(
            hits.iter().all(|hit| hit.open == 1),
            "{name}: more than one at once"
        );
        check_pace(&hits, DELAY, &name);
        if *slow {
            slow_began = hits[1].at;
        } else {
            ends.push(hits.last().unwrap().at);
        }
    }
    // When the slow host's robots.txt had come at last, all others were done with everything.
    let done = ends.iter().filter(|end| **end < slow_began).count();
    assert!(
        done >= 40,
        "only {done} hosts were done after {slow_began:?}: {ends:?}"
    );
}
