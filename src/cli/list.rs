//! `nephila list`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::output;
use super::project::Project;
use crate::item::Value;
use crate::spider::{Args, Registration, StepInfo, registered};
use crate::store::{self, RunRow};

/// List the spiders: their steps and tables, when they last ran and how that ended
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    format: FormatFlag,
}

impl List {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        // Without a database there were no runs yet.
        let runs = match store::open_reader(&database.url).await {
            Ok(reader) => reader.runs().await?,
            Err(_) => Vec::new(),
        };
        let mut export = self.format.get().export(output::stdout());
        let columns = [
            "spider", "about", "steps", "tables", "last run", "state", "items",
        ];
        export.begin(&columns.map(str::to_owned))?;
        for spider in registered() {
            let last = runs.iter().find(|run| run.spider == spider.name);
            let (steps, tables) = steps_and_tables(spider);
            export.row(&[
                Value::Text(spider.name.to_owned()),
                Value::Text(spider.about.to_owned()),
                steps,
                tables,
                last.map_or(Value::Null, |run| Value::Text(minute(run.started))),
                last.map_or(Value::Null, |run| Value::Text(state(run))),
                last.map_or(Value::Null, |run| number(run.items)),
            ])?;
        }
        export.end()?;
        Ok(0)
    }
}

/// Names of steps and tables; unknown of a spider that can't be made without arguments.
fn steps_and_tables(registration: &Registration) -> (Value, Value) {
    let Ok(spider) = (registration.make)(&Args::new()) else {
        return (Value::Null, Value::Null);
    };
    let steps: Vec<&str> = spider.steps().iter().map(|step| step.name).collect();
    let tables = spider
        .steps()
        .iter()
        .flat_map(|step: &StepInfo| (step.tables)());
    let mut tables: Vec<String> = tables.map(|schema| schema.table().to_owned()).collect();
    tables.dedup();
    (
        Value::Text(steps.join(", ")),
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
        return "running, or killed".to_owned();
    }
    let stop = run.stop.as_deref().unwrap_or_default();
    let stop: serde_json::Value = serde_json::from_str(stop).unwrap_or_default();
    let why = stop["why"].as_str().unwrap_or("ended");
    match stop["detail"].as_str() {
        Some(detail) => format!("{why}: {detail}"),
        None => why.to_owned(),
    }
}
