//! `nephila crawl SPIDER|FILE.toml|URL`.

use std::path::PathBuf;
use std::sync::Arc;

use super::database::Database;
use super::destination::{Destination, FileFlags};
use super::failure::Failure;
use super::flags::{ArgFlags, SettingFlags, quoted};
use super::interrupt::{Interrupts, Looks};
use super::project::Project;
use super::{items, orphans, output, spiders};
use crate::engine::{Event, Report};
use crate::request::without_logins;
use crate::settings::Settings;
use crate::spider::{Spider, StepInfo};
use crate::store::{Resumed, Round};
use crate::ui::{Crawled, Mode, Progress, Screen, clean, count, plural, verdict};

const EXAMPLES: &str = "\
Examples:
  nephila crawl books                        again: go on if it was stopped, else anew
  nephila crawl books -a site=https://books.toscrape.com/ --limit 50
  nephila crawl https://docs.example/ --depth 3 --rate 5/s
  nephila crawl quotes -a pages=3 -o quotes.jsonl";

/// Run a spider, or follow the links of a site
///
/// A crawl that was stopped goes on where it was; results go into the database as they come.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Crawl {
    /// The spider's name, its TOML file, or a URL whose links are followed
    #[arg(value_name = "SPIDER|FILE.toml|URL")]
    target: String,
    #[command(flatten)]
    args: ArgFlags,
    #[command(flatten)]
    flags: SettingFlags,
    /// Start anew instead of going on; items that are stored stay
    #[arg(long, help_heading = "Input")]
    fresh: bool,
    /// Write the crawl's items to a file too (.jsonl, .csv, .json, .xml or .parquet, perhaps .gz or .zst), or to - as JSON Lines
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    #[command(flatten)]
    file: FileFlags,
    /// How progress is shown: auto is bar on a terminal, else line
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    progress: ProgressMode,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressMode {
    /// bar on a terminal, else line
    #[default]
    Auto,
    /// A few lines at the bottom of the terminal
    Bar,
    /// A line every ten seconds
    Line,
    /// A JSON object every second
    Json,
    /// Nothing
    None,
}

impl ProgressMode {
    pub(super) fn mode(self) -> Mode {
        let terminal = output::style().terminal;
        match self {
            Self::Auto | Self::Bar if terminal => Mode::Bar,
            Self::Auto | Self::Bar | Self::Line => Mode::Line,
            Self::Json => Mode::Json,
            Self::None => Mode::None,
        }
    }
}

impl Crawl {
    /// Whether a site is to be crawled, and no spider of a project.
    pub(super) fn is_url(&self) -> bool {
        self.target.contains("://")
    }

    /// Whether it is a spider of the project's program, as far as can be said.
    pub(super) fn needs_spiders(&self) -> bool {
        !self.is_url() && !spiders::is_file(&self.target)
    }

    pub(super) async fn run(self, db: Option<&str>, screen: &Screen) -> Result<u8, Failure> {
        let mut args = self.args.args()?;
        let spider = if self.is_url() {
            args.insert("start".to_owned(), self.target.clone());
            spiders::generic(&args)?
        } else {
            spiders::make(&self.target, &args)?
        };
        let project = Project::find()?;
        let own = Some((spider.name(), spider.settings()));
        let (settings, _) = project.settings(own, &self.flags.layer()?)?;
        let destination = self.output.as_deref();
        let destination = destination
            .map(|path| Destination::parse(path, self.file))
            .transpose()?;
        let database = Database::find(db, &project);
        let order = Order {
            command: self.command(&database),
            spider,
            args: serde_json::to_string(&args).unwrap_or_default(),
            settings,
            database,
            fresh: self.fresh,
            retry: None,
            mode: self.progress.mode(),
        };
        let tables = order.tables();
        if let Some(destination) = &destination {
            items::check(destination, &tables)?;
        }
        let report = order.run(screen).await?;
        if let Some(destination) = &destination {
            items::write(destination, &order.database, &report, &tables).await?;
        }
        Ok(report.exit_code())
    }

    /// The command that goes on with this crawl.
    fn command(&self, database: &Database) -> String {
        let mut command = format!("nephila crawl {}", quoted(&without_logins(&self.target)));
        for (name, value) in self.args.args().unwrap_or_default() {
            command.extend([" -a ", &quoted(&without_logins(&format!("{name}={value}")))]);
        }
        command.push_str(&self.flags.again());
        if let Some(file) = &self.output {
            command.extend([" -o ", &quoted(&file.display().to_string())]);
        }
        command + &database.flag
    }
}

/// A crawl that is going to be run and shown.
pub(super) struct Order {
    pub(super) command: String,
    pub(super) spider: Arc<dyn Spider>,
    /// As JSON.
    pub(super) args: String,
    pub(super) settings: Settings,
    pub(super) database: Database,
    pub(super) fresh: bool,
    /// Pages to be tried again, by number.
    pub(super) retry: Option<Vec<i64>>,
    pub(super) mode: Mode,
}

impl Order {
    /// The tables of what its steps return.
    fn tables(&self) -> Vec<String> {
        let schemas = self.spider.steps().iter().flat_map(StepInfo::tables);
        let mut tables: Vec<String> = schemas.map(|schema| schema.table().to_owned()).collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// Runs it; the verdict stands on standard error.
    pub(super) async fn run(&self, screen: &Screen) -> Result<Report, Failure> {
        if !self.fresh {
            orphans::check(&self.database, &*self.spider, &self.args).await?;
        }
        let style = output::style();
        let progress = Progress::start(self.mode, screen.clone(), style);
        let crawl = crate::engine::Crawl::of(Arc::clone(&self.spider))
            .args(&self.args)
            .db(&self.database.url)
            .settings(self.settings.clone())
            .fresh(self.fresh)
            .on_event(progress.hook());
        let crawl = match &self.retry {
            Some(pages) => crawl.retry(pages.clone()),
            None => crawl,
        };
        let crawl = crawl.on_event(resumed(screen.clone(), self.retry.is_some()));
        let interrupts = Interrupts::listen(crawl.stop_handle(), screen.clone())?;
        let looks = Looks::listen(crawl.inspector(), screen.clone())?;
        let outcome = crawl.run().await;
        drop(looks);
        drop(interrupts);
        progress.end().await;
        let report = outcome?;
        if self.mode == Mode::Json {
            let mut object = serde_json::to_value(&report).unwrap_or_default();
            object["exit"] = report.exit_code().into();
            output::say(&object.to_string());
        } else {
            let crawled = Crawled {
                command: self.command.clone(),
                db: self.database.shown.clone(),
                db_bytes: self.database.bytes(),
                db_flag: self.database.flag.clone(),
            };
            output::say(verdict(&report, &crawled, style).trim_end());
        }
        Ok(report)
    }
}

/// Says that an interrupted crawl goes on, or a finished one is done again.
fn resumed(screen: Screen, retries: bool) -> impl FnMut(&Event) + Send + 'static {
    move |event| {
        if let Event::Started {
            spider,
            resumed: Some(resumed),
            ..
        } = event
            && !retries
        {
            screen.say(&going_on(spider, *resumed));
        }
        if let Event::Started {
            spider,
            resumed: None,
            round: Some(round),
            ..
        } = event
        {
            screen.say(&once_more(spider, *round));
        }
    }
}

fn once_more(spider: &str, round: Round) -> String {
    let resting = match round.resting {
        0 => String::new(),
        resting => format!(", {} not due yet", count(resting)),
    };
    format!(
        "crawling {} again, round {}: {} to look at{resting} (--fresh starts anew)",
        clean(spider),
        round.number,
        plural(round.queued, "page"),
    )
}

fn going_on(spider: &str, resumed: Resumed) -> String {
    let (name, pages, queued) = (
        clean(spider),
        plural(resumed.pages, "page"),
        count(resumed.queued),
    );
    match resumed.others {
        0 => format!(
            "going on with {name}: {pages} done, {queued} queued (stopped {}; --fresh starts anew)",
            resumed.since.strftime("%Y-%m-%d %H:%M UTC")
        ),
        1 => format!("joining {name}: {pages} done, {queued} queued; another process works on it"),
        others => format!(
            "joining {name}: {pages} done, {queued} queued; {others} other processes work on it"
        ),
    }
}
