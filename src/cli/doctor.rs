//! `nephila doctor`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::output;
use super::project::Project;
use crate::item::Value;
use crate::ui::plural;

const EXAMPLES: &str = "\
Examples:
  nephila doctor                                   crawl.db
  nephila doctor --deep                            reads and counts all of it
  nephila doctor --db postgres://db.example/crawls";

/// Look after the health of the database: what is in the way, and what to do about it
///
/// Of a file: integrity, log, free room, who has it open. Of a server: old snapshots and who holds them,
/// vacuum, dead rows, leases, steps that nobody knows, clocks, connections, checkpoints. Changes nothing.
/// Ends with 1 if something should be done.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    /// Check and count every row; takes as long as the database is large
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    format: FormatFlag,
}

impl Doctor {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let found = reader.examine(self.deep).await?;
        let troubles = found.iter().filter(|finding| finding.is_trouble).count();
        let mut export = self.format.get().listing(output::stdout());
        export.begin(&["state", "about", "found", "what to do"].map(str::to_owned))?;
        for finding in found {
            let state = if finding.is_trouble {
                "trouble"
            } else {
                "well"
            };
            let advice = Some(finding.advice).filter(|advice| !advice.is_empty());
            export.row(&[
                Value::Text(state.to_owned()),
                Value::Text(finding.subject.to_owned()),
                Value::Text(finding.found),
                advice.map_or(Value::Null, Value::Text),
            ])?;
        }
        export.end()?;
        output::say(&match troubles {
            0 => format!("{}: all is well", database.shown),
            some => format!("{}: {}", database.shown, plural(some as u64, "trouble")),
        });
        Ok(u8::from(troubles > 0))
    }
}
