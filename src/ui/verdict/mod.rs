//! The end of a crawl in a few lines, every one of them true.

mod errors;
mod items;
mod links;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use super::{Style, bytes, clean, count, duration, plural, shorten};
use crate::engine::{Problem, Report, Statistics, Stop};

/// Groups of errors that are shown; the rest is counted.
const SHOWN: usize = 5;

/// Processes of one crawl that are shown each.
const MANY: usize = 20;

/// What the report does not know of its crawl.
#[derive(Clone, Debug, Default)]
pub struct Crawled {
    /// The command that goes on with it: `nephila crawl books`.
    pub command: String,
    /// The database, without secrets.
    pub db: String,
    /// Its size on disk, if it is a file.
    pub db_bytes: Option<u64>,
    /// What to add to a command to find the database: empty, or ` --db x.db`.
    pub db_flag: String,
}

/// The verdict on an ended run: what happened, where, why if known, and one next command.
pub fn verdict(report: &Report, crawled: &Crawled, style: Style) -> String {
    let mut text = Lines {
        text: String::new(),
        style,
        db_flag: &crawled.db_flag,
    };
    head(&mut text, report);
    workers(&mut text, &report.statistics);
    start(&mut text, report);
    errors::errors(&mut text, report);
    errors::nothing(&mut text, report);
    items::unmet(&mut text, report);
    items::emptier(&mut text, report);
    items::bad_rows(&mut text, &report.statistics);
    items::dropped(&mut text, &report.statistics);
    links::slowed(&mut text, report);
    links::missing(&mut text, &report.statistics);
    links::refused(&mut text, &report.statistics);
    links::skipped(&mut text, &report.statistics);
    links::selectors(&mut text, report);
    for warning in &report.statistics.warnings {
        text.line(&style.yellow("warning"), &shorten(warning, 500));
    }
    limit(&mut text, report);
    tail(&mut text, report, crawled);
    text.text
}

struct Lines<'a> {
    text: String,
    style: Style,
    db_flag: &'a str,
}

impl Lines<'_> {
    fn line(&mut self, label: &str, text: &str) {
        let _ = writeln!(self.text, "{label}: {text}");
    }

    fn more(&mut self, text: &str) {
        let _ = writeln!(self.text, "     {text}");
    }

    fn error(&mut self, text: &str) {
        self.line(&self.style.red("error"), text);
    }

    fn warning(&mut self, text: &str) {
        self.line(&self.style.yellow("warning"), text);
    }

    fn note(&mut self, text: &str) {
        self.line(&self.style.bold("note"), text);
    }
}

fn head(to: &mut Lines<'_>, report: &Report) {
    let (run, style) = (&report.statistics, to.style);
    let code = report.exit_code();
    let mark = match code {
        0 => style.green("✓"),
        3 | 130 => style.yellow("■"),
        _ => style.red("✗"),
    };
    let stopped = match &report.stop {
        Stop::Finished => String::new(),
        Stop::Limit(limit) => format!(" stopped at {limit} ({} queued),", count(run.left())),
        Stop::Interrupted => format!(" interrupted ({} queued),", count(run.left())),
        Stop::UnknownStep(_) | Stop::Broken(_) => " broke off,".to_owned(),
    };
    let seconds = report.elapsed.as_secs_f64();
    let speed = if seconds >= 1.0 {
        format!(
            " ({:.0} pages/s)",
            (run.pages + run.unchanged) as f64 / seconds
        )
    } else {
        String::new()
    };
    let resumed = run.resumed.map_or_else(String::new, |resumed| {
        format!(" after {} before", count(resumed.pages))
    });
    let cached = match run.cached {
        0 => String::new(),
        cached => format!(" ({} from the cache)", count(cached)),
    };
    let pages = match run.unchanged {
        0 => plural(run.pages, "page"),
        unchanged => {
            let all = plural(run.pages + unchanged, "page");
            format!("{all} ({} unchanged)", count(unchanged))
        }
    };
    let exit = if code == 0 {
        String::new()
    } else {
        format!("   exit {code}")
    };
    let _ = writeln!(
        to.text,
        "{mark} {}  {}:{stopped} {}{cached}{resumed}, {} in {}{speed}{exit}",
        style.bold(clean(&run.spider)),
        runs(run),
        pages,
        plural(run.item_count(), "item"),
        duration(report.elapsed),
    );
    match &report.stop {
        Stop::Broken(why) => {
            to.error(&clean(why));
            to.more("what is stored is whole, and the rest is queued: mend it, and go on");
        }
        Stop::UnknownStep(step) => unknown_step(to, &clean(step), run),
        _ => {}
    }
}

/// Which runs these figures are of.
fn runs(run: &Statistics) -> String {
    match run.workers.as_slice() {
        [] => format!("run {}", run.run),
        workers => {
            let numbers = workers
                .iter()
                .take(MANY)
                .map(|worker| worker.run.to_string());
            let numbers = numbers.collect::<Vec<_>>().join(", ");
            match workers.len().saturating_sub(MANY) {
                0 => format!("runs {numbers}"),
                more => format!("runs {numbers} and {more} more"),
            }
        }
    }
}

/// A line for each process of a crawl that had several.
fn workers(to: &mut Lines<'_>, run: &Statistics) {
    for worker in run.workers.iter().take(MANY) {
        let end = match &*worker.stop {
            "finished" => String::new(),
            "" => ", still running".to_owned(),
            stop => format!(", {}", shorten(stop, 80)),
        };
        let failed = match worker.failed {
            0 => String::new(),
            failed => format!(", {} failed", count(failed)),
        };
        to.more(&format!(
            "run {}, process {}: {}{failed}, {}{end}",
            worker.run,
            worker.pid,
            plural(worker.pages, "page"),
            plural(worker.items, "item")
        ));
    }
}

/// Queued requests outlived their step; none of them is lost.
fn unknown_step(to: &mut Lines<'_>, step: &str, run: &Statistics) {
    let spider = clean(&run.spider);
    to.error(&format!(
        "requests are queued for step `{step}`, which spider `{spider}` does not have"
    ));
    to.note(&format!(
        "nothing is lost. Renamed? add #[step(was = \"{step}\")] above its new name (TOML: was = [\"{step}\"]); \
         known to another version of the spider? run that; or start anew with --fresh"
    ));
    to.more(&format!(
        "or drop them:  nephila retry{} {} --step {step} --discard",
        to.db_flag, run.run
    ));
}

/// Seeds that never became pages.
fn start(to: &mut Lines<'_>, report: &Report) {
    for why in report.statistics.start_failed.iter().take(SHOWN) {
        to.error(&format!("start: {}", shorten(why, 500)));
    }
    if report.problems.contains(&Problem::NoSeeds) && report.statistics.start_failed.is_empty() {
        to.error("the spider named no start URL");
    }
}

/// What kept a crawl from going faster that took its time.
fn limit(to: &mut Lines<'_>, report: &Report) {
    if report.elapsed < std::time::Duration::from_secs(5) {
        return;
    }
    if let Some((by, share)) = report.statistics.limit().filter(|(_, share)| *share >= 0.5) {
        to.note(&format!(
            "limited by {}, {:.0} % of the time",
            clean(by),
            share * 100.0
        ));
    }
}

fn tail(to: &mut Lines<'_>, report: &Report, crawled: &Crawled) {
    let run = &report.statistics;
    let size = crawled
        .db_bytes
        .map_or_else(String::new, |size| format!(" ({})", bytes(size)));
    let next = match (&report.stop, run.items.keys().next()) {
        (Stop::Finished, Some(table)) => format!(
            "query: nephila query{} \"select * from {} limit 5\"",
            to.db_flag,
            clean(table)
        ),
        (Stop::Finished, None) => return,
        (_, _) => {
            format!("go on: {}", crawled.command)
        }
    };
    let _ = writeln!(to.text, "  db {}{size}   {next}", clean(&crawled.db));
}
