//! The engine: one crawl loop.

mod event;
mod report;

pub use event::{Event, PageEvent, Stop};
pub use report::{
    ErrorGroup, HostCount, ItemCount, Problem, RefusedCount, Report, Statistics, pattern_of,
};

use std::sync::Arc;

use crate::fetch::Fetch;
use crate::settings::Settings;
use crate::spider::Spider;

type Hook = Box<dyn FnMut(&Event) + Send>;

/// A crawl in the making: a spider, where its results go, and how fast it may be.
pub struct Crawl {
    spider: Arc<dyn Spider>,
    args: String,
    db: String,
    settings: Settings,
    fresh: bool,
    hooks: Vec<Hook>,
    stop: StopHandle,
}

/// Stops a running crawl from outside.
#[derive(Clone, Debug, Default)]
pub struct StopHandle {
    gentle: tokio_util::sync::CancellationToken,
    hard: tokio_util::sync::CancellationToken,
}

impl StopHandle {
    /// Finishes what is in flight (at most `stop_timeout`), then ends, resumable.
    pub fn stop(&self) {
        self.gentle.cancel();
    }

    /// Ends at once, resumable.
    pub fn abort(&self) {
        self.gentle.cancel();
        self.hard.cancel();
    }
}

/// A crawl that could not begin, or broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrawlError {
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The settings.
    #[error("settings: {0}")]
    Settings(String),
    /// The HTTP client could not be made.
    #[error("HTTP client: {0}")]
    Fetch(String),
    /// The spider's `start` failed before it sent anything.
    #[error("spider `{spider}`: start failed: {reason}")]
    Start {
        /// The spider.
        spider: String,
        /// What it said.
        reason: String,
    },
}

impl Crawl {
    /// A crawl of `spider` into `crawl.db`, by its own settings over the defaults.
    pub fn new(spider: impl Spider) -> Self {
        Self::of(Arc::new(spider))
    }

    /// As [`new`](Self::new), for a spider made by name.
    pub fn of(spider: Arc<dyn Spider>) -> Self {
        Self {
            spider,
            args: "{}".to_owned(),
            db: "sqlite:crawl.db".to_owned(),
            settings: Settings::default(),
            fresh: false,
            hooks: Vec::new(),
            stop: StopHandle::default(),
        }
    }

    /// Where frontier and items are: `sqlite:FILE` or `postgres://…`.
    #[must_use]
    pub fn db(mut self, url: impl Into<String>) -> Self {
        self.db = url.into();
        self
    }

    /// The settings as a whole, instead of the defaults and the spider's own.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Requests in flight, all hosts together.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.settings.concurrency = requests;
        self
    }

    /// The spider's arguments as JSON: another set of arguments is another crawl.
    #[must_use]
    pub fn args(mut self, json: impl Into<String>) -> Self {
        self.args = json.into();
        self
    }

    /// Starts anew instead of resuming.
    #[must_use]
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// Fetches by other means than HTTP.
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        let _ = fetch;
        self
    }

    /// Calls `hook` on every event, in order, on the crawl's own task: keep it short.
    #[must_use]
    pub fn on_event(mut self, hook: impl FnMut(&Event) + Send + 'static) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// What stops this crawl from outside.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}
