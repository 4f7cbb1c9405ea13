//! `nephila explain URL`.

use std::io::Write;

use url::Url;

use super::database::Database;
use super::failure::Failure;
use super::output;
use super::project::Project;
use crate::policy::robots::{self, Availability, Robots};
use crate::policy::scope::{Scope, host_and_port};
use crate::request::canonical;
use crate::settings::{RobotsMode, Settings};
use crate::spider::registered;
use crate::store::{CrawlRow, Explained, KnownHost, RobotsFile, RunRow, Story};
use crate::ui::{clean, count, shorten};

/// What robots.txt says of a URL that it forbids.
const BLOCKED: &str = "BLOCKED";

/// The whole life of a URL: where it was found, its tries, and why it was, or was not, crawled
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// An absolute URL
    url: String,
}

impl Explain {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        let url = Url::parse(&self.url).map_err(|error| {
            Failure::usage(format!("`{}` is no URL: {error}", self.url))
                .more("write it whole: nephila explain https://shop.example/book/7")
        })?;
        let database = Database::find(db, &Project::find()?);
        let reader = database.reader().await?;
        let explained = reader.explain(&url, &steps()).await?;
        let (crawls, runs) = (reader.crawls().await?, reader.runs().await?);
        let mut to = output::stdout();
        if explained.requests.is_empty() {
            writeln!(to, "not crawled")?;
        }
        for story in &explained.requests {
            tell(&mut to, story)?;
        }
        let settings = |crawl: &CrawlRow| {
            let run = runs.iter().find(|run| run.crawl == crawl.id);
            run.map_or_else(Settings::default, settings_of)
        };
        if explained.requests.is_empty() {
            match canonical(&url, Settings::default().max_url_bytes) {
                Err(error) => writeln!(to, "  crawlable   no: {error}")?,
                Ok((origin, path)) => {
                    writeln!(to, "  normalised  {}", clean(&format!("{origin}{path}")))?;
                    for crawl in &crawls {
                        would(&mut to, &url, crawl, &settings(crawl), &explained)?;
                    }
                }
            }
        }
        to.flush()?;
        Ok(0)
    }
}

/// The names of the steps of all spiders, old ones included.
fn steps() -> Vec<String> {
    let mut names = Vec::new();
    for registration in registered() {
        if let Ok(spider) = (registration.make)(&crate::spider::Args::new()) {
            for step in spider.steps() {
                names.push(step.name.to_owned());
                names.extend(step.was.iter().map(|name| (*name).to_owned()));
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn settings_of(run: &RunRow) -> Settings {
    serde_json::from_str(&run.settings).unwrap_or_default()
}

fn tell(to: &mut impl Write, story: &Story) -> std::io::Result<()> {
    let (spider, step) = (clean(&story.spider), clean(&story.step));
    let status = match story.status {
        0 => String::new(),
        status => format!(" {status}"),
    };
    writeln!(
        to,
        "{}{status}   {spider}, step {step}, depth {}",
        clean(&story.state),
        story.depth
    )?;
    if let Some(message) = &story.message {
        let reason = story.reason.as_deref().unwrap_or_default();
        writeln!(
            to,
            "  because     {} {}",
            clean(reason),
            shorten(message, 300)
        )?;
    }
    if let Some(at) = story.at {
        writeln!(
            to,
            "  at          {at}, {} ms, {} bytes",
            story.took_ms,
            count(story.bytes)
        )?;
    }
    if let Some(due) = story.due {
        writeln!(to, "  not before  {due}")?;
    }
    for page in &story.found_on {
        writeln!(to, "  found on    {}", shorten(page, 300))?;
    }
    if story.found_on.is_empty() {
        writeln!(to, "  found on    it is a start URL")?;
    }
    for attempt in &story.attempts {
        writeln!(
            to,
            "  tried       {}   {}",
            attempt.at,
            shorten(&attempt.message, 300)
        )?;
    }
    for (table, id) in &story.items {
        writeln!(to, "  item        {}, _id {id}", clean(table))?;
    }
    if story.reason.as_deref() == Some("robots") {
        writeln!(to, "  {}", anyway(&story.spider))?;
    }
    Ok(())
}

/// The way around robots.txt.
fn anyway(spider: &str) -> String {
    let spider = clean(spider);
    format!("to crawl it anyway:  robots = \"ignore\"  under [spider.{spider}], if you may")
}

/// What a crawl would say of a URL that it does not know.
fn would(
    to: &mut impl Write,
    url: &Url,
    crawl: &CrawlRow,
    settings: &Settings,
    explained: &Explained,
) -> std::io::Result<()> {
    writeln!(to, "  {}", clean(&crawl.spider))?;
    let mut scope = Scope::new(&settings.hosts);
    let own = |known: &&KnownHost| known.crawl == crawl.id;
    let hosts: Vec<_> = explained.hosts.iter().filter(own).collect();
    for known in &hosts {
        if known.host.seed
            && let Ok(origin) = known.host.origin.parse()
        {
            scope.add(&origin);
        }
    }
    if !scope.contains(url) {
        let host = host_and_port(url);
        writeln!(
            to,
            "    in scope  no: {} is no host of the crawl",
            clean(&host)
        )?;
        return writeln!(
            to,
            "              to allow it:  hosts = [\"{}\"]",
            clean(&host)
        );
    }
    writeln!(to, "    in scope  yes")?;
    let robots = hosts
        .iter()
        .find(|known| known.host.origin == url.origin().ascii_serialization());
    match robots.and_then(|known| known.host.robots.as_ref()) {
        _ if settings.robots == RobotsMode::Ignore => writeln!(to, "    robots    ignored")?,
        None => writeln!(to, "    robots    not read yet")?,
        Some(file) => {
            let verdict = verdict(url, file, settings);
            writeln!(to, "    robots    {verdict}")?;
            if verdict.starts_with(BLOCKED) {
                writeln!(to, "              {}", anyway(&crawl.spider))?;
            }
        }
    }
    writeln!(to, "    found     on no page that was read so far")
}

fn verdict(url: &Url, file: &RobotsFile, settings: &Settings) -> String {
    match Availability::of_status(file.status) {
        Availability::Unavailable => "allowed: the host has none".to_owned(),
        Availability::Unreachable => format!("not now: it answered {}", file.status),
        Availability::Readable => {
            let robots = Robots::parse(file.body.as_bytes(), &settings.user_agent);
            let verdict = robots.verdict(&robots::path_to_match(url.as_str()));
            let word = if verdict.allowed { "allowed" } else { BLOCKED };
            match verdict.rule {
                None => word.to_owned(),
                Some(rule) => {
                    let text = clean(&rule.text);
                    format!(
                        "{word} by  {text}  (robots.txt line {}, fetched {})",
                        rule.line, file.at
                    )
                }
            }
        }
    }
}
