//! The store: frontier and items in one database, because a page is one transaction.
//!
//! **The queue row is the ticket.** A page's commit first deletes its queue row; its items, its page
//! row and the requests it found are written only if that row was really there. So effects happen
//! exactly once, whatever crashes, pauses and second workers do; leases serve politeness and thrift
//! only. **Dequeue is a read**: there is no "in progress" state. After any crash
//! `seen = queue + page` holds.
//!
//! The engine talks to a [`Store`]; people and the commands that report talk to a [`Reader`].

mod content;
mod evolve;
mod recent;
mod spec;
mod sqlite;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

pub use crate::frontier::{Host, RobotsFile, Taken, Ticket, TicketKey};
pub use crate::request::StoredCookie as Cookie;

use crate::item::Record;
use crate::request::{Fingerprint, HostKey, Request};

/// A run's place in the database: which crawl it goes on with, and as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(pub i64);

/// What a run says of itself when it begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The spider's name.
    pub spider: String,
    /// The spider's arguments as JSON: another set of arguments is another crawl.
    pub args: String,
    /// The settings as JSON, kept for `stats`.
    pub settings: String,
    /// Start anew: queue, seen and pages of an earlier crawl of this spider are dropped, its items
    /// stay.
    pub fresh: bool,
}

/// Where a run begins.
#[derive(Clone, Debug)]
pub struct Began {
    /// This run.
    pub run: RunId,
    /// The crawl's key for [`Identity`](crate::request::Identity).
    pub key: [u8; 16],
    /// Set if an interrupted crawl is resumed.
    pub resumed: Option<Resumed>,
    /// Whether all seeds are in the queue already.
    pub seeded: bool,
    /// Hosts in scope because a seed named them or redirected to them.
    pub seed_hosts: Vec<String>,
    /// Cookies as stored.
    pub cookies: Vec<Cookie>,
}

/// How far an interrupted crawl got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Resumed {
    /// Pages done, failed or skipped.
    pub pages: u64,
    /// Requests still queued.
    pub queued: u64,
    /// When the last run of it ended or was last seen alive.
    pub since: Timestamp,
}

/// A request on its way into the queue.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Hash of the origin.
    pub host: HostKey,
    /// Identity within the host.
    pub fingerprint: Fingerprint,
    /// Scheme, host and port.
    pub origin: String,
    /// Canonical path and query.
    pub path: String,
    /// Whether its host is in scope by itself from now on (seeds and their redirects).
    pub seed: bool,
    /// Everything else.
    pub request: Request,
}

/// How a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PageState {
    /// Fetched, and its step ran (or it was a redirect).
    Done,
    /// Given up, with the reason.
    Failed,
    /// Never asked for, with the reason.
    Skipped,
}

impl PageState {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The page row that replaces a queue row.
#[derive(Clone, Debug)]
pub struct PageRow {
    /// How it ended.
    pub state: PageState,
    /// A short word for grouping: `redirect`, `status`, `timeout`, `step`, `robots`, `depth`…
    pub reason: Option<&'static str>,
    /// The whole sentence, for people.
    pub message: Option<String>,
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// From request to last byte, in milliseconds.
    pub took_ms: u32,
    /// Body bytes on the wire.
    pub bytes: u64,
}

/// What becomes of a ticket.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The queue row becomes a page row.
    Page(PageRow),
    /// The queue row goes back, one try more, not before `due`.
    Retry {
        /// When.
        due: Timestamp,
        /// Why, for `explain`.
        message: String,
        /// Whether it counts as a try (a refusal of the whole host, like 429, does not).
        counts: bool,
    },
}

/// One page's part of a commit: all of it is written, or nothing.
#[derive(Clone, Debug)]
pub struct PageCommit {
    /// The ticket.
    pub key: TicketKey,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Items, in order of emission.
    pub records: Vec<Record>,
    /// Requests, in order of emission.
    pub requests: Vec<NewRequest>,
    /// Links that never became requests.
    pub refused: Vec<Refused>,
}

/// Links of a page that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// A short word: `scope`, `depth`, `scheme`, `length`, `links`.
    pub reason: &'static str,
    /// What it hit: a host for `scope`, else empty.
    pub subject: String,
    /// How many.
    pub count: u64,
    /// One of them.
    pub sample: String,
}

/// What one transaction writes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Finished pages.
    pub pages: Vec<PageCommit>,
    /// Requests that come from no page.
    pub seeds: Vec<NewRequest>,
    /// All seeds are in.
    pub seeded: bool,
    /// Cookies that changed.
    pub cookies: Vec<Cookie>,
    /// Hosts whose pace, errors or robots.txt changed; their lease is kept.
    pub hosts: Vec<Host>,
}

/// What a commit did.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// For each page of the batch, in its order.
    pub pages: Vec<PageReceipt>,
    /// New requests in the queue, by host.
    pub fresh: HashMap<HostKey, u32>,
    /// The same for the batch's seeds alone.
    pub fresh_seeds: u64,
}

/// What a commit did for one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageReceipt {
    /// Whether the ticket was still there; if not, nothing of the page was written.
    pub written: bool,
    /// Requests that were new.
    pub fresh: u32,
    /// Rows inserted.
    pub items_new: u32,
    /// Keyed rows whose content changed.
    pub items_changed: u32,
    /// Keyed rows that were seen again as they were.
    pub items_same: u32,
}

/// What a run says of itself when it ends.
#[derive(Clone, Debug)]
pub struct End {
    /// `finished` if the queue is empty, else why it stopped.
    pub stop: String,
    /// Whether nothing is left to do.
    pub finished: bool,
    /// The report as JSON.
    pub report: String,
}

/// What is left when nothing can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The queue is empty: the crawl is over.
    Nothing,
    /// Requests wait; the next may be due at this moment.
    Until(Timestamp),
}

/// Frontier and items of one crawl.
///
/// The engine's dispatcher calls [`lease`](Store::lease), [`take`](Store::take) and
/// [`release`](Store::release); its one committer calls [`commit`](Store::commit). Every call is a
/// transaction of its own; a dropped call has either happened or not.
pub trait Store: Send + Sync + 'static {
    /// Opens or resumes the crawl of a spider and registers a run.
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Began, StoreError>>;

    /// Takes up to `limit` hosts that have requests, are due and belong to nobody.
    fn lease(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Vec<Host>, StoreError>>;

    /// Reads the next requests of a leased host.
    fn take(
        &self,
        host: HostKey,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Taken, StoreError>>;

    /// Writes a batch, whole or not at all. It is shared, not given, so that a commit that failed can
    /// be tried again, and what was committed can be told on, without a copy.
    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<Receipt, StoreError>>;

    /// Gives hosts back: with their pace, and parked if they have nothing queued.
    fn release(&self, hosts: Vec<Host>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What is left for anyone to do.
    fn rest(&self) -> BoxFuture<'_, Result<Rest, StoreError>>;

    /// Ends the run and gives back all it holds.
    fn end(&self, end: End) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Opens the database at `url` for one crawl at a time: `sqlite:crawl.db`, `sqlite::memory:` or a
/// plain path.
///
/// A file that is missing is made; its folder must be there.
///
/// # Errors
/// [`Locked`](StoreError::Locked) if another process (or this one) has it open,
/// [`Open`](StoreError::Open) if it can't be opened or made.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        return Err(StoreError::Open {
            path: "postgres://…".into(),
            reason: "this build can't crawl into PostgreSQL".into(),
        });
    }
    Ok(Arc::new(sqlite::Sqlite::open(url).await?))
}

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process crawls into this database.
    #[error("database {path} is locked by process {holder}")]
    Locked {
        /// The file.
        path: String,
        /// Who holds it: "8123 (crawl books, since 10:31)".
        holder: String,
    },
    /// The database can't be opened or made.
    #[error("can't open the database {path}: {reason}")]
    Open {
        /// File or URL, without secrets.
        path: String,
        /// Why.
        reason: String,
    },
    /// A struct's table exists with other columns.
    #[error("table `{table}` does not fit the item: {reason}")]
    Schema {
        /// The table.
        table: String,
        /// The difference.
        reason: String,
    },
    /// The disk is full.
    #[error("disk full while writing {path}")]
    Full {
        /// The file.
        path: String,
    },
    /// Somebody else holds the database; it may be free again soon.
    #[error("database is busy: {0}")]
    Busy(String),
    /// Anything else the database says.
    #[error("database: {0}")]
    Database(String),
}
