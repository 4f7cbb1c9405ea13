//! The commands: everything that a terminal sees of the library, one file each.
//!
//! Standard output is data only; progress, messages and logs go to standard error. A command ends
//! with one of these codes:
//!
//! | code | means |
//! |---|---|
//! | 0 | done, and all is well |
//! | 1 | done, but pages failed over the budget, nothing was scraped, a column was lost, or an expectation is not met |
//! | 2 | wrong usage, settings or spider: nothing was fetched |
//! | 3 | stopped at a limit with work left; the same command goes on |
//! | 70 | something broke |
//! | 130 | interrupted; the same command goes on |

mod bench;
mod cargo;
mod check;
mod completions;
mod config;
mod crawl;
mod database;
mod db;
mod demo;
mod destination;
mod dev;
mod doctor;
mod explain;
mod export;
mod failed;
mod failure;
mod fetch;
mod flags;
mod format;
mod gc;
mod generate;
mod hosts;
mod interrupt;
mod items;
mod list;
mod logs;
mod looker;
mod new;
mod orphans;
mod output;
mod panics;
mod project;
mod query;
mod robots;
mod reparse;
mod resume;
mod retry;
mod rows;
mod runs;
mod schema;
mod shell;
mod snap;
mod spiders;
mod stats;
mod table;
mod trial;
mod view;
mod visitor;
mod warc;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Environment variables with our prefix that are no settings.
const OTHER_VARIABLES: [&str; 4] = [
    "NEPHILA_BACKTRACE",
    "NEPHILA_DB",
    "NEPHILA_LOG",
    cargo::INSIDE,
];

const EXAMPLES: &str = "\
Examples:
  nephila demo                                     a first crawl, offline
  nephila new shop                                 a project of your own
  nephila crawl books                              run a spider; again: resume, or start anew
  nephila crawl https://docs.example/ --limit 500  follow the links of any site
  nephila crawl spiders/shop.toml                  a spider without a compiler
  nephila query \"select * from books limit 5\"      SQL over the results
  nephila gen books https://shop.example/          write a spider from a page
  nephila try books https://shop.example/book/7    a step on one page, field by field
  nephila shell https://shop.example/book/7        selectors on one page, with completion
  nephila fetch https://docs.example/              a page as a crawl gets it
  nephila explain https://docs.example/private     why a URL was not crawled
  nephila robots https://docs.example/private      whether robots.txt allows it, by which line";

/// An async web scraper: spiders in, SQL out, nothing lost.
#[derive(Debug, Parser)]
#[command(name = "nephila", version, after_help = EXAMPLES, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
struct Common {
    /// The database: a file, sqlite:FILE or postgres://USER@HOST/NAME [default: crawl.db; demo: demo.db]
    #[arg(long, value_name = "DB", global = true, help_heading = "Storage")]
    db: Option<String>,
    /// How logs are written to standard error; NEPHILA_LOG says which
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        global = true,
        help_heading = "Logging"
    )]
    log_format: logs::LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    // Hidden: what people type who come from Scrapy.
    #[command(alias = "startproject")]
    New(new::New),
    #[command(alias = "runspider")]
    Crawl(Box<crawl::Crawl>),
    Resume(Box<resume::Resume>),
    Retry(Box<retry::Retry>),
    List(list::List),
    Query(query::Query),
    Export(export::ExportOf),
    Stats(stats::Stats),
    Failed(failed::Failed),
    Hosts(hosts::Hosts),
    Explain(explain::Explain),
    #[command(alias = "genspider")]
    Gen(Box<generate::Gen>),
    #[command(alias = "parse")]
    Try(Box<trial::Try>),
    Reparse(Box<reparse::Reparse>),
    Dev(dev::Dev),
    Warc(Box<warc::Warc>),
    Snap(Box<snap::Snap>),
    Check(check::Check),
    Shell(Box<shell::Shell>),
    View(Box<view::View>),
    Fetch(Box<fetch::Fetch>),
    Robots(Box<robots::RobotsOf>),
    Db(db::Db),
    Doctor(doctor::Doctor),
    Gc(gc::Gc),
    Bench(bench::Bench),
    #[command(alias = "settings")]
    Config(Box<config::Config>),
    Schema(schema::SchemaOf),
    Completions(completions::Completions),
}

impl Command {
    /// Whether what it does depends on the spiders in the program.
    fn needs_spiders(&self) -> bool {
        match self {
            Self::Crawl(crawl) => crawl.needs_spiders(),
            Self::Config(_)
            | Self::Check(_)
            | Self::List(_)
            | Self::Explain(_)
            | Self::Resume(_)
            | Self::Retry(_) => true,
            Self::Fetch(fetch) => fetch.needs_spiders(),
            Self::Try(trial) => trial.needs_spiders(),
            Self::Reparse(reparse) => reparse.needs_spiders(),
            Self::Warc(warc) => warc.needs_spiders(),
            Self::Snap(snap) => snap.needs_spiders(),
            Self::Shell(shell) => shell.needs_spiders(),
            Self::View(view) => view.needs_spiders(),
            _ => false,
        }
    }
}

/// Runs the command line of this program.
pub fn main() -> ExitCode {
    nephila_heap::return_large_blocks();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let line = match CommandLine::try_parse_from(&arguments) {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    match run(line, &arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(failure.report()),
    }
}

/// Help is no error; a closed pipe is none either.
fn usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() { 2 } else { 0 };
    let _ = error.print();
    ExitCode::from(code)
}

fn run(line: CommandLine, arguments: &[OsString]) -> Result<u8, Failure> {
    let CommandLine { common, command } = line;
    if command.needs_spiders()
        && let Some(code) = cargo::run_project(arguments.get(1..).unwrap_or_default())?
    {
        return Ok(code);
    }
    if common.log_format == logs::LogFormat::Json {
        output::say_as_logs();
    }
    let screen = output::screen();
    logs::start(common.log_format, &screen)?;
    panics::watch();
    let db = common.db.as_deref();
    match command {
        Command::Demo(demo) => block_on(demo.run(db, &screen)),
        Command::New(new) => new.run(),
        Command::Crawl(crawl) => block_on(crawl.run(db, &screen)),
        Command::Resume(resume) => block_on(resume.run(db, &screen)),
        Command::Retry(retry) => block_on(retry.run(db, &screen)),
        Command::Failed(failed) => block_on(failed.run(db)),
        Command::Hosts(hosts) => block_on(hosts.run(db)),
        Command::Db(command) => block_on(command.run()),
        Command::Doctor(doctor) => block_on(doctor.run(db)),
        Command::Gc(gc) => block_on(gc.run(db)),
        Command::Bench(bench) => block_on(bench.run(db)),
        Command::List(list) => block_on(list.run(db)),
        Command::Query(query) => block_on(query.run(db)),
        Command::Export(export) => block_on(export.run(db)),
        Command::Stats(stats) => block_on(stats.run(db)),
        Command::Explain(explain) => block_on(explain.run(db)),
        Command::Gen(generate) => block_on(generate.run()),
        Command::Try(trial) => block_on(trial.run()),
        Command::Warc(warc) => warc.run(),
        Command::Dev(dev) => block_on(dev.run()),
        Command::Reparse(reparse) => block_on(reparse.run(db)),
        Command::Snap(snap) => block_on(snap.run()),
        Command::Check(check) => block_on(check.run()),
        Command::Shell(shell) => block_on(shell.run()),
        Command::View(view) => block_on(view.run()),
        Command::Fetch(fetch) => block_on(fetch.run()),
        Command::Robots(robots) => block_on(robots.run()),
        Command::Config(config) => config.run(),
        Command::Schema(schema) => schema.run(),
        Command::Completions(completions) => completions.run(),
    }
}

/// Threads of the runtime beyond one for each core. A server that floods a connection (interim answers
/// without end, a chunk's size of a million digits) keeps the thread busy that reads it, for seconds at a
/// time; the system shares the cores among threads, and so with all others.
const SPARE_THREADS: usize = 4;

fn block_on(command: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores + SPARE_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::broken(format!("can't start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = command => outcome,
            never = keep_heap_small() => never,
        }
    });
    // Whatever still runs has nothing to lose: what counts is committed.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}

/// Gives free memory back to the system now and then.
async fn keep_heap_small<T>() -> T {
    let mut pages = nephila_heap::FreePages::default();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        pages.give_back();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        super::CommandLine::command().debug_assert();
    }
}
