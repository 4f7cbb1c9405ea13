//! Crawls in virtual time: the real engine, frontier and store, on a web that a seed has made up.
//!
//! Each seed is a web with faults, settings, a store with moods, and what befalls the crawl: it is
//! killed at a commit, stopped, aborted, loses its store, and goes on. Whatever that is, in the end
//! nothing may be lost and nothing double, no host asked sooner or oftener at once than it allows, and
//! the verdict must be true. Time is tokio's, paused, so that hours take milliseconds; there is one
//! thread, so that a seed is the same crawl each time.
//!
//! `NEPHILA_SEEDS=10000 cargo test --lib simulation` is the long form, `NEPHILA_SEED=17` plays one.

mod laws;
mod plan;
mod store;
mod walker;
mod web;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::LocalOptions;
use tokio::time::Instant;

use self::plan::{Ending, Plan, url};
use self::store::Wire;
use self::walker::Walker;
use self::web::{Hit, Web};
use super::still::Elsewhere;
use super::thread::{self, Work};
use super::{Crawl, Report, Stop};
use crate::clock;
use crate::store::Store;

/// Longer than any of these crawls takes.
const NEVER: Duration = Duration::from_hours(24);
/// More lives than any of them has.
const LIVES: usize = 400;

/// One crawl in all of its lives.
struct Trial {
    seed: u64,
    plan: Arc<Plan>,
    web: Web,
    elsewhere: Arc<Elsewhere>,
    path: String,
    now: Timestamp,
}

impl Trial {
    fn new(seed: u64, folder: &std::path::Path) -> Self {
        Self::of(seed, Plan::draw(seed), folder)
    }

    fn of(seed: u64, plan: Plan, folder: &std::path::Path) -> Self {
        let plan = Arc::new(plan);
        let path = folder.join(format!("{seed}.db"));
        Self {
            seed,
            web: Web::new(Arc::clone(&plan)),
            plan,
            elsewhere: Arc::new(Elsewhere::new().unwrap()),
            path: path.to_str().unwrap().to_owned(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    /// Lives until it has finished.
    fn run(&mut self) -> Result<(), String> {
        let mut stops = Vec::new();
        for life in 0..LIVES {
            let ending = self.plan.endings.get(life).copied();
            let stop = self.live(life as u64, ending)?;
            stops.push(format!("{} {stop:?}", self.now));
            let found = laws::read(&self.elsewhere, &self.path)?;
            let finished = stop == Some(Stop::Finished);
            // What was written last, or its acknowledgement, may be lost with the process.
            let unheard = stop.is_none() && found.finished;
            if finished != found.finished && !unheard || found.finished && found.queued > 0 {
                let (said, queued) = (found.finished, found.queued);
                return Err(format!("{stop:?}, the database: {said}, {queued} queued"));
            }
            if found.finished {
                laws::polite(&self.plan, &self.web.hits())?;
                return laws::compare(&self.plan, &found);
            }
            if stop == Some(Stop::Limit("max_wait")) {
                self.now += Duration::from_mins(1);
            }
            self.web.next_life();
        }
        Err(format!("no end after {LIVES} lives: {stops:#?}"))
    }

    /// One life; how it ended, unless it was killed.
    fn live(&mut self, life: u64, ending: Option<Ending>) -> Result<Option<Stop>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(LocalOptions::default())
            .map_err(|error| error.to_string())?;
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(life);
        fastrand::seed(seed);
        let wire = runtime.block_on(async {
            clock::simulated::set(self.now, Some(Instant::now()));
            let (path, moods) = (self.path.clone(), self.plan.moods);
            Arc::new(Wire::open(
                &self.elsewhere,
                path,
                ending,
                moods,
                fastrand::Rng::new(),
            ))
        });
        let outcome = runtime.block_on(self.crawl_until(Arc::clone(&wire), ending));
        self.now = runtime.block_on(async { clock::now() });
        self.now += Duration::from_millis(fastrand::u64(0..3_000));
        drop(runtime);
        wire.close();
        outcome
    }

    /// Crawls until the end that is planned, or its own.
    async fn crawl_until(
        &self,
        wire: Arc<Wire>,
        ending: Option<Ending>,
    ) -> Result<Option<Stop>, String> {
        let killed = Arc::clone(&wire.killed);
        let crawl = self.crawl(wire);
        let (handle, inspector) = (crawl.stop_handle(), crawl.inspector());
        let never = async {
            tokio::time::sleep(NEVER).await;
            format!("no end:\n{}", inspector.look().await.unwrap_or_default())
        };
        let interrupt = async move {
            match ending {
                Some(Ending::Stopped(after)) => {
                    tokio::time::sleep(after).await;
                    handle.stop();
                }
                Some(Ending::Aborted(after)) => {
                    tokio::time::sleep(after).await;
                    handle.abort();
                }
                _ => {}
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            at = never => Err(at),
            report = crawl.run() => match report {
                Ok(report) => check(&report).map(|()| Some(report.stop)),
                // The store was broken when it began, or when it was told the end.
                Err(_) if matches!(ending, Some(Ending::Broken { .. })) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            () = killed.notified() => Ok(None),
            () = interrupt => Ok(None),
        }
    }

    fn crawl(&self, store: Arc<dyn Store>) -> Crawl {
        let pages = &self.plan.pages;
        let seeds = (0..self.plan.seeds).map(|page| url(pages, page)).collect();
        let mut crawl = Crawl::new(Walker { seeds })
            .settings(self.plan.settings.clone())
            .fetch(self.web.clone());
        crawl.store = Some(store);
        crawl.threads = here;
        crawl
    }
}

/// Has the work of a thread done on this one.
#[expect(clippy::unnecessary_wraps, reason = "a thread may be refused")]
fn here(_: String, work: super::thread::Work) -> std::io::Result<()> {
    tokio::task::spawn_local(work());
    Ok(())
}

/// Whether a verdict is in itself true.
fn check(report: &Report) -> Result<(), String> {
    let left = report.statistics.left();
    match (&report.stop, report.exit_code()) {
        (Stop::Finished, 0 | 1)
        | (Stop::Broken(_), 70)
        | (Stop::Interrupted, 130)
        | (Stop::Limit(_), 1 | 3) => Ok(()),
        (stop, code) => Err(format!("{stop:?} with exit code {code}, {left} left")),
    }
}

/// Where files are fastest.
fn folder() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).unwrap();
    }
    tempfile::tempdir().unwrap()
}

/// Runs a seed; what went wrong, and what the web saw.
fn play(seed: u64) -> (Result<(), String>, Vec<Hit>) {
    let folder = folder();
    let mut trial = Trial::new(seed, folder.path());
    let outcome = catch_unwind(AssertUnwindSafe(|| trial.run()));
    let outcome = outcome.unwrap_or_else(|panic| Err(crate::panics::described(&*panic)));
    let hits = trial.web.hits();
    let outcome = outcome.map_err(|why| {
        let lines = hits.iter().map(|hit| format!("{hit:?}"));
        let last = lines.rev().take(8).collect::<Vec<_>>().join("\n  ");
        format!("{why}\nlast requests:\n  {last}")
    });
    (outcome, hits)
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn crawls_lose_nothing_double_nothing_and_keep_their_pace() {
    let seeds = match number("NEPHILA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NEPHILA_SEEDS").unwrap_or(200),
    };
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return failed;
            }
            if let (Err(why), _) = play(seed) {
                failed.push((seed, why));
            }
        }
    };
    let mut failed = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let failed = threads.into_iter().map(|thread| thread.join().unwrap());
        failed.flatten().collect::<Vec<_>>()
    });
    failed.sort();
    let told: Vec<_> = failed
        .iter()
        .take(5)
        .map(|(seed, why)| {
            format!("seed {seed}: {why:.2000}\n  NEPHILA_SEED={seed} cargo test --lib simulation")
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} seeds:\n{}",
        failed.len(),
        end - seeds.start,
        told.join("\n")
    );
}

/// What makes a failing seed worth anything.
#[test]
fn a_seed_is_the_same_crawl_each_time() {
    for seed in 0..20 {
        let (first, second) = (play(seed).1, play(seed).1);
        let differs = first.iter().zip(&second).find(|(one, other)| one != other);
        assert!(differs.is_none(), "seed {seed}: {differs:#?}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

/// A bug of the store, or of the engine, stops the crawl; it does not leave it waiting for what the
/// task that panicked had in hand, and nothing is lost.
#[test]
fn a_panic_in_a_task_stops_the_crawl() {
    for (seed, call) in (0..20).zip([2, 3, 4, 5, 6].into_iter().cycle()) {
        let folder = folder();
        let mut plan = Plan::draw(seed);
        plan.endings = vec![Ending::Panics { call }];
        let mut trial = Trial::of(seed, plan, folder.path());
        let stop = trial.live(0, Some(Ending::Panics { call })).unwrap();
        let Some(Stop::Broken(why)) = &stop else {
            unreachable!("seed {seed}, call {call}: {stop:?}");
        };
        assert!(why.contains("a bug of the store"), "{why}");
        trial.web.next_life();
        trial.plan = Arc::new(Plan::draw(seed));
        trial.run().unwrap();
    }
}

/// The same for the task that takes the seeds, which is none of the dispatcher's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_where_seeds_are_taken_stops_the_crawl() {
    fn start(name: String, work: Work) -> std::io::Result<()> {
        assert!(name != "nephila-start", "a bug where seeds are taken");
        thread::start(name, work)
    }
    let mut crawl = Crawl::new(Walker::default()).db("sqlite::memory:");
    crawl.threads = start;
    let run = tokio::time::timeout(Duration::from_secs(30), crawl.run());
    let report = run.await.expect("it ends").unwrap();
    let Stop::Broken(why) = &report.stop else {
        unreachable!("{:?}", report.stop);
    };
    assert!(why.contains("a bug where seeds are taken"), "{why}");
}
