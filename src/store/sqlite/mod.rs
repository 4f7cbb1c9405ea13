//! The store in one SQLite file: one connection writes, another reads what to fetch next.
//!
//! Every call that writes runs in a task of its own, so that a dropped call ends its transaction
//! all the same. A [lock](lock) keeps a second process out: leases need no clock then, and those of
//! a process that died are void for the next one.

mod again;
mod begin;
mod commit;
mod copy;
mod error;
mod explain;
mod file;
mod health;
mod items;
mod lease;
mod links;
mod lock;
mod many;
mod pages;
#[cfg(test)]
mod plans;
mod reader;
mod report;
mod retire;
pub(super) mod seen;
mod table;
mod take;
mod tickets;
mod visits;
mod writer;
#[cfg(test)]
mod tests;

pub(super) use self::copy::{CopySource, CopyTarget};
pub(super) use self::reader::SqliteReader;

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, Sqlite as Database};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use self::error::Failure;
use self::file::{Opened, Place};
use self::lock::Lock;
use self::writer::Writer;
use super::{
    Batch, Began, Begin, End, Host, Receipt, Rest, Store, StoreError, Taken, Tidied, Tidy,
};
use crate::request::HostKey;

/// A [`Store`] in one SQLite file.
pub(super) struct Sqlite(Arc<Inner>);

struct Inner {
    name: String,
    writer: Mutex<Writer>,
    /// None in memory, where the writer is the only connection there can be.
    reader: Option<Mutex<SqliteConnection>>,
    active: RwLock<Option<Arc<Active>>>,
    /// None in memory.
    opened: Option<Opened>,
    /// Dropped last, when both connections are gone.
    lock: Option<Lock>,
}

/// The crawl that goes on.
#[derive(Debug)]
struct Active {
    crawl: i64,
    run: i64,
    /// Whether its pages were asked for before, in an earlier round.
    again: bool,
    /// Whether they may be asked for again, so that their rows keep what that needs.
    keeps: bool,
    /// The latest moment that the engine has told: this module asks no clock where time decides.
    told: AtomicI64,
}

impl Active {
    fn tell(&self, now: Timestamp) -> i64 {
        let now = now.as_millisecond();
        self.told.store(now, Ordering::Relaxed);
        now
    }

    fn told(&self) -> i64 {
        self.told.load(Ordering::Relaxed)
    }
}

impl Sqlite {
    /// Opens the database at `url` for writing: locks it, makes it if it is missing, and brings its
    /// tables up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let place = Place::parse(url);
        let lock = match &place {
            Place::Memory => None,
            Place::File(path) => Some(Lock::take(path)?),
        };
        let writer = file::writer(&place).await?;
        let reader = match &place {
            Place::Memory => None,
            Place::File(path) => Some(Mutex::new(file::reader(path).await?)),
        };
        Ok(Self(Arc::new(Inner {
            name: place.name(),
            writer: Mutex::new(Writer::new(writer)),
            reader,
            active: RwLock::new(None),
            opened: match &place {
                Place::Memory => None,
                Place::File(path) => Some(Opened::of(path)),
            },
            lock,
        })))
    }

    /// Runs `call` to its end, even if its caller goes away.
    ///
    /// On a thread for calls that block, though none does: a call waits for SQLite's thread a dozen times, and to
    /// wake a worker of the runtime, which others then look for work with, costs more than to wake a thread.
    fn detached<T, C>(
        &self,
        call: impl FnOnce(Arc<Inner>) -> C,
    ) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
        C: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let inner = self.0.clone();
        let call = call(inner.clone());
        Box::pin(async move {
            let handle = Handle::current();
            tokio::task::spawn_blocking(move || handle.block_on(call))
                .await
                .map_err(|error| StoreError::Database(format!("its task ended: {error}")))?
                .map_err(|failure| failure.at(&inner.name))
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

    /// Whether what is written now will be there afterwards.
    fn is_kept(&self) -> Result<(), StoreError> {
        self.opened.as_ref().map_or(Ok(()), Opened::check)
    }

    fn set_active(&self, active: Option<Active>) {
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = active.map(Arc::new);
    }

    fn say(&self, what: &str) {
        if let Some(lock) = &self.lock {
            lock.say(what);
        }
    }
}

impl Store for Sqlite {
    fn beside(&self, suffix: &str) -> Option<PathBuf> {
        Some(self.0.opened.as_ref()?.beside(suffix))
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Began, StoreError>> {
        self.detached(|inner| begin::begin(inner, begin))
    }

    fn lease(&self, limit: usize, now: Timestamp) -> BoxFuture<'_, Result<Vec<Host>, StoreError>> {
        self.detached(move |inner| lease::lease(inner, limit, now))
    }

    fn take(
        &self,
        host: HostKey,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Taken, StoreError>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let taken = take::take(&inner, host, limit, now).await;
            taken.map_err(|failure| failure.at(&inner.name))
        })
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<Receipt, StoreError>> {
        self.detached(|inner| commit::commit(inner, batch))
    }

    fn release(&self, hosts: Vec<Host>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.detached(|inner| lease::release(inner, hosts))
    }

    fn rest(&self) -> BoxFuture<'_, Result<Rest, StoreError>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let rest = lease::rest(&inner).await;
            rest.map_err(|failure| failure.at(&inner.name))
        })
    }

    fn requeue(&self, pages: Vec<i64>) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.detached(|inner| again::requeue(inner, pages))
    }

    fn discard<'a>(&'a self, step: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        let step = step.to_owned();
        self.detached(|inner| again::discard(inner, step))
    }

    fn tidy(&self, tidy: Tidy) -> BoxFuture<'_, Result<Tidied, StoreError>> {
        self.detached(move |inner| retire::tidy(inner, tidy))
    }

    fn end(&self, end: End) -> BoxFuture<'_, Result<(), StoreError>> {
        self.detached(|inner| begin::end(inner, end))
    }
}

/// A cell of a row, by position: names cost a look-up.
fn cell<'row, T>(row: &'row SqliteRow, at: usize) -> Result<T, Failure>
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
struct Cells<'row>(&'row SqliteRow, usize);

impl<'row> Cells<'row> {
    fn of(row: &'row SqliteRow) -> Self {
        Self(row, 0)
    }

    fn next<T>(&mut self) -> Result<T, Failure>
    where
        T: sqlx::Decode<'row, Database> + sqlx::Type<Database>,
    {
        self.1 += 1;
        cell(self.0, self.1 - 1)
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
