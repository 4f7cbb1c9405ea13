//! One host that several processes ask at once: together they are no faster than one, and have no more requests
//! in flight.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::Stop;
use nephila::prelude::*;
use nephila::settings::{HostSettings, PolitenessBy};
use nephila::site::Site;
use tokio::time::Instant;

use super::{
    DELAY, Fleet, LEASE, MOST_IN_HAND, PROCESSES, Process, check, check_when_there, lag, number,
};
use crate::cli::server::serve_with;
use crate::postgres;

const PAGES: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_host() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let site = Site::start("127.0.0.1:0").await.unwrap();
    // Without its pace, each part would be asked three times as often.
    let start = format!("/graph/0?of={PAGES}&delay=60");
    let fleet = Fleet {
        starts: vec![site.page(&start)],
        db: db.clone(),
        politeness: PolitenessBy::Host,
        processes: PROCESSES,
        lease: LEASE,
    };
    let mut running: Vec<_> = (0..PROCESSES).map(|_| fleet.spawn()).collect();
    let (mut killed, mut most) = (0, 0);
    while site.hits() < PAGES * 19 / 20 && running.iter_mut().all(Process::lives) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if number(&db, "SELECT (to_regclass('host') IS NOT NULL)::int").await == 0 {
            continue;
        }
        let holders = "SELECT count(DISTINCT run) FROM host WHERE run IS NOT NULL";
        most = most.max(number(&db, holders).await);
        let part = site.hits() * 4 / PAGES;
        if part > killed {
            killed = part;
            if killed == 2 {
                running[0].signal("STOP");
                tokio::time::sleep(LEASE * 2).await;
                running[0].signal("CONT");
            } else {
                drop(running.swap_remove(1));
                running.push(fleet.spawn());
            }
            check_when_there(&db).await;
        }
    }
    for process in running {
        process.finish().await;
    }
    check(&db).await;
    assert_eq!(most, PROCESSES as i64, "each has its part");
    for sql in [
        "SELECT count(*) FROM visits",
        "SELECT count(DISTINCT url) FROM visits",
        "SELECT count(*) FROM page",
    ] {
        assert_eq!(number(&db, sql).await, PAGES as i64, "{sql}");
    }
    let rows = "SELECT count(*) FROM host";
    assert_eq!(number(&db, rows).await, PROCESSES as i64);
    let log = site.log();
    let open = log.iter().map(|hit| hit.open).max();
    assert!(open <= Some(PROCESSES), "{open:?} at once");
    // Parts may begin at once; what is at the pace of two hosts lags behind by half of the crawl, 5 s.
    let lag = lag(&log, DELAY);
    assert!(lag < DELAY * (PROCESSES as u32 + 20), "closer by {lag:?}");
    let again = site.hits() - PAGES;
    assert!(again <= 3 * MOST_IN_HAND + PROCESSES, "{again} asked again");
}

/// How long the host asks to be left alone.
const ASKED: u64 = 3;
const LINKS: usize = 100;

#[derive(Clone, serde::Deserialize)]
struct Shop(String);

#[spider(name = "fleet_shop")]
impl Shop {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.0, Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("a", Self::leaf)?;
        Ok(())
    }

    async fn leaf(&self, _page: Page) -> Result {
        Ok(())
    }
}

/// When a site was asked, and when it said that it is asked too often.
#[derive(Default)]
struct Asked {
    at: Vec<Instant>,
    refused: Option<Instant>,
}

/// A site that, asked for a while, says so once.
fn busy_site() -> (String, Arc<Mutex<Asked>>) {
    let log = Arc::<Mutex<Asked>>::default();
    let told = Arc::clone(&log);
    let address = serve_with(move |path, _| {
        let mut log = told.lock().unwrap();
        log.at.push(Instant::now());
        if path == "/" {
            let links = (0..LINKS).map(|n| format!("<a href=/{n}>x</a>"));
            return (200, links.collect());
        }
        if log.at.len() > LINKS / 2 && log.refused.is_none() {
            log.refused = Some(Instant::now());
            let head = format!("ETag: x\r\nRetry-After: {ASKED}\r\n\r\nnot now");
            return (429, head);
        }
        (200, "x".to_owned())
    });
    (format!("http://{address}/"), log)
}

/// What one part of a host has learnt counts for all: in the same process at once, in others with their next
/// sign of life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_parts_leave_a_host_alone_that_says_so_to_one() {
    let Some(db) = postgres::database().await else {
        return;
    };
    // Of six parts, each process has three.
    let (site, log) = busy_site();
    let crawl = || -> Pin<Box<dyn Future<Output = _>>> {
        let crawl = Crawl::new(Shop(site.clone())).db(&db).with(|settings| {
            settings.delay = Some(Duration::from_millis(25));
            settings.lease = LEASE;
            let shared = HostSettings {
                concurrency: Some(6),
                processes: Some(6),
                ..HostSettings::default()
            };
            settings.host.insert("127.0.0.1".to_owned(), shared);
        });
        Box::pin(crawl.run())
    };
    let (one, two) = tokio::join!(crawl(), crawl());
    for report in [one, two] {
        assert_eq!(report.unwrap().stop, Stop::Finished);
    }
    let both = "SELECT count(*) FROM run WHERE done > 5";
    assert_eq!(number(&db, both).await, 2, "both have fetched");
    let done = "SELECT count(*) FROM page WHERE state = 'done' AND status = 200";
    assert_eq!(number(&db, done).await, LINKS as i64 + 1);
    let log = log.lock().unwrap();
    let said = log.refused.expect("it was asked too often");
    let after = |hit: &Instant| hit.checked_duration_since(said).unwrap_or_default();
    // Two signs of life, and a busy machine.
    let known = Duration::from_secs(1);
    let asked = Duration::from_secs(ASKED);
    let meanwhile: Vec<_> = log.at.iter().map(after).collect();
    let meanwhile = meanwhile.iter().filter(|at| **at > known && **at < asked);
    assert_eq!(meanwhile.count(), 0, "{:?}", log.at);
    assert!(log.at.iter().any(|hit| after(hit) >= asked));
}
