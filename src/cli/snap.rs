//! `nephila snap SPIDER URL`: a page and what a step makes of it, kept for tests.

use super::failure::Failure;
use super::fetch;
use super::flags::SpiderFlags;
use super::project::Project;
use super::trial::step_for;
use super::visitor::Visitor;
use super::{output, spiders};
use crate::engine::{Fetcher, try_step};
use crate::testing::Fixture;
use crate::ui::{clean, plural};

const EXAMPLES: &str = "\
Examples:
  nephila snap books https://shop.example/book/7 --step book
  nephila snap books https://shop.example/book/9 --name without-price
  nephila check                     reads all of them again, offline";

/// Keep a page and what a step makes of it as a fixture, for `nephila check` and `cargo test`
///
/// Writes fixtures/SPIDER/STEP-NAME.json and the page beside it. Of the headers only those are kept that say how
/// to read the page; look through the page before you publish it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Snap {
    /// The spider's name, or its TOML file
    spider: String,
    /// The page
    url: String,
    /// The step; else the one whose `url` fits, else the first
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// The step's argument, as JSON
    #[arg(long, value_name = "JSON")]
    step_args: Option<String>,
    /// What the fixture is called; else by the URL
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write over a fixture that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    flags: SpiderFlags,
}

impl Snap {
    pub(super) fn needs_spiders(&self) -> bool {
        !spiders::is_file(&self.spider)
    }

    pub(super) async fn run(self) -> Result<u8, Failure> {
        let url = fetch::url(&self.url, "nephila snap books https://shop.example/book/7")?;
        let made = self.flags.make(&self.spider)?;
        let (spider, settings) = (&*made.spider, &made.settings);
        let step = step_for(spider, self.step.as_deref(), &url)?;
        let project = Project::find()?;
        let name = self.name.clone().unwrap_or_else(|| called(&url));
        let file = format!("{}-{}.json", plain(step.name), plain(&name));
        let path = project
            .folder
            .join("fixtures")
            .join(plain(spider.name()))
            .join(file);
        if path.exists() && !self.force {
            return Err(
                Failure::usage(format!("{} is there already", path.display()))
                    .more("another --name, or --force to write over it"),
            );
        }
        let fetcher = Fetcher::new(Some(spider), &made.json(), settings)?;
        let visitor = Visitor {
            spider,
            settings,
            fetcher: &fetcher,
        };
        let Some(response) = visitor.see(url, Some(step.name)).await? else {
            return Ok(1);
        };
        let step_args = self.step_args.as_deref();
        let tried = try_step(spider, settings, step.name, step_args, response.clone()).await;
        let tried = tried.ok_or_else(|| Failure::broken("the spider does not know its step"))?;
        let fixture = Fixture::new(
            &path,
            (spider, &made.args),
            (step.name, step_args),
            &response,
            &tried,
        );
        fixture
            .write()
            .map_err(|error| Failure::usage(error.to_string()))?;
        output::say(&format!(
            "   Written  {}: {}, {}{}",
            path.display(),
            plural(tried.emitted.records.len() as u64, "item"),
            plural(tried.emitted.requests.len() as u64, "request"),
            tried.failure.map_or(String::new(), |why| {
                format!("; the step fails, which the fixture keeps: {}", clean(&why))
            })
        ));
        Ok(0)
    }
}

/// A name by the end of a URL.
fn called(url: &url::Url) -> String {
    let path = url.path().trim_matches('/');
    let path = if path.is_empty() { "home" } else { path };
    match url.query() {
        Some(query) => format!("{path}-{query}"),
        None => path.to_owned(),
    }
}

/// A name as a part of a path.
fn plain(name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(kept).take(80).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    match parts.join("-") {
        name if name.is_empty() => "page".to_owned(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fixtures() {
        let check = |url: &str, expected: &str| {
            assert_eq!(plain(&called(&url.parse().unwrap())), expected, "{url}");
        };
        check("http://e.x/", "home");
        check("http://e.x/book/7.html", "book-7-html");
        check("http://e.x/list?page=2&q=a%20b", "list-page-2-q-a-20b");
        check("http://e.x/../../etc/passwd", "etc-passwd");
        check("http://e.x/%2e%2e/\u{e4}", "C3-A4");
    }
}
