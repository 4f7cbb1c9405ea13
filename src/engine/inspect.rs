//! Looking into a crawl that runs: what it is at, and what it waits for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::event::Event;
use super::shared::Shared;

/// Looks into a running crawl; got from [`Crawl::inspector`](super::Crawl::inspector).
#[derive(Clone, Debug)]
pub struct Inspector(mpsc::Sender<oneshot::Sender<String>>);

impl Inspector {
    pub(super) fn pair() -> (Self, Looks) {
        let (sender, looks) = mpsc::channel(1);
        let inspector = Self(sender);
        let looks = Looks {
            looks: Arc::new(Mutex::new(looks)),
            _open: inspector.clone(),
        };
        (inspector, looks)
    }

    /// What the crawl is at, in lines for people: hosts by what they wait for, requests in hand with
    /// their age, running steps, what waits to be stored. None if it does not run, or does not answer
    /// for five seconds.
    ///
    /// # Cancel safety
    /// A dropped look changes nothing.
    pub async fn look(&self) -> Option<String> {
        let (answer, told) = oneshot::channel();
        let asked = async {
            self.0.send(answer).await.ok()?;
            told.await.ok()
        };
        tokio::time::timeout(Duration::from_secs(5), asked)
            .await
            .ok()?
    }
}

/// The dispatcher's end.
#[derive(Clone)]
pub(super) struct Looks {
    looks: Arc<Mutex<mpsc::Receiver<oneshot::Sender<String>>>>,
    /// There is always one who might ask.
    _open: Inspector,
}

impl Looks {
    /// Waits for somebody who asks, without an end of its own: it is one of several waits.
    pub(super) async fn next(&self) -> oneshot::Sender<String> {
        let look = self.looks.lock().await.recv().await;
        match look {
            Some(look) => look,
            None => std::future::pending().await,
        }
    }
}

/// How often it is told what limits the crawl.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Different limits between two tellings; more than these are one.
const MAX_LIMITS: usize = 64;

/// What keeps the crawl from going faster, and for how long.
pub(super) struct Limits {
    now: Option<String>,
    since: Instant,
    told: Instant,
    times: HashMap<String, Duration>,
}

impl Limits {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now: None,
            since: now,
            told: now,
            times: HashMap::new(),
        }
    }

    /// From now on this is it.
    pub(super) fn set(&mut self, limit: Option<&str>, now: Instant) {
        self.since = now;
        if self.now.as_deref() != limit {
            self.now = limit.map(str::to_owned);
        }
    }

    pub(super) fn now(&self) -> Option<&str> {
        self.now.as_deref()
    }

    /// Time has passed.
    pub(super) fn pass(&mut self, shared: &Shared, now: Instant) {
        if let Some(limit) = &self.now {
            let took = now.saturating_duration_since(self.since);
            let is_full = self.times.len() >= MAX_LIMITS;
            match self.times.get_mut(limit) {
                Some(time) => *time += took,
                None if is_full => *self.times.entry("(others)".to_owned()).or_default() += took,
                None => {
                    self.times.insert(limit.clone(), took);
                }
            }
        }
        if now.saturating_duration_since(self.told) >= TELL_EVERY {
            self.told = now;
            self.tell(shared);
        }
    }

    /// Tells what has passed since it was told last.
    pub(super) fn tell(&mut self, shared: &Shared) {
        for (by, took) in self.times.drain() {
            if took >= Duration::from_millis(1) {
                shared.bus.emit(&Event::Limited { by, took });
            }
        }
    }
}
