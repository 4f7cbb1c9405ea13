//! `nephila list`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::output;
use super::project::Project;
use crate::item::Value;
use crate::spider::registered;
use crate::store::{self, RunRow};

/// The spiders of this program, and how their last run ended
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
        let columns = ["spider", "about", "file", "last run", "state", "items"];
        export.begin(&columns.map(str::to_owned))?;
        for spider in registered() {
            let last = runs.iter().find(|run| run.spider == spider.name);
            export.row(&[
                Value::Text(spider.name.to_owned()),
                Value::Text(spider.about.to_owned()),
                Value::Text(spider.file.to_owned()),
                last.map_or(Value::Null, |run| Value::Text(run.started.to_string())),
                last.map_or(Value::Null, |run| Value::Text(state(run))),
                last.map_or(Value::Null, |run| {
                    Value::Integer(i64::try_from(run.items).unwrap_or(i64::MAX))
                }),
            ])?;
        }
        export.end()?;
        Ok(0)
    }
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
