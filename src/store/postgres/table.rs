//! Tables of items: made on first use, and kept in step with their structs.
//!
//! Names are in lower case, so that nobody who asks has to quote them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::Writer;
use super::connect::TABLES;
use super::error::Failure;
use crate::item::{Kind, Record, Schema};
use crate::store::content::Content;
use crate::store::evolve::{Change, Known, KnownColumn};
use crate::store::{Batch, StoreError};

/// A table that fits a struct.
pub(super) struct Table {
    pub(super) schema: Arc<Schema>,
    pub(super) content: Content,
}

/// What every row tells of itself.
const PROVENANCE: &str = r#"
  "_page" bigint NOT NULL,
  "_run" bigint NOT NULL,
  "_url" text NOT NULL,
  "_first_seen" timestamptz NOT NULL,
  "_last_seen" timestamptz NOT NULL,
  "_changed" timestamptz,
  "_hash" bigint NOT NULL,
  "_gone" timestamptz"#;

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
            make(writer.link.ready().await?, schema).await?;
            writer
                .tables
                .entry(name(schema))
                .or_default()
                .push(Arc::new(Table {
                    content: Content::new(schema.columns()),
                    schema: schema.clone(),
                }));
        }
    }
    Ok(())
}

/// The table of a record, if it is known to fit.
pub(super) fn find_ready(writer: &Writer, record: &Record) -> Option<Arc<Table>> {
    let schema = record.schema();
    let tables = writer.tables.get(&name(schema))?;
    let same =
        |table: &&Arc<Table>| Arc::ptr_eq(&table.schema, schema) || *table.schema == **schema;
    tables.iter().find(same).cloned()
}

/// The table's name in the database.
pub(super) fn name(schema: &Schema) -> String {
    schema.table().to_ascii_lowercase()
}

/// A name, quoted; it was checked when the schema was made.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.to_ascii_lowercase())
}

/// The type of a column.
pub(super) fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "bigint",
        Kind::Real => "double precision",
        Kind::Boolean => "boolean",
        Kind::Json => "jsonb",
    }
}

async fn make(db: &mut PgConnection, schema: &Schema) -> Result<(), Failure> {
    if name(schema).starts_with("pg_") {
        let reason = "names of tables that begin with `pg_` are PostgreSQL's own; \
                      give the item another `table`";
        return Err(misfit(schema, reason.to_owned()));
    }
    let mut transaction = db.begin().await?;
    // Two processes that meet a new item at once make one table.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(TABLES)
        .execute(&mut *transaction)
        .await?;
    make_locked(&mut transaction, schema).await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn make_locked(db: &mut PgConnection, schema: &Schema) -> Result<(), Failure> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(quote(schema.table()))
        .fetch_one(&mut *db)
        .await?;
    let known: Option<String> =
        sqlx::query_scalar("SELECT schema FROM item_table WHERE lower(name) = $1")
            .bind(name(schema))
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
                Some(change) => alter(db, schema, change).await?,
            }
        }
    };
    remember(db, schema, &known).await
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

async fn create(db: &mut PgConnection, schema: &Schema) -> Result<Known, Failure> {
    let known = Known::new(schema);
    let columns = known
        .columns
        .iter()
        .map(|column| format!("{},\n  ", column_sql(column)));
    let key = match known.key.as_slice() {
        [] => String::new(),
        key => format!(
            ",\n  UNIQUE ({})",
            key.iter()
                .map(|name| quote(name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    let statement = format!(
        "CREATE TABLE {} (\n  \"_id\" bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n  {}{PROVENANCE}{key}\n)",
        quote(schema.table()),
        columns.collect::<String>(),
    );
    run(db, schema, statement).await?;
    Ok(known)
}

async fn alter(db: &mut PgConnection, schema: &Schema, change: Change) -> Result<Known, Failure> {
    let table = quote(schema.table());
    let before = change.known.columns.len() - change.added;
    for column in &change.known.columns[before..] {
        let add = format!("ALTER TABLE {table} ADD COLUMN {}", column_sql(column));
        run(db, schema, add).await?;
    }
    if change.loosened {
        for column in change.known.columns[..before]
            .iter()
            .filter(|column| column.nullable)
        {
            let name = quote(&column.name);
            run(
                db,
                schema,
                format!("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL"),
            )
            .await?;
        }
    }
    Ok(change.known)
}

async fn remember(db: &mut PgConnection, schema: &Schema, known: &Known) -> Result<(), Failure> {
    let json = serde_json::to_string(known).map_err(|error| misfit(schema, error.to_string()))?;
    sqlx::query("DELETE FROM item_table WHERE lower(name) = $1")
        .bind(name(schema))
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO item_table (name, schema) VALUES ($1, $2)")
        .bind(schema.table())
        .bind(json)
        .execute(db)
        .await?;
    Ok(())
}

/// Runs a statement made of literals and of names that [`Schema::new`] has checked. A column that
/// PostgreSQL does not take is told as a misfit.
async fn run(db: &mut PgConnection, schema: &Schema, statement: String) -> Result<(), Failure> {
    match sqlx::raw_sql(AssertSqlSafe(statement)).execute(db).await {
        Ok(_) => Ok(()),
        Err(error) => match error.as_database_error() {
            Some(said) if said.code().is_some_and(|code| code.starts_with("42")) => {
                Err(misfit(schema, said.message().to_owned()))
            }
            _ => Err(error.into()),
        },
    }
}

fn column_sql(column: &KnownColumn) -> String {
    let needed = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{needed}", quote(&column.name), type_of(column.kind))
}
