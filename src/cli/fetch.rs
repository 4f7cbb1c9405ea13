//! `nephila fetch URL`.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::failure::Failure;
use super::looker::{LookFlags, Looker};
use super::output;
use super::visitor::Visitor;
use crate::engine::{Fetcher, leads_on, parse_limits};
use crate::fetch::{FetchError, Middlewares, Next};
use crate::page::{Context, Page};
use crate::policy::redirect;
use crate::policy::robots;
use crate::request::{Request, Response, Source, StepRef, charset};
use crate::settings::{RobotsMode, Settings};
use crate::spider::Spider;
use crate::ui::{bytes, clean, duration, shorten};

const EXAMPLES: &str = "\
Examples:
  nephila fetch https://shop.example/book/7 > book.html
  nephila fetch https://shop.example/ --headers > /dev/null
  nephila fetch https://shop.example/book/7 --as books     with the spider's settings and middleware
  nephila fetch https://shop.example/ --curl               the same for curl, secrets left out";

/// The longest line of a message or header that is shown.
const LINE: usize = 2_000;

/// Show a page as a crawl would get it: its body to standard output, all else to standard error
///
/// The body is decoded, and text becomes UTF-8. robots.txt is asked first, at every hop of a redirect.
/// Ends with 0 if a step would read the page, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Fetch {
    /// An absolute URL
    url: String,
    #[command(flatten)]
    look: LookFlags,
    /// Show what is sent and answered: headers, credentials left out
    #[arg(long)]
    headers: bool,
    /// Fetch nothing; print the curl command that sends the same, credentials left out
    #[arg(long, conflicts_with = "headers")]
    curl: bool,
}

impl Fetch {
    /// Whether a spider of the project is needed.
    pub(super) fn needs_spiders(&self) -> bool {
        self.look.needs_spiders()
    }

    pub(super) async fn run(self) -> Result<u8, Failure> {
        let url = url(&self.url, "nephila fetch https://shop.example/book/7")?;
        let Looker {
            spider,
            settings,
            fetcher,
            ..
        } = self.look.looker()?;
        fetcher.trust(&url);
        let mut request = Request::new(url, StepRef::named("fetch"));
        if self.curl {
            let spider = spider.as_deref();
            let request = sent(spider, &request).await?;
            let mut to = output::stdout();
            writeln!(
                to,
                "{}",
                curl(&request, &fetcher.headers(&request), &settings)
            )?;
            to.flush()?;
            return Ok(0);
        }
        if let Some(spider) = spider.as_deref() {
            let (settings, fetcher) = (&settings, &fetcher);
            let visitor = Visitor {
                spider,
                settings,
                fetcher,
            };
            let session = visitor.log_in().await?;
            request = visitor.request(request.url, None, session).await;
        }
        let shown = Shown {
            settings: &settings,
            fetcher: &fetcher,
            headers: self.headers,
        };
        match shown.follow(request).await? {
            Some(response) => {
                body(&response)?;
                Ok(u8::from(!response.status.is_success()))
            }
            None => Ok(1),
        }
    }
}

/// A URL that was typed to be fetched.
pub(super) fn url(text: &str, example: &str) -> Result<Url, Failure> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        Failure::usage(format!("`{text}` is no URL that can be fetched"))
            .more(format!("write it whole: {example}"))
    })
}

/// Goes where redirects lead, and says so; none if a crawl would get nothing, which is said then.
pub(super) async fn follow(
    settings: &Settings,
    fetcher: &Fetcher,
    request: Request,
) -> Result<Option<Response>, Failure> {
    let shown = Shown {
        settings,
        fetcher,
        headers: false,
    };
    shown.follow(request).await
}

/// What is fetched with, and how much of it is shown.
struct Shown<'a> {
    settings: &'a Settings,
    fetcher: &'a Fetcher,
    headers: bool,
}

impl Shown<'_> {
    /// Goes where redirects lead; none if a crawl would get nothing, which is said then.
    async fn follow(&self, mut request: Request) -> Result<Option<Response>, Failure> {
        loop {
            if !self.may(&request).await {
                return Ok(None);
            }
            if self.headers {
                let path = &request.url[url::Position::BeforePath..url::Position::AfterQuery];
                output::say(&format!("> {} {}", request.method, clean(path)));
                lines('>', &masked(&self.fetcher.headers(&request)));
            }
            let response = match self.fetcher.fetch(&request).await {
                Ok(response) => response,
                Err(error) => return Ok(self.failed(&request, error)),
            };
            self.say(&response);
            let max = self.settings.max_redirects;
            let next = if redirect::is_redirect(response.status) {
                redirect::follow(&request, &response, max)
            } else if let Some(url) = self.refresh(&response) {
                say(
                    "refresh",
                    &format!("leads to {url}  (-s follow_refresh=false stays)"),
                );
                redirect::refresh(&request, url, max)
            } else {
                return Ok(Some(response));
            };
            match next {
                Ok(next) => request = next,
                Err(error) => {
                    say("error", &error.to_string());
                    return Ok(None);
                }
            }
        }
    }

    /// Where the page leads by itself, as a crawl sees it.
    fn refresh(&self, response: &Response) -> Option<Url> {
        let context = Context {
            limits: parse_limits(self.settings),
            ..Context::default()
        };
        leads_on(self.settings, &Page::new(response.clone(), context))
    }

    /// Says what robots.txt says; whether it is obeyed to.
    async fn may(&self, request: &Request) -> bool {
        if self.settings.robots == RobotsMode::Ignore {
            say("robots", "ignored");
            return true;
        }
        let rules = match self.fetcher.robots(&request.url).await {
            Ok(rules) => rules,
            Err(error) => {
                say(
                    "robots",
                    &format!("can't be read, so nothing is fetched: {error}"),
                );
                return false;
            }
        };
        let verdict = rules.verdict(&robots::path_to_match(request.url.as_str()));
        let by = verdict.rule.as_ref().map_or_else(String::new, |rule| {
            format!(" by  {}  (robots.txt line {})", rule.text, rule.line)
        });
        let word = if verdict.allowed {
            "allowed"
        } else {
            "BLOCKED"
        };
        say("robots", &format!("{word}{by}"));
        if !verdict.allowed {
            say("", "to fetch it anyway:  -s robots=ignore, if you may");
        }
        verdict.allowed
    }

    fn failed(&self, request: &Request, error: FetchError) -> Option<Response> {
        let url = without_login(&request.url);
        say("error", &format!("{}: {url}", error.message));
        let response = *error.response?;
        self.say(&response);
        // What came in place of the page can be looked at, but is no page.
        let _ = body(&response);
        None
    }

    fn say(&self, response: &Response) {
        let kind = response.header("content-type").unwrap_or("no type");
        let source = match response.source {
            Source::Network => String::new(),
            Source::Cache => ", from the cache".to_owned(),
            Source::Revalidated => ", from the cache, still the same".to_owned(),
        };
        let text = is_text(response).then(|| {
            let (_, encoding) = charset::decode(response.header("content-type"), &response.body);
            // Whatever was guessed of it, it is that, too.
            let name = if response.body.is_ascii() && encoding != encoding_rs::UTF_8 {
                "ASCII"
            } else {
                encoding.name()
            };
            format!(" read as {name}")
        });
        let wire = match response.wire_bytes {
            wire if wire == response.body.len() as u64 || response.source != Source::Network => {
                String::new()
            }
            wire => format!(" ({} on the wire)", bytes(wire)),
        };
        say(
            response.status.as_str(),
            &format!(
                "{}   {}{wire}, {}, {kind}{}{source}",
                response.url,
                bytes(response.body.len() as u64),
                duration(response.took),
                text.unwrap_or_default(),
            ),
        );
        if self.headers {
            output::say(&format!("< {}", response.status));
            lines('<', &response.headers);
        }
    }
}

fn say(label: &str, text: &str) {
    output::say(&format!("  {label:<8} {}", shorten(text, LINE)));
}

fn lines(mark: char, headers: &HeaderMap) {
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        output::say(&format!("{mark} {name}: {}", shorten(&value, LINE)));
    }
}

/// The body: text as UTF-8, the rest as it is. What a terminal would obey is spelled out on one.
fn body(response: &Response) -> Result<(), Failure> {
    let mut to = output::stdout();
    let terminal = output::stdout_is_terminal();
    if is_text(response) {
        let (text, _) = charset::decode(response.header("content-type"), &response.body);
        if terminal {
            for line in text.lines() {
                writeln!(to, "{}", clean_line(line))?;
            }
        } else {
            to.write_all(text.as_bytes())?;
        }
    } else if terminal && !response.body.is_empty() {
        say(
            "",
            "the body is no text; to look at it:  nephila fetch URL > FILE",
        );
    } else {
        to.write_all(&response.body)?;
    }
    to.flush()?;
    Ok(())
}

/// Tabs are harmless.
fn clean_line(line: &str) -> String {
    line.split('\t').map(clean).collect::<Vec<_>>().join("\t")
}

/// Whether a body is text: by its type, and if it has none by its bytes.
fn is_text(response: &Response) -> bool {
    let kind = response.header("content-type").unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "" => !response.body.contains(&0),
        "application/json" | "application/xml" | "application/javascript" => true,
        kind => kind.starts_with("text/") || kind.ends_with("+xml") || kind.ends_with("+json"),
    }
}

/// Header fields whose values are secrets.
const SECRET: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
];

/// What stands in place of a secret.
const MASK: HeaderValue = HeaderValue::from_static("***");

/// Headers with secrets masked: known ones, those marked as such, and those that sound like one.
fn masked(headers: &HeaderMap) -> HeaderMap {
    let sounds = |name: &HeaderName| {
        let name = name.as_str();
        ["key", "token", "secret", "auth", "session", "password"]
            .iter()
            .any(|word| name.contains(word))
    };
    let mut shown = HeaderMap::new();
    for (name, value) in headers {
        let secret = SECRET.contains(name) || value.is_sensitive() || sounds(name);
        shown.append(name, if secret { MASK } else { value.clone() });
    }
    shown
}

/// The request as it leaves the spider's stages.
async fn sent(spider: Option<&dyn Spider>, request: &Request) -> Result<Request, Failure> {
    let kept = Arc::new(Mutex::new(request.clone()));
    let keeper = Arc::clone(&kept);
    let keep = move |request: Request, _: Next| {
        *keeper.lock().unwrap_or_else(PoisonError::into_inner) = request;
        async { Err(FetchError::refused("only shown")) }
    };
    let stages = spider.map_or_else(Middlewares::new, Spider::middleware);
    // Whatever comes of it: what was passed on, if anything was, is kept.
    let _ = Next::before(stages.with(keep)).fetch(request).await;
    let request = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(request)
}

/// The curl command that sends `request` with `headers`.
fn curl(request: &Request, headers: &HeaderMap, settings: &Settings) -> String {
    let mut words = vec!["curl --silent --show-error --compressed".to_owned()];
    if request.method != http::Method::GET {
        words.push(format!("--request {}", quoted(request.method.as_str())));
    }
    let connect = settings.connect_timeout.as_secs_f64();
    let all = request.timeout.unwrap_or(settings.timeout).as_secs_f64();
    words.push(format!("--connect-timeout {connect} --max-time {all}"));
    for (name, value) in &masked(headers) {
        // curl asks for what it can undo by itself.
        if *name != header::ACCEPT_ENCODING {
            let value = String::from_utf8_lossy(value.as_bytes());
            words.push(format!("--header {}", quoted(&format!("{name}: {value}"))));
        }
    }
    if let Some(body) = &request.body {
        words.push(format!(
            "--data-binary {}",
            quoted(&String::from_utf8_lossy(body))
        ));
    }
    let mut url = without_login(&request.url);
    url.set_fragment(None);
    words.push(quoted(url.as_str()));
    words.join(" \\\n  ")
}

fn without_login(url: &Url) -> Url {
    let mut url = url.clone();
    // Neither fails for a URL with a host, and no other gets here.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", clean(text).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curl_command_has_no_secrets_and_is_one_command() {
        let url = "http://ann:pass@e.x/a?q=it's#part".parse().unwrap();
        let mut request = Request::new(url, StepRef::named("page"));
        request.method = http::Method::POST;
        request.body = Some("a='b'".into());
        let headers = [
            ("authorization", "Bearer t0p"),
            ("cookie", "id=t0p"),
            ("x-api-key", "t0p"),
            ("x-odd", "it's; $(reboot) `x`"),
            ("accept-encoding", "gzip"),
        ];
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let command = curl(&request, &headers.collect(), &Settings::default());
        assert_eq!(
            command,
            "curl --silent --show-error --compressed \\
  --request 'POST' \\
  --connect-timeout 10 --max-time 60 \\
  --header 'authorization: ***' \\
  --header 'cookie: ***' \\
  --header 'x-api-key: ***' \\
  --header 'x-odd: it'\\''s; $(reboot) `x`' \\
  --data-binary 'a='\\''b'\\''' \\
  'http://e.x/a?q=it%27s'"
        );
        assert!(!command.contains("t0p") && !command.contains("pass"));
    }

    #[test]
    fn what_is_text() {
        let check = |kind: &'static str, body: &'static [u8], expected| {
            let mut response = Response::new("http://e.x/".parse().unwrap(), body);
            if !kind.is_empty() {
                response
                    .headers
                    .insert("content-type", HeaderValue::from_static(kind));
            }
            assert_eq!(is_text(&response), expected, "{kind}");
        };
        check("text/html; charset=x", b"\0", true);
        check("application/ld+json", b"", true);
        check("image/png", b"a", false);
        check("", b"a\0b", false);
        check("", b"ab", true);
    }
}
