//! Runs and crawls by what people call them.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::database::Database;
use super::failure::Failure;
use super::spiders;
use crate::engine::SPIDER_FILE;
use crate::spider::{Args, Spider};
use crate::store::{CrawlRow, Reader, RunRow};

/// The run called `wanted`: a number, `last`, or the name of a spider, whose last run it is.
pub(super) fn run_named(
    runs: Vec<RunRow>,
    wanted: &str,
    database: &Database,
) -> Result<RunRow, Failure> {
    let id: Option<i64> = wanted.parse().ok();
    let is_it = |run: &RunRow| wanted == "last" || Some(run.id.0) == id || run.spider == wanted;
    runs.into_iter().find(is_it).ok_or_else(|| {
        Failure::usage(format!("no run `{wanted}` in {}", database.shown))
            .more(format!("nephila stats{} shows all", database.flag))
    })
}

/// The crawl of a run, as long as its pages are there.
pub(super) async fn crawl_of(reader: &dyn Reader, run: &RunRow) -> Result<CrawlRow, Failure> {
    let crawls = reader.crawls().await?;
    let of = |crawl: &CrawlRow| crawl.id == run.crawl;
    let crawl = crawls.into_iter().find(of);
    match crawl {
        Some(crawl) if matches!(&*crawl.state, "open" | "finished") => Ok(crawl),
        _ => {
            let why = format!("the pages of run {} are gone", run.id.0);
            Err(Failure::usage(why).more(format!(
                "a newer crawl of {} took its place, or nephila gc made room",
                run.spider
            )))
        }
    }
}

/// What makes the spider of a crawl: the file that its last run read it from, if that is still there; else its name.
pub(super) fn source_of(crawl: &CrawlRow, runs: &[RunRow]) -> String {
    // A run that only gave something up has no settings.
    let mut own = runs
        .iter()
        .filter(|run| run.crawl == crawl.id && run.settings != "{}");
    let settings = own.next();
    let settings = settings.and_then(|run| serde_json::from_str::<Value>(&run.settings).ok());
    let file = settings
        .as_ref()
        .and_then(|told| told[SPIDER_FILE].as_str());
    let Some(file) = file.filter(|file| Path::new(file).is_file()) else {
        return crawl.spider.clone();
    };
    // A spider of the project is best called by its name.
    let folder = spiders::folder().and_then(|folder| std::path::absolute(folder).ok());
    if Path::new(file).parent() == folder.as_deref() {
        return crawl.spider.clone();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = Path::new(file).strip_prefix(here);
    shown.map_or(file.to_owned(), |file| file.display().to_string())
}

/// The spider of a crawl, as it was made for it.
pub(super) fn spider_of(crawl: &CrawlRow, source: &str) -> Result<Arc<dyn Spider>, Failure> {
    let args: Args = serde_json::from_str(&crawl.args).map_err(|error| {
        Failure::broken(format!("the arguments of crawl {}: {error}", crawl.id))
    })?;
    let of_a_site = source == spiders::GENERIC && args.contains_key("start");
    match spiders::make(source, &args) {
        // A file here has the same name.
        Err(_) if of_a_site => spiders::generic(&args),
        made => made,
    }
}

/// The command that crawls the same again.
pub(super) fn command_of(crawl: &CrawlRow, source: &str, database: &Database) -> String {
    let mut args: Args = serde_json::from_str(&crawl.args).unwrap_or_default();
    let site = (crawl.spider == spiders::GENERIC)
        .then(|| args.remove("start"))
        .flatten();
    let mut command = format!("nephila crawl {}", site.as_deref().unwrap_or(source));
    for (name, value) in args {
        command.extend([" -a ", &name, "=", &value]);
    }
    command + &database.flag
}
