//! A file as the source or the target of a copy.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _, ValueRef};
use tokio::sync::mpsc;

use super::error::Failure;
use super::file::{self, Place};
use super::lock::Lock;
use super::report::ITEM_TABLES;
use super::table;
use crate::item::Schema;
use crate::store::StoreError;
use crate::store::copy::{Cell, Column, Kind, PIECE, Row, Source, Table, Target};

/// Rows per statement: their values must not be more than SQLite takes.
const ROWS: usize = 100;

fn path(url: &str) -> Result<PathBuf, StoreError> {
    match Place::parse(url) {
        Place::File(path) => Ok(path),
        Place::Memory => Err(open_error(url, "a database in memory can't be copied")),
    }
}

fn open_error(path: &str, reason: &str) -> StoreError {
    StoreError::Open {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// A file that is read, and that nobody crawls into meanwhile.
pub(in crate::store) struct CopySource {
    db: SqliteConnection,
    name: String,
    _lock: Lock,
}

impl CopySource {
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let path = path(url)?;
        let name = path.display().to_string();
        if !path.exists() {
            return Err(open_error(&name, "there is no such file"));
        }
        let lock = Lock::take(&path)?;
        lock.say("copying it");
        // Brings its tables up to date, if it is of an older version.
        let mut db = file::writer(&Place::File(path)).await?;
        sqlx::query("BEGIN")
            .execute(&mut db)
            .await
            .map_err(|error| Failure::from(error).at(&name))?;
        Ok(Self {
            db,
            name,
            _lock: lock,
        })
    }
}

impl Source for CopySource {
    fn item_tables(&mut self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>> {
        Box::pin(async move {
            let tables = sqlx::query_as(ITEM_TABLES).fetch_all(&mut self.db).await;
            tables.map_err(|error| Failure::from(error).at(&self.name))
        })
    }

    fn read<'a>(
        &'a mut self,
        table: &'a Table,
        to: mpsc::Sender<Vec<Row>>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let read = send(&mut self.db, table, to).await;
            read.map_err(|failure| failure.at(&self.name))
        })
    }
}

async fn send(
    db: &mut SqliteConnection,
    table: &Table,
    to: mpsc::Sender<Vec<Row>>,
) -> Result<(), Failure> {
    let expressions = table.columns.iter().map(|column| match column.from_sqlite {
        Some(expression) => expression.to_owned(),
        None => format!("\"{}\"", column.name),
    });
    // Names were checked when their tables were made.
    let source = match table.source {
        Some(source) => source.to_owned(),
        None => format!("\"{}\"", table.name),
    };
    let sql = format!(
        "SELECT {} FROM {source} t {}",
        expressions.collect::<Vec<_>>().join(", "),
        table.from_sqlite
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(db);
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(row) = rows.try_next().await? {
        let cells = table.columns.iter().enumerate();
        let cells = cells.map(|(at, column)| cell(&row, at, column.kind));
        piece.push(cells.collect::<Result<Row, _>>()?);
        if piece.len() == PIECE && to.send(std::mem::take(&mut piece)).await.is_err() {
            // The target has failed, and says why.
            return Ok(());
        }
    }
    let _ = to.send(piece).await;
    Ok(())
}

fn cell(row: &SqliteRow, at: usize, kind: Kind) -> Result<Cell, sqlx::Error> {
    if row.try_get_raw(at)?.is_null() {
        return Ok(Cell::Null);
    }
    Ok(match kind {
        Kind::Integer | Kind::Boolean => Cell::Integer(row.try_get_unchecked(at)?),
        Kind::Real => Cell::Real(row.try_get_unchecked(at)?),
        Kind::Bytes => Cell::Bytes(row.try_get_unchecked(at)?),
        Kind::Text | Kind::Json | Kind::Time | Kind::List => {
            let bytes: &[u8] = row.try_get_unchecked(at)?;
            Cell::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    })
}

/// A new file. It is called `.part` until all is in it.
pub(in crate::store) struct CopyTarget {
    db: Option<SqliteConnection>,
    path: PathBuf,
    part: PathBuf,
    name: String,
    lock: Lock,
}

impl CopyTarget {
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let path = path(url)?;
        let name = path.display().to_string();
        refuse_existing(&path, &name)?;
        let lock = Lock::take(&path)?;
        lock.say("copying into it");
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        // What a copy has left that was killed.
        remove(&part);
        let mut db = file::writer(&Place::File(part.clone())).await?;
        sqlx::query("BEGIN")
            .execute(&mut db)
            .await
            .map_err(|error| Failure::from(error).at(&name))?;
        Ok(Self {
            db: Some(db),
            path,
            part,
            name,
            lock,
        })
    }

    fn db(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let ended = || StoreError::Database("the copy has ended".to_owned());
        self.db.as_mut().ok_or_else(ended)
    }
}

fn refuse_existing(path: &Path, name: &str) -> Result<(), StoreError> {
    if path.exists() {
        return Err(open_error(name, "it is there already; name a new file"));
    }
    Ok(())
}

fn remove(file: &Path) {
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        // Most of them are not there.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

impl Drop for CopyTarget {
    fn drop(&mut self) {
        if self.db.take().is_some() {
            remove(&self.part);
        }
        self.lock.say("after a copy");
    }
}

impl Target for CopyTarget {
    fn make<'a>(&'a mut self, schema: &'a Schema) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let made = table::make(self.db()?, schema).await;
            made.map_err(|failure| failure.at(&self.name))
        })
    }

    fn write<'a>(
        &'a mut self,
        table: &'a Table,
        from: mpsc::Receiver<Vec<Row>>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let written = take(self.db()?, table, from).await;
            written.map_err(|failure| failure.at(&self.name))
        })
    }

    fn count<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let sql = format!("SELECT count(*) FROM \"{}\"", table.name);
            let count = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(self.db()?)
                .await;
            let count: i64 = count.map_err(|error| Failure::from(error).at(&self.name))?;
            Ok(count.unsigned_abs())
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async move {
            let closed = close(self.db()?).await;
            closed.map_err(|failure| failure.at(&self.name))?;
            let broken = |error: std::io::Error| open_error(&self.name, &error.to_string());
            refuse_existing(&self.path, &self.name)?;
            std::fs::rename(&self.part, &self.path).map_err(broken)?;
            if let Some(db) = self.db.take() {
                let _ = db.close().await;
            }
            // Its log was emptied; it belongs to the old name.
            remove(&self.part);
            Ok(())
        })
    }
}

/// Everything in the file itself, and nothing in its log.
async fn close(db: &mut SqliteConnection) -> Result<(), Failure> {
    for statement in [
        "COMMIT",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA journal_mode = DELETE",
    ] {
        sqlx::query(statement).execute(&mut *db).await?;
    }
    Ok(())
}

async fn take(
    db: &mut SqliteConnection,
    table: &Table,
    mut from: mpsc::Receiver<Vec<Row>>,
) -> Result<u64, Failure> {
    let kept: Vec<(usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.on_sqlite)
        .collect();
    let mut count = 0;
    while let Some(rows) = from.recv().await {
        for rows in rows.chunks(ROWS) {
            let sql = insert(table, &kept, rows.len());
            let mut statement = sqlx::query(AssertSqlSafe(sql)).persistent(rows.len() == ROWS);
            for row in rows {
                for (at, _) in &kept {
                    statement = match &row[*at] {
                        Cell::Null => statement.bind(None::<i64>),
                        Cell::Integer(integer) => statement.bind(*integer),
                        Cell::Real(real) => statement.bind(*real),
                        Cell::Text(text) => statement.bind(text.as_str()),
                        Cell::Bytes(bytes) => statement.bind(bytes.as_slice()),
                    };
                }
            }
            count += statement.execute(&mut *db).await?.rows_affected();
        }
    }
    Ok(count)
}

fn insert(table: &Table, kept: &[(usize, &Column)], rows: usize) -> String {
    let names = kept
        .iter()
        .map(|(_, column)| format!("\"{}\"", column.name));
    let mut sql = format!(
        "INSERT INTO \"{}\" ({}) VALUES ",
        table.name,
        names.collect::<Vec<_>>().join(", ")
    );
    let row = format!("({})", vec!["?"; kept.len()].join(","));
    for number in 0..rows {
        let comma = if number == 0 { "" } else { "," };
        write!(sql, "{comma}{row}").expect("a string takes all");
    }
    sql
}
