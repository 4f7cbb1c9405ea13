//! Politeness as the servers see it, by their own logs.

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
