//! `nephila reparse SPIDER`: steps again over pages that were kept.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

mod differences;

use super::database::Database;
use super::failure::Failure;
use super::flags::SpiderFlags;
use super::format::FormatFlag;
use super::project::Project;
use super::{output, spiders};
use crate::engine::{Tried, pattern_of, try_step};
use crate::fetch::KeptPages;
use crate::item::{Record, Schema};
use crate::settings::Settings;
use crate::spider::{Spider, StepInfo, step_named};
use crate::store::Reader;
use crate::ui::{clean, plural, shorten};
use differences::{Counts, Row, compare, key, row, stored};

const EXAMPLES: &str = "\
Examples:
  nephila crawl books --cache keep      keeps the pages that it fetches
  nephila reparse books                 reads them again, without a network: prints the items
  nephila reparse books --diff          what is changed, lost or new against the database
  nephila crawl books --cache dev --fresh   takes them for a crawl into the database";

/// Failures that are shown, by kind.
const SHOWN: usize = 5;

/// Run steps again over the pages that crawls have kept, without a network, and print their items
///
/// Pages are kept by crawls with --cache keep (every request goes out) or --cache dev. Nothing is stored.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Reparse {
    /// The spider's name, or its TOML file
    spider: String,
    /// Only pages of this step
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Print what differs from the rows in the database; ends with 1 if something does
    #[arg(long)]
    diff: bool,
    /// Print each item with its table, key and page, as JSON Lines: for `nephila dev`
    #[arg(long, hide = true, conflicts_with = "diff")]
    raw: bool,
    #[command(flatten)]
    flags: SpiderFlags,
    #[command(flatten)]
    format: FormatFlag,
}

/// What came of the pages.
#[derive(Default)]
struct Read {
    pages: u64,
    urls: HashSet<String>,
    /// Of which the body is not there any more.
    gone: u64,
    /// With the pages that they come from.
    items: Vec<(String, Record)>,
    /// Messages by kind: how many, and the first page.
    failures: BTreeMap<String, (u64, String, String)>,
}

impl Reparse {
    pub(super) fn needs_spiders(&self) -> bool {
        !spiders::is_file(&self.spider)
    }

    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let made = self.flags.make(&self.spider)?;
        let (spider, settings) = (&*made.spider, &made.settings);
        if let Some(step) = &self.step
            && step_named(spider, step).is_none()
        {
            let name = spider.name();
            return Err(Failure::usage(format!(
                "spider `{name}` has no step `{step}`"
            )));
        }
        let kept = KeptPages::of(settings, spider.name(), &made.json())
            .map_err(|error| Failure::usage(error.to_string()))?;
        let read = self.read(spider, settings, &kept).await;
        if read.pages == 0 {
            let name = clean(spider.name());
            return Err(Failure::usage(format!("no pages of {name} are kept"))
                .more(format!("keep them:  nephila crawl {name} --cache keep")));
        }
        let differs = if self.diff {
            let database = Database::find(db, &Project::find()?);
            let reader = database.reader().await?;
            self.show_differences(spider, &read, &*reader).await?
        } else if self.raw {
            show_raw(&read)?;
            false
        } else {
            self.show(&read)?;
            false
        };
        summary(&read);
        Ok(u8::from(differs || !read.failures.is_empty()))
    }

    async fn read(&self, spider: &dyn Spider, settings: &Settings, kept: &KeptPages) -> Read {
        let mut read = Read::default();
        for page in kept.list() {
            let Some(step) = step_named(spider, &page.step) else {
                continue;
            };
            let wanted = self.step.as_deref();
            let is_wanted = wanted.is_none_or(|name| name == step.name || step.was.contains(&name));
            if !is_wanted || !page.is_page() {
                continue;
            }
            let Some(response) = kept.load(&page) else {
                read.gone += 1;
                continue;
            };
            let args = page.args.as_deref();
            if let Some(tried) = try_step(spider, settings, step.name, args, response).await {
                read.take(page.url(), tried);
            }
        }
        read
    }

    /// The items, a table after the other.
    fn show(&self, read: &Read) -> Result<(), Failure> {
        let mut tables: Vec<&Schema> = Vec::new();
        for (_, item) in &read.items {
            if !tables
                .iter()
                .any(|known| known.table() == item.schema().table())
            {
                tables.push(item.schema());
            }
        }
        for schema in tables {
            let mut export = self.format.get().export(output::stdout());
            let columns = schema
                .columns()
                .iter()
                .map(|column| column.name.to_string());
            export.begin(&columns.collect::<Vec<_>>())?;
            let own = |(_, item): &&(String, Record)| item.schema().table() == schema.table();
            for (_, item) in read.items.iter().filter(own) {
                export.row(item.values())?;
            }
            export.end()?;
        }
        Ok(())
    }

    /// Whether something differs.
    async fn show_differences(
        &self,
        spider: &dyn Spider,
        read: &Read,
        reader: &dyn Reader,
    ) -> Result<bool, Failure> {
        let known = reader.tables().await?;
        let mut export = self.format.get().listing(output::stdout());
        let names = ["change", "table", "key", "column", "was", "is"];
        export.begin(&names.map(str::to_owned))?;
        let mut counts = Counts::default();
        let mut schemas: Vec<_> = spider.steps().iter().flat_map(StepInfo::tables).collect();
        schemas.extend(read.items.iter().map(|(_, item)| item.schema().clone()));
        let mut done = HashSet::new();
        for schema in schemas {
            let table = schema.table();
            if !done.insert(table.to_owned()) {
                continue;
            }
            let columns: Vec<String> = known
                .iter()
                .filter(|row| row.name == table)
                .flat_map(|row| row.columns.iter().map(|column| column.name.to_string()))
                .collect();
            let stored = if columns.is_empty() {
                Vec::new()
            } else {
                stored(reader, &schema, &columns, &read.urls).await?
            };
            let items = read.items.iter().map(|(_, item)| item);
            let own = |item: &&Record| item.schema().table() == table;
            let now: Vec<Row> = items.filter(own).map(row).collect();
            compare(&schema, &stored, &now, &mut counts, &mut *export)?;
        }
        export.end()?;
        let Counts {
            same,
            changed,
            lost,
            new,
        } = counts;
        output::say(&format!(
            "  {} as before, {changed} changed, {lost} lost, {new} new",
            plural(same, "item")
        ));
        Ok(changed + lost + new > 0)
    }
}

impl Read {
    fn take(&mut self, url: &str, tried: Tried) {
        self.pages += 1;
        let plain = url.split('#').next().unwrap_or_default();
        self.urls.insert(plain.to_owned());
        match tried.failure {
            None => {
                let records = tried.emitted.records.into_iter();
                self.items
                    .extend(records.map(|record| (plain.to_owned(), record)));
            }
            Some(message) => {
                let kind = pattern_of(&message);
                let known = self
                    .failures
                    .entry(kind)
                    .or_insert((0, message, url.to_owned()));
                known.0 += 1;
            }
        }
    }
}

/// The items, a line of JSON each.
fn show_raw(read: &Read) -> Result<(), Failure> {
    let mut to = output::stdout();
    for (url, item) in &read.items {
        let line = serde_json::json!({
            "table": item.schema().table(),
            "key": key(item.schema(), &row(item)),
            "url": url,
            "row": item.to_json(),
        });
        writeln!(to, "{line}")?;
    }
    Ok(to.flush()?)
}

fn summary(read: &Read) {
    output::say(&format!(
        "  {} read again, {}",
        plural(read.pages, "page"),
        plural(read.items.len() as u64, "item")
    ));
    if read.gone > 0 {
        let pages = plural(read.gone, "page");
        output::say(&format!(
            "  {pages} not kept any more (cache_size, cache_max_age)"
        ));
    }
    for (count, message, url) in read.failures.values().take(SHOWN) {
        let style = output::style();
        output::say(&format!(
            "{}: {} of them fail: {}\n     page      {}",
            style.red("error"),
            plural(*count, "page"),
            shorten(message, 300),
            clean(url)
        ));
    }
}
