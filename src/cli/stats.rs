//! `nephila stats [RUN]`.

use super::database::Database;
use super::failure::Failure;
use super::format::FormatFlag;
use super::list::state;
use super::output;
use super::project::Project;
use crate::item::Value;
use crate::store::{self, PageState, Reader, RunRow};
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
        let reader = store::open_reader(&database.url).await?;
        let runs = reader.runs().await?;
        let Some(wanted) = &self.run else {
            self.all(&runs)?;
            return Ok(0);
        };
        let number = wanted.parse().ok();
        let found = match &**wanted {
            "last" => runs.first(),
            _ => runs.iter().find(|run| Some(run.id.0) == number),
        };
        let Some(run) = found else {
            let failure = Failure::usage(format!("no run `{wanted}` in {}", database.shown));
            return Err(failure.more(format!("nephila stats{} shows all", database.flag)));
        };
        one(&*reader, run).await?;
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
            let number = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
            export.row(&[
                Value::Integer(run.id.0),
                Value::Text(run.spider.clone()),
                Value::Text(run.started.to_string()),
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

async fn one(reader: &dyn Reader, run: &RunRow) -> Result<(), Failure> {
    use std::io::Write;
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
