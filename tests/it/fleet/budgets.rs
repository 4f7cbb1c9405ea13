//! Budgets that hold over runs, while several of them go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::{Report, Stop};
use nephila::prelude::*;
use nephila::settings::Settings;

use super::number;
use crate::cli::server::serve_with;
use crate::postgres;

const PAGES: usize = 150;
const BUDGET: usize = 60;
/// What a process may store after it has learnt for the last time what the other has used: what is in flight, as
/// many again and two commits that are answered, and the commit before which it has learnt, as `concurrency`
/// and `commit_pages` say below.
const AFTER: usize = 4 + 4 + 3 * 2;
/// How long a leaf waits at most for the other process, which has no host yet if this one took all: it is given
/// some between two leaves.
const TOGETHER: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(2);

#[derive(serde::Deserialize)]
struct Sites(Vec<String>);

#[spider(name = "fleet_budgets")]
impl Sites {
    async fn start(&self, seeds: Seeds) -> Result {
        for site in &self.0 {
            seeds.push(format!("{site}/"), Self::list).await?;
        }
        Ok(())
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("a", Self::leaf)?;
        Ok(())
    }

    async fn leaf(&self, page: Page) -> Result {
        drop(page);
        Ok(())
    }
}

/// Two processes, which cannot know what the other is about to store. Leaves are slow
/// until both have asked for one.
async fn crawl(db: &str, change: fn(&mut Settings)) -> [Report; 2] {
    let asked = Arc::new([const { AtomicBool::new(false) }; 2]);
    let site = || {
        let asked = Arc::clone(&asked);
        let address = serve_with(move |path, header| match path {
            "/" => {
                let links = (0..PAGES).map(|n| format!("<a href=/a/{n}>x</a>"));
                (200, links.collect())
            }
            path if path.starts_with("/a/") => {
                asked[usize::from(header.contains("process-1"))].store(true, Relaxed);
                for _ in 0..TOGETHER.as_millis() / POLL.as_millis() {
                    if asked.iter().all(|asked| asked.load(Relaxed)) {
                        break;
                    }
                    // The server's own thread, not the crawl's.
                    #[expect(clippy::disallowed_methods, reason = "a slow server")]
                    std::thread::sleep(POLL);
                }
                (200, "x".to_owned())
            }
            _ => (404, String::new()),
        });
        format!("http://{address}")
    };
    let sites: Vec<_> = (0..4).map(|_| site()).collect();
    let run = |process: usize| -> std::pin::Pin<Box<dyn Future<Output = _>>> {
        let crawl = Crawl::new(Sites(sites.clone())).db(db).with(|settings| {
            settings.delay = Some(Duration::from_millis(10));
            settings.concurrency = 4;
            settings.commit_pages = 2;
            settings.lease = Duration::from_secs(1);
            settings.user_agent = format!("process-{process}");
            change(settings);
        });
        Box::pin(crawl.run())
    };
    let (one, two) = tokio::join!(run(0), run(1));
    [one.unwrap(), two.unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_that_of_all_processes() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let reports = crawl(&db, |settings| {
        settings.budgets = vec![format!("/a/ {BUDGET}")];
    })
    .await;
    for report in &reports {
        assert_eq!(report.stop, Stop::Finished);
    }
    let of =
        |state: &str| format!("SELECT count(*) FROM url WHERE state = '{state}' AND step = 'leaf'");
    let done = number(&db, &of("done")).await as usize;
    assert!((BUDGET..=BUDGET + AFTER).contains(&done), "{done} pages");
    let skipped = number(&db, &of("skipped")).await as usize;
    assert_eq!(done + skipped, 4 * PAGES);
    let both = number(&db, "SELECT count(*) FROM run WHERE done > 4").await;
    assert_eq!(both, 2, "both have fetched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_that_of_all_processes() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let reports = crawl(&db, |settings| {
        settings.max_pages_per_day = Some(BUDGET as u64);
    })
    .await;
    for report in &reports {
        assert_eq!(report.stop, Stop::Limit("max_pages_per_day"));
    }
    let done = number(&db, "SELECT count(*) FROM page").await as usize;
    assert!((BUDGET..=BUDGET + AFTER).contains(&done), "{done} pages");
}
