//! `nephila query ["SQL"]`.

use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::database::Database;
use super::failure::Failure;
use super::format::{Format, FormatFlag};
use super::output;
use super::project::Project;
use crate::item::Value;
use crate::store::{self, Reader, Rows};

/// Rows that may wait to be printed.
const AHEAD: usize = 256;

/// Ask the results anything, in SQL; read-only, also while a crawl runs
///
/// Without a query: the tables, their rows and columns.
#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// One SQL query
    sql: Option<String>,
    #[command(flatten)]
    format: FormatFlag,
}

impl Query {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let reader = store::open_reader(&database.url).await?;
        match &self.sql {
            Some(sql) => print(&*reader, sql, self.format.get()).await?,
            None => tables(&*reader, self.format.get()).await?,
        }
        Ok(0)
    }
}

/// Prints the answer to `sql` as it comes.
pub(super) async fn print(reader: &dyn Reader, sql: &str, format: Format) -> Result<(), Failure> {
    let (sender, lines) = sync_channel::<Line>(AHEAD);
    let writer = thread::spawn(move || -> std::io::Result<()> {
        let mut export = format.export(output::stdout());
        for line in lines {
            match line {
                Line::Columns(names) => export.begin(&names)?,
                Line::Row(values) => export.row(&values)?,
            }
        }
        export.end()
    });
    let mut rows = Printed(sender);
    let asked = reader.query(sql, &mut rows).await;
    drop(rows);
    let printed = writer
        .join()
        .map_err(|_| Failure::broken("the thread that prints rows panicked"))?;
    // A query that is refused has printed nothing; what it says is the answer.
    asked.map_err(|error| match error {
        store::StoreError::Database(said) => Failure::usage(said),
        other => other.into(),
    })?;
    Ok(printed?)
}

enum Line {
    Columns(Vec<String>),
    Row(Vec<Value>),
}

/// Hands rows to the thread that prints; once that has ended, the query ends.
struct Printed(SyncSender<Line>);

impl Rows for Printed {
    fn columns(&mut self, names: Vec<String>) {
        let _ = self.0.send(Line::Columns(names));
    }

    fn row(&mut self, values: Vec<Value>) -> ControlFlow<()> {
        match self.0.send(Line::Row(values)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
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
