//! One host that several processes ask at once: together they are no faster than one, and have no more requests
//! in flight.

use std::time::Duration;

use nephila::settings::PolitenessBy;
use nephila::site::Site;

use super::{
    DELAY, Fleet, LEASE, MOST_IN_HAND, PROCESSES, Process, check, check_when_there, lag, number,
};
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
