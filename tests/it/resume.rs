//! Kill tests: whatever ends a crawl, the next run of it loses nothing and stores nothing twice.
//!
//! A crawl with failures, redirects and a login is killed, stopped, aborted or copied at random
//! moments, checked against the laws of its file, resumed, and compared with a crawl that nobody
//! disturbed. `NEPHILA_KILLS=100 cargo test --test it resume:: -- --nocapture` is the long form, of
//! 600 pages; its figures go to standard output. `NEPHILA_SEED` chooses other moments.

mod truth;
mod web;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nephila::engine::Stop;
use nephila::site::{Hit, ORDERS, Site};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use web::{Running, Web};

/// How many crawls are killed, and of how many pages they are.
fn scale() -> (usize, usize) {
    match std::env::var("NEPHILA_KILLS") {
        Ok(kills) => (kills.parse().unwrap(), 600),
        Err(_) => (6, 200),
    }
}

fn kills() -> usize {
    scale().0
}

fn random(salt: u64) -> fastrand::Rng {
    let seed = std::env::var("NEPHILA_SEED").ok();
    let seed = seed.map_or(1, |seed| seed.parse::<u64>().unwrap());
    fastrand::Rng::with_seed(seed ^ salt << 32)
}

/// A crawl that nobody disturbs.
struct Calm {
    outcome: Vec<String>,
    took: Duration,
    hits: BTreeMap<String, usize>,
}

async fn calm() -> &'static Calm {
    static CALM: OnceCell<Calm> = OnceCell::const_new();
    CALM.get_or_init(|| async {
        let trial = Trial::new().await;
        let started = Instant::now();
        trial.web.finish().await;
        let took = started.elapsed();
        let outcome = truth::outcome(&trial.web.db).await;
        let count = |kind| outcome.iter().filter(|row| row.starts_with(kind)).count();
        let pages = scale().1;
        assert_eq!((count("node "), count("visit ")), (pages, pages));
        assert_eq!((count("order "), count("queued ")), (ORDERS, 0));
        let hits = trial.hits();
        let mut again = hits.iter().filter(|(_, times)| **times > 1);
        assert!(again.clone().count() > pages / 20);
        assert!(again.all(|(path, times)| *times == 2 && path.starts_with("GET /graph/")));
        Calm {
            outcome,
            took,
            hits,
        }
    })
    .await
}

/// A site and a database of their own.
struct Trial {
    site: Site,
    web: Web,
    folder: TempDir,
}

impl Trial {
    async fn new() -> Self {
        let site = Site::start("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let start = format!("/graph/0?of={}&fail=10&redirect=10", scale().1);
        let web = Web::new(&site, &start, folder.path());
        Self { site, web, folder }
    }

    fn hits(&self) -> BTreeMap<String, usize> {
        let mut hits = BTreeMap::new();
        for hit in self.site.log() {
            *hits
                .entry(format!("{} {}", hit.method, hit.path))
                .or_default() += 1;
        }
        hits
    }

    /// Kills the crawl after some part of its life and checks the file; false if it was over.
    async fn kill(&self, part: f64) -> bool {
        let moment = calm().await.took.mul_f64(part);
        let running = self.web.spawn();
        tokio::time::sleep(moment).await;
        running.kill();
        truth::check(&self.web.db).await;
        !truth::is_finished(&self.web.db).await
    }

    /// Runs the crawl to its end, and compares.
    async fn resume(&self) -> usize {
        if !truth::is_finished(&self.web.db).await {
            self.web.finish().await;
        }
        self.compare().await
    }

    /// Compares with the calm crawl; how many requests were sent once more than there.
    async fn compare(&self) -> usize {
        let calm = calm().await;
        let outcome = truth::outcome(&self.web.db).await;
        let differs = outcome.iter().zip(&calm.outcome).find(|(a, b)| a != b);
        assert!(
            outcome == calm.outcome,
            "{} rows, {} in the calm crawl; {differs:?}",
            outcome.len(),
            calm.outcome.len()
        );
        let hits = self.hits();
        let forgotten = calm.hits.keys().find(|path| !hits.contains_key(*path));
        assert_eq!(forgotten, None);
        let again = |(path, times): (&String, &usize)| times.saturating_sub(calm.hits[path]);
        hits.iter().map(again).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_crawl_loses_and_doubles_nothing() {
    let (mut random, mut killed, mut again) = (random(1), 0, 0);
    while killed < kills() {
        let trial = Trial::new().await;
        // One that was over when it should die is no trial.
        killed += usize::from(trial.kill(random.f64()).await);
        again += trial.resume().await;
    }
    let took = calm().await.took;
    println!(
        "{killed} kills in a crawl of {took:?}: 0 lost, 0 double, {again} requests sent again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawl_killed_five_times_goes_on() {
    let (mut random, crawls) = (random(2), kills().div_ceil(10));
    let (mut killed, mut again) = (0, 0);
    for _ in 0..crawls {
        let trial = Trial::new().await;
        let mut lives = 0;
        // Short ones, so that the last of them still has something to do.
        while lives < 5 && trial.kill(random.f64() * 0.4).await {
            lives += 1;
        }
        killed += lives;
        again += trial.resume().await;
    }
    println!("{crawls} crawls, {killed} kills: 0 lost, 0 double, {again} requests sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_crawl_ends_in_time_and_goes_on() {
    let mut random = random(3);
    let (mut stopped, stops, mut again) = (0, kills().div_ceil(4), 0);
    for number in 0.. {
        if stopped >= stops {
            break;
        }
        let trial = Trial::new().await;
        let crawl = trial
            .web
            .crawl()
            .with(|s| s.stop_timeout = Duration::from_secs(20));
        let handle = crawl.stop_handle();
        let moment = calm().await.took.mul_f64(random.f64());
        let gentle = number % 2 == 0;
        let stop = tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            if gentle {
                handle.stop();
            } else {
                handle.abort();
            }
            Instant::now()
        });
        let report = crawl.run().await.unwrap();
        let ended = Instant::now();
        stopped += usize::from(report.stop == Stop::Interrupted);
        if report.stop == Stop::Interrupted {
            assert!(ended - stop.await.unwrap() < Duration::from_secs(20));
        } else {
            assert_eq!(report.stop, Stop::Finished);
            stop.abort();
        }
        truth::check(&trial.web.db).await;
        let sent_twice = trial.resume().await;
        assert!(
            !gentle || sent_twice == 0,
            "{sent_twice} requests were dropped"
        );
        again += sent_twice;
    }
    println!("{stopped} stops: 0 lost, 0 double, {again} requests sent again");
}

/// A copy of file and log at one instant is what a crash leaves; a log without its end is what a
/// power cut leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_copy_opens_and_goes_on() {
    let (mut random, copies) = (random(4), kills().div_ceil(2));
    let mut trial = Trial::new().await;
    let took = calm().await.took;
    for number in 0..copies {
        let folder = tempfile::tempdir().unwrap();
        let fresh = TempDir::new_in(trial.folder.path()).unwrap();
        let source = Web {
            db: fresh.path().join("crawl.db"),
            ..trial.web.clone()
        };
        let running = source.spawn();
        tokio::time::sleep(took.mul_f64(random.f64())).await;
        signal(&running, "STOP");
        let copy = truth::copy(&source.db, folder.path());
        running.kill();
        let Some(copy) = copy else { continue };
        if number % 2 == 1 {
            tear(&truth::with_suffix(&copy, "-wal"), &mut random);
        }
        truth::check(&copy).await;
        trial.web.db = copy;
        trial.resume().await;
    }
    println!("{copies} torn copies: 0 lost, 0 double");
}

fn signal(running: &Running, name: &str) {
    let command = format!("kill -{name} {}", running.id());
    // It may have ended already.
    let _ = std::process::Command::new("sh")
        .args(["-c", &command])
        .status();
}

/// Cuts a log anywhere. One that was ever copied into its file may not be cut: SQLite syncs it
/// before.
fn tear(log: &Path, random: &mut fastrand::Rng) {
    const CHECKPOINT: u64 = 4000 * 4096;
    let Ok(file) = std::fs::OpenOptions::new().write(true).open(log) else {
        return;
    };
    let length = file.metadata().unwrap().len();
    if length < CHECKPOINT {
        file.set_len(random.u64(0..=length)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pace_is_kept_over_a_kill() {
    const DELAY: Duration = Duration::from_millis(400);
    let mut random = random(5);
    let mut trial = Trial::new().await;
    trial.web.start = trial.site.page("/graph/0?of=5");
    trial.web.delay = DELAY;
    for _ in 0..2 {
        let until = trial.site.hits() + random.usize(1..4);
        let running = trial.web.spawn();
        while trial.site.hits() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.kill();
    }
    trial.web.finish().await;
    let log = trial.site.log();
    assert!(log.len() >= 11, "{log:?}");
    let lag = lag(&log, DELAY);
    assert!(lag < DELAY.mul_f64(0.6), "closer by {lag:?}: {log:#?}");
}

/// Requests that were sent at least `delay` apart arrive as in `log` only if one of them took this
/// long. Two at once need the whole delay, and a pace that is too fast needs more with each request.
fn lag(log: &[Hit], delay: Duration) -> Duration {
    let (mut latest, mut lag) = (f64::MIN, 0.0_f64);
    for (number, hit) in log.iter().enumerate() {
        let late = hit.at.as_secs_f64() - delay.as_secs_f64() * number as f64;
        lag = lag.max(latest - late);
        latest = latest.max(late);
    }
    Duration::from_secs_f64(lag)
}
