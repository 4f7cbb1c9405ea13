//! Several processes on one crawl: killed, stopped and continued, and still each page once and each host
//! at its pace.
//!
//! `NEPHILA_FLEET=60 cargo test --test it fleet::processes -- --nocapture` is the long form: 20,000 pages of 200 hosts,
//! and so many times one to three are killed. With `fleet::faults`, it is as large a crawl whose server crashes, and
//! one of processes with wrong clocks.

mod budgets;
mod connection;
mod faults;
mod groups;
mod rounds;
mod shares;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::Stop;
use nephila::prelude::*;
use nephila::settings::{HostSettings, PolitenessBy};
use nephila::site::{Hit, Site};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::postgres;

/// Set in a child alone: what it crawls, as JSON.
const ORDER: &str = "NEPHILA_TEST_FLEET";
const PROCESSES: usize = 4;
const SITES: usize = 8;
const DELAY: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_millis(600);
/// Requests that a process has in flight or not yet stored: `concurrency` and, on top, as many again and two
/// commits.
const MOST_IN_HAND: usize = 32 + 32 + 2 * 10;

/// Without a key: a page that is stored twice shows.
#[derive(Item)]
#[item(table = "visits")]
struct Visit {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Fleet {
    starts: Vec<Url>,
    db: String,
    /// Whose pace a host keeps.
    politeness: PolitenessBy,
    /// So many processes share a host.
    processes: usize,
    lease: Duration,
}

#[spider]
impl Fleet {
    async fn start(&self, seeds: Seeds) -> Result {
        for start in &self.starts {
            seeds.push(start, Self::node).await?;
        }
        Ok(())
    }

    async fn node(&self, page: Page) -> Result<Visit> {
        page.follow("a", Self::node)?;
        page.item()
    }
}

impl Fleet {
    async fn run(&self) -> Stop {
        let crawl = Crawl::new(self.clone()).db(self.db.clone());
        let crawl = crawl.with(|settings| {
            settings.delay = Some(DELAY);
            settings.jitter = 0.0;
            settings.concurrency_per_host = 1;
            settings.lease = self.lease;
            settings.commit_pages = 10;
            settings.retry_delay = Duration::from_millis(10);
            if self.processes > 1 {
                let shared = HostSettings {
                    concurrency: Some(self.processes),
                    processes: Some(self.processes),
                    ..HostSettings::default()
                };
                settings.host.insert("127.0.0.1".to_owned(), shared);
            }
            settings.politeness = self.politeness;
        });
        crawl.run().await.unwrap().stop
    }

    fn spawn(&self) -> Process {
        self.spawn_with(&[])
    }

    /// Starts a process in an environment of its own.
    fn spawn_with(&self, environment: &[(&str, &str)]) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .envs(environment.iter().copied())
            .args(["fleet::child", "--exact", "--nocapture"])
            .env(ORDER, serde_json::to_string(self).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Process(child.unwrap())
    }
}

/// The child; in the test run itself there is nothing to do.
#[test]
fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let fleet: Fleet = serde_json::from_str(&order).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(fleet.run()), Stop::Finished);
}

/// Killed when dropped.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.0.id());
        // It may have ended already.
        let _ = Command::new("sh").args(["-c", &command]).status();
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for its end, which must be a good one.
    async fn finish(mut self) {
        let ended = tokio::task::spawn_blocking(move || self.0.wait());
        assert!(ended.await.unwrap().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many rounds of kills there are, of how many sites, and of how many pages a site is.
fn scale() -> (usize, usize, usize) {
    match std::env::var("NEPHILA_FLEET") {
        Ok(kills) => (kills.parse().unwrap(), 200, 100),
        Err(_) => (3, SITES, 60),
    }
}

async fn number(db: &str, sql: &str) -> i64 {
    let mut db = PgConnection::connect(db).await.unwrap();
    let sql = AssertSqlSafe(format!("SELECT ({sql})::bigint"));
    sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
}

async fn run(db: &str, sql: &str) {
    let mut db = PgConnection::connect(db).await.unwrap();
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
}

/// What must hold at every moment.
async fn check(db: &str) {
    let stray = "SELECT count(*) FROM seen s WHERE
        (SELECT count(*) FROM queue q WHERE q.host = s.host AND q.fp = s.fp AND q.seq = s.seq)
      + (SELECT count(*) FROM page p WHERE p.id = s.seq AND p.host = s.host) <> 1";
    assert_eq!(number(db, stray).await, 0);
    let counted = "SELECT (SELECT count(*) FROM seen) - (SELECT coalesce(sum(known), 0) FROM run)
      + (SELECT count(*) FROM page) - (SELECT coalesce(sum(done + failed + skipped), 0) FROM run)";
    assert_eq!(number(db, counted).await, 0);
}

/// Requests that were sent at least `delay` apart arrive as in `log` only if one of them took this long.
fn lag(log: &[Hit], delay: Duration) -> Duration {
    let (mut latest, mut lag) = (f64::MIN, 0.0_f64);
    for (number, hit) in log.iter().enumerate() {
        let late = hit.at.as_secs_f64() - delay.as_secs_f64() * number as f64;
        lag = lag.max(latest - late);
        latest = latest.max(late);
    }
    Duration::from_secs_f64(lag)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_die_and_stand_still_and_the_crawl_is_whole() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let (kills, hosts, pages) = scale();
    let mut sites = Vec::new();
    for _ in 0..hosts {
        sites.push(Site::start("127.0.0.1:0").await.unwrap());
    }
    let start = format!("/graph/0?of={pages}");
    let fleet = Fleet {
        starts: sites.iter().map(|site| site.page(&start)).collect(),
        db: db.clone(),
        politeness: PolitenessBy::Host,
        processes: 1,
        lease: LEASE,
    };
    let mut random = fastrand::Rng::with_seed(7);
    let hits = || sites.iter().map(Site::hits).sum::<usize>();
    let mut running = (0..PROCESSES).map(|_| fleet.spawn()).collect::<Vec<_>>();
    let (mut rounds, mut killed, enough) = (0, 0, hosts * pages * 19 / 20);
    while rounds < kills && hits() < enough {
        let part = (hosts * pages / kills / 4).max(10);
        let until = hits() + random.usize(part / 4..part);
        while hits() < until && hits() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let victim = random.usize(..running.len());
        if rounds % 3 == 1 {
            // For longer than its lease; then it goes on.
            running[victim].signal("STOP");
            tokio::time::sleep(LEASE * 2).await;
            running[victim].signal("CONT");
        }
        for _ in 0..random.usize(1..=3) {
            let victim = random.usize(..running.len());
            drop(running.swap_remove(victim));
            killed += 1;
        }
        check_when_there(&db).await;
        while running.len() < PROCESSES {
            running.push(fleet.spawn());
        }
        rounds += 1;
    }
    assert!(killed > 0);
    for process in running {
        process.finish().await;
    }
    check(&db).await;
    let all = (hosts * pages) as i64;
    assert_eq!(number(&db, "SELECT count(*) FROM queue").await, 0);
    assert_eq!(number(&db, "SELECT count(*) FROM visits").await, all);
    assert_eq!(
        number(&db, "SELECT count(DISTINCT url) FROM visits").await,
        all
    );
    let parts = number(&db, "SELECT count(*) FROM run WHERE done > 0").await;
    assert!(parts > 1, "one process has done it all");
    for site in &sites {
        let log = site.log();
        assert!(log.iter().all(|hit| hit.open == 1), "two at once: {log:?}");
        // What is at the pace of two processes lags behind by half of the crawl.
        let lag = lag(&log, DELAY);
        assert!(lag < DELAY * 20, "closer by {lag:?}");
    }
    // Asked again is at most what was in hand when a process was killed or stopped.
    let again = hits() - hosts * pages;
    let in_hand = (killed + rounds.div_ceil(3)) * MOST_IN_HAND;
    assert!(again <= in_hand, "{again} pages were asked for again");
    println!(
        "{rounds} rounds, {killed} kills, {parts} processes, {all} pages of {hosts} hosts: 0 lost, 0 double, \
         {again} asked again"
    );
}

/// The first processes may still make the tables.
async fn check_when_there(db: &str) {
    if number(db, "SELECT (to_regclass('run') IS NOT NULL)::int").await == 1 {
        check(db).await;
    }
}
