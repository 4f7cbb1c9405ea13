//! Items on their way into their tables, and what became of each: new, changed or the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use sqlx::SqliteConnection;

use super::Active;
use super::error::Failure;
use super::many::{self, Statement};
use super::table::{self, Table};
use super::tickets::Written;
use super::writer::Writer;
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

/// An item of the batch.
struct Row<'batch> {
    /// Its page's place in the batch, and its number.
    at: usize,
    page: i64,
    values: &'batch [Value],
    hash: i64,
}

/// The items of one table.
pub(super) struct Rows<'batch> {
    table: Arc<Table>,
    /// What is written: of each key the last, all if there is no key.
    last: Vec<Row<'batch>>,
    /// The first of each row in `last`: its page's place and its hash.
    first: Vec<(usize, i64)>,
    /// Where in `last` a key is.
    places: HashMap<Vec<u8>, usize>,
    /// What is known without asking the database: rows that came again in the batch, and all rows
    /// without a key.
    counts: ByPage,
}

/// Takes the items out of the pages that end, by table.
pub(super) fn gather<'batch>(writer: &Writer, pages: &[Written<'batch>]) -> Vec<Rows<'batch>> {
    let mut tables = Vec::<Rows<'_>>::new();
    for written in pages.iter().filter(|written| written.ends()) {
        for record in &written.page.records {
            let Some(table) = table::find_ready(writer, record) else {
                continue;
            };
            let place = tables
                .iter()
                .position(|rows| Arc::ptr_eq(&rows.table, &table))
                .unwrap_or_else(|| {
                    tables.push(Rows::new(table));
                    tables.len() - 1
                });
            tables[place].add(written, record.values());
        }
    }
    tables
}

impl<'batch> Rows<'batch> {
    fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            last: Vec::new(),
            first: Vec::new(),
            places: HashMap::new(),
            counts: ByPage::new(),
        }
    }

    fn add(&mut self, written: &Written<'batch>, values: &'batch [Value]) {
        let row = Row {
            at: written.at,
            page: written.page.key.seq,
            values,
            hash: self.table.content.hash(values),
        };
        if self.table.find.is_none() {
            self.counts.entry(row.at).or_default().new += 1;
            self.last.push(row);
            return;
        }
        match self
            .places
            .entry(content::key(values, self.table.schema.key_positions()))
        {
            Entry::Vacant(entry) => {
                entry.insert(self.last.len());
                self.first.push((row.at, row.hash));
                self.last.push(row);
            }
            Entry::Occupied(entry) => {
                let before = &mut self.last[*entry.get()];
                let counts = self.counts.entry(row.at).or_default();
                if before.hash == row.hash {
                    counts.same += 1;
                } else {
                    counts.changed += 1;
                }
                *before = row;
            }
        }
    }
}

/// Writes the items. Their pages must be written before: the rows tell their URLs.
pub(super) async fn write(
    db: &mut SqliteConnection,
    active: &Active,
    tables: Vec<Rows<'_>>,
    stamp: &str,
) -> Result<ByPage, Failure> {
    let stamp: Arc<str> = stamp.into();
    let mut all = ByPage::new();
    for mut rows in tables {
        compare(db, &mut rows).await?;
        insert(db, active, &rows, &stamp).await?;
        for (at, counts) in rows.counts {
            let sum = all.entry(at).or_default();
            sum.new += counts.new;
            sum.changed += counts.changed;
            sum.same += counts.same;
        }
    }
    Ok(all)
}

/// Counts the first row of each key by what is in the table.
async fn compare(db: &mut SqliteConnection, rows: &mut Rows<'_>) -> Result<(), Failure> {
    let Some(find) = &rows.table.find else {
        return Ok(());
    };
    let mut is_same = vec![None; rows.last.len()];
    let mut start = 0;
    for (piece, mut statement) in find.over(&rows.last) {
        for (row, (_, hash)) in piece.iter().zip(&rows.first[start..]) {
            statement = statement.bind(*hash);
            for &at in rows.table.schema.key_positions() {
                statement = bind(statement, &row.values[at]);
            }
        }
        for number in many::numbers(db, statement).await? {
            is_same[start + number as usize / 2] = Some(number % 2 == 1);
        }
        start += piece.len();
    }
    for ((at, _), is_same) in rows.first.iter().zip(is_same) {
        let counts = rows.counts.entry(*at).or_default();
        match is_same {
            None => counts.new += 1,
            Some(false) => counts.changed += 1,
            Some(true) => counts.same += 1,
        }
    }
    Ok(())
}

async fn insert(
    db: &mut SqliteConnection,
    active: &Active,
    rows: &Rows<'_>,
    stamp: &Arc<str>,
) -> Result<(), Failure> {
    for (piece, statement) in rows.table.insert.over(&rows.last) {
        let mut statement = statement
            .bind(active.run)
            .bind(stamp.clone())
            .bind(stamp.clone());
        for row in piece {
            for value in row.values {
                statement = bind(statement, value);
            }
            statement = statement.bind(row.page).bind(row.hash);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
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
