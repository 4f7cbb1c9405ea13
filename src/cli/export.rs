//! `nephila export TABLE -o FILE`.

use std::path::{Path, PathBuf};

use super::database::Database;
use super::destination::{Destination, FileFlags};
use super::failure::{Failure, meant};
use super::items::column_as;
use super::output;
use super::project::Project;
use super::rows::Written;
use crate::export::Export;
use crate::store::{Reader, TableRow};
use crate::ui::plural;

const EXAMPLES: &str = "\
Examples:
  nephila export books -o books.csv
  nephila export books -o books.jsonl.gz           packed as it is written
  nephila export \"select title, price from books where stars = 5\" -o best.xml
  nephila export books -o books.csv --split 100MB  books-0001.csv, books-0002.csv…
  nephila export books > books.jsonl";

/// Write a table, or the answer to a query, to a file: whole, or not at all
///
/// The file's name says the format: .jsonl, .csv, .json or .xml, packed with .gz or .zst after it; or .parquet,
/// if nephila was built with it. s3://BUCKET/NAME is an object in an S3-compatible store, if it was built with that.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportOf {
    /// A table of items, or one SQL query
    #[arg(value_name = "TABLE|SQL")]
    what: String,
    /// The file, or - for JSON Lines on standard output
    #[arg(
        short = 'o',
        long,
        value_name = "FILE",
        default_value = "-",
        help_heading = "Output"
    )]
    output: PathBuf,
    /// With the store's own columns, too: where and when each row was seen
    #[arg(long, help_heading = "Output")]
    provenance: bool,
    #[command(flatten)]
    file: FileFlags,
}

impl ExportOf {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let destination = Destination::parse(&self.output, self.file)?;
        destination.check()?;
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let tables = reader.tables().await?;
        let sql = self.sql(&*reader, &tables)?;
        let is_own =
            |table: &&TableRow| self.is_sql() || table.name.eq_ignore_ascii_case(&self.what);
        let columns = tables.iter().filter(is_own);
        let columns = columns.flat_map(|table| &table.columns);
        let mut file = destination.open();
        let rows = write(&*reader, &sql, columns, &mut file).await?;
        let names = file
            .publish()
            .map_err(|error| cannot(&self.output, &error))?;
        if destination.path().is_some() {
            output::say(&format!("  {} in {names}", plural(rows, "row")));
        }
        Ok(0)
    }

    fn is_sql(&self) -> bool {
        self.what.contains(char::is_whitespace)
    }

    /// The query that is written.
    fn sql(&self, reader: &dyn Reader, tables: &[TableRow]) -> Result<String, Failure> {
        if self.is_sql() {
            return Ok(self.what.clone());
        }
        let table = tables
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(&self.what));
        let Some(table) = table else {
            let names = tables.iter().map(|table| table.name.as_str());
            let meant = meant(&self.what, names.clone());
            let failure = Failure::usage(format!("no table of items `{}`{meant}", self.what));
            let all = names.collect::<Vec<_>>().join(", ");
            return Err(failure.maybe((!all.is_empty()).then(|| format!("there are: {all}"))));
        };
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| column_as(reader, &column.name))
            .collect();
        let columns = if self.provenance {
            "*".to_owned()
        } else {
            columns.join(", ")
        };
        let name = reader.quote(&table.name);
        Ok(format!("SELECT {columns} FROM {name} ORDER BY \"_id\""))
    }
}

async fn write<'c>(
    reader: &dyn Reader,
    sql: &str,
    columns: impl Iterator<Item = &'c crate::item::Column>,
    file: &mut super::destination::Opened,
) -> Result<u64, Failure> {
    let rows = Written::new(file).typed(columns).ask(reader, sql).await?;
    file.end()?;
    Ok(rows)
}

fn cannot(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("can't write {}: {error}", path.display()))
}
