//! The engine: one crawl loop.
//!
//! ```text
//! dispatcher ──▶ life of a request (tokio task) ──▶ steps (a thread per core) ──▶ committer
//!     ▲              one exchange                      Page → items, requests        │
//!     └────────────────────────── tickets settled, hosts with news ◀─────────────────┘
//! ```
//!
//! The dispatcher owns the crawl's state, and every other task sends it values. All channels are
//! bounded. A crawl runs in the caller's runtime, next to any number of others; the threads that run
//! steps are its own and end with it.
//!
//! ```
//! use nephila::prelude::*;
//! use nephila::site::Site;
//! use nephila::Crawl;
//!
//! #[derive(Item)]
//! #[item(table = "quotes")]
//! struct Quote {
//!     text: String,
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Quotes {
//!     site: String,
//! }
//!
//! #[spider]
//! impl Quotes {
//!     async fn start(&self, seeds: Seeds) -> Result {
//!         seeds.push(format!("{}api/quotes?page=1", self.site), Self::page).await
//!     }
//!
//!     async fn page(&self, page: Page) -> Result<Vec<Quote>> {
//!         let answer: serde_json::Value = page.json()?;
//!         let quotes = answer["quotes"].as_array().ok_or("no quotes")?;
//!         let text = |quote: &serde_json::Value| quote["text"].to_string();
//!         Ok(quotes.iter().map(|quote| Quote { text: text(quote) }).collect())
//!     }
//! }
//!
//! # #[tokio::main] async fn main() -> Result {
//! let site = Site::start("127.0.0.1:0").await?;
//! let spider = Quotes { site: site.url().to_string() };
//! let report = Crawl::new(spider).db("sqlite::memory:").concurrency(4).run().await?;
//! assert_eq!(report.statistics.item_count(), 10);
//! assert_eq!(report.exit_code(), 0);
//! # Ok(())
//! # }
//! ```

mod budgets;
mod bus;
mod committer;
mod deaths;
mod dispatcher;
mod download;
mod emptier;
mod event;
mod expect;
mod executor;
mod fetcher;
mod flight;
mod identity;
mod lanes;
mod inspect;
mod judge;
mod life;
mod login;
mod report;
mod rules;
/// Asking for a robots.txt.
pub(crate) mod robots {
    pub(crate) use super::rules::{Answer, search};
}
mod run;
mod shared;
mod together;
mod tried;
#[cfg(test)]
mod simulation;
mod step;
mod still;
mod stream;
mod thread;
mod vault;
mod visits;
mod watchdog;

pub use emptier::Emptier;
pub use event::{Event, PageEvent, Stop};
pub use expect::Unmet;
pub use fetcher::Fetcher;
pub use inspect::Inspector;
pub use report::{
    BadRowCount, DroppedCount, ErrorGroup, Extreme, HostCount, ItemCount, Problem, RefusedCount,
    Report, SlowedCount, Statistics, StepCount, TruncatedCount, WorkerCount, pattern_of,
};
pub(crate) use run::SPIDER_FILE;
pub(crate) use step::{leads_on, limits as parse_limits};
pub(crate) use tried::context as page_context;
pub use tried::{Tried, try_step};

use std::sync::Arc;

use bus::Hook;
use inspect::Looks;

use crate::fetch::{DynFetch, Fetch, Middleware, Middlewares};
use crate::pipeline::{Pipeline, Pipelines};
use crate::settings::{Settings, SettingsError};
use crate::spider::Spider;
use crate::store::Store;

/// A crawl in the making: a spider, where its results go, and how fast it may be.
pub struct Crawl {
    spider: Arc<dyn Spider>,
    args: String,
    db: String,
    settings: Result<Settings, SettingsError>,
    fetch: Option<Arc<dyn DynFetch>>,
    middlewares: Middlewares,
    pipelines: Pipelines,
    fresh: bool,
    retry: Option<Vec<i64>>,
    hooks: Vec<Hook>,
    stop: StopHandle,
    looks: Looks,
    inspector: Inspector,
    room: Option<SharedRoom>,
    /// Instead of the database.
    store: Option<Arc<dyn Store>>,
    threads: thread::Start,
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

/// Requests in flight that several crawls of one process share; see [`Crawl::shared`].
#[derive(Clone, Debug)]
pub struct SharedRoom(Arc<tokio::sync::Semaphore>);

impl SharedRoom {
    /// Room for so many requests at once.
    pub fn new(requests: usize) -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(requests.max(1))))
    }
}

/// A crawl that could not begin, or broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrawlError {
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The spider's settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The HTTP client could not be made.
    #[error(transparent)]
    Fetch(#[from] crate::fetch::FetchSetupError),
    /// The setting `expect` names what the spider does not have.
    #[error("{0}")]
    Expectation(String),
    /// The threads that run steps could not be started.
    #[error("can't start the threads that run steps")]
    Threads(#[source] std::io::Error),
}

impl Crawl {
    /// A crawl of `spider` into `crawl.db`, by its own settings over the defaults.
    pub fn new(spider: impl Spider) -> Self {
        Self::of(Arc::new(spider))
    }

    /// As [`new`](Self::new), for a spider made by name.
    pub fn of(spider: Arc<dyn Spider>) -> Self {
        let (inspector, looks) = Inspector::pair();
        Self {
            args: "{}".to_owned(),
            db: "sqlite:crawl.db".to_owned(),
            settings: Settings::for_spider(spider.settings()),
            spider,
            fetch: None,
            middlewares: Middlewares::new(),
            pipelines: Pipelines::new(),
            fresh: false,
            retry: None,
            hooks: Vec::new(),
            stop: StopHandle::default(),
            looks,
            inspector,
            room: None,
            store: None,
            threads: thread::start,
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
        self.settings = Ok(settings);
        self
    }

    /// Changes single settings over those so far.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Ok(settings) = &mut self.settings {
            change(settings);
        }
        self
    }

    /// Requests in flight, all hosts together.
    #[must_use]
    pub fn concurrency(self, requests: usize) -> Self {
        self.with(|settings| settings.concurrency = requests)
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

    /// Goes on with the last crawl of the spider, also if it has finished, and tries these of its
    /// pages again: their numbers, `page.id` in the database.
    #[must_use]
    pub fn retry(mut self, pages: Vec<i64>) -> Self {
        self.retry = Some(pages);
        self
    }

    /// Fetches by other means than HTTP.
    #[must_use]
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Adds a stage between the crawl and the fetch. The first one added is the outermost: it sees
    /// requests first and responses last. The spider's own stages come after all of these.
    #[must_use]
    pub fn middleware(mut self, stage: impl Middleware) -> Self {
        self.middlewares = self.middlewares.with(stage);
        self
    }

    /// Adds a stage that items pass before they are stored, after those of the spider and those added
    /// before.
    #[must_use]
    pub fn pipeline(mut self, stage: impl Pipeline) -> Self {
        self.pipelines = self.pipelines.with(stage);
        self
    }

    /// Calls `hook` on every event, in order, on the crawl's own task: keep it short.
    #[must_use]
    pub fn on_event(mut self, hook: impl FnMut(&Event) + Send + 'static) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Shares the requests in flight with other crawls: all that were given the same `room` have so
    /// many together, besides what each of them allows itself.
    ///
    /// Crawls take turns as slots get free; one that has nothing to send holds none.
    #[must_use]
    pub fn shared(mut self, room: &SharedRoom) -> Self {
        self.room = Some(room.clone());
        self
    }

    /// What looks into this crawl while it runs.
    pub fn inspector(&self) -> Inspector {
        self.inspector.clone()
    }

    /// What stops this crawl from outside.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}
