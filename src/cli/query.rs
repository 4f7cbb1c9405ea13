//! `nephila query ["SQL"]`.

use tokio::time::Instant;

use super::database::Database;
use super::failure::Failure;
use super::format::{Format, FormatFlag};
use super::output;
use super::project::Project;
use super::rows::{Asked, Written};
use crate::item::{Kind, Value};
use crate::settings::closest;
use crate::store::{Reader, StoreError};
use crate::ui::{duration, plural};

/// Columns that every table of items has besides its own.
const PROVENANCE: [&str; 9] = [
    "_id",
    "_page",
    "_run",
    "_url",
    "_first_seen",
    "_last_seen",
    "_changed",
    "_changed_by",
    "_hash",
];

const EXAMPLES: &str = "\
Examples:
  nephila query
  nephila query \"select stars, count(*), avg(price) from books group by stars\"
  nephila query --format csv \"select * from books\" > books.csv
  nephila query \"select state, reason, count(*) from url group by 1, 2\"";

/// Ask the results anything, in SQL; read-only, also while a crawl runs
///
/// Without a query: the tables, their rows and columns.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Query {
    /// One SQL query
    sql: Option<String>,
    #[command(flatten)]
    format: FormatFlag,
}

impl Query {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let format = self.format.get();
        let Some(sql) = &self.sql else {
            tables(&*reader, format).await?;
            return Ok(0);
        };
        let started = Instant::now();
        let rows = print(&*reader, sql, format).await?;
        if format == Format::Table {
            output::say(&format!(
                "{}, {}   ({}, read-only)",
                plural(rows, "row"),
                duration(started.elapsed()),
                database.shown
            ));
        }
        Ok(0)
    }
}

/// Prints the answer to `sql` as it comes; how many rows it has.
pub(super) async fn print(reader: &dyn Reader, sql: &str, format: Format) -> Result<u64, Failure> {
    let tables = reader.tables().await?;
    let columns = tables.iter().flat_map(|table| &table.columns);
    // Where a name is that of a list or map, its text is JSON; a number stays what it is.
    let lists = columns.filter(|column| column.kind == Kind::Json);
    let mut export = format.export(output::stdout());
    let rows = Written::new(&mut *export).typed(lists);
    match rows.ask(reader, sql).await {
        Ok(rows) => {
            export.end()?;
            Ok(rows)
        }
        Err(Asked::Store(StoreError::Query(said))) => {
            let hint = meant(reader, &said).await;
            Err(Failure::usage(said).maybe(hint))
        }
        Err(error) => Err(error.into()),
    }
}

/// The table or column that was probably meant by the one that the database does not know.
async fn meant(reader: &dyn Reader, said: &str) -> Option<String> {
    let (what, name) = unknown(said)?;
    let tables = reader.tables().await.ok()?;
    let names: Vec<&str> = match what {
        "table" => tables.iter().map(|table| table.name.as_str()).collect(),
        "column" => tables
            .iter()
            .flat_map(|table| &table.columns)
            .map(|column| &*column.name)
            .chain(PROVENANCE)
            .collect(),
        _ => return None,
    };
    // SQL makes no difference between upper and lower case.
    let bare = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    match closest(&bare, lower.iter().map(String::as_str)) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if what == "table" && names.is_empty() => Some(
            "there are no items yet; the store's own: nephila query \"select * from url limit 5\""
                .to_owned(),
        ),
        None if what == "table" => Some(format!("tables of items: {}", names.join(", "))),
        None => None,
    }
}

/// What the database does not know: a `table` or a `column`, and its name. SQLite says `no such column:
/// prise`, PostgreSQL `column b.prise does not exist`.
fn unknown(said: &str) -> Option<(&str, &str)> {
    if let Some(said) = said.strip_prefix("no such ") {
        return said.split_once(": ");
    }
    let (what, name) = said.strip_suffix(" does not exist")?.split_once(' ')?;
    let what = match what {
        "relation" => "table",
        what => what,
    };
    Some((what, name.trim_matches('"')))
}

async fn tables(reader: &dyn Reader, format: Format) -> Result<(), Failure> {
    let tables = reader.tables().await?;
    if tables.is_empty() {
        output::say("no items yet; nephila list shows the spiders");
    }
    let mut export = format.export(output::stdout());
    export.begin(&[
        "table".into(),
        "rows".into(),
        "key".into(),
        "columns".into(),
    ])?;
    for table in tables {
        let columns: Vec<_> = table.columns.iter().map(|column| &*column.name).collect();
        export.row(&[
            Value::Text(table.name),
            Value::Integer(i64::try_from(table.rows).unwrap_or(i64::MAX)),
            Value::Text(table.key.join(", ")),
            Value::Text(columns.join(", ")),
        ])?;
    }
    Ok(export.end()?)
}
