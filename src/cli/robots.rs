//! `nephila robots URL`.

use std::io::{Read, Write};

use url::Url;

use super::failure::Failure;
use super::flags::SettingFlags;
use super::output;
use super::project::Project;
use crate::engine::robots::{self, Answer};
use crate::fetch::HttpFetch;
use crate::policy::robots::{Availability, Robots, path_to_match, product_token};
use crate::request::canonical;
use crate::settings::Settings;
use crate::ui::{clean, duration, plural, shorten};

/// Sitemaps that are shown.
const SITEMAPS: usize = 10;

const EXAMPLES: &str = "\
Exit code: 0 all may be fetched · 1 one of them may not

Examples:
  nephila robots https://shop.example/book/7               fetches https://shop.example/robots.txt
  nephila robots --file robots.txt /private /public        of a file, for paths or URLs
  curl -s shop.example/robots.txt | nephila robots --file - --agent OtherBot /";

/// Whether robots.txt allows URLs, and by which line
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RobotsOf {
    /// Absolute URLs; with --file, paths will do
    #[arg(required = true)]
    urls: Vec<String>,
    /// Read this file instead of the host's; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// For a crawler of this name, or User-Agent [default: the setting user_agent]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    #[command(flatten)]
    flags: SettingFlags,
}

/// A robots.txt and where it is from.
struct Found {
    robots: Robots,
    /// What to say of it where no line of it decides.
    note: String,
}

impl RobotsOf {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let (settings, _) = Project::find()?.settings(None, &self.flags.layer()?)?;
        let agent = self.agent.as_deref().unwrap_or(&settings.user_agent);
        let mut to = output::stdout();
        let mut forbidden = false;
        let file = match &self.file {
            None => None,
            Some(file) => Some(of_file(file, agent)?),
        };
        // One fetch per host, in the order in which the hosts come up.
        let mut hosts: Vec<(String, Found)> = Vec::new();
        for url in &self.urls {
            let found = if let Some(file) = &file {
                file
            } else {
                let origin = origin_of(url)?;
                let known = hosts.iter().position(|(known, _)| *known == origin);
                let at = known.unwrap_or(hosts.len());
                if known.is_none() {
                    hosts.push((origin.clone(), fetch(&origin, &settings, agent).await?));
                }
                &hosts[at].1
            };
            forbidden |= !tell(&mut to, url, found)?;
        }
        if self.urls.len() == 1
            && let Some(found) = file.as_ref().or(hosts.first().map(|(_, found)| found))
        {
            tell_more(&mut to, &found.robots, agent)?;
        }
        to.flush()?;
        Ok(u8::from(forbidden))
    }
}

fn origin_of(text: &str) -> Result<String, Failure> {
    let whole = "write it whole: nephila robots https://shop.example/book/7";
    let url = Url::parse(text)
        .map_err(|error| Failure::usage(format!("`{text}` is no URL: {error}")).more(whole))?;
    let (origin, _) = canonical(&url, usize::MAX)
        .map_err(|error| Failure::usage(format!("`{text}`: {error}")).more(whole))?;
    Ok(origin)
}

fn of_file(file: &str, agent: &str) -> Result<Found, Failure> {
    let mut body = Vec::new();
    let read = match file {
        "-" => std::io::stdin().lock().read_to_end(&mut body),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut body)),
    };
    read.map_err(|error| Failure::usage(format!("can't read {file}: {error}")))?;
    Ok(Found {
        robots: Robots::parse(&body, agent),
        note: "no line of it forbids it".to_owned(),
    })
}

/// A host's robots.txt, redirects followed.
async fn fetch(origin: &str, settings: &Settings, agent: &str) -> Result<Found, Failure> {
    let http = HttpFetch::new(settings).map_err(|error| Failure::usage(error.to_string()))?;
    // The user named the host.
    let url = Url::parse(origin).map_err(|error| Failure::usage(error.to_string()))?;
    http.allow_host(url.host_str().unwrap_or_default());
    let answer = robots::search(&http, origin, settings.max_robots).await;
    let Answer { file, .. } =
        answer.ok_or_else(|| Failure::usage(format!("{origin} has no robots.txt")))?;
    let robots = Robots::of_answer(file.status, file.body.as_bytes(), agent);
    let note = match (Availability::of_status(file.status), file.status) {
        (Availability::Readable, _) => "no line of it forbids it".to_owned(),
        (Availability::Unavailable, status) => {
            format!("answered {status}: there is none, and everything is allowed")
        }
        (Availability::Unreachable, 0) => {
            let why = shorten(&file.body, 200);
            format!("can't be fetched ({why}): nothing is allowed until it can")
        }
        (Availability::Unreachable, status) => {
            format!("answered {status}: nothing is allowed until it can be read")
        }
    };
    Ok(Found { robots, note })
}

fn tell(to: &mut impl Write, url: &str, found: &Found) -> std::io::Result<bool> {
    let verdict = found.robots.verdict(&path_to_match(url));
    let word = if verdict.allowed {
        "allowed"
    } else {
        "forbidden"
    };
    writeln!(to, "{word:<9}  {}", clean(url))?;
    // Our own line, where there was no file, is none of its lines.
    let rule = verdict
        .rule
        .filter(|_| !found.note.contains("nothing is allowed"));
    match rule {
        Some(rule) => writeln!(
            to,
            "  by       line {} of robots.txt: {}",
            rule.line,
            shorten(&rule.text, 300)
        )?,
        None => writeln!(to, "  robots.txt {}", found.note)?,
    }
    Ok(verdict.allowed)
}

fn tell_more(to: &mut impl Write, robots: &Robots, agent: &str) -> std::io::Result<()> {
    writeln!(to, "  agent    {}", clean(product_token(agent)))?;
    if let Some(delay) = robots.crawl_delay() {
        writeln!(to, "  delay    Crawl-delay of {}", duration(delay))?;
    }
    for sitemap in robots.sitemaps().iter().take(SITEMAPS) {
        writeln!(to, "  sitemap  {}", shorten(sitemap, 300))?;
    }
    let more = robots.sitemaps().len().saturating_sub(SITEMAPS);
    if more > 0 {
        writeln!(to, "  and {}", plural(more as u64, "sitemap"))?;
    }
    Ok(())
}
