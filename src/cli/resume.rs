//! `nephila resume [RUN]`.

use super::crawl::{Order, ProgressMode};
use super::database::Database;
use super::failure::Failure;
use super::flags::SettingFlags;
use super::project::Project;
use super::runs::{command_of, crawl_of, run_named, source_of, spider_of};
use crate::store::CrawlRow;
use crate::ui::Screen;

const EXAMPLES: &str = "\
Examples:
  nephila resume                  the crawl that was stopped last
  nephila resume 42 --limit 100   the crawl of run 42, for another 100 pages";

/// Go on with a crawl that was stopped, with its own arguments
///
/// As the command that began it would. Settings are those of now: flags that were given then are not
/// remembered.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Resume {
    /// The number of one of its runs, or a spider's name [default: the crawl that was stopped last]
    run: Option<String>,
    #[command(flatten)]
    flags: SettingFlags,
    /// How progress is shown: auto is bar on a terminal, else line
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    progress: ProgressMode,
}

impl Resume {
    pub(super) async fn run(self, db: Option<&str>, screen: &Screen) -> Result<u8, Failure> {
        let project = Project::find()?;
        let database = Database::find(db, &project);
        let (crawl, source) = self.crawl(&database).await?;
        let spider = spider_of(&crawl, &source)?;
        let own = Some((spider.name(), spider.settings()));
        let (settings, _) = project.settings(own, &self.flags.layer()?)?;
        let order = Order {
            command: command_of(&crawl, &source, &database),
            spider,
            args: crawl.args,
            settings,
            database,
            fresh: false,
            retry: None,
            mode: self.progress.mode(),
        };
        Ok(order.run(screen).await?.exit_code())
    }

    /// The crawl to go on with, and what makes its spider.
    async fn crawl(&self, database: &Database) -> Result<(CrawlRow, String), Failure> {
        let reader = database.reader().await?;
        let runs = reader.runs().await?;
        if let Some(wanted) = &self.run {
            let run = run_named(runs.clone(), wanted, database)?;
            let crawl = crawl_of(&*reader, &run).await?;
            let source = source_of(&crawl, &runs);
            if crawl.state == "open" {
                return Ok((crawl, source));
            }
            let failure = Failure::usage(format!("run {} left nothing to do", run.id.0));
            let again = command_of(&crawl, &source, database);
            return Err(failure.more(format!("to crawl it again:  {again}")));
        }
        let crawls = reader.crawls().await?;
        let mut open = crawls
            .into_iter()
            .filter(|crawl| crawl.state == "open")
            .collect::<Vec<_>>();
        let last = runs
            .iter()
            .find_map(|run| open.iter().position(|crawl| crawl.id == run.crawl));
        match last {
            Some(at) => {
                let crawl = open.swap_remove(at);
                let source = source_of(&crawl, &runs);
                Ok((crawl, source))
            }
            None => Err(Failure::usage(format!(
                "no crawl in {} was stopped: all have finished",
                database.shown
            ))
            .more("to crawl again:  nephila crawl SPIDER")),
        }
    }
}
