//! Items on their way into their tables, and what became of each: new, changed or the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error::Failure;
use super::many::Statement;
use super::table::{self, Table};
use super::tickets::Written;
use super::writer::Writer;
use super::{Active, cell};
use crate::item::Value;
use crate::store::content;

/// What became of a page's items.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) new: u32,
    pub(super) changed: u32,
    pub(super) same: u32,
}

/// Counts by the page's place in the batch.
pub(super) type ByPage = HashMap<usize, Counts>;

/// A row on its way.
struct Row<'batch> {
    /// The page's place in the batch, and its number.
    at: usize,
    page: i64,
    url: Arc<str>,
    values: &'batch [Value],
    hash: i64,
}

/// The rows of one table. The answer to a statement tells rows apart by page and by what was there
/// before, so each key comes first once, and what came after is known without asking.
struct Rows<'batch> {
    table: Arc<Table>,
    /// The first of each key; all, if there is no key.
    first: Vec<Row<'batch>>,
    /// The last of a key that came again with another content.
    last: HashMap<Vec<u8>, Row<'batch>>,
    /// The hash under which a key was last met.
    met: HashMap<Vec<u8>, i64>,
}

/// Writes the items of all pages.
pub(super) async fn write(
    writer: &mut Writer,
    active: &Active,
    pages: &[Written<'_>],
    now: Timestamp,
) -> Result<ByPage, Failure> {
    let mut counts = ByPage::new();
    let tables = gather(writer, pages, &mut counts);
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let db = writer.connection();
    for rows in tables {
        let table = &*rows.table;
        if table.is_keyed() {
            let last_id: i64 = sqlx::query_scalar(AssertSqlSafe(table.last_id.clone()))
                .fetch_one(&mut *db)
                .await?;
            let answers = send(db, active, table, &rows.first, &stamp).await?;
            count(&answers, last_id, &rows.first, &mut counts)?;
            let last = rows.last.into_values().collect::<Vec<_>>();
            send(db, active, table, &last, &stamp).await?;
        } else {
            send(db, active, table, &rows.first, &stamp).await?;
        }
    }
    Ok(counts)
}

/// Takes the records out of the pages, by table.
fn gather<'batch>(
    writer: &Writer,
    pages: &[Written<'batch>],
    counts: &mut ByPage,
) -> Vec<Rows<'batch>> {
    let mut tables = Vec::<Rows<'_>>::new();
    for written in pages
        .iter()
        .filter(|written| !written.page.records.is_empty())
    {
        let url: Arc<str> = format!("{}{}", written.row.origin, written.row.path).into();
        let counts = counts.entry(written.at).or_default();
        for record in &written.page.records {
            let Some(table) = table::find(writer, record) else {
                continue;
            };
            let place = tables
                .iter()
                .position(|rows| Arc::ptr_eq(&rows.table, &table));
            let place = place.unwrap_or_else(|| {
                tables.push(Rows::new(table));
                tables.len() - 1
            });
            let values = record.values();
            let row = Row {
                at: written.at,
                page: written.page.key.seq,
                url: url.clone(),
                hash: tables[place].table.content.hash(values),
                values,
            };
            tables[place].add(row, counts);
        }
    }
    tables
}

impl<'batch> Rows<'batch> {
    fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            first: Vec::new(),
            last: HashMap::new(),
            met: HashMap::new(),
        }
    }

    fn add(&mut self, row: Row<'batch>, counts: &mut Counts) {
        if !self.table.is_keyed() {
            counts.new += 1;
            self.first.push(row);
            return;
        }
        let key = content::key(row.values, self.table.schema.key_positions());
        match self.met.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(row.hash);
                self.first.push(row);
            }
            Entry::Occupied(entry) if *entry.get() == row.hash => counts.same += 1,
            Entry::Occupied(mut entry) => {
                counts.changed += 1;
                entry.insert(row.hash);
                self.last.insert(entry.key().clone(), row);
            }
        }
    }
}

fn count(
    answers: &[SqliteRow],
    last_id: i64,
    rows: &[Row<'_>],
    counts: &mut ByPage,
) -> Result<(), Failure> {
    let places = rows
        .iter()
        .map(|row| (row.page, row.at))
        .collect::<HashMap<_, _>>();
    for answer in answers {
        let (id, page, is_changed): (i64, i64, bool) =
            (cell(answer, 0)?, cell(answer, 1)?, cell(answer, 2)?);
        let Some(counts) = places.get(&page).and_then(|at| counts.get_mut(at)) else {
            continue;
        };
        if id > last_id {
            counts.new += 1;
        } else if is_changed {
            counts.changed += 1;
        } else {
            counts.same += 1;
        }
    }
    Ok(())
}

async fn send(
    db: &mut SqliteConnection,
    active: &Active,
    table: &Table,
    rows: &[Row<'_>],
    stamp: &str,
) -> Result<Vec<SqliteRow>, Failure> {
    let mut answers = Vec::new();
    for (piece, mut statement) in table.insert.over(rows) {
        for row in piece {
            for value in row.values {
                statement = bind(statement, value);
            }
            statement = statement
                .bind(row.page)
                .bind(active.run)
                .bind(&*row.url)
                .bind(stamp)
                .bind(stamp)
                .bind(row.hash);
        }
        answers.extend(statement.fetch_all(&mut *db).await?);
    }
    Ok(answers)
}

fn bind(statement: Statement, value: &Value) -> Statement {
    match value {
        Value::Null => statement.bind(None::<i64>),
        Value::Text(text) | Value::Json(text) => statement.bind(text.as_str()),
        Value::Integer(integer) => statement.bind(*integer),
        Value::Real(real) => statement.bind(*real),
        Value::Boolean(boolean) => statement.bind(*boolean),
    }
}
