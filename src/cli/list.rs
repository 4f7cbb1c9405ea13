//! `nephila list`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::project::Project;
use super::{output, spiders};
use crate::item::Value;
use crate::spider::StepInfo;
use crate::store::RunRow;

/// List the spiders: their steps and tables, when they last ran and how that ended
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    format: FormatFlag,
}

impl List {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let (runs, failure) = match database.runs().await {
            Ok(runs) => (runs, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let mut export = self.format.get().listing(output::stdout());
        let columns = [
            "spider", "about", "steps", "tables", "last run", "state", "items",
        ];
        export.begin(&columns.map(str::to_owned))?;
        for spider in spiders::all() {
            let last = runs.iter().find(|run| run.spider == spider.name());
            let (steps, tables) = steps_and_tables(spider.steps());
            export.row(&[
                Value::Text(spider.name().to_owned()),
                Value::Text(spider.about()),
                steps,
                tables,
                last.map_or(Value::Null, |run| Value::Text(minute(run.started))),
                last.map_or(Value::Null, |run| Value::Text(state(run))),
                last.map_or(Value::Null, |run| number(run.items)),
            ])?;
        }
        export.end()?;
        failure.map_or(Ok(0), Err)
    }
}

/// Names of steps and tables.
fn steps_and_tables(steps: &[StepInfo]) -> (Value, Value) {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let tables = steps.iter().flat_map(StepInfo::tables);
    let mut tables: Vec<String> = tables.map(|schema| schema.table().to_owned()).collect();
    tables.sort();
    tables.dedup();
    (
        Value::Text(names.join(", ")),
        Value::Text(tables.join(", ")),
    )
}

/// A moment as people read it.
pub(super) fn minute(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A count for a column.
pub(super) fn number(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// How a run ended, in a word or two.
pub(super) fn state(run: &RunRow) -> String {
    if run.ended.is_none() {
        // The store may know that it lives; of one that does not, the next process tells.
        return if run.lives && !run.steps.is_empty() {
            "running".to_owned()
        } else {
            "running, or killed".to_owned()
        };
    }
    let stop = run.stop.as_deref().unwrap_or_default();
    // The run that found it dead wrote a plain word.
    let Ok(stop) = serde_json::from_str::<serde_json::Value>(stop) else {
        return stop.to_owned();
    };
    let why = stop["why"].as_str().unwrap_or("ended");
    match stop["detail"].as_str() {
        Some(detail) => format!("{why}: {detail}"),
        None => why.to_owned(),
    }
}
