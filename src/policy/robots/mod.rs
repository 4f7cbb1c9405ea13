//! robots.txt by RFC 9309, and as Google's open-source matcher reads it where the RFC is silent.
//!
//! The idea: a file is a list of groups, each for some product tokens. The groups that name ours
//! count, merged into one; if none does, those for `*` count. Of the rules that match a path the
//! longest wins, and `Allow` wins a tie. `*` in a rule stands for any text, a `$` at its end for
//! the end of the path; everything else is compared after both sides were brought to one
//! percent-encoded spelling, so `/%7Ejoe`, `/%7ejoe` and `/~joe` are one path but `/a%2Fb` and
//! `/a/b` are two.
//!
//! Files are hostile input. At most [`MAX_BYTES`] of a file and [`MAX_LINE_BYTES`] of a line are
//! read, and a rule is matched in time linear in path and rule, whatever its stars. A file of tens
//! of thousands of such rules would still cost seconds for each long path, so the work of one
//! verdict is bounded too; beyond it the path is not allowed.
//!
//! Not done: `:` and `/` inside a query are not taken for equal to `%3A` and `%2F` (one row of a
//! table in the RFC; no known crawler does).
//!
//! ```
//! use nephila::policy::robots::{path_to_match, Robots};
//!
//! let robots = Robots::parse(
//!     b"User-agent: Nephila\nCrawl-delay: 2\nDisallow: /shop\nAllow: /shop/*.html$\n",
//!     "Nephila/0.1 (+https://example.org/bot)",
//! );
//! assert!(robots.verdict("/shop/a.html").allowed);
//! assert!(!robots.verdict(&path_to_match("https://example.org/shop/a.html?page=2")).allowed);
//! assert_eq!(robots.crawl_delay(), Some(std::time::Duration::from_secs(2)));
//! ```

mod parse;
mod pattern;
mod tag;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::Duration;

use url::Url;

use self::pattern::Pattern;
pub use self::tag::Directives;
use super::retry::Class;

/// How much of a robots.txt is read. RFC 9309 asks for 500 KiB at least.
pub const MAX_BYTES: usize = 1 << 20;

/// How much of one line is read; what is beyond it is ignored. Google's bound.
pub const MAX_LINE_BYTES: usize = 2083 * 8 - 1;

/// The octets that one verdict may look at: a thousand times what an ordinary file needs, and
/// enough for a file of [`MAX_BYTES`] without stars. Some 0.1 s.
const MAX_STEPS: usize = 1 << 23;

/// What a host whose robots.txt cannot be reached is taken to have said.
const DISALLOW_ALL: &str =
    "User-agent: *\nDisallow: /  # our own line: robots.txt could not be reached\n";

/// The rules of one host's robots.txt for one product token.
#[derive(Debug, Clone, Default)]
pub struct Robots {
    /// Strongest first: the first that matches decides.
    rules: Vec<Rule>,
    crawl_delay: Option<Duration>,
    sitemaps: Vec<String>,
}

/// Whether a path may be fetched, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// May it be fetched?
    pub allowed: bool,
    /// The rule that decided. `None` if no rule matched, which means allowed, or if the rules
    /// are too much work to check, which means not allowed.
    pub rule: Option<&'a MatchedRule>,
}

/// A line of a robots.txt, to be named to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedRule {
    /// Line number, from 1.
    pub line: u32,
    /// The line as written, without surrounding white space.
    pub text: String,
}

/// What the answer to a request for robots.txt means (RFC 9309 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Success: read the body.
    Readable,
    /// The host has no robots.txt (4xx, or redirects that lead nowhere): everything is allowed.
    Unavailable,
    /// The host is in trouble (5xx, 429, no answer): nothing is allowed until it is known better.
    Unreachable,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    allow: bool,
    shown: MatchedRule,
}

impl Robots {
    /// Reads a robots.txt for a crawler that calls itself `user_agent`, a product token or a whole
    /// `User-Agent` value. Every input is a valid file: lines that say nothing are skipped.
    pub fn parse(body: &[u8], user_agent: &str) -> Self {
        let body = parse::in_utf8(capped(body, MAX_BYTES));
        let mut file = parse::read(&body, product_token(user_agent));
        file.rules
            .sort_by_key(|rule| (Reverse(rule.pattern.weight()), !rule.allow));
        file
    }

    /// What the answer to a request for robots.txt means, from its final status (0 if there was
    /// no answer) and its body.
    pub fn of_answer(status: u16, body: &[u8], user_agent: &str) -> Self {
        match Availability::of_status(status) {
            Availability::Readable => Self::parse(body, user_agent),
            Availability::Unavailable => Self::allow_all(),
            Availability::Unreachable => Self::disallow_all(),
        }
    }

    /// No rules: a host without a robots.txt.
    pub fn allow_all() -> Self {
        Self::default()
    }

    /// Nothing but `/robots.txt` may be fetched: a host whose robots.txt cannot be reached.
    pub fn disallow_all() -> Self {
        Self::parse(DISALLOW_ALL.as_bytes(), "")
    }

    /// May this path be fetched? It is path and query of a URL as [`path_to_match`] gives them,
    /// percent-encoded or not.
    pub fn verdict(&self, path_and_query: &str) -> Verdict<'_> {
        let path = pattern::normalise_path(path_and_query);
        if path == "/robots.txt" {
            return Verdict {
                allowed: true,
                rule: None,
            };
        }
        let mut steps = 0;
        for rule in &self.rules {
            if rule.pattern.matches(&path, &mut steps) {
                return Verdict {
                    allowed: rule.allow,
                    rule: Some(&rule.shown),
                };
            }
            if steps > MAX_STEPS {
                return Verdict {
                    allowed: false,
                    rule: None,
                };
            }
        }
        Verdict {
            allowed: true,
            rule: None,
        }
    }

    /// The time between requests that the host asks for, not capped: `Crawl-delay`, which is no
    /// part of the RFC. Where merged groups differ, the longest counts.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// The sitemaps of the file, as written and in its order. They belong to no group.
    pub fn sitemaps(&self) -> &[String] {
        &self.sitemaps
    }

    /// The sitemaps as URLs, relative ones resolved against the URL of the robots.txt, without
    /// repetition. What is not http or https is left out.
    pub fn sitemap_urls(&self, robots_url: &Url) -> Vec<Url> {
        let mut seen = std::collections::HashSet::new();
        self.sitemaps
            .iter()
            .filter_map(|sitemap| robots_url.join(sitemap).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https") && seen.insert(url.clone()))
            .collect()
    }
}

impl Availability {
    /// What a final status means: redirects were followed, five at least; 0 is no answer.
    ///
    /// 429 is read as Google reads it: a host that has no time for robots.txt has none for pages.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Readable,
            0 | 500.. => Self::Unreachable,
            _ if Class::Status(status).is_transient() => Self::Unreachable,
            _ => Self::Unavailable,
        }
    }
}

/// The name by which a `User-Agent` value is known in robots.txt: `Nephila` of `Nephila/0.1 (+…)`.
///
/// It ends where the product name of RFC 9110 10.1.5 ends, so digits belong to it. A name with
/// other characters than letters, `-` and `_` is against RFC 9309 2.2.1, and other crawlers cut it.
pub fn product_token(user_agent: &str) -> &str {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    let end = user_agent
        .bytes()
        .position(|byte| !is_part(byte))
        .unwrap_or(user_agent.len());
    user_agent.get(..end).unwrap_or_default()
}

/// The part of a URL that rules are matched against: path and query, without the fragment.
///
/// Takes what Google's matcher takes: an absolute URL, `//host/path`, or a path alone; anything
/// without a path is `/`.
///
/// ```
/// use nephila::policy::robots::path_to_match;
/// assert_eq!(path_to_match("https://example.org/a;b?c=d#e"), "/a;b?c=d");
/// assert_eq!(path_to_match("https://example.org?c=d"), "/?c=d");
/// assert_eq!(path_to_match("https://example.org"), "/");
/// ```
pub fn path_to_match(url: &str) -> Cow<'_, str> {
    let starts_path = |c| matches!(c, '/' | '?' | ';');
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let url = url.strip_prefix("//").unwrap_or(url);
    let after_scheme = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(starts_path) => rest,
        _ => url,
    };
    match after_scheme
        .find(starts_path)
        .map(|at| after_scheme.split_at(at).1)
    {
        None => Cow::Borrowed("/"),
        Some(path) if path.starts_with('/') => Cow::Borrowed(path),
        Some(query) => Cow::Owned(format!("/{query}")),
    }
}

/// A robots.txt as text for the database, which [`Robots::parse`] reads as it reads `body`: cut
/// to `max_bytes`, without byte order mark, and bytes that a text column cannot hold (no UTF-8,
/// or NUL) percent-encoded, which means the same in a rule but is longer: the bounds are reached
/// sooner.
pub fn to_text(body: &[u8], max_bytes: usize) -> String {
    let body = parse::in_utf8(capped(body, max_bytes));
    let mut text = String::with_capacity(body.len());
    for chunk in parse::without_mark(&body).utf8_chunks() {
        text.push_str(&chunk.valid().replace('\0', "%00"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The file up to the bound, without the line that the bound cuts in two: half a rule is another
/// rule.
fn capped(body: &[u8], max_bytes: usize) -> &[u8] {
    let Some(head) = body.get(..max_bytes).filter(|head| head.len() < body.len()) else {
        return body;
    };
    let end = head
        .iter()
        .rposition(|byte| matches!(byte, b'\n' | b'\r'))
        .map_or(0, |at| at + 1);
    head.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
