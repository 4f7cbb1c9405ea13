//! A database into another one, of whichever kind: frontier, pages and items.
//!
//! A target appears whole or not at all: a file under its name once all is in it, the tables of a server in
//! one transaction. Numbers stay, so what is known of a URL, the origin of an item and the keys of hashes
//! are the same afterwards, and the crawl goes on there.

mod tables;

pub(super) use tables::{Column, Kind, Table, item};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::evolve::Known;
use super::{StoreError, is_postgres, postgres, sqlite};
use crate::item::{self, Schema};

/// Rows that are on their way together.
pub(super) const PIECE: usize = 500;

/// A value on its way.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
}

pub(super) type Row = Vec<Cell>;

/// Where rows come from.
pub(super) trait Source: Send {
    /// Names and schemas of the tables of items.
    fn item_tables(&mut self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>>;

    /// Sends all rows of a table.
    fn read<'a>(
        &'a mut self,
        table: &'a Table,
        to: mpsc::Sender<Vec<Row>>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Where rows go. Dropped before its end, it leaves nothing behind.
pub(super) trait Target: Send {
    /// Makes a table of items.
    fn make<'a>(&'a mut self, schema: &'a Schema) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes rows into a table; how many.
    fn write<'a>(
        &'a mut self,
        table: &'a Table,
        from: mpsc::Receiver<Vec<Row>>,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// How many rows a table has.
    fn count<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Lets all of it be seen.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// Copies everything that is in the database at `from` into the one at `to`, which must hold no crawl and be
/// no file that is there. Calls `told` after each table, with its rows.
///
/// # Errors
/// [`Locked`](StoreError::Locked) if somebody works on one of them; [`Open`](StoreError::Open) if one can't
/// be opened, or the target is not empty.
pub async fn copy(
    from: &str,
    to: &str,
    told: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<(), StoreError> {
    let mut source: Box<dyn Source> = if is_postgres(from) {
        Box::new(postgres::CopySource::open(from).await?)
    } else {
        Box::new(sqlite::CopySource::open(from).await?)
    };
    let mut target: Box<dyn Target> = if is_postgres(to) {
        Box::new(postgres::CopyTarget::open(to).await?)
    } else {
        Box::new(sqlite::CopyTarget::open(to).await?)
    };
    let mut all = tables::of_the_store();
    for (name, json) in source.item_tables().await? {
        let schema = schema(&name, &json)?;
        target.make(&schema).await?;
        all.push(item(&schema));
    }
    for table in &all {
        let rows = table_whole(&mut *source, &mut *target, table).await?;
        told(&table.name, rows);
    }
    target.finish().await
}

async fn table_whole(
    source: &mut dyn Source,
    target: &mut dyn Target,
    table: &Table,
) -> Result<u64, StoreError> {
    let (sender, receiver) = mpsc::channel(4);
    let (read, written) = tokio::join!(source.read(table, sender), target.write(table, receiver));
    // If the target fails, the source finds nobody to send to.
    let written = written?;
    read?;
    let there = target.count(table).await?;
    if there != written {
        let name = &table.name;
        return Err(StoreError::Database(format!(
            "table {name} has {there} rows after {written} were copied into it"
        )));
    }
    Ok(written)
}

/// The schema of a table of items by its row in `item_table`.
fn schema(name: &str, json: &str) -> Result<Schema, StoreError> {
    let misfit = |reason: String| StoreError::Schema {
        table: name.to_owned(),
        reason,
    };
    let known: Known = serde_json::from_str(json)
        .map_err(|error| misfit(format!("its row in item_table: {error}")))?;
    let columns = known.columns.iter().map(|column| item::Column {
        name: column.name.clone().into(),
        kind: column.kind,
        nullable: column.nullable,
    });
    let key: Vec<&str> = known.key.iter().map(String::as_str).collect();
    Schema::new(name.to_owned(), columns.collect(), &key).map_err(|error| misfit(error.to_string()))
}
