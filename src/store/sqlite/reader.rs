//! Reading what a crawl left, also while it goes on.
//!
//! Every call has a connection of its own, which costs a millisecond: so calls do not wait for each
//! other, and one that is dropped takes its statement with it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};
use url::Url;

use super::error::Failure;
use super::file::{self, Place};
use super::{explain, health, report};
use crate::item::Value;
use crate::store::statement::check_query;
use crate::store::{
    CrawlRow, ErrorGroup, Explained, Finding, PageState, Reader, RefusedRow, Rows, RunId, RunRow,
    StoreError, TableRow,
};

/// A [`Reader`] of one SQLite file.
pub(in crate::store) struct SqliteReader {
    path: PathBuf,
    name: String,
    is_archive: bool,
}

/// A connection whose statement ends when it is dropped.
pub(super) struct Reading {
    pub(super) db: SqliteConnection,
    goes_on: Arc<AtomicBool>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
    }
}

impl SqliteReader {
    /// Opens the database at `url`, which must be one of ours.
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let open = |reason: &str| StoreError::Open {
            path: Place::parse(url).name(),
            reason: reason.to_owned(),
        };
        let Place::File(path) = Place::parse(url) else {
            return Err(open("a database in memory can't be read from outside"));
        };
        if !path.exists() {
            return Err(open("there is no such file; has a crawl written it?"));
        }
        let mut reader = Self {
            name: path.display().to_string(),
            path,
            is_archive: false,
        };
        let is_ours = match reader.is_ours().await {
            // A log can't be shared on a medium that can't be written; where there is none, it need
            // not be.
            Err(StoreError::Open { .. }) if !reader.has_log() => {
                reader.is_archive = true;
                reader.is_ours().await?
            }
            is_ours => is_ours?,
        };
        is_ours
            .then_some(reader)
            .ok_or_else(|| open("there is no crawl in it"))
    }

    async fn is_ours(&self) -> Result<bool, StoreError> {
        let is_ours = async {
            let mut reading = self.reading().await?;
            let table = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'item_table')";
            Ok(sqlx::query_scalar(table).fetch_one(&mut reading.db).await?)
        };
        is_ours
            .await
            .map_err(|failure: Failure| failure.at(&self.name))
    }

    fn has_log(&self) -> bool {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        PathBuf::from(log).exists()
    }

    /// A connection in a transaction, so that all its questions see one state.
    async fn reading(&self) -> Result<Reading, Failure> {
        let mut db = if self.is_archive {
            file::reader_of_archive(&self.path).await?
        } else {
            file::reader(&self.path).await?
        };
        let goes_on = Arc::new(AtomicBool::new(true));
        let flag = goes_on.clone();
        db.lock_handle()
            .await?
            .set_progress_handler(10_000, move || flag.load(Ordering::Relaxed));
        let mut reading = Reading { db, goes_on };
        sqlx::query("BEGIN").execute(&mut reading.db).await?;
        Ok(reading)
    }

    /// Runs `call` with an open connection.
    fn with<'a, T, C>(
        &'a self,
        call: impl FnOnce(Reading) -> C + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send,
        C: Future<Output = Result<T, Failure>> + Send + 'a,
    {
        Box::pin(async move {
            let outcome = match self.reading().await {
                Ok(reading) => call(reading).await,
                Err(failure) => Err(failure),
            };
            outcome.map_err(|failure| failure.at(&self.name))
        })
    }
}

impl Reader for SqliteReader {
    fn query<'a>(
        &'a self,
        sql: &'a str,
        rows: &'a mut dyn Rows,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            check_query(sql)?;
            let reading = self.reading().await;
            let mut reading = reading.map_err(|failure| failure.at(&self.name))?;
            answer(&mut reading.db, sql, rows).await.map_err(|error| {
                match error.as_database_error() {
                    Some(error) => StoreError::Query(error.message().to_owned()),
                    None => Failure::from(error).at(&self.name),
                }
            })
        })
    }

    fn crawls(&self) -> BoxFuture<'_, Result<Vec<CrawlRow>, StoreError>> {
        self.with(report::crawls)
    }

    fn runs(&self) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        self.with(report::runs)
    }

    fn examine(&self, deep: bool) -> BoxFuture<'_, Result<Vec<Finding>, StoreError>> {
        self.with(move |reading| health::examine(reading, &self.path, deep))
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableRow>, StoreError>> {
        self.with(report::tables)
    }

    fn errors<'a>(
        &'a self,
        runs: &'a [RunId],
        state: PageState,
    ) -> BoxFuture<'a, Result<Vec<ErrorGroup>, StoreError>> {
        self.with(move |reading| report::errors(reading, runs, state))
    }

    fn refused(&self, crawl: i64) -> BoxFuture<'_, Result<Vec<RefusedRow>, StoreError>> {
        self.with(move |reading| report::refused(reading, crawl))
    }

    fn explain<'a>(
        &'a self,
        url: &'a Url,
        steps: &'a [String],
    ) -> BoxFuture<'a, Result<Explained, StoreError>> {
        self.with(move |reading| explain::explain(reading, url, steps))
    }
}

async fn answer(
    db: &mut SqliteConnection,
    sql: &str,
    rows: &mut dyn Rows,
) -> Result<(), sqlx::Error> {
    // What a person asks is theirs to ask: the connection can only read.
    let sql: Arc<str> = sql.into();
    let statement = (&mut *db)
        .prepare(AssertSqlSafe(sql.clone()).into_sql_str())
        .await?;
    let columns = statement.columns();
    rows.columns(
        columns
            .iter()
            .map(|column| column.name().to_owned())
            .collect(),
    );
    let is_boolean = columns
        .iter()
        .map(|column| column.type_info().name() == "BOOLEAN")
        .collect::<Vec<_>>();
    let mut answer = sqlx::query(AssertSqlSafe(sql)).fetch(db);
    while let Some(row) = answer.try_next().await? {
        let values = is_boolean.iter().enumerate();
        let values = values.map(|(at, is_boolean)| value(&row, at, *is_boolean));
        if let ControlFlow::Break(()) = rows.row(values.collect::<Result<_, _>>()?) {
            break;
        }
    }
    Ok(())
}

fn value(row: &SqliteRow, at: usize, is_boolean: bool) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let bytes = || row.try_get_unchecked::<&[u8], _>(at);
    Ok(match raw.type_info().name() {
        "INTEGER" => match row.try_get_unchecked(at)? {
            flag @ 0..=1 if is_boolean => Value::Boolean(flag == 1),
            integer => Value::Integer(integer),
        },
        "REAL" => Value::Real(row.try_get_unchecked(at)?),
        "BLOB" => Value::Text(hex(bytes()?)),
        // Another program may have stored text that is not UTF-8.
        _ => Value::Text(String::from_utf8_lossy(bytes()?).into_owned()),
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}
