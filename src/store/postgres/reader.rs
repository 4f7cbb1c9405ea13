//! Reading what a crawl left, also while it goes on, from any machine.
//!
//! Every call has a connection of its own, in a transaction that can only read.

use std::ops::ControlFlow;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};
use url::Url;

use super::connect::Server;
use super::error::{self, Failure};
use super::{explain, health, report};
use crate::item::Value;
use crate::store::statement::check_query;
use crate::store::{
    CrawlRow, ErrorGroup, Explained, Finding, PageState, Reader, RefusedRow, Rows, RunId, RunRow,
    StoreError, TableRow,
};

/// How long a person's question may take, unless the URL says otherwise
/// (`?options=-cstatement_timeout=…`).
const QUESTION: &str = "10min";

/// A [`Reader`] of a PostgreSQL database.
pub(in crate::store) struct PostgresReader {
    server: Server,
}

impl PostgresReader {
    /// Opens the database at `url`, which must be one of ours.
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let server = Server::parse(url)?;
        let is_ours = async {
            let mut db = server.connect_reader().await?;
            let table = "SELECT to_regclass('item_table') IS NOT NULL";
            Ok(sqlx::query_scalar(table).fetch_one(&mut db).await?)
        };
        let is_ours: Result<bool, Failure> = is_ours.await;
        match is_ours {
            Ok(true) => Ok(Self { server }),
            Ok(false) => Err(StoreError::Open {
                path: server.name,
                reason: "there is no crawl in it".to_owned(),
            }),
            Err(failure) => Err(error::open(failure, &server.name)),
        }
    }

    /// A connection in a transaction, so that all its questions see one state. Dropping it ends both.
    async fn reading(&self) -> Result<PgConnection, Failure> {
        let mut db = self.server.connect_reader().await?;
        let timeout = if self.server.has_statement_timeout() {
            String::new()
        } else {
            format!("SET LOCAL statement_timeout = '{QUESTION}';")
        };
        // The last is known since version 14: the server ends a statement whose asker has gone away.
        let setup = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL bytea_output = 'hex';
             SET LOCAL extra_float_digits = 1; {timeout}
             SELECT set_config('client_connection_check_interval', '2s', true)
             WHERE current_setting('server_version_num')::int >= 140000"
        );
        sqlx::raw_sql(AssertSqlSafe(setup)).execute(&mut db).await?;
        Ok(db)
    }

    /// Runs `call` with an open connection.
    fn with<'a, T, C>(
        &'a self,
        call: impl FnOnce(PgConnection) -> C + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send,
        C: Future<Output = Result<T, Failure>> + Send + 'a,
    {
        Box::pin(async move {
            let outcome = match self.reading().await {
                Ok(db) => call(db).await,
                Err(failure) => Err(failure),
            };
            outcome.map_err(|failure| failure.at(&self.server.name))
        })
    }
}

impl Reader for PostgresReader {
    fn query<'a>(
        &'a self,
        sql: &'a str,
        rows: &'a mut dyn Rows,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            check_query(sql)?;
            let db = self.reading().await;
            let mut db = db.map_err(|failure| failure.at(&self.server.name))?;
            answer(&mut db, sql, rows)
                .await
                .map_err(|error| match error.as_database_error() {
                    Some(error) => StoreError::Query(error.message().to_owned()),
                    None => Failure::from(error).at(&self.server.name),
                })
        })
    }

    fn crawls(&self) -> BoxFuture<'_, Result<Vec<CrawlRow>, StoreError>> {
        self.with(report::crawls)
    }

    fn runs(&self) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>> {
        self.with(report::runs)
    }

    fn quote(&self, name: &str) -> String {
        super::table::quote(name)
    }

    fn examine(&self, deep: bool) -> BoxFuture<'_, Result<Vec<Finding>, StoreError>> {
        Box::pin(async move {
            let found = health::examine(&self.server, deep).await;
            found.map_err(|failure| failure.at(&self.server.name))
        })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableRow>, StoreError>> {
        self.with(report::tables)
    }

    fn errors<'a>(
        &'a self,
        runs: &'a [RunId],
        state: PageState,
    ) -> BoxFuture<'a, Result<Vec<ErrorGroup>, StoreError>> {
        self.with(move |db| report::errors(db, runs, state))
    }

    fn refused(&self, crawl: i64) -> BoxFuture<'_, Result<Vec<RefusedRow>, StoreError>> {
        self.with(move |db| report::refused(db, crawl))
    }

    fn explain<'a>(
        &'a self,
        url: &'a Url,
        steps: &'a [String],
    ) -> BoxFuture<'a, Result<Explained, StoreError>> {
        self.with(move |db| explain::explain(db, url, steps))
    }
}

/// Prepared first, because that takes one statement only and names the columns; then asked for as text,
/// because every type has one.
async fn answer(db: &mut PgConnection, sql: &str, rows: &mut dyn Rows) -> Result<(), sqlx::Error> {
    // What a person asks is theirs to ask: the transaction can only read.
    let sql: std::sync::Arc<str> = sql.into();
    let statement = (&mut *db)
        .prepare(AssertSqlSafe(sql.clone()).into_sql_str())
        .await?;
    let columns = statement.columns();
    let names = columns.iter().map(|column| column.name().to_owned());
    rows.columns(names.collect());
    let mut answer = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(db);
    while let Some(row) = answer.try_next().await? {
        let values = (0..row.columns().len()).map(|at| value(&row, at));
        if let ControlFlow::Break(()) = rows.row(values.collect::<Result<_, _>>()?) {
            break;
        }
    }
    Ok(())
}

fn value(row: &PgRow, at: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().into_owned();
    let text = raw.as_str().map_err(sqlx::Error::Decode)?;
    Ok(read(kind.name(), text))
}

/// A cell as PostgreSQL writes it.
fn read(kind: &str, text: &str) -> Value {
    let as_text = || Value::Text(text.to_owned());
    match kind {
        "BOOL" => Value::Boolean(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => text.parse().map_or_else(|_| as_text(), Value::Integer),
        "FLOAT4" | "FLOAT8" => real(text),
        // Sums and averages; one that no number of ours holds stays as it is.
        "NUMERIC" => match text.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) if text.len() <= 17 || text.contains('.') => real(text),
            Err(_) => as_text(),
        },
        "JSON" | "JSONB" => Value::Json(text.to_owned()),
        "TIMESTAMPTZ" => Value::Text(text.replacen(' ', "T", 1).replace("+00", "Z")),
        "BYTEA" => Value::Text(text.trim_start_matches("\\x").to_owned()),
        _ => as_text(),
    }
}

fn real(text: &str) -> Value {
    match text.parse::<f64>() {
        Ok(real) if real.is_finite() => Value::Real(real),
        _ => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_by_their_type() {
        let check = |kind, text, expected: Value| assert_eq!(read(kind, text), expected);
        check("BOOL", "t", Value::Boolean(true));
        check("INT4", "-7", Value::Integer(-7));
        check("NUMERIC", "12", Value::Integer(12));
        check("NUMERIC", "12.50", Value::Real(12.5));
        let large = "123456789012345678901234567890";
        check("NUMERIC", large, Value::Text(large.into()));
        check("FLOAT8", "Infinity", Value::Text("Infinity".into()));
        check("JSONB", "{\"a\": 1}", Value::Json("{\"a\": 1}".into()));
        let moment = Value::Text("2026-11-25T15:00:00Z".into());
        check("TIMESTAMPTZ", "2026-11-25 15:00:00+00", moment);
        check("BYTEA", "\\x00ff", Value::Text("00ff".into()));
        check("UUID", "a-b", Value::Text("a-b".into()));
    }
}
