//! A crawl from its first to its last moment.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bus::Bus;
use super::committer::{Committer, Entry, Outlet};
use super::dispatcher::{Dispatcher, Message};
use super::event::{Event, Stop};
use super::executor::{Executors, run_seeds};
use super::report::Report;
use super::shared::{Refusal, Shared};
use super::{Crawl, CrawlError};
use crate::fetch::{DynFetch, HttpFetch};
use crate::policy::scope::Scope;
use crate::request::{Identity, KnownLinks, Request};
use crate::spider::Seeds;
use crate::store::{self, Began, Begin, End};

/// Messages that may wait for the dispatcher.
const MESSAGES: usize = 1_024;
/// Seeds that may wait to be stored, and how many are stored at once.
const SEEDS: usize = 1_000;
/// How long a resumed crawl waits for the spider to name its seeds again.
const RECALL: Duration = Duration::from_secs(5);

impl Crawl {
    /// Crawls, and says how it went.
    ///
    /// Runs in the caller's tokio runtime (with time and I/O enabled).
    ///
    /// # Errors
    /// If it could not begin. What happens later is in the report.
    ///
    /// # Cancel safety
    /// A dropped crawl stops at once; what was not stored is still queued, and the next run of it
    /// goes on from there.
    pub async fn run(self) -> Result<Report, CrawlError> {
        self.run_into(None).await
    }

    pub(super) async fn run_into(self, outlet: Outlet) -> Result<Report, CrawlError> {
        let started = Instant::now();
        let settings = self.settings?;
        let (fetch, http): (Arc<dyn DynFetch>, _) = if let Some(fetch) = self.fetch {
            (fetch, None)
        } else {
            let http = Arc::new(HttpFetch::new(&settings)?);
            (Arc::clone(&http) as Arc<dyn DynFetch>, Some(http))
        };
        let store = store::open(&self.db).await?;
        let opening = Begin {
            spider: self.spider.name().to_owned(),
            args: self.args,
            settings: serde_json::to_string(&settings).unwrap_or_default(),
            fresh: self.fresh,
        };
        let began = store.begin(opening).await?;
        if let Some(jar) = http.as_ref().and_then(|http| http.jar()) {
            jar.load(began.cookies.clone());
        }
        let (commits, entries) = mpsc::channel(4 * settings.commit_pages.max(1));
        let shared = Arc::new(Shared {
            spider: self.spider,
            scope: RwLock::new(Scope::new(&settings.hosts)),
            settings,
            store,
            fetch,
            http,
            identity: Identity::new(began.key),
            known: Arc::new(KnownLinks::new(began.key)),
            bus: Bus::new(self.hooks),
            commits,
            in_hand: AtomicUsize::new(0),
            pages: AtomicU64::new(0),
        });
        for origin in &began.seed_hosts {
            if let Ok(url) = origin.parse() {
                shared.widen(&url);
            }
        }
        let spider = shared.spider.name().to_owned();
        shared.bus.emit(&Event::Started {
            run: began.run,
            spider,
            resumed: began.resumed,
        });
        let stop = crawl(&shared, entries, outlet, &began, self.stop).await?;
        conclude(&shared, stop, started.elapsed()).await
    }
}

/// Starts the tasks of a crawl and sees all of them end.
async fn crawl(
    shared: &Arc<Shared>,
    entries: mpsc::Receiver<Entry>,
    outlet: Outlet,
    began: &Began,
    stop: super::StopHandle,
) -> Result<Stop, CrawlError> {
    if began.seeded {
        recall_seeds(shared).await;
    }
    let threads = shared.settings.step_threads.unwrap_or_else(cores).max(1);
    let (jobs, waiting) = async_channel::bounded(threads * 2);
    let (sender, messages) = mpsc::channel(MESSAGES);
    let executors = Executors::start(shared, &waiting, threads).map_err(CrawlError::Threads)?;
    let committer = Committer::new(Arc::clone(shared), entries, sender.clone(), outlet);
    let mut committer = Task::spawn(committer.run());
    let seeding = (!began.seeded).then(|| Task::spawn(seed(Arc::clone(shared), stop.clone())));
    let dispatcher = Dispatcher::new(
        Arc::clone(shared),
        (sender.clone(), messages),
        jobs,
        stop.clone(),
        began.resumed.is_some(),
        seeding.is_some(),
    );
    let mut dispatcher = Task::spawn(dispatcher.run());
    // The committer ends only when it is told to, so if it ends first, the store is lost.
    let end = tokio::select! {
        end = &mut dispatcher.0 => end.unwrap_or_else(|error| Stop::Broken(error.to_string())),
        lost = &mut committer.0 => {
            let reason = match lost {
                Ok(Err(error)) => error.to_string(),
                Ok(Ok(())) => "the committer ended before the crawl".to_owned(),
                Err(panic) => panic.to_string(),
            };
            let _ = sender.send(Message::StoreLost(reason.clone())).await;
            let _ = (&mut dispatcher.0).await;
            return Ok(Stop::Broken(reason));
        }
    };
    drop(seeding);
    drop(waiting);
    let grace = shared.settings.stop_timeout;
    if tokio::time::timeout(grace, executors.join()).await.is_err() {
        let stuck = format!(
            "a step did not end within {} s of the stop",
            grace.as_secs()
        );
        shared.bus.emit(&Event::Warning(stuck));
    }
    let flushed = async {
        // A full channel empties as long as the committer lives.
        let _ = shared.commits.send(Entry::End).await;
        (&mut committer.0).await
    };
    match tokio::time::timeout(Duration::from_mins(1), flushed).await {
        Ok(Ok(Ok(()))) => Ok(end),
        Ok(Ok(Err(error))) => Ok(Stop::Broken(error.to_string())),
        Ok(Err(panic)) => Ok(Stop::Broken(panic.to_string())),
        Err(_) => Ok(Stop::Broken(
            "the last pages could not be written for 60 s".to_owned(),
        )),
    }
}

/// A task that ends with its owner.
struct Task<T>(tokio::task::JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    fn spawn(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn conclude(
    shared: &Arc<Shared>,
    stop: Stop,
    elapsed: Duration,
) -> Result<Report, CrawlError> {
    let statistics = shared.bus.statistics();
    let report = Report::new(stop, elapsed, statistics, &shared.settings);
    let end = End {
        stop: serde_json::to_string(&report.stop).unwrap_or_default(),
        finished: report.stop == Stop::Finished,
        report: serde_json::to_string(&report).unwrap_or_default(),
    };
    match shared.store.end(end).await {
        Ok(()) => Ok(report),
        // What is broken already is told by the report.
        Err(_) if matches!(report.stop, Stop::Broken(_)) => Ok(report),
        Err(error) => Err(error.into()),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Takes the spider's seeds into the store, batch by batch.
async fn seed(shared: Arc<Shared>, stop: super::StopHandle) {
    let (seeds, mut requests) = Seeds::channel(SEEDS, shared.spider.type_of_steps());
    let outcome = run_seeds(&shared, seeds);
    let (mut sent, mut batch) = (0_u64, Vec::with_capacity(SEEDS));
    loop {
        let received = tokio::select! {
            received = requests.recv_many(&mut batch, SEEDS) => received,
            () = stop.gentle.cancelled() => return,
        };
        if received == 0 {
            break;
        }
        let entry = Entry::Seeds(admit_all(&shared, &mut batch, &mut sent));
        if shared.commits.send(entry).await.is_err() {
            return;
        }
    }
    let outcome = outcome
        .await
        .unwrap_or_else(|_| Err("its thread ended".into()));
    if let Err(error) = &outcome {
        let spider = shared.spider.name();
        shared.bus.emit(&Event::StartFailed(format!(
            "{spider}: start failed: {error}"
        )));
    }
    let _ = shared
        .commits
        .send(Entry::Seeded {
            sent,
            complete: outcome.is_ok(),
        })
        .await;
}

/// Asks the spider for its seeds again, to trust them as the run that stored them did.
async fn recall_seeds(shared: &Arc<Shared>) {
    let (seeds, mut requests) = Seeds::channel(SEEDS, shared.spider.type_of_steps());
    let outcome = run_seeds(shared, seeds);
    let recall = async {
        for _ in 0..SEEDS {
            let Some(request) = requests.recv().await else {
                break;
            };
            shared.trust(&request.url);
        }
    };
    // A start that waits for something is not worth waiting for: the seeds are in the store.
    let _ = tokio::time::timeout(RECALL, recall).await;
    drop(outcome);
}

fn admit_all(shared: &Shared, batch: &mut Vec<Request>, sent: &mut u64) -> Vec<store::NewRequest> {
    let mut admitted = Vec::with_capacity(batch.len());
    for mut request in batch.drain(..) {
        *sent += 1;
        request.depth = 0;
        shared.trust(&request.url);
        let sample = request.url.to_string();
        match shared.admit_seed(request, *sent) {
            Ok(request) => admitted.push(request),
            Err(refusal) => {
                let Refusal(reason, subject) = refusal;
                let why = format!("start URL {sample} can't be crawled: {reason} {subject}");
                shared
                    .bus
                    .emit(&Event::StartFailed(why.trim_end().to_owned()));
            }
        }
    }
    admitted
}
