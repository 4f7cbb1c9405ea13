//! `nephila failed [RUN]`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::list::number;
use super::output;
use super::project::Project;
use super::runs::run_named;
use crate::item::Value;
use crate::store::PageState;

const EXAMPLES: &str = "\
Examples:
  nephila failed                        of the last crawl, all of its runs
  nephila failed 42 --skipped
  nephila retry last --error 3f1c2a7e   try a group again";

/// What failed, in groups: how many pages, why, and one of them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Failed {
    /// Only of this run: a number, or `last` [default: all runs of the last crawl]
    run: Option<String>,
    /// What was skipped instead: robots.txt, budgets, redirects out of scope
    #[arg(long)]
    skipped: bool,
    #[command(flatten)]
    format: FormatFlag,
}

impl Failed {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let runs = reader.runs().await?;
        let wanted = if let Some(wanted) = &self.run {
            vec![run_named(runs, wanted, &database)?.id]
        } else {
            let last = runs.first().map(|run| run.crawl);
            let of = runs.iter().filter(|run| Some(run.crawl) == last);
            of.map(|run| run.id).collect()
        };
        let state = if self.skipped {
            PageState::Skipped
        } else {
            PageState::Failed
        };
        let groups = reader.errors(&wanted, state).await?;
        let mut export = self.format.get().export(output::stdout());
        let columns = [
            "error", "pages", "step", "reason", "message", "sample", "found on",
        ];
        export.begin(&columns.map(str::to_owned))?;
        for group in groups {
            export.row(&[
                Value::Text(group.id()),
                number(group.count),
                Value::Text(group.step),
                Value::Text(group.reason),
                Value::Text(group.message),
                Value::Text(group.url),
                group.referrer.map_or(Value::Null, Value::Text),
            ])?;
        }
        export.end()?;
        Ok(0)
    }
}
