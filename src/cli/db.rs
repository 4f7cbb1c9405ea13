//! `nephila db copy FROM TO`.

use clap::Subcommand;

use super::database::Database;
use super::failure::Failure;
use super::output;
use super::project::Project;
use crate::store;
use crate::ui::{count, plural};

const EXAMPLES: &str = "\
Examples:
  nephila db copy crawl.db postgres://nephila@db.example/crawls   from one machine to many
  nephila db copy postgres://db.example/crawls crawl.db           and back";

/// Move crawls from one database to another
#[derive(Debug, clap::Args)]
pub(super) struct Db {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    Copy(Copy),
}

/// Copy a database into another, a file or a server: queue, pages, cookies, runs and items
///
/// The crawls go on there where they were here: nephila resume --db TO. The target must be a new file, or a
/// database without crawls; it gets all or nothing. Nobody may work on either meanwhile. The source stays.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Copy {
    /// A file, sqlite:FILE or postgres://USER@HOST/NAME
    from: String,
    /// The same
    to: String,
}

impl Db {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let DbCommand::Copy(Copy { from, to }) = self.command;
        let project = Project::find()?;
        let (source, target) = (
            Database::find(Some(&from), &project),
            Database::find(Some(&to), &project),
        );
        let (mut pages, mut queued, mut items, mut tables) = (0, 0, 0, 0);
        let mut told = |table: &str, rows: u64| {
            match table {
                "page" => pages = rows,
                "queue" => queued = rows,
                "crawl" | "run" | "host" | "robots" | "seen" | "visit" | "attempt" | "spent"
                | "cookie" | "refused" => {}
                _ => (items, tables) = (items + rows, tables + 1),
            }
            if rows > 0 {
                output::say(&format!("  {table}: {}", plural(rows, "row")));
            }
        };
        store::copy(&source.url, &target.url, &mut told).await?;
        output::say(&format!(
            "copied {} and {} queued requests, {} of {} into {}",
            plural(pages, "page"),
            count(queued),
            plural(items, "item"),
            plural(tables, "table"),
            target.shown
        ));
        if queued > 0 {
            output::say(&format!("go on there:  nephila resume{}", target.flag));
        }
        Ok(0)
    }
}
