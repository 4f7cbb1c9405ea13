//! `-o FILE`: the items of a crawl as a file.

use std::io;
use std::path::Path;

use super::database::Database;
use super::destination::Destination;
use super::failure::Failure;
use super::output;
use super::rows::Written;
use crate::engine::{Report, Stop};
use crate::export::Export;
use crate::store::{self, Reader, TableRow};
use crate::ui::plural;

/// Refuses before the crawl what could not be written after it.
pub(super) fn check(destination: &Destination, tables: &[String]) -> Result<(), Failure> {
    match destination.path() {
        Some(path) if destination.is_one_table() && tables.len() > 1 => {
            Err(one_table(path, tables))
        }
        _ => destination.check(),
    }
}

/// Writes the items of the report's crawl, those of its earlier runs included.
pub(super) async fn write(
    destination: &Destination,
    database: &Database,
    report: &Report,
    declared: &[String],
) -> Result<(), Failure> {
    let path = destination.path();
    if matches!(report.stop, Stop::Interrupted | Stop::Broken(_)) {
        if let Some(path) = path {
            let path = path.display();
            output::say(&format!("{path} is not written: the crawl is to go on"));
        }
        return Ok(());
    }
    let reader = store::open_reader(&database.url).await?;
    let crawl = Crawl::of(&*reader, report, declared).await?;
    let Some(path) = path else {
        crawl.write(&mut destination.open()).await?;
        return Ok(());
    };
    let lost = |error| lost(path, &error, database);
    let mut file = destination.open();
    if destination.is_one_table() && crawl.tables.len() > 1 {
        let names = crawl.tables.into_iter().map(|table| table.name);
        return Err(one_table(path, &names.collect::<Vec<_>>()));
    }
    let written = crawl.write(&mut file).await?;
    let names = file.publish().map_err(lost)?;
    output::say(&format!("  {} in {names}", plural(written, "item")));
    Ok(())
}

fn one_table(path: &Path, tables: &[String]) -> Failure {
    Failure::usage(format!(
        "-o {}: such a file holds one table, but there are {}",
        path.display(),
        tables.join(", ")
    ))
    .more("write .jsonl, or one table later:  nephila query --format csv \"select …\"")
}

/// The crawl is over, and only its file is missing.
fn lost(path: &Path, error: &io::Error, database: &Database) -> Failure {
    let path = path.display();
    Failure::broken(format!("can't write {path}: {error}")).more(format!(
        "the items are in {}:  nephila query{} --format jsonl \"select …\"",
        database.shown, database.flag
    ))
}

/// The items of one crawl.
struct Crawl<'a> {
    reader: &'a dyn Reader,
    tables: Vec<TableRow>,
    /// Numbers of its runs, for an SQL list.
    runs: String,
}

impl<'a> Crawl<'a> {
    /// The crawl of a report, with the tables that its spider declares or has filled.
    async fn of(
        reader: &'a dyn Reader,
        report: &Report,
        declared: &[String],
    ) -> Result<Self, Failure> {
        let all = reader.runs().await?;
        let own = all.iter().find(|row| row.id.0 == report.statistics.run);
        let of_crawl = all
            .iter()
            .filter(|row| own.is_some_and(|own| own.crawl == row.crawl));
        let runs: Vec<String> = of_crawl.map(|row| row.id.0.to_string()).collect();
        let mut tables = reader.tables().await?;
        tables.retain(|table| {
            let same = |name: &String| name.eq_ignore_ascii_case(&table.name);
            declared.iter().any(same) || report.statistics.items.keys().any(same)
        });
        Ok(Self {
            reader,
            tables,
            runs: runs.join(", "),
        })
    }

    /// Writes all of them; how many there are.
    async fn write(&self, to: &mut (dyn Export + Send)) -> Result<u64, Failure> {
        let mut written = 0;
        for table in &self.tables {
            // Rows of several tables say which they are of.
            let name = (self.tables.len() > 1).then(|| table.name.clone());
            let rows = Written::new(&mut *to).of_table(name).typed(&table.columns);
            written += rows.ask(self.reader, &self.select(table)).await?;
        }
        to.end()?;
        Ok(written)
    }

    fn select(&self, table: &TableRow) -> String {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| column_as(self.reader, &column.name))
            .collect();
        format!(
            "SELECT {} FROM {} WHERE \"_run\" IN ({}) ORDER BY \"_id\"",
            columns.join(", "),
            self.reader.quote(&table.name),
            self.runs
        )
    }
}

/// A column in a query, called as the struct calls it.
pub(super) fn column_as(reader: &dyn Reader, name: &str) -> String {
    format!("{} AS \"{name}\"", reader.quote(name))
}
