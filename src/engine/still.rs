//! Crawls in virtual time: everything on one thread, and a store for which time stands still.
//!
//! Waiting for another thread would let paused time run ahead: a runtime that has nothing to do but to
//! wait for a thread moves its clock to the next timer. So the one thread of the crawl blocks until the
//! store has answered, which takes no time that it knows of.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::thread::Work;
use super::{Crawl, CrawlError, Report};
use crate::clock;
use crate::request::HostKey;
use crate::store::{
    self, Batch, Beat, Began, Begin, End, Host, News, Receipt, Rest, Store, StoreError, Taken,
    Tidied, Tidy, Worker,
};

type Job = Box<dyn FnOnce(&Runtime) + Send>;

/// A thread that does what it is asked while the one who asked stands still.
#[derive(Debug)]
pub(super) struct Elsewhere(Sender<Job>);

impl Elsewhere {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (sender, jobs) = channel::<Job>();
        let thread = std::thread::Builder::new().name("nephila-store".to_owned());
        thread.spawn(move || {
            while let Ok(job) = jobs.recv() {
                job(&runtime);
            }
        })?;
        Ok(Self(sender))
    }

    /// None if the work has panicked, and the thread with it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Runtime) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = channel();
        let now = clock::now();
        let job = move |runtime: &Runtime| {
            clock::simulated::set(now, None);
            let _ = answer.send(work(runtime));
        };
        self.0.send(Box::new(job)).ok()?;
        answered.recv().ok()
    }
}

/// Pieces of work that wait to be begun; a crawl has a few threads.
const WAITING: usize = 1_000;

thread_local! {
    /// Where the work of threads is done in virtual time.
    static HERE: RefCell<Option<mpsc::Sender<Work>>> = const { RefCell::new(None) };
}

/// Has the work of a thread done on this one.
fn here(_: String, work: Work) -> io::Result<()> {
    let sent = HERE.with_borrow(|to| to.as_ref().map(|to| to.try_send(work)));
    match sent {
        Some(Ok(())) => Ok(()),
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Crawl {
    /// As [`run`](Self::run), on this thread alone and in the time of its runtime, which is paused.
    pub(crate) async fn run_in_virtual_time(mut self) -> Result<Report, CrawlError> {
        let _following = clock::simulated::follow();
        self.store = Some(Arc::new(Still::open(&self.db)?));
        self.threads = here;
        // The tasks that begin it are not of the set, and so can't spawn into it.
        let (to, mut works) = mpsc::channel::<Work>(WAITING);
        HERE.set(Some(to));
        let local = LocalSet::new();
        let crawl = async {
            let mut run = Box::pin(self.run());
            loop {
                tokio::select! {
                    Some(work) = works.recv() => drop(tokio::task::spawn_local(work())),
                    report = &mut run => return report,
                }
            }
        };
        let report = local.run_until(crawl).await;
        HERE.set(None);
        report
    }
}

/// A store on a thread of its own, for which the crawl stands still.
struct Still {
    elsewhere: Elsewhere,
    /// None when it is closed.
    inner: Option<Arc<dyn Store>>,
}

fn gone() -> StoreError {
    StoreError::Database("the thread of the store has ended".to_owned())
}

impl Still {
    fn open(url: &str) -> Result<Self, CrawlError> {
        let elsewhere = Elsewhere::new().map_err(CrawlError::Threads)?;
        let url = url.to_owned();
        let opened = elsewhere.run(move |runtime| runtime.block_on(store::open(&url)));
        Ok(Self {
            elsewhere,
            inner: Some(opened.unwrap_or_else(|| Err(gone()))?),
        })
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(Arc<dyn Store>, &Runtime) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            let inner = self.inner.clone().ok_or_else(gone)?;
            let answer = self.elsewhere.run(move |runtime| call(inner, runtime));
            answer.unwrap_or_else(|| Err(gone()))
        })
    }
}

impl Drop for Still {
    /// Its connections are closed where they were made.
    fn drop(&mut self) {
        let inner = self.inner.take();
        self.elsewhere.run(move |runtime| {
            let _inside = runtime.enter();
            drop(inner);
        });
    }
}

impl Store for Still {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Began, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.begin(begin)))
    }

    fn lease(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Vec<Host>, StoreError>> {
        self.call(move |store, runtime| runtime.block_on(store.lease(limit, now)))
    }

    fn take(
        &self,
        host: HostKey,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Taken, StoreError>> {
        self.call(move |store, runtime| runtime.block_on(store.take(host, limit, now)))
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.commit(batch)))
    }

    fn release(&self, hosts: Vec<Host>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.release(hosts)))
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.rest()))
    }

    fn beat(&self) -> BoxFuture<'_, Result<Beat, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.beat()))
    }

    fn group_by(&self, of: fn(&str) -> Option<String>) {
        if let Some(inner) = &self.inner {
            inner.group_by(of);
        }
    }

    fn news(&self) -> BoxFuture<'_, Result<News, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.news()))
    }

    fn requeue(&self, pages: Vec<i64>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.requeue(pages)))
    }

    fn discard<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        let step = step.to_owned();
        self.call(move |store, runtime| runtime.block_on(store.discard(&step)))
    }

    fn tidy(&self, tidy: Tidy) -> BoxFuture<'_, Result<Tidied, StoreError>> {
        self.call(move |store, runtime| runtime.block_on(store.tidy(tidy)))
    }

    fn beside(&self, suffix: &str) -> Option<PathBuf> {
        self.inner.as_ref()?.beside(suffix)
    }

    fn end(&self, end: End) -> BoxFuture<'_, Result<(), StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.end(end)))
    }

    fn company(&self) -> BoxFuture<'_, Result<Vec<Worker>, StoreError>> {
        self.call(|store, runtime| runtime.block_on(store.company()))
    }
}
