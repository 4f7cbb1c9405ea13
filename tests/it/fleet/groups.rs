//! Hosts that share one pace, over several processes.

use std::time::Duration;

use nephila::settings::PolitenessBy;
use nephila::site::Site;
use tokio::time::Instant;

use super::{DELAY, Fleet, LEASE, check, lag, number};
use crate::postgres;

const PAGES: usize = 30;

/// All hosts of these tests are one domain, as addresses go: whichever process has one of them has all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_has_one_pace_over_all_processes() {
    one_pace(PolitenessBy::Domain).await;
}

/// An address is found out when a host is leased: who finds that another process has it gives the host back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_one_pace_over_all_processes() {
    one_pace(PolitenessBy::Address).await;
}

async fn one_pace(politeness: PolitenessBy) {
    let Some(db) = postgres::database().await else {
        return;
    };
    let mut sites = Vec::new();
    for _ in 0..4 {
        sites.push((Instant::now(), Site::start("127.0.0.1:0").await.unwrap()));
    }
    let begun = sites[0].0;
    let start = format!("/graph/0?of={PAGES}");
    let fleet = Fleet {
        starts: sites.iter().map(|(_, site)| site.page(&start)).collect(),
        db: db.clone(),
        politeness,
        processes: 1,
        lease: LEASE,
    };
    let hits = || sites.iter().map(|(_, site)| site.hits()).sum::<usize>();
    let mut running: Vec<_> = (0..3).map(|_| fleet.spawn()).collect();
    // Who has the domain is killed twice; then it is the next one's.
    for part in [1, 2] {
        while hits() < sites.len() * PAGES * part / 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let holder = "SELECT coalesce((SELECT pid FROM run r WHERE EXISTS
            (SELECT 1 FROM host h WHERE h.run = r.id) LIMIT 1), 0)";
        let holders = "SELECT count(DISTINCT run) FROM host WHERE run IS NOT NULL";
        if politeness == PolitenessBy::Domain {
            assert!(number(&db, holders).await <= 1);
        }
        let pid = number(&db, holder).await;
        running.retain(|process| i64::from(process.0.id()) != pid);
        running.push(fleet.spawn());
    }
    for process in running {
        process.finish().await;
    }
    check(&db).await;
    let all = (sites.len() * PAGES) as i64;
    assert_eq!(
        number(&db, "SELECT count(DISTINCT url) FROM visits").await,
        all
    );
    let mut log = Vec::new();
    for (started, site) in &sites {
        log.extend(site.log().into_iter().map(|mut hit| {
            hit.at += started.duration_since(begun);
            hit
        }));
    }
    log.sort_by_key(|hit| hit.at);
    // Two processes at once would be ahead by half of the crawl, 3 s.
    let lag = lag(&log, DELAY);
    assert!(lag < DELAY * 20, "closer by {lag:?}");
}
