//! Tables of items: made on first use, and kept in step with their structs.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error::Failure;
use super::many::Many;
use super::writer::Writer;
use crate::item::{Kind, Record, Schema};
use crate::store::content::Content;
use crate::store::evolve::{Change, Known, KnownColumn};
use crate::store::{Batch, StoreError};

/// A table that fits a struct, with the statements that write it.
pub(super) struct Table {
    pub(super) schema: Arc<Schema>,
    pub(super) content: Content,
    /// Tells which rows are there, as twice their number, plus one if the hash is the same. Binds the
    /// hash and the key. None: there is no key, every row is new.
    pub(super) find: Option<Many>,
    /// Binds the run and the moment twice; then for each row its columns, page and hash.
    pub(super) insert: Many,
}

/// What every row tells of itself. The times are text (UTC), because people read them and SQLite's
/// date functions take them.
const PROVENANCE: &str = r#"
  "_page" INTEGER NOT NULL,    -- page.id of the page it was last seen on
  "_run" INTEGER NOT NULL,     -- run.id of the run that saw it last
  "_url" TEXT NOT NULL,        -- the URL of that page
  "_first_seen" TEXT NOT NULL,
  "_last_seen" TEXT NOT NULL,
  "_changed" TEXT,             -- when its content last differed from before; NULL: never
  "_hash" INTEGER NOT NULL,    -- hash of the content
  "_gone" TEXT                 -- when it was missed on its page first; NULL: it is there"#;

/// Makes sure that all tables of a batch exist and fit.
///
/// In transactions of their own, before that of the batch: an item that does not fit keeps its whole
/// batch out, and a table without rows harms nobody.
pub(super) async fn ready(writer: &mut Writer, batch: &Batch) -> Result<(), Failure> {
    let mut last: Option<&Arc<Schema>> = None;
    for record in batch.pages.iter().flat_map(|page| &page.records) {
        let schema = record.schema();
        if last.is_some_and(|last| Arc::ptr_eq(last, schema)) {
            continue;
        }
        last = Some(schema);
        if find_ready(writer, record).is_none() {
            writer.begin().await?;
            let made = make(writer.connection(), schema).await;
            writer.finish(made).await?;
            writer
                .tables
                .entry(schema.table().to_ascii_lowercase())
                .or_default()
                .push(Arc::new(Table::new(schema.clone())));
        }
    }
    Ok(())
}

/// The table of a record, if it is ready.
pub(super) fn find_ready(writer: &Writer, record: &Record) -> Option<Arc<Table>> {
    let schema = record.schema();
    let tables = match writer.tables.get(schema.table()) {
        Some(tables) => tables,
        None => writer.tables.get(&schema.table().to_ascii_lowercase())?,
    };
    tables
        .iter()
        .find(|table| Arc::ptr_eq(&table.schema, schema) || table.schema == *schema)
        .cloned()
}

pub(super) async fn make(db: &mut SqliteConnection, schema: &Schema) -> Result<(), Failure> {
    let exists: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE)",
    )
    .bind(schema.table().to_owned())
    .fetch_one(&mut *db)
    .await?;
    let known: Option<String> = sqlx::query_scalar("SELECT schema FROM item_table WHERE name = ?")
        .bind(schema.table().to_owned())
        .fetch_optional(&mut *db)
        .await?;
    let known = match (exists, known) {
        // Never made, or renamed or dropped by hand: the way out that the errors tell.
        (false, _) => create(db, schema).await?,
        (true, None) => {
            let reason = "a table or view of this name exists that no item has made; \
                          give the item another `table`, or rename that one";
            return Err(misfit(schema, reason.to_owned()));
        }
        (true, Some(json)) => {
            let known: Known = serde_json::from_str(&json)
                .map_err(|error| misfit(schema, format!("its row in item_table: {error}")))?;
            match known
                .change(schema)
                .map_err(|reason| with_way_out(schema, &reason))?
            {
                None => return Ok(()),
                Some(change) => alter(db, schema.table(), change).await?,
            }
        }
    };
    remember(db, schema.table(), &known).await
}

fn misfit(schema: &Schema, reason: String) -> Failure {
    Failure::Store(StoreError::Schema {
        table: schema.table().to_owned(),
        reason,
    })
}

fn with_way_out(schema: &Schema, reason: &str) -> Failure {
    let table = schema.table();
    let way = format!(
        "{reason}; give the item another `table`, or put the old rows aside: \
         ALTER TABLE {table} RENAME TO {table}_old"
    );
    misfit(schema, way)
}

async fn create(db: &mut SqliteConnection, schema: &Schema) -> Result<Known, Failure> {
    let known = Known::new(schema);
    run(db, create_sql(schema.table(), &known)).await?;
    Ok(known)
}

async fn alter(db: &mut SqliteConnection, table: &str, change: Change) -> Result<Known, Failure> {
    let before = change.known.columns.len() - change.added;
    for column in &change.known.columns[before..] {
        run(
            db,
            format!("ALTER TABLE \"{table}\" ADD COLUMN {}", column_sql(column)),
        )
        .await?;
    }
    if change.loosened {
        rebuild(db, table, &change.known).await?;
    }
    Ok(change.known)
}

/// SQLite can't take `NOT NULL` from a column: the rows move into a new table, and the indexes and
/// triggers that somebody made are made again.
async fn rebuild(db: &mut SqliteConnection, table: &str, known: &Known) -> Result<(), Failure> {
    let extras: Vec<String> = sqlx::query_scalar(
        "SELECT sql FROM sqlite_schema
         WHERE type IN ('index', 'trigger') AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL",
    )
    .bind(table.to_owned())
    .fetch_all(&mut *db)
    .await?;
    let names = known.columns.iter().map(|column| column.name.as_str());
    let names = quoted(["_id"].into_iter().chain(names).chain(PROVENANCE_NAMES));
    let moved = format!("{table}__new");
    run(db, create_sql(&moved, known)).await?;
    run(
        db,
        format!("INSERT INTO \"{moved}\" ({names}) SELECT {names} FROM \"{table}\""),
    )
    .await?;
    run(db, format!("DROP TABLE \"{table}\"")).await?;
    run(db, format!("ALTER TABLE \"{moved}\" RENAME TO \"{table}\"")).await?;
    for extra in extras {
        run(db, extra).await?;
    }
    Ok(())
}

async fn remember(db: &mut SqliteConnection, table: &str, known: &Known) -> Result<(), Failure> {
    let json = serde_json::to_string(known).map_err(|error| StoreError::Schema {
        table: table.to_owned(),
        reason: error.to_string(),
    })?;
    sqlx::query("INSERT OR REPLACE INTO item_table (name, schema) VALUES (?, ?)")
        .bind(table.to_owned())
        .bind(json)
        .execute(db)
        .await?;
    Ok(())
}

/// Runs a statement made of literals and of names that [`Schema::new`] has checked.
async fn run(db: &mut SqliteConnection, statement: String) -> Result<(), Failure> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(db).await?;
    Ok(())
}

fn create_sql(table: &str, known: &Known) -> String {
    let columns = known.columns.iter().map(column_sql).collect::<Vec<_>>();
    let columns = columns.join(",\n  ");
    let key = match known.key.as_slice() {
        [] => String::new(),
        key => format!(",\n  UNIQUE ({})", quoted(key.iter().map(String::as_str))),
    };
    // What follows the last column, a key or a new column, would end up in its comment.
    let provenance = match PROVENANCE.rsplit_once("  --") {
        Some((definitions, _)) => definitions.trim_end(),
        None => PROVENANCE,
    };
    format!(
        "CREATE TABLE \"{table}\" (\n  \"_id\" INTEGER PRIMARY KEY,\n  {columns},{provenance}{key}\n)"
    )
}

fn column_sql(column: &KnownColumn) -> String {
    let kind = match column.kind {
        Kind::Text | Kind::Json => "TEXT",
        Kind::Integer => "INTEGER",
        Kind::Real => "REAL",
        // Holds 0 and 1; tools that know the word show true and false.
        Kind::Boolean => "BOOLEAN",
    };
    let needed = if column.nullable { "" } else { " NOT NULL" };
    format!("\"{}\" {kind}{needed}", column.name)
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

const PROVENANCE_NAMES: [&str; 8] = [
    "_page",
    "_run",
    "_url",
    "_first_seen",
    "_last_seen",
    "_changed",
    "_hash",
    "_gone",
];

impl Table {
    pub(super) fn new(schema: Arc<Schema>) -> Self {
        Self {
            content: Content::new(schema.columns()),
            find: (!schema.key_positions().is_empty()).then(|| find(&schema)),
            insert: insert(&schema),
            schema,
        }
    }
}

fn find(schema: &Schema) -> Many {
    let key = schema
        .key()
        .enumerate()
        .map(|(at, column)| format!("t.\"{}\" = v.column{}", column.name, at + 3))
        .collect::<Vec<_>>();
    Many::new(
        "SELECT group_concat(2 * v.column1 + (t.\"_hash\" = v.column2)) FROM (VALUES",
        &format!("(#{})", ",?".repeat(key.len() + 1)),
        &format!(
            ") v CROSS JOIN \"{}\" t WHERE {}",
            schema.table(),
            key.join(" AND ")
        ),
    )
}

/// A second sight updates the row, and says so if the content differs.
fn insert(schema: &Schema) -> Many {
    let table = schema.table();
    let count = schema.columns().len();
    let names = quoted(schema.columns().iter().map(|column| &*column.name));
    let values = (1..=count)
        .map(|at| format!("v.column{at}, "))
        .collect::<Vec<_>>()
        .concat();
    let (page, hash) = (count + 1, count + 2);
    Many::new(
        &format!(
            "INSERT INTO \"{table}\" (\"_run\", \"_first_seen\", \"_last_seen\",
               {names}, \"_page\", \"_url\", \"_hash\")
             SELECT ?, ?, ?, {values}v.column{page}, h.origin || p.path, v.column{hash} FROM (VALUES"
        ),
        &format!("({}?,?)", "?,".repeat(count)),
        &format!(
            ") v CROSS JOIN page p CROSS JOIN host h WHERE p.id = v.column{page} AND h.id = p.host {}",
            on_conflict(schema)
        ),
    )
}

fn on_conflict(schema: &Schema) -> String {
    if schema.key_positions().is_empty() {
        return String::new();
    }
    let content = schema
        .columns()
        .iter()
        .enumerate()
        .filter(|(at, _)| !schema.key_positions().contains(at))
        .map(|(_, column)| format!("\"{0}\" = excluded.\"{0}\",", column.name))
        .collect::<Vec<_>>()
        .join(" ");
    let key = quoted(schema.key().map(|column| &*column.name));
    format!(
        "ON CONFLICT ({key}) DO UPDATE SET {content}
           \"_changed\" = iif(\"_hash\" = excluded.\"_hash\", \"_changed\", excluded.\"_last_seen\"),
           \"_page\" = excluded.\"_page\", \"_run\" = excluded.\"_run\", \"_url\" = excluded.\"_url\",
           \"_last_seen\" = excluded.\"_last_seen\", \"_hash\" = excluded.\"_hash\", \"_gone\" = NULL"
    )
}

/// The statements whose plans are promised.
#[cfg(test)]
impl Table {
    pub(super) fn hot(&self) -> impl Iterator<Item = &str> {
        let all = self.find.iter().chain([&self.insert]);
        all.flat_map(Many::texts)
    }
}
