//! A crawl from its first to its last moment.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::budgets::Budgets;
use super::bus::Bus;
use super::committer::{Committer, Entry, Outlet};
use super::deaths::Deaths;
use super::dispatcher::{Dispatcher, Message, Start, guarded};
use super::event::{Event, Stop};
use super::executor::{Executors, run_seeds};
use super::expect;
use super::inspect::Looks;
use super::lanes::lanes;
use super::login::Logins;
use super::report::Report;
use super::shared::{Refusal, Shared};
use super::vault::Vault;
use super::{Crawl, CrawlError, StopHandle};
use crate::clock;
use crate::fetch::{BlockPages, Cache, DynFetch, HttpFetch, Middlewares};
use crate::policy::params::ParamRules;
use crate::policy::scope::{Scope, registrable};
use crate::policy::traps::Traps;
use crate::request::{Identity, KnownLinks, Request, Revisit, without_logins};
use crate::settings::{PolitenessBy, Settings, Shares};
use crate::spider::{Seeds, Spider, StepInfo, revisits};
use crate::store::{self, Begin, End, Finished, Resumed, Rule, Store, StoreError};

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
        expect::check(&settings, &*self.spider).map_err(CrawlError::Expectation)?;
        let (fetch, http): (Arc<dyn DynFetch>, _) = if let Some(fetch) = self.fetch {
            (fetch, None)
        } else {
            let http = Arc::new(HttpFetch::new(&settings)?);
            (Arc::clone(&http) as Arc<dyn DynFetch>, Some(http))
        };
        let stages = self.middlewares.and(self.spider.middleware());
        let owner = [self.spider.name(), &self.args];
        let fetch = stages
            .and(built_in(&settings, &owner, http.as_ref())?)
            .around(fetch);
        let store = match self.store {
            Some(store) => store,
            None => store::open(&self.db).await?,
        };
        let opening = Begin {
            spider: self.spider.name().to_owned(),
            args: without_logins(&self.args).into_owned(),
            settings: told(&settings, &*self.spider),
            fresh: self.fresh,
            steps: known_steps(&*self.spider),
            lease: settings.lease,
            finished: match &self.retry {
                Some(_) => Finished::Reopen,
                None if revisits(&*self.spider) => Finished::Revisit(rules(&*self.spider)),
                None => Finished::Replace,
            },
        };
        let began = store.begin(opening).await?;
        let divided = group_hosts(&settings, &*store).await?;
        let requeued = match self.retry {
            Some(pages) => store.requeue(pages).await?,
            None => 0,
        };
        let logins = Logins::default();
        let cookies = logins.load(began.cookies.clone());
        if let Some(http) = &http {
            http.sessions().load(cookies);
        }
        let (commits, entries) = mpsc::channel(4 * settings.commit_pages.max(1));
        let year = clock::now().to_zoned(jiff::tz::TimeZone::UTC).year();
        let shared = Arc::new(Shared {
            pipelines: self.spider.pipeline().and(self.pipelines),
            spider: self.spider,
            scope: RwLock::new(Scope::new(&settings)),
            params: ParamRules::new(&settings.drop_params, settings.sort_query),
            traps: Traps::new(&settings, year, began.key),
            room: self.room,
            threads_by: self.threads,
            threads: Mutex::default(),
            deaths: deaths(&*store, began.resumed.is_some()),
            budgets: Budgets::new(&settings, &began.spent),
            settings,
            fetch,
            http,
            identity: Identity::new(began.key),
            shares: divided,
            vault: Vault::new(Identity::new(began.key)),
            logins,
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
            round: began.round,
            resumed: began.resumed.map(|resumed| Resumed {
                queued: resumed.queued + requeued,
                pages: resumed.pages.saturating_sub(requeued),
                ..resumed
            }),
        });
        let running = Running {
            start: Start {
                lapses: began.lapses,
                queued: began.resumed.is_some() || began.round.is_some(),
                seeding: !began.seeded,
            },
            shared,
            store,
            stop: self.stop,
            reports: began.reports,
            looks: self.looks,
        };
        let stop = running.crawl(entries, outlet).await?;
        running.conclude(stop, started.elapsed()).await
    }
}

/// Where the settings for the record say which file the spider was read from.
pub(crate) const SPIDER_FILE: &str = "spider_file";

/// The settings for the record, with the file that the spider was read from.
fn told(settings: &Settings, spider: &dyn Spider) -> String {
    let mut told = serde_json::to_value(settings).unwrap_or_default();
    let file = spider
        .file()
        .and_then(|file| std::path::absolute(file).ok());
    if let (Some(file), Some(told)) = (file, told.as_object_mut()) {
        told.insert(SPIDER_FILE.to_owned(), file.to_string_lossy().into());
    }
    told.to_string()
}

/// The notes of what is being read, if there is a place for them.
fn deaths(store: &dyn Store, is_resumed: bool) -> Option<Arc<Deaths>> {
    let path = store.beside("-steps")?;
    match Deaths::open(path, is_resumed) {
        Ok(deaths) => Some(Arc::new(deaths)),
        Err(error) => {
            tracing::warn!("no notes of the steps are kept: {error}");
            None
        }
    }
}

/// The stages that settings ask for. They are nearest to the fetch. A block page is told before it
/// comes to the cache, which keeps no failure.
pub(super) fn built_in(
    settings: &Settings,
    owner: &[&str],
    http: Option<&Arc<HttpFetch>>,
) -> Result<Middlewares, CrawlError> {
    let mut stages = Middlewares::new();
    if let Some(cache) = Cache::new(settings, owner, http.map(Arc::clone))? {
        stages = stages.with(cache);
    }
    if let Some(blocks) = BlockPages::new(settings)? {
        stages = stages.with(blocks);
    }
    Ok(stages)
}

/// Tells the store which hosts share a pace, as far as that is known before they are asked, and which of them
/// are divided among processes; how they are.
async fn group_hosts(settings: &Settings, store: &dyn Store) -> Result<Shares, StoreError> {
    match settings.politeness {
        PolitenessBy::Host => {}
        PolitenessBy::Domain => store.group_by(domain_of),
        // Addresses are found out when a host is leased.
        PolitenessBy::Address => store.group_by(|_| None),
    }
    let shares = Shares::new(settings);
    if shares.is_empty() && settings.host.values().any(|host| host.processes > Some(1)) {
        tracing::warn!("`processes` needs `politeness = \"host\"`: no host is divided");
    }
    store.share(shares).await
}

/// The registrable domain of an origin.
fn domain_of(origin: &str) -> Option<String> {
    let url = url::Url::parse(origin).ok()?;
    Some(registrable(&url).to_owned())
}

/// Which pages of a spider's steps a new round asks for.
fn rules(spider: &dyn Spider) -> Vec<(String, Rule)> {
    let rule = |step: &StepInfo| match step.stop_when_known {
        Some(_) => Rule::Seeds,
        None => Rule::Due(step.revisit.unwrap_or(Revisit::Always)),
    };
    let names = |step: &StepInfo| {
        let names: Vec<_> = step.was.iter().copied().chain([step.name]).collect();
        let rule = rule(step);
        names.into_iter().map(move |name| (name.to_owned(), rule))
    };
    spider.steps().iter().flat_map(names).collect()
}

/// A crawl that has begun.
struct Running {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    start: Start,
    stop: StopHandle,
    /// Of the runs before, as JSON.
    reports: Vec<String>,
    looks: Looks,
}

impl Running {
    /// Starts the tasks of a crawl and sees all of them end.
    async fn crawl(
        &self,
        entries: mpsc::Receiver<Entry>,
        outlet: Outlet,
    ) -> Result<Stop, CrawlError> {
        let Self { shared, store, .. } = self;
        if self.start.queued {
            recall_seeds(shared).await;
        }
        let threads = shared.settings.step_threads.unwrap_or_else(cores).max(1);
        let (jobs, waiting) = lanes(threads);
        let (sender, messages) = mpsc::channel(MESSAGES);
        let over = CancellationToken::new();
        let _over = over.clone().drop_guard();
        let executors = Executors::start(shared, waiting, sender.clone(), over.clone(), threads)
            .map_err(CrawlError::Threads)?;
        let mut executors = Task::spawn(executors.watch());
        let committer = Committer::new(
            Arc::clone(shared),
            Arc::clone(store),
            entries,
            sender.clone(),
            outlet,
        );
        let mut committer = Task::spawn(committer.run());
        let seeds = || {
            let seed = seed(Arc::clone(shared), self.stop.clone(), over.clone());
            Task::spawn(guarded(seed, sender.clone()))
        };
        let seeding = self.start.seeding.then(seeds);
        let dispatcher = Dispatcher::new(
            Arc::clone(shared),
            Arc::clone(store),
            (sender.clone(), messages),
            jobs,
            (self.stop.clone(), self.looks.clone()),
            self.start,
        );
        let mut dispatcher = Task::spawn(dispatcher.run());
        // The others end only when they are told to.
        let end = tokio::select! {
            end = &mut dispatcher.0 => end.unwrap_or_else(|panic| broken(&panic)),
            lost = &mut committer.0 => {
                let reason = match lost {
                    Ok(Err(error)) => error.to_string(),
                    Ok(Ok(())) => "the committer ended before the crawl".to_owned(),
                    Err(panic) => panic.to_string(),
                };
                let _ = sender.send(Message::Broken(reason.clone())).await;
                let _ = (&mut dispatcher.0).await;
                return Ok(Stop::Broken(reason));
            }
            _ = &mut executors.0 => {
                let reason = "the threads that run steps are lost".to_owned();
                let _ = sender.send(Message::Broken(reason)).await;
                (&mut dispatcher.0).await.unwrap_or_else(|panic| broken(&panic))
            }
        };
        drop(seeding);
        over.cancel();
        if !executors.0.is_finished() {
            let _ = (&mut executors.0).await;
        }
        Ok(self.flush(&mut committer).await.unwrap_or(end))
    }

    /// Has the last pages written; why that failed.
    async fn flush(&self, committer: &mut Task<Result<(), StoreError>>) -> Option<Stop> {
        let flushed = async {
            // A full channel empties as long as the committer lives.
            let _ = self.shared.commits.send(Entry::End).await;
            (&mut committer.0).await
        };
        match tokio::time::timeout(Duration::from_mins(1), flushed).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(Stop::Broken(error.to_string())),
            Ok(Err(panic)) => Some(broken(&panic)),
            Err(_) => Some(Stop::Broken(
                "the last pages could not be written for 60 s".to_owned(),
            )),
        }
    }

    async fn conclude(self, stop: Stop, elapsed: Duration) -> Result<Report, CrawlError> {
        let statistics = self.shared.bus.statistics();
        let settings = &self.shared.settings;
        let mut report = Report::new(stop, elapsed, statistics, settings);
        report.compare(&self.reports, settings);
        let end = End {
            stop: serde_json::to_string(&report.stop).unwrap_or_default(),
            finished: report.stop == Stop::Finished,
            report: serde_json::to_string(&report).unwrap_or_default(),
        };
        if let Some(deaths) = &self.shared.deaths {
            deaths.forget();
        }
        match self.store.end(end).await {
            Ok(()) if report.stop == Stop::Finished => Ok(self.together(report).await),
            Ok(()) => Ok(report),
            // What is broken already is told by the report.
            Err(_) if matches!(report.stop, Stop::Broken(_)) => Ok(report),
            Err(error) => Err(error.into()),
        }
    }
}

impl Running {
    /// The same report for all processes that worked on the crawl together.
    async fn together(&self, own: Report) -> Report {
        let workers = tokio::select! {
            workers = self.store.company() => workers,
            // Who does not want to wait for the others gets what this process knows.
            () = self.stop.gentle.cancelled() => return own,
        };
        match workers {
            Ok(workers) if workers.len() > 1 => {
                Report::together(&workers, &self.reports, &self.shared.settings)
            }
            Ok(_) => own,
            Err(error) => {
                tracing::warn!("what the other processes did is not known: {error}");
                own
            }
        }
    }
}

/// The names of all steps of a spider, those of before included.
fn known_steps(spider: &dyn Spider) -> Vec<String> {
    let steps = spider.steps().iter();
    let names = steps.flat_map(|step| step.was.iter().chain([&step.name]));
    names.map(|name| (*name).to_owned()).collect()
}

fn broken(panic: &tokio::task::JoinError) -> Stop {
    Stop::Broken(panic.to_string())
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

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Takes the spider's seeds into the store, batch by batch.
async fn seed(shared: Arc<Shared>, stop: StopHandle, over: CancellationToken) {
    let (seeds, mut requests) = Seeds::channel(SEEDS, shared.spider.type_of_steps());
    let outcome = run_seeds(&shared, seeds, over);
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
    let over = CancellationToken::new();
    let outcome = run_seeds(shared, seeds, over.clone());
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
    over.cancel();
    drop(outcome);
}

fn admit_all(shared: &Shared, batch: &mut Vec<Request>, sent: &mut u64) -> Vec<store::NewRequest> {
    let mut admitted = Vec::with_capacity(batch.len());
    for mut request in batch.drain(..) {
        *sent += 1;
        request.depth = 0;
        shared.trust(&request.url);
        let sample = without_logins(request.url.as_str()).into_owned();
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
