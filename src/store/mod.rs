//! The store: frontier and items in one database, because a page is one transaction.
//!
//! **The queue row is the ticket.** A page's commit first deletes its queue row; its items, its page
//! row and the requests it found are written only if that row was really there. So effects happen
//! exactly once, whatever crashes, pauses and second workers do; leases serve politeness and thrift
//! only. **Dequeue is a read**: there is no "in progress" state. After any crash
//! `seen = queue + page` holds.
//!
//! The engine talks to a [`Store`]; people and the commands that report talk to a [`Reader`].

mod batch;
mod content;
mod copy;
mod error;
mod evolve;
mod health;
mod message;
mod postgres;
mod reader;
mod recent;
mod spec;
mod sqlite;
mod statement;
mod together;

pub use batch::{
    Batch, NewRequest, PageCommit, PageReceipt, PageRow, PageState, Receipt, Refused, Spent,
    StopWhenKnown, Verdict,
};
pub use copy::copy;
pub use error::StoreError;
pub use health::Finding;
pub use message::error_id;
pub use reader::{
    Attempt, CrawlRow, ErrorGroup, Explained, KnownHost, Reader, RefusedRow, Rows, RunRow, Story,
    TableRow, collect,
};

pub use together::{Worker, together};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

pub use crate::frontier::{Host, RobotsFile, Taken, Ticket, TicketKey, Visit};
pub use crate::request::StoredCookie as Cookie;

use crate::request::{HostKey, Revisit};
use crate::settings::Shares;

/// A run's place in the database: which crawl it goes on with, and as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
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
    /// The steps that this process can run; none: all. Requests for others are left to those who know
    /// them, where several processes share a crawl.
    pub steps: Vec<String>,
    /// So long after its last sign of life the hosts of a process are free for others, where several
    /// share a crawl.
    pub lease: Duration,
    /// What becomes of a crawl that has finished.
    pub finished: Finished,
}

/// What becomes of a crawl that has finished when it is begun again.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Finished {
    /// A new one takes its place.
    #[default]
    Replace,
    /// It goes on as it is, for what is [requeued](Store::requeue).
    Reopen,
    /// A new round of it begins: the pages that are due are queued again, by the rule of their step.
    Revisit(Vec<(String, Rule)>),
}

/// Which pages of a step a new round queues again; pages of other steps are. Pages that are not done
/// always are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Those that are due.
    Due(Revisit),
    /// Its seeds. The others are forgotten, so that they are queued when they are found again.
    Seeds,
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
    /// Set if it is not the first time that the crawl's pages are asked for: it began a new round now,
    /// or goes on with one.
    pub round: Option<Round>,
    /// Whether all seeds are in the queue already.
    pub seeded: bool,
    /// Hosts in scope because a seed named them or redirected to them.
    pub seed_hosts: Vec<String>,
    /// Reports of the last runs with this spider and these arguments, newest first.
    pub reports: Vec<String>,
    /// Cookies as stored.
    pub cookies: Vec<Cookie>,
    /// When leases of hosts end unless there is a [beat](Store::beat) before; none: never.
    pub lapses: Option<Instant>,
    /// What was used of budgets, those of past days left out.
    pub spent: Vec<Spent>,
}

/// A crawl's pages are asked for once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Round {
    /// 2 for the first time that they are asked for again.
    pub number: u64,
    /// Pages that this run put back into the queue.
    pub queued: u64,
    /// Pages that are known and not due.
    pub resting: u64,
}

/// How far an interrupted crawl got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resumed {
    /// Pages done, failed or skipped.
    pub pages: u64,
    /// Requests still queued.
    pub queued: u64,
    /// When the last run of it ended or was last seen alive.
    pub since: Timestamp,
    /// Other processes that work on it.
    pub others: u32,
}

/// What a sign of life tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// When the leases of hosts end unless there is another beat before; none: never.
    pub lapses: Option<Instant>,
    /// When the next beat is wanted; none: never.
    pub next: Option<Instant>,
    /// The leases had ended: the hosts are others'.
    pub lost: bool,
    /// So many hosts should be given back, because other processes have too few.
    pub surplus: usize,
    /// These are to be given back: parts of a host of which this process has more than its own.
    pub crowded: Vec<HostKey>,
}

/// What other processes of the crawl have learnt.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Cookies that they have changed.
    pub cookies: Vec<Cookie>,
    /// Hosts that are in scope by themselves since.
    pub seed_hosts: Vec<String>,
    /// Leased parts of hosts that are in trouble, by what their other parts have learnt.
    pub resting: Vec<Resting>,
}

/// A leased part of a host that is to be left alone, because another part was told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    /// The part.
    pub host: HostKey,
    /// Nothing is sent to it before this moment.
    pub until: Timestamp,
    /// Consecutive failures of the host.
    pub errors: u32,
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

/// What is to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tidy {
    /// The frontier of crawls that finished before: what was seen, pages, tries, refused links. Runs
    /// and items stay.
    pub crawls: Option<Timestamp>,
    /// Items that are gone from their page since before.
    pub items: Option<Timestamp>,
    /// Only counts.
    pub dry: bool,
}

/// What went, or would go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tidied {
    /// Crawls whose frontier was forgotten, those that were replaced before among them.
    pub crawls: u64,
    /// Their pages.
    pub pages: u64,
    /// Items.
    pub items: u64,
}

/// What is left when nothing can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The queue is empty: the crawl is over.
    Nothing,
    /// What is left is for a step that no process knows.
    Unknown(String),
    /// Requests wait; the next may be due at this moment.
    Until(Timestamp),
}

/// Frontier and items of one crawl.
///
/// The engine's dispatcher calls [`lease`](Store::lease), [`take`](Store::take) and
/// [`release`](Store::release); its one committer calls [`commit`](Store::commit). Every call is a
/// transaction of its own; a dropped call has either happened or not.
///
/// Where several processes can work on one crawl, a lease ends when its process shows no sign of life:
/// who holds hosts calls [`beat`](Store::beat) when the last one told, and sends nothing after `lapses`.
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

    /// Shows a sign of life.
    fn beat(&self) -> BoxFuture<'_, Result<Beat, StoreError>> {
        Box::pin(std::future::ready(Ok(Beat::default())))
    }

    /// Tells which hosts share one pace, by a name for the group of each origin: of a group, only one process
    /// at a time has hosts. Called after [`begin`](Store::begin), before the first commit.
    fn group_by(&self, of: fn(&str) -> Option<String>) {
        let _ = of;
    }

    /// Takes a leased host into a group of that name, which was not known before; whether this process may have
    /// it. It may not while another process has hosts of the group: then it is to be given back.
    fn join_group(&self, host: HostKey, group: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        drop((host, group));
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Tells into how many parts hosts are divided, so that as many processes ask one at once: what the crawl
    /// goes by, which is what was told when it began. None where a crawl is one process's. Called after
    /// [`begin`](Store::begin), before anything else.
    fn share(&self, wanted: Shares) -> BoxFuture<'_, Result<Shares, StoreError>> {
        drop(wanted);
        Box::pin(std::future::ready(Ok(Shares::default())))
    }

    /// What all runs of the crawl but this one have used of its budgets, if others may go on while it does.
    fn spent_by_others(&self) -> BoxFuture<'_, Result<Vec<Spent>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// What other processes have learnt since the last call, or since the run began.
    fn news(&self) -> BoxFuture<'_, Result<News, StoreError>> {
        Box::pin(std::future::ready(Ok(News::default())))
    }

    /// Puts pages of the crawl, by their numbers, back into its queue, with their failures among the
    /// tries; how many there were. Called between [`begin`](Store::begin) and the first lease.
    fn requeue(&self, pages: Vec<i64>) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Ends all queued requests of a step as skipped; how many there were. Called as `requeue` is.
    fn discard<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Makes room: forgets what nobody needs. Called before any crawl has begun.
    fn tidy(&self, tidy: Tidy) -> BoxFuture<'_, Result<Tidied, StoreError>>;

    /// The path of a file beside the database, its name with `suffix`; none if it is no file.
    fn beside(&self, suffix: &str) -> Option<PathBuf> {
        let _ = suffix;
        None
    }

    /// Ends the run and gives back all it holds.
    fn end(&self, end: End) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Waits until the other processes of a crawl that has finished have ended, too; what each of them did,
    /// this one included, oldest first. None, if there were no others. Called after [`end`](Store::end).
    fn company(&self) -> BoxFuture<'_, Result<Vec<Worker>, StoreError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// Opens the database at `url` to crawl into it: `sqlite:crawl.db`, `sqlite::memory:` or a plain path
/// for one crawl at a time; `postgres://user@host/database` for any number of processes.
///
/// A file that is missing is made; its folder must be there. So are the tables.
///
/// # Errors
/// [`Locked`](StoreError::Locked) if another process (or this one) has the file open,
/// [`Open`](StoreError::Open) if it can't be opened or made.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    if is_postgres(url) {
        return Ok(Arc::new(postgres::Postgres::open(url).await?));
    }
    Ok(Arc::new(sqlite::Sqlite::open(url).await?))
}

/// Opens the database at `url` for reading only, also while somebody crawls into it.
///
/// # Errors
/// [`Open`](StoreError::Open) if it is not there, can't be read, or holds no crawls.
pub async fn open_reader(url: &str) -> Result<Arc<dyn Reader>, StoreError> {
    if is_postgres(url) {
        return Ok(Arc::new(postgres::PostgresReader::open(url).await?));
    }
    Ok(Arc::new(sqlite::SqliteReader::open(url).await?))
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}
