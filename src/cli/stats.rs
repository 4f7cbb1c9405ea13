//! `nephila stats [RUN]`.

use std::io::Write;

use super::database::Database;
use super::failure::Failure;
use super::format::{Format, FormatFlag};
use super::list::{minute, number, state};
use super::output;
use super::project::Project;
use crate::export::write_json;
use crate::item::Value;
use crate::store::{PageState, Reader, RunRow};
use crate::ui::{bytes, clean, count, plural, shorten};

/// What runs did: all of them in a table, or one in full with its failures
#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    /// The number of a run, or `last`
    run: Option<String>,
    #[command(flatten)]
    format: FormatFlag,
}

impl Stats {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let runs = reader.runs().await?;
        let Some(wanted) = &self.run else {
            self.all(&runs)?;
            return Ok(0);
        };
        let id = wanted.parse().ok();
        let found = match &**wanted {
            "last" => runs.first(),
            _ => runs.iter().find(|run| Some(run.id.0) == id),
        };
        let Some(run) = found else {
            let failure = Failure::usage(format!("no run `{wanted}` in {}", database.shown));
            return Err(failure.more(format!("nephila stats{} shows all", database.flag)));
        };
        match self.format.get() {
            Format::Json | Format::Jsonl => object(run)?,
            _ => one(&*reader, run).await?,
        }
        Ok(0)
    }

    fn all(&self, runs: &[RunRow]) -> Result<(), Failure> {
        let mut export = self.format.get().export(output::stdout());
        let columns = [
            "run", "spider", "started", "state", "pages", "failed", "skipped", "items", "retries",
            "bytes",
        ];
        export.begin(&columns.map(str::to_owned))?;
        for run in runs {
            export.row(&[
                Value::Integer(run.id.0),
                Value::Text(run.spider.clone()),
                Value::Text(minute(run.started)),
                Value::Text(state(run)),
                number(run.done),
                number(run.failed),
                number(run.skipped),
                number(run.items),
                number(run.retries),
                number(run.bytes),
            ])?;
        }
        Ok(export.end()?)
    }
}

/// A run with its settings and its own report, for programs.
fn object(run: &RunRow) -> Result<(), Failure> {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    let mut object =
        serde_json::to_value(run).map_err(|error| Failure::broken(error.to_string()))?;
    object["args"] = parsed(&run.args);
    object["settings"] = parsed(&run.settings);
    object["report"] = run.report.as_deref().map(parsed).into();
    let mut to = output::stdout();
    write_json(&mut to, &object)?;
    writeln!(to)?;
    Ok(to.flush()?)
}

async fn one(reader: &dyn Reader, run: &RunRow) -> Result<(), Failure> {
    let mut to = output::stdout();
    writeln!(
        to,
        "run {} of {}  {}",
        run.id.0,
        clean(&run.spider),
        clean(&state(run))
    )?;
    writeln!(to, "  started  {}", run.started)?;
    if let Some(ended) = run.ended {
        writeln!(to, "  ended    {ended}")?;
    }
    let (done, redirects) = (plural(run.done, "page"), plural(run.redirects, "redirect"));
    writeln!(
        to,
        "  pages    {done}, {redirects}, {} of body",
        bytes(run.bytes)
    )?;
    let (failed, skipped) = (count(run.failed), count(run.skipped));
    writeln!(
        to,
        "  lost     {failed} failed, {skipped} skipped, {}",
        count(run.retries) + " retried"
    )?;
    let (new, changed) = (count(run.new), count(run.changed));
    writeln!(
        to,
        "  items    {} ({new} new, {changed} changed)",
        count(run.items)
    )?;
    for (state, name) in [
        (PageState::Failed, "failed"),
        (PageState::Skipped, "skipped"),
    ] {
        for group in reader.errors(&[run.id], state).await? {
            let (step, message) = (clean(&group.step), shorten(&group.message, 200));
            writeln!(to, "  {name}   {} x {step}: {message}", count(group.count))?;
            let found = group.referrer.map_or_else(String::new, |page| {
                format!("   (from {})", shorten(&page, 200))
            });
            writeln!(to, "           {}{found}", shorten(&group.url, 200))?;
        }
    }
    for refused in reader.refused(run.crawl).await?.into_iter().take(20) {
        let (reason, subject) = (clean(&refused.reason), clean(&refused.subject));
        let sample = shorten(&refused.sample, 200);
        writeln!(
            to,
            "  refused  {} x {reason} {subject}   {sample}",
            count(refused.count)
        )?;
    }
    Ok(to.flush()?)
}
