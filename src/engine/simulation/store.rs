//! The real store, on a thread of its own for which the simulation stands still, behind a wire that
//! is slow, and fails when the plan says so. What time a call takes is drawn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::plan::{Ending, Moods};
use crate::engine::still::Elsewhere;
use crate::request::HostKey;
use crate::store::{
    self, Batch, Beat, Began, Begin, End, Host, Receipt, Rest, Store, StoreError, Taken, Tidied,
    Tidy,
};

/// One life's way to the store.
pub(super) struct Wire {
    elsewhere: Arc<Elsewhere>,
    inner: Arc<dyn Store>,
    ending: Option<Ending>,
    moods: Moods,
    random: Mutex<fastrand::Rng>,
    counts: Mutex<(u32, u32)>,
    lapses: Mutex<Option<Instant>>,
    broken: AtomicBool,
    pub(super) killed: Arc<Notify>,
}

/// What becomes of a call.
enum Way {
    Through,
    Dies { written: bool },
    Fails { error: StoreError, written: bool },
}

impl Wire {
    pub(super) fn open(
        elsewhere: &Arc<Elsewhere>,
        path: String,
        ending: Option<Ending>,
        moods: Moods,
        random: fastrand::Rng,
    ) -> Self {
        let inner = elsewhere.run(move |runtime| runtime.block_on(store::open(&path)).unwrap());
        let inner = inner.unwrap();
        Self {
            elsewhere: Arc::clone(elsewhere),
            inner,
            ending,
            moods,
            random: Mutex::new(random),
            counts: Mutex::default(),
            lapses: Mutex::default(),
            broken: AtomicBool::new(false),
            killed: Arc::default(),
        }
    }

    /// Closes the connections, as the end of a process does.
    pub(super) fn close(self: Arc<Self>) {
        let elsewhere = Arc::clone(&self.elsewhere);
        let wire = Arc::into_inner(self).expect("the crawl has gone");
        elsewhere.run(move |runtime| {
            let _inside = runtime.enter();
            drop(wire.inner);
        });
    }

    fn latency(&self) -> Duration {
        let part = self.random.lock().unwrap().f64();
        self.moods.latency.mul_f64(part)
    }

    /// What becomes of the next call.
    fn way(&self, is_commit: bool) -> Way {
        let mut counts = self.counts.lock().unwrap();
        counts.0 += 1;
        counts.1 += u32::from(is_commit);
        match self.ending {
            Some(Ending::Killed { commit, written }) if is_commit && counts.1 == commit => {
                return Way::Dies { written };
            }
            Some(Ending::Broken { call, written }) if counts.0 >= call => {
                let first = !self.broken.swap(true, Ordering::Relaxed);
                let error = StoreError::Database("gone".to_owned());
                let written = written && first;
                return Way::Fails { error, written };
            }
            Some(Ending::Panics { call }) if counts.0 == call => {
                drop(counts);
                panic!("a bug of the store");
            }
            _ => {}
        }
        let busy = is_commit && self.random.lock().unwrap().f64() < self.moods.busy;
        if busy {
            let error = if self.random.lock().unwrap().bool() {
                StoreError::Busy("somebody else".to_owned())
            } else {
                StoreError::Full {
                    path: "crawl.db".to_owned(),
                }
            };
            return Way::Fails {
                error,
                written: false,
            };
        }
        Way::Through
    }

    fn call<T: Send + 'static>(
        &self,
        is_commit: bool,
        call: impl FnOnce(Arc<dyn Store>, &Runtime) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        Box::pin(async move {
            sleep(self.latency()).await;
            let way = self.way(is_commit);
            let inner = Arc::clone(&self.inner);
            let run = move || {
                let answer = self.elsewhere.run(move |runtime| call(inner, runtime));
                answer.unwrap()
            };
            let answer = match way {
                Way::Through => run(),
                Way::Dies { written } => {
                    if written {
                        let _ = run();
                    }
                    self.killed.notify_one();
                    std::future::pending().await
                }
                Way::Fails { error, written } => {
                    if written {
                        let _ = run();
                    }
                    Err(error)
                }
            };
            sleep(self.latency()).await;
            answer
        })
    }
}

impl Store for Wire {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Began, StoreError>> {
        Box::pin(async move {
            let run =
                |store: Arc<dyn Store>, runtime: &Runtime| runtime.block_on(store.begin(begin));
            let mut answer = self.call(false, run).await?;
            // A key by chance would be another crawl each time.
            answer.key = *b"0123456789abcdef";
            if let Some((lease, _)) = self.moods.lease {
                answer.lapses = Some(Instant::now() + lease);
                *self.lapses.lock().unwrap() = answer.lapses;
            }
            Ok(answer)
        })
    }

    fn lease(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Vec<Host>, StoreError>> {
        self.call(false, move |store, runtime| {
            runtime.block_on(store.lease(limit, now))
        })
    }

    fn take(
        &self,
        host: HostKey,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Taken, StoreError>> {
        self.call(false, move |store, runtime| {
            runtime.block_on(store.take(host, limit, now))
        })
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        self.call(true, |store, runtime| runtime.block_on(store.commit(batch)))
    }

    fn release(&self, hosts: Vec<Host>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.call(false, |store, runtime| {
            runtime.block_on(store.release(hosts))
        })
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, StoreError>> {
        self.call(false, |store, runtime| runtime.block_on(store.rest()))
    }

    /// Leases that end, as those of a server do: a beat that comes too late has lost all.
    fn beat(&self) -> BoxFuture<'_, Result<Beat, StoreError>> {
        Box::pin(async move {
            let Some((lease, late)) = self.moods.lease else {
                return Ok(Beat::default());
            };
            sleep(self.latency()).await;
            if self.random.lock().unwrap().f64() < late {
                sleep(lease * 2).await;
            }
            let now = Instant::now();
            let mut lapses = self.lapses.lock().unwrap();
            let lost = lapses.replace(now + lease).is_some_and(|end| end <= now);
            let surplus = self.random.lock().unwrap().usize(..40).saturating_sub(38);
            Ok(Beat {
                lapses: *lapses,
                next: Some(now + lease / 3),
                lost,
                surplus,
                crowded: Vec::new(),
            })
        })
    }

    fn requeue(&self, pages: Vec<i64>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.call(false, |store, runtime| {
            runtime.block_on(store.requeue(pages))
        })
    }

    fn discard<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        let step = step.to_owned();
        self.call(false, move |store, runtime| {
            runtime.block_on(store.discard(&step))
        })
    }

    fn tidy(&self, tidy: Tidy) -> BoxFuture<'_, Result<Tidied, StoreError>> {
        self.call(false, move |store, runtime| {
            runtime.block_on(store.tidy(tidy))
        })
    }

    fn end(&self, end: End) -> BoxFuture<'_, Result<(), StoreError>> {
        self.call(false, |store, runtime| runtime.block_on(store.end(end)))
    }
}
