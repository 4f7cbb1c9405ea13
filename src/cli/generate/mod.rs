//! `nephila gen NAME URL`: a spider made from a page.

mod columns;
mod draft;
mod html;
mod json;
mod records;
mod rust;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::failure::Failure;
use super::fetch;
use super::flags::SetFlag;
use super::format::{Format, FormatFlag};
use super::{output, spiders};
use crate::declared::Declared;
use crate::engine::{Fetcher, Tried, parse_limits, try_step};
use crate::export::WholeFile;
use crate::page::{Context, Page};
use crate::request::{Request, Response, StepRef};
use crate::settings::Settings;
use crate::spider::Args;
use crate::ui::{clean, plural};

use columns::Column;
use draft::{Details, Draft, Next, Way};

const EXAMPLES: &str = "\
Examples:
  nephila gen books https://shop.example/             looks, shows, and writes spiders/books.toml
  nephila gen books https://shop.example/ --rust      the same in Rust: spiders/books.rs
  nephila gen books https://shop.example/ --stdout    shows the file only";

/// Pages of a list that are opened to see what is on them.
const OPENED: usize = 3;

/// Write a spider from a page: finds its list, the next page, linked pages and fields, and shows the first
/// items
///
/// The spider is a TOML file, or a Rust one of the project that you are in. It is tried on the page before it
/// is written. Look through it: names and types are guesses.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Gen {
    /// The spider's name
    name: String,
    /// A page with a list: HTML, JSON, a feed, XML, CSV, or a sitemap or robots.txt
    url: String,
    /// Write it in Rust
    #[arg(long)]
    rust: bool,
    /// Print the file instead of writing it
    #[arg(long)]
    stdout: bool,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Read the items from the list itself, without opening the pages that it links to
    #[arg(long)]
    rows: bool,
    #[command(flatten)]
    set: SetFlag,
    #[command(flatten)]
    format: FormatFlag,
}

/// A page and what it was made from.
pub(super) struct Seen {
    response: Response,
    page: Page,
}

impl Gen {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let url = fetch::url(&self.url, "nephila gen books https://shop.example/")?;
        let path = self.path()?;
        let declared = path.with_extension("toml");
        let settings = self.set.settings(None)?;
        let looking = Looking {
            fetcher: Fetcher::new(None, "{}", &settings)?,
            settings: &settings,
        };
        looking.fetcher.trust(&url);
        let Some(seen) = looking.see(url.clone()).await? else {
            return Ok(1);
        };
        let Some(mut draft) = look(&seen.page) else {
            return Err(Failure::usage("no list was found on this page")
                .more("a list is at least three alike elements, table rows or objects; what a browser shows may come")
                .more("from a script: look at its requests for an address with JSON, and try that")
                .more("to write a spider by hand: docs/toml.md"));
        };
        looking.look_into_maps(&seen.page, &mut draft).await?;
        say("Found", &draft.found());
        if matches!(draft.next, Next::None)
            && seen.page.json().is_ok_and(|value| json::has_more(&value))
        {
            say(
                "",
                "it says that there is more: with the page's number in the URL (?page=1) it is followed",
            );
        }
        let details = if self.rows {
            Vec::new()
        } else {
            looking.open(&draft).await?
        };
        if let Some(columns) = html::details(&pages_of(&details))
            && let Some(known) = &mut draft.details
        {
            known.columns = columns;
        }
        if let Some(Details {
            link: Way::Map(_),
            columns,
            ..
        }) = &mut draft.details
            && columns.is_empty()
        {
            columns.push(Column::title());
        }
        let text = draft.toml(&self.name, &url);
        let tried = self
            .try_it(&declared, &text, &seen, &details, &settings)
            .await?;
        self.show(&tried)?;
        let rows = tried
            .iter()
            .map(|tried| tried.emitted.records.len())
            .sum::<usize>();
        if let Some(failure) = tried.iter().find_map(|tried| tried.failure.as_ref()) {
            return Err(Failure::usage(format!(
                "the spider does not fit: {}",
                clean(failure)
            )));
        }
        if rows == 0 {
            return Err(Failure::usage(
                "the list has nothing in it that could be stored",
            ));
        }
        if self.rust {
            self.write(&path, &draft.rust(&self.name, &url))
        } else {
            self.write(&path, &text)
        }
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        let fits = self
            .name
            .starts_with(|first: char| first.is_ascii_alphabetic())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !fits {
            return Err(
                Failure::usage(format!("`{}` is no name of a spider", self.name))
                    .more("a letter, then letters, digits, - or _:  nephila gen books URL"),
            );
        }
        let folder = spiders::folder().unwrap_or_else(|| PathBuf::from("spiders"));
        let declared = folder.join(format!("{}.toml", self.name));
        let module = folder.join(format!("{}.rs", rust::module(&self.name)));
        let (path, other) = if self.rust {
            let is_project = folder.with_file_name("Cargo.toml").is_file();
            if !is_project && !self.stdout {
                return Err(Failure::usage("there is no Rust project here")
                    .more("nephila new DIR makes one; --stdout only shows the file"));
            }
            (module, declared)
        } else {
            (declared, module)
        };
        if other.exists() && !self.stdout {
            let other = other.display();
            return Err(
                Failure::usage(format!("{other} may be a spider `{}` already", self.name))
                    .more("two spiders can't have one name: choose another"),
            );
        }
        if path.exists() && !self.force && !self.stdout {
            return Err(
                Failure::usage(format!("{} is there already", path.display()))
                    .more("another name, or --force to write over it"),
            );
        }
        Ok(path)
    }

    /// Runs the spider's steps on the pages that were seen.
    async fn try_it(
        &self,
        path: &Path,
        text: &str,
        seen: &Seen,
        details: &[Seen],
        settings: &Settings,
    ) -> Result<Vec<Tried>, Failure> {
        let broken = |error: &dyn std::fmt::Display| {
            Failure::broken(format!("the spider that was made is none: {error}"))
        };
        let declared = Declared::parse(path, text).map_err(|error| broken(&error))?;
        let spider = declared.spider(&Args::new())?;
        let mut all = Vec::new();
        let list = draft::LIST;
        let answer = seen.response.clone();
        all.extend(try_step(&*spider, settings, list, None, answer).await);
        for detail in details {
            let answer = detail.response.clone();
            all.extend(try_step(&*spider, settings, draft::DETAIL, None, answer).await);
        }
        Ok(all)
    }

    /// The first items, as rows.
    fn show(&self, tried: &[Tried]) -> Result<(), Failure> {
        if self.stdout {
            return Ok(());
        }
        let records: Vec<_> = tried
            .iter()
            .flat_map(|tried| &tried.emitted.records)
            .take(OPENED)
            .collect();
        let Some(first) = records.first() else {
            return Ok(());
        };
        let format = self.format.get();
        let mut export = match format {
            Format::Table => format.listing(output::stdout()),
            _ => format.export(output::stdout()),
        };
        let columns = first.schema().columns().iter();
        export.begin(
            &columns
                .map(|column| column.name.to_string())
                .collect::<Vec<_>>(),
        )?;
        for record in records {
            export.row(record.values())?;
        }
        Ok(export.end()?)
    }

    fn write(&self, path: &Path, text: &str) -> Result<u8, Failure> {
        if self.stdout {
            let mut to = output::stdout();
            to.write_all(text.as_bytes())?;
            to.flush()?;
            return Ok(0);
        }
        let shown = path.display();
        let cannot =
            |error: std::io::Error| Failure::usage(format!("can't write {shown}: {error}"));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        let mut file = WholeFile::create(path).map_err(cannot)?;
        file.write_all(text.as_bytes()).map_err(cannot)?;
        file.publish().map_err(cannot)?;
        let lines = plural(text.lines().count() as u64, "line");
        let name = &self.name;
        say(
            "Written",
            &format!("{shown} ({lines}).  Try it:  nephila crawl {name} --limit 50"),
        );
        Ok(0)
    }
}

fn say(what: &str, text: &str) {
    output::say(&format!("{what:>10}  {}", clean(text)));
}

fn pages_of(seen: &[Seen]) -> Vec<Page> {
    seen.iter().map(|seen| seen.page.clone()).collect()
}

/// What the page is a list of.
fn look(page: &Page) -> Option<Draft> {
    match serde_json::from_str(page.text()) {
        Ok(value) => json::look(page, &value),
        Err(_) => records::look(page).or_else(|| html::look(page)),
    }
}

/// What pages are fetched with.
struct Looking<'a> {
    fetcher: Fetcher,
    settings: &'a Settings,
}

impl Looking<'_> {
    async fn see(&self, url: Url) -> Result<Option<Seen>, Failure> {
        let request = Request::new(url, StepRef::named("gen"));
        let response = fetch::follow(self.settings, &self.fetcher, request).await?;
        Ok(response
            .filter(|response| response.status.is_success())
            .map(|response| {
                let context = Context {
                    limits: parse_limits(self.settings),
                    ..Context::default()
                };
                let page = Page::new(response.clone(), context);
                Seen { response, page }
            }))
    }

    /// Of a robots.txt or an index of sitemaps the pages stand in the maps that it names: the first of them
    /// say what they are like.
    async fn look_into_maps(&self, page: &Page, draft: &mut Draft) -> Result<(), Failure> {
        if !matches!(
            &draft.details,
            Some(Details {
                link: Way::Map(_),
                ..
            })
        ) {
            return Ok(());
        }
        let mut all = records::entries(page).unwrap_or_default();
        for _ in 0..OPENED {
            let Some(at) = all.iter().position(|entry| entry.is_map) else {
                break;
            };
            if let Some(seen) = self.see(all.remove(at).url).await? {
                all.extend(records::entries(&seen.page).unwrap_or_default());
            }
        }
        *draft = records::of_entries(&all);
        Ok(())
    }

    /// The first pages that the list links to, one after the other with a pause.
    async fn open(&self, draft: &Draft) -> Result<Vec<Seen>, Failure> {
        let mut seen = Vec::new();
        let Some(Details { urls, .. }) = &draft.details else {
            return Ok(seen);
        };
        let delay = self.settings.delay.unwrap_or(Duration::from_millis(500));
        for url in urls.iter().take(OPENED) {
            tokio::time::sleep(delay).await;
            match self.see(url.clone()).await? {
                Some(page) => seen.push(page),
                None => return Ok(Vec::new()),
            }
        }
        Ok(seen)
    }
}
