//! The store in a PostgreSQL database: one crawl for any number of processes.
//!
//! What holds in one process by a file lock holds here by the database alone. **A commit is one
//! statement**: it deletes the queue rows of its pages (`SKIP LOCKED`), writes only for those that it
//! has deleted, and leaves no transaction open in which a process could be stopped. **Hosts are
//! leased** with `FOR UPDATE SKIP LOCKED` for as long as their process shows signs of life by the
//! database's clock; a process counts its own leases from the moment before it has shown one, on a
//! monotonic clock, so it never believes in a lease that others see ended.
//!
//! Rows are locked in the order of their keys, and tables in one order (`queue`, `seen`, `host`,
//! items, `run`), so that two commits never wait for each other.

mod again;
mod begin;
mod commit;
mod company;
mod compose;
mod connect;
mod copy;
mod error;
mod explain;
mod fold;
mod health;
mod items;
mod lease;
mod links;
mod live;
mod outage;
mod pages;
mod reader;
mod report;
mod retire;
mod shares;
mod skew;
mod table;
mod take;
mod tidy;
mod visits;
#[cfg(test)]
mod tests;

pub(super) use self::copy::{CopySource, CopyTarget};
pub(super) use self::reader::PostgresReader;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::{PgRow, Postgres as Database};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::connect::{Link, Server};
use self::error::Failure;
use self::outage::Outage;
use self::skew::Skew;
use self::table::Table;
use self::take::Desk;
use super::recent::Recent;
use super::{
    Batch, Beat, Began, Begin, End, Finished, Host, News, Receipt, Rest, Spent, Store, StoreError,
    Taken, Tidied, Tidy, Worker,
};
use crate::request::HostKey;
use crate::settings::Shares;

/// How long a server that is away is waited for, and at the end of a run.
const PATIENCE: Duration = Duration::from_mins(10);
const LAST_PATIENCE: Duration = Duration::from_secs(30);

/// A [`Store`] in a PostgreSQL database.
pub(super) struct Postgres(Arc<Inner>);

struct Inner {
    server: Server,
    writer: Mutex<Writer>,
    desk: Desk,
    active: RwLock<Option<Arc<Active>>>,
    /// The crawl that has ended last.
    ended: RwLock<Option<Arc<Active>>>,
    skew: Skew,
    outage: Outage,
    /// Names the group of an origin whose pace it keeps; none: every host has its own.
    group_of: OnceLock<fn(&str) -> Option<String>>,
}

/// The connection that writes, and what it knows of the committed database.
struct Writer {
    link: Link,
    recent: Recent,
    /// Numbers for requests that are still free: from, to.
    numbers: Vec<(i64, i64)>,
    /// Tables of items that fit, by name in lower case: one for each struct that writes them.
    tables: HashMap<String, Vec<Arc<Table>>>,
    /// Reasons and subjects in `refused`.
    refused: HashSet<(String, String)>,
    /// Hosts that this process has and knows of, and of how many parts of their host each is one.
    held: HashMap<HostKey, usize>,
    /// Whether a lease may have been given without an answer.
    stray: bool,
    /// Moment by the database up to which the cookies of others are known.
    cookies_at: i64,
    /// Seeds' hosts that the engine knows of.
    seed_hosts: HashSet<String>,
    /// Tables of items that can be asked by page.
    by_page: HashSet<String>,
    /// Of the connection by which all this is known.
    generation: u64,
}

impl Writer {
    fn new(server: Server) -> Self {
        Self {
            link: Link::new(server),
            recent: Recent::new(),
            numbers: Vec::new(),
            tables: HashMap::new(),
            refused: HashSet::new(),
            held: HashMap::new(),
            stray: false,
            cookies_at: 0,
            seed_hosts: HashSet::new(),
            by_page: HashSet::new(),
            generation: 0,
        }
    }

    /// Connects if need be, and forgets then what is known by heart: a server that crashed may have lost its
    /// last commits (`synchronous_commit = off`), and so has one that took over from it.
    async fn wake(&mut self) -> Result<(), Failure> {
        self.link.ready().await?;
        if self.link.generation() != self.generation {
            self.generation = self.link.generation();
            self.recent = Recent::new();
            self.numbers.clear();
            self.tables.clear();
            self.by_page.clear();
        }
        Ok(())
    }
}

/// The crawl that goes on.
#[derive(Debug)]
struct Active {
    crawl: i64,
    run: i64,
    /// Whether its pages were asked for before, in an earlier round.
    again: AtomicBool,
    /// Whether they may be asked for again, so that their rows keep what that needs.
    keeps: bool,
    /// The steps that this process knows; none: all.
    steps: Option<Vec<String>>,
    lease: Duration,
    /// The latest moment that the engine has told, by the database's clock.
    told: AtomicI64,
    /// So many hosts are this process's part.
    share: AtomicUsize,
    /// Processes that live.
    living: AtomicUsize,
    /// Hosts that are divided among them.
    shares: OnceLock<Shares>,
}

impl Active {
    fn tell(&self, now: i64) -> i64 {
        self.told.store(now, Ordering::Relaxed);
        now
    }

    fn told(&self) -> i64 {
        self.told.load(Ordering::Relaxed)
    }

    fn is_again(&self) -> bool {
        self.again.load(Ordering::Relaxed)
    }
}

impl Postgres {
    /// Opens the database at `url`, and brings its tables up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let server = Server::parse(url)?;
        let mut writer = Writer::new(server.clone());
        let db = Box::pin(outage::wait_for_turn(&mut writer.link, &server.name)).await;
        let db = db.map_err(|failure| error::open(failure, &server.name))?;
        connect::migrate(db, &server.name).await?;
        Ok(Self(Arc::new(Inner {
            writer: Mutex::new(writer),
            desk: Desk::new(Link::new(server.clone())),
            server,
            active: RwLock::new(None),
            ended: RwLock::new(None),
            skew: Skew::default(),
            outage: Outage::default(),
            group_of: OnceLock::new(),
        })))
    }

    /// Runs `call` to its end, even if its caller goes away; again and again if the server is away.
    ///
    /// Every call can be repeated: what it has done already, it does not do twice.
    fn patient<T, C>(
        &self,
        patience: Duration,
        call: impl Fn(Arc<Inner>) -> C + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
        C: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let inner = self.0.clone();
        let repeated = async move {
            let end = Instant::now() + patience;
            let mut pause = Duration::from_millis(50);
            let mut failed = false;
            loop {
                let outcome = tokio::time::timeout(connect::ANSWER, call(inner.clone())).await;
                let failure = match outcome {
                    Ok(Ok(value)) => {
                        if failed {
                            inner.outage.is_over(&inner.server.name);
                        }
                        return Ok(value);
                    }
                    Ok(Err(failure)) => failure,
                    Err(_) => Failure::Late,
                };
                let is_away = failure.is_away();
                if is_away {
                    inner.lose_connections();
                }
                match failure.at(&inner.server.name) {
                    StoreError::Busy(reason) if Instant::now() + pause < end => {
                        failed = true;
                        inner.outage.note(&reason, end);
                        // Not all processes of a fleet at once.
                        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                        pause = (pause * 2).min(Duration::from_secs(5));
                    }
                    error => return Err(error),
                }
            }
        };
        Box::pin(async move {
            tokio::spawn(repeated)
                .await
                .map_err(|error| StoreError::Database(format!("its task ended: {error}")))?
        })
    }
}

impl Inner {
    fn active(&self) -> Result<Arc<Active>, StoreError> {
        self.active
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(|| StoreError::Database("no crawl has begun".into()))
    }

    fn set_active(&self, active: Option<Active>) {
        let mut place = self.active.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, active.map(Arc::new));
        drop(place);
        *self.ended.write().unwrap_or_else(PoisonError::into_inner) = before;
    }

    /// Throws connections away that nobody uses now; who uses one finds out.
    fn lose_connections(&self) {
        if let Ok(mut writer) = self.writer.try_lock() {
            writer.link.drop_connection();
        }
        self.desk.lose_connection();
    }
}

impl Store for Postgres {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Began, StoreError>> {
        Box::pin(async move {
            let rules: Arc<[_]> = match &begin.finished {
                Finished::Revisit(rules) => rules.as_slice().into(),
                _ => Arc::default(),
            };
            let patience = LAST_PATIENCE + begin.lease;
            let said = Arc::new(begin);
            let opened = self.patient(patience, move |inner| {
                begin::begin(inner, Arc::clone(&said))
            });
            let mut opened = opened.await?;
            // Each piece is a call of its own: a large round takes longer than any single answer.
            loop {
                let rules = Arc::clone(&rules);
                let piece = self.patient(PATIENCE, move |inner| {
                    again::prepare(inner, Arc::clone(&rules))
                });
                let prepared = piece.await?;
                opened.lapses = Some(prepared.lapses);
                if prepared.is_done {
                    opened.round = prepared.round;
                    return Ok(opened);
                }
            }
        })
    }

    fn group_by(&self, of: fn(&str) -> Option<String>) {
        // A store is told once; another crawl of this process has the same settings or another store.
        let _ = self.0.group_of.set(of);
    }

    fn join_group(&self, host: HostKey, group: String) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.patient(PATIENCE, move |inner| {
            lease::join_group(inner, host, group.clone())
        })
    }

    fn share(&self, wanted: Shares) -> BoxFuture<'_, Result<Shares, StoreError>> {
        let wanted = Arc::new(wanted);
        self.patient(PATIENCE, move |inner| {
            shares::share(inner, Arc::clone(&wanted))
        })
    }

    fn lease(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Vec<Host>, StoreError>> {
        self.patient(PATIENCE, move |inner| lease::lease(inner, limit, now))
    }

    fn take(
        &self,
        host: HostKey,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Taken, StoreError>> {
        self.patient(PATIENCE, move |inner| take::take(inner, host, limit, now))
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        self.patient(PATIENCE, move |inner| commit::commit(inner, batch.clone()))
    }

    fn release(&self, hosts: Vec<Host>) -> BoxFuture<'_, Result<(), StoreError>> {
        let hosts = Arc::new(hosts);
        self.patient(PATIENCE, move |inner| lease::release(inner, hosts.clone()))
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, StoreError>> {
        self.patient(PATIENCE, lease::rest)
    }

    fn beat(&self) -> BoxFuture<'_, Result<Beat, StoreError>> {
        self.patient(PATIENCE, live::beat)
    }

    fn spent_by_others(&self) -> BoxFuture<'_, Result<Vec<Spent>, StoreError>> {
        self.patient(PATIENCE, begin::spent_by_others)
    }

    fn news(&self) -> BoxFuture<'_, Result<News, StoreError>> {
        self.patient(PATIENCE, live::news)
    }

    fn requeue(&self, pages: Vec<i64>) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut count = 0;
            for piece in pages.chunks(again::PIECE as usize) {
                let piece: Arc<[i64]> = piece.into();
                let moved = self.patient(PATIENCE, move |inner| {
                    again::requeue(inner, Arc::clone(&piece))
                });
                count += moved.await?;
            }
            Ok(count)
        })
    }

    fn discard<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        let step: Arc<str> = step.into();
        Box::pin(async move {
            let mut count = 0;
            loop {
                let step = Arc::clone(&step);
                let piece = self.patient(PATIENCE, move |inner| {
                    again::discard(inner, Arc::clone(&step))
                });
                match piece.await? {
                    0 => return Ok(count),
                    some => count += some,
                }
            }
        })
    }

    fn tidy(&self, tidy: Tidy) -> BoxFuture<'_, Result<Tidied, StoreError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let tidied = tidy::tidy(&inner.server, tidy).await;
            tidied.map_err(|failure| failure.at(&inner.server.name))
        })
    }

    fn end(&self, end: End) -> BoxFuture<'_, Result<(), StoreError>> {
        self.patient(LAST_PATIENCE, move |inner| begin::end(inner, end.clone()))
    }

    fn company(&self) -> BoxFuture<'_, Result<Vec<Worker>, StoreError>> {
        let ended = self.0.ended.read().unwrap_or_else(PoisonError::into_inner);
        let Some(ended) = ended.clone() else {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        };
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let company = company::company(Arc::clone(&inner), ended).await;
            company.map_err(|failure| failure.at(&inner.server.name))
        })
    }
}

/// A cell of a row, by position: names cost a look-up.
fn cell<'row, T>(row: &'row PgRow, at: usize) -> Result<T, Failure>
where
    T: sqlx::Decode<'row, Database> + sqlx::Type<Database>,
{
    Ok(row.try_get(at)?)
}

/// A moment as stored; one that no calendar has is the end of time.
fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// The cells of a row, one after the other.
struct Cells<'row>(&'row PgRow, usize);

impl<'row> Cells<'row> {
    fn of(row: &'row PgRow) -> Self {
        Self(row, 0)
    }

    fn next<T>(&mut self) -> Result<T, Failure>
    where
        T: sqlx::Decode<'row, Database> + sqlx::Type<Database>,
    {
        self.1 += 1;
        cell(self.0, self.1 - 1)
    }

    /// A small number, stored as an integer of 32 bits.
    fn small<T: TryFrom<i32>>(&mut self) -> Result<T, Failure> {
        let number = self.next::<i32>()?;
        T::try_from(number)
            .map_err(|_| sqlx::Error::Decode(format!("{number} is out of range").into()).into())
    }

    /// A counter or a size, which is never negative.
    fn count(&mut self) -> Result<u64, Failure> {
        Ok(self.next::<i64>()?.unsigned_abs())
    }

    fn moment(&mut self) -> Result<Timestamp, Failure> {
        Ok(moment(self.next()?))
    }

    fn some_moment(&mut self) -> Result<Option<Timestamp>, Failure> {
        Ok(self.next::<Option<i64>>()?.map(moment))
    }
}
