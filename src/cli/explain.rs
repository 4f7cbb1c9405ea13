//! `nephila explain URL`.

use std::io::Write;

use url::{Position, Url};

use super::database::Database;
use super::failure::Failure;
use super::project::Project;
use super::{output, spiders};
use crate::engine::SPIDER_FILE;
use crate::policy::params::{Changed, ParamRules};
use crate::policy::robots::{self, Availability, Robots};
use crate::policy::scope::{Outside, Scope, host_and_port};
use crate::policy::traps;
use crate::request::canonical;
use crate::settings::{RobotsMode, Settings};

use crate::store::{CrawlRow, Explained, KnownHost, RefusedRow, RobotsFile, RunRow, Story};
use crate::ui::{clean, count, plural, shorten};

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
        let (mut crawls, runs) = (reader.crawls().await?, reader.runs().await?);
        // One that a newer one replaced has nothing to say any more.
        crawls.retain(|crawl| matches!(&*crawl.state, "open" | "finished"));
        let settings = |crawl: &CrawlRow| {
            let run = runs.iter().find(|run| run.crawl == crawl.id);
            run.map_or_else(Settings::default, settings_of)
        };
        let changed = crawls
            .iter()
            .find_map(|crawl| changed(&url, &settings(crawl)));
        let crawled = changed.as_ref().map_or(&url, |changed| &changed.url);
        let explained = reader.explain(crawled, &steps()).await?;
        let mut to = output::stdout();
        if explained.requests.is_empty() {
            writeln!(to, "not crawled")?;
        }
        normalised(&mut to, &url, changed.as_ref(), &explained)?;
        for story in &explained.requests {
            tell(&mut to, story)?;
        }
        if explained.requests.is_empty() && canonical(crawled, usize::MAX).is_ok() {
            for crawl in &crawls {
                let refused = reader.refused(crawl.id).await?;
                let settings = settings(crawl);
                let case = Case {
                    url: crawled,
                    crawl,
                    settings: &settings,
                    refused: &refused,
                };
                case.would(&mut to, &explained)?;
            }
        }
        to.flush()?;
        Ok(0)
    }
}

fn changed(url: &Url, settings: &Settings) -> Option<Changed> {
    ParamRules::new(&settings.drop_params, settings.sort_query).apply(url)
}

/// The canonical form, where it says more than the URL.
fn normalised(
    to: &mut impl Write,
    url: &Url,
    changed: Option<&Changed>,
    explained: &Explained,
) -> std::io::Result<()> {
    let crawled = changed.map_or(url, |changed| &changed.url);
    match canonical(crawled, usize::MAX) {
        Err(error) => writeln!(to, "  crawlable   no: {error}"),
        Ok(_) if changed.is_none() && !explained.requests.is_empty() => Ok(()),
        Ok((origin, path)) => {
            let was = changed.map_or_else(String::new, |changed| {
                let was = &url[Position::BeforePath..Position::AfterQuery];
                format!("   (was {}: {})", shorten(was, 300), clean(&changed.why()))
            });
            writeln!(
                to,
                "  normalised  {}{was}",
                clean(&format!("{origin}{path}"))
            )
        }
    }
}

/// The names of the steps of all spiders, old ones included.
fn steps() -> Vec<String> {
    let mut names = Vec::new();
    for spider in spiders::all() {
        for step in spider.steps() {
            names.push(step.name.to_owned());
            names.extend(step.was.iter().map(|name| (*name).to_owned()));
        }
    }
    names.sort();
    names.dedup();
    names
}

fn settings_of(run: &RunRow) -> Settings {
    let mut told: serde_json::Value = serde_json::from_str(&run.settings).unwrap_or_default();
    if let Some(told) = told.as_object_mut() {
        told.remove(SPIDER_FILE);
    }
    serde_json::from_value(told).unwrap_or_default()
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

/// A URL that a crawl does not know.
struct Case<'a> {
    url: &'a Url,
    crawl: &'a CrawlRow,
    settings: &'a Settings,
    refused: &'a [RefusedRow],
}

impl Case<'_> {
    /// What the crawl would say of it: every verdict anew.
    fn would(&self, to: &mut impl Write, explained: &Explained) -> std::io::Result<()> {
        writeln!(to, "  {}", clean(&self.crawl.spider))?;
        let own = |known: &&KnownHost| known.crawl == self.crawl.id;
        let hosts: Vec<_> = explained.hosts.iter().filter(own).collect();
        if !self.scope(to, &hosts)? || !self.limits(to)? {
            return Ok(());
        }
        self.robots(to, &hosts)?;
        writeln!(to, "    found     on no page that was read so far")
    }

    fn scope(&self, to: &mut impl Write, hosts: &[&KnownHost]) -> std::io::Result<bool> {
        let mut scope = Scope::new(self.settings);
        for known in hosts.iter().filter(|known| known.host.seed) {
            if let Ok(origin) = known.host.origin.parse() {
                scope.add(&origin);
            }
        }
        let host = host_and_port(self.url);
        let host = clean(&host);
        let (why, allow) = match scope.refuse(self.url) {
            None => {
                writeln!(to, "    in scope  yes")?;
                return Ok(true);
            }
            Some(Outside::Exclude(pattern)) => (
                format!("excluded by {}", shorten(pattern, 200)),
                "take the pattern out of  exclude".to_owned(),
            ),
            Some(Outside::Include) => (
                format!("it matches none of  include = {:?}", self.settings.include),
                "add a pattern to  include".to_owned(),
            ),
            Some(_) => (
                format!("{host} is no host of the crawl"),
                format!("hosts = [\"{host}\"]"),
            ),
        };
        writeln!(to, "    in scope  no: {}", clean(&why))?;
        writeln!(to, "              to allow it:  {allow}")?;
        Ok(false)
    }

    /// Limits of URLs, and traps that the crawl fell into.
    fn limits(&self, to: &mut impl Write) -> std::io::Result<bool> {
        if let Err(error) = canonical(self.url, self.settings.max_url_bytes) {
            writeln!(to, "    length    no: {error} (max_url_bytes)")?;
            return Ok(false);
        }
        if let Some(trap) = traps::refuse_path(self.url, self.settings) {
            let setting = traps::setting_of(trap.reason).unwrap_or(trap.reason);
            writeln!(to, "    trap      yes: its path is beyond {setting}")?;
            return Ok(false);
        }
        let pattern = traps::pattern_of(self.url);
        for row in self.refused {
            let number = plural(row.count, "link");
            match (row.reason.as_str(), traps::setting_of(&row.reason)) {
                (_, Some(setting)) if row.subject == pattern => {
                    let pattern = shorten(&pattern, 200);
                    writeln!(to, "    trap      yes: {pattern} went beyond {setting}")?;
                    writeln!(to, "              refused so far: {number} like it")?;
                    return Ok(false);
                }
                ("depth", _) => writeln!(
                    to,
                    "    depth     perhaps no: {number} were deeper than max_depth"
                )?,
                _ => {}
            }
        }
        Ok(true)
    }

    fn robots(&self, to: &mut impl Write, hosts: &[&KnownHost]) -> std::io::Result<()> {
        let origin = self.url.origin().ascii_serialization();
        let known = hosts.iter().find(|known| known.host.origin == origin);
        match known.and_then(|known| known.host.robots.as_ref()) {
            _ if self.settings.robots == RobotsMode::Ignore => {
                writeln!(to, "    robots    ignored")
            }
            None => writeln!(to, "    robots    not read yet"),
            Some(file) => {
                let verdict = verdict(self.url, file, self.settings);
                writeln!(to, "    robots    {verdict}")?;
                if verdict.starts_with(BLOCKED) {
                    writeln!(to, "              {}", anyway(&self.crawl.spider))?;
                }
                Ok(())
            }
        }
    }
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
