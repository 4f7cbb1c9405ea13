//! `nephila retry RUN`.

use std::fmt::Write as _;

use super::crawl::{Order, ProgressMode};
use super::database::Database;
use super::failure::Failure;
use super::flags::SettingFlags;
use super::output;
use super::project::Project;
use super::runs::{command_of, crawl_of, run_named, source_of, spider_of};
use crate::item::Value;
use crate::settings::Layer;
use crate::store::{
    self, Begin, CrawlRow, End, Finished, Reader, Rest, RunRow, collect, error_id, together,
};
use crate::ui::{Screen, count, plural};

const EXAMPLES: &str = "\
Examples:
  nephila failed                             what failed, in groups
  nephila retry last                         all that failed in the last run
  nephila retry 42 --error 3f1c --canary 5   one group; five pages first
  nephila retry 42 --status 5xx,429
  nephila retry 42 --where \"reason = 'robots' and depth < 3\"
  nephila retry 42 --step detail --discard   give up what is queued for a step that is gone";

/// Try pages of a run again that failed
///
/// They go back into the queue of their crawl, which goes on; their failures are kept among their
/// tries (nephila explain URL). Flags together narrow the choice. Where several processes worked on the
/// crawl together, it is the pages of all of them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Retry {
    /// The number of a run, or `last`
    run: String,
    /// Only answers with these statuses: 404, 5xx, or 0 for none
    #[arg(
        long,
        value_name = "STATUS",
        value_delimiter = ',',
        help_heading = "Which pages"
    )]
    status: Vec<String>,
    /// Only a group of errors (see: nephila failed)
    #[arg(long, value_name = "ID", help_heading = "Which pages")]
    error: Option<String>,
    /// Only pages of this step
    #[arg(long, value_name = "STEP", help_heading = "Which pages")]
    step: Option<String>,
    /// Only where this holds of their row in the view `url`; skipped pages, too
    #[arg(long = "where", value_name = "SQL", help_heading = "Which pages")]
    filter: Option<String>,
    /// Try so many first, and the others only if all of them go well
    #[arg(long, value_name = "PAGES", help_heading = "Which pages")]
    canary: Option<usize>,
    /// Give up what is queued for --step, instead of trying
    #[arg(
        long,
        requires = "step",
        conflicts_with_all = ["status", "error", "filter", "canary"],
        help_heading = "Which pages"
    )]
    discard: bool,
    #[command(flatten)]
    flags: SettingFlags,
    /// How progress is shown: auto is bar on a terminal, else line
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    progress: ProgressMode,
}

impl Retry {
    pub(super) async fn run(self, db: Option<&str>, screen: &Screen) -> Result<u8, Failure> {
        let project = Project::find()?;
        let database = Database::find(db, &project);
        let reader = database.reader().await?;
        let runs = reader.runs().await?;
        let run = run_named(runs.clone(), &self.run, &database)?;
        let crawl = crawl_of(&*reader, &run).await?;
        let source = source_of(&crawl, &runs);
        if let Some(step) = self.step.as_ref().filter(|_| self.discard) {
            return discard(&database, (&crawl, &source), step).await;
        }
        let mut pages = self.pages(&*reader, &together(&runs, run.id)).await?;
        if pages.is_empty() {
            let failure =
                Failure::usage(format!("no page of run {} is to be tried again", run.id.0));
            // After `retry` the last run is the retry, and what it left alone is of the run before.
            let others = runs.iter().filter(|other| other.crawl == run.crawl);
            let others = others.filter(|other| other.failed > 0 && other.id != run.id);
            let other = others
                .max_by_key(|other| other.id.0)
                .map_or(run.id, |other| other.id);
            return Err(failure.more(format!(
                "what failed:  nephila failed {}{}",
                other.0, database.flag
            )));
        }
        if self.canary.is_some() && crawl.queued() > 0 {
            let left = plural(crawl.queued(), "request");
            return Err(
                Failure::usage(format!("{left} of this crawl are queued already"))
                    .more("a canary needs an empty queue; go on first:  nephila resume"),
            );
        }
        let spider = spider_of(&crawl, &source)?;
        let flags = self.flags.layer()?;
        let settings = |flags: &Layer| {
            let own = Some((spider.name(), spider.settings()));
            project.settings(own, flags)
        };
        let mut order = Order {
            command: command_of(&crawl, &source, &database),
            settings: settings(&flags)?.0,
            spider: spider.clone(),
            args: crawl.args,
            database,
            fresh: false,
            retry: None,
            mode: self.progress.mode(),
        };
        if let Some(canary) = self
            .canary
            .filter(|&canary| canary > 0 && canary < pages.len())
        {
            let rest = pages.split_off(canary);
            let birds = std::mem::replace(&mut pages, rest);
            let code = fly(&mut order, &*reader, birds, pages.len(), screen).await?;
            if let Some(code) = code {
                return Ok(code);
            }
        }
        say(&format!(
            "trying {} again",
            plural(pages.len() as u64, "page")
        ));
        order.retry = Some(pages);
        Ok(order.run(screen).await?.exit_code())
    }

    /// The pages of some runs that all flags agree on.
    async fn pages(&self, reader: &dyn Reader, runs: &[&RunRow]) -> Result<Vec<i64>, Failure> {
        let runs: Vec<String> = runs.iter().map(|run| run.id.0.to_string()).collect();
        let mut sql = format!(
            "SELECT page, coalesce(reason, ''), step, coalesce(message, '') FROM url \
             WHERE run IN ({}) AND state <> 'done'",
            runs.join(", ")
        );
        match &self.filter {
            // A comment at its end must not take the rest along.
            Some(filter) => write!(sql, " AND ({filter}\n)"),
            None => write!(sql, " AND state = 'failed'"),
        }
        .expect("a string takes all");
        let statuses: Vec<_> = self
            .status
            .iter()
            .map(|text| statuses(text))
            .collect::<Result<_, _>>()?;
        if !statuses.is_empty() {
            write!(sql, " AND ({})", statuses.join(" OR ")).expect("a string takes all");
        }
        sql.push_str(" ORDER BY page");
        let rows = collect(reader, &sql).await;
        let (_, rows) = rows.map_err(|error| {
            let columns = self.filter.is_some().then(|| {
                "--where is about the view url: url, state, status, reason, message, step, depth, tries, at, ms, bytes"
                    .to_owned()
            });
            Failure::from(error).maybe(columns)
        })?;
        let mut pages = Vec::new();
        for row in rows {
            let [
                Value::Integer(page),
                Value::Text(reason),
                Value::Text(step),
                Value::Text(message),
            ] = row.as_slice()
            else {
                continue;
            };
            let is_of =
                |wanted: &String| error_id(reason, step, message).starts_with(wanted.as_str());
            if self.error.as_ref().is_none_or(is_of)
                && self.step.as_ref().is_none_or(|wanted| wanted == step)
            {
                pages.push(*page);
            }
        }
        Ok(pages)
    }
}

/// `404` or `5xx` as a condition.
fn statuses(text: &str) -> Result<String, Failure> {
    let class = text
        .strip_suffix("xx")
        .and_then(|class| class.parse::<u16>().ok());
    match (class, text.parse::<u16>()) {
        (Some(class @ 1..=5), _) => Ok(format!("status BETWEEN {class}00 AND {class}99")),
        (None, Ok(status @ 0..=599)) => Ok(format!("status = {status}")),
        _ => Err(Failure::usage(format!(
            "`--status {text}`: write 404, 5xx, or 0 for no answer"
        ))),
    }
}

/// Tries a few pages; the code to end with, if the others are not to be tried.
async fn fly(
    order: &mut Order,
    reader: &dyn Reader,
    birds: Vec<i64>,
    others: usize,
    screen: &Screen,
) -> Result<Option<u8>, Failure> {
    say(&format!(
        "trying {} of {} first",
        birds.len(),
        birds.len() + others
    ));
    let limit = order.settings.max_pages;
    order.settings.max_pages = Some(birds.len() as u64);
    order.retry = Some(birds.clone());
    let report = order.run(screen).await?;
    order.settings.max_pages = limit;
    let numbers: Vec<String> = birds.iter().map(ToString::to_string).collect();
    let lost = format!(
        "SELECT count(*) FROM page WHERE state <> 'done' AND id IN ({})",
        numbers.join(",")
    );
    let (_, rows) = collect(reader, &lost).await?;
    let lost = match rows.first().map(Vec::as_slice) {
        Some([Value::Integer(lost)]) => *lost as u64,
        _ => 0,
    };
    let code = report.exit_code();
    if lost > 0 {
        say(&format!(
            "{} of {} failed again: the other {} were not tried; to try them all the same, leave out --canary",
            count(lost),
            birds.len(),
            count(others as u64)
        ));
        return Ok(Some(code.max(1)));
    }
    // What the first ones found waits with the others.
    Ok((!matches!(code, 0 | 3)).then_some(code))
}

/// Gives up what is queued for a step.
async fn discard(
    database: &Database,
    (crawl, source): (&CrawlRow, &str),
    step: &str,
) -> Result<u8, Failure> {
    let store = store::open(&database.url).await?;
    let begin = Begin {
        spider: crawl.spider.clone(),
        args: crawl.args.clone(),
        settings: "{}".to_owned(),
        fresh: false,
        steps: Vec::new(),
        lease: std::time::Duration::from_secs(30),
        finished: Finished::Reopen,
    };
    store.begin(begin).await?;
    let discarded = store.discard(step).await;
    let finished = store.rest().await? == Rest::Nothing;
    let end = End {
        stop: r#"{"why":"discarded"}"#.to_owned(),
        finished,
        report: "{}".to_owned(),
    };
    store.end(end).await?;
    let next = if finished {
        "nothing is left of this crawl".to_owned()
    } else {
        format!("go on:  {}", command_of(crawl, source, database))
    };
    say(&format!(
        "{} for step `{step}` given up; {next}",
        plural(discarded?, "request")
    ));
    Ok(0)
}

fn say(line: &str) {
    output::say(&crate::ui::clean(line));
}
