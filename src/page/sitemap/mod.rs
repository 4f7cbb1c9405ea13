//! Sitemaps: what a site says it has.
//!
//! A sitemap is read as it goes, entry by entry, however large it is: there is never more of it in
//! memory than its body and one entry, whether it is an index, a list of URLs, plain text, RSS or Atom,
//! packed with gzip or not. A robots.txt counts as an index of the sitemaps that it names. Sitemaps are
//! hostile input: no DTD is read and no entity expanded but those that XML has itself, and size, depth
//! and every text have a bound.

mod draft;
mod entry;
mod input;
mod language;
mod moment;
pub(crate) use moment::moment;
mod xml;

pub use entry::{ChangeFreq, SitemapAlternate, SitemapEntry, SitemapNews, SitemapVideo};

use std::io::{self, BufRead};
use std::sync::Arc;
use std::vec;

use jiff::Timestamp;
use regex::Regex;
use thiserror::Error;
use url::Url;

use self::input::Input;
use self::language::Languages;
use self::xml::Xml;
use super::Page;
use crate::policy::robots::Robots;
use crate::request::{Request, Result, Step};
use crate::settings::url_pattern;

/// How much of a sitemap is read once it is unpacked; the protocol allows 50 MiB.
const MAX_BYTES: u64 = 64 << 20;
/// How long one tag, comment or text may be.
const MAX_PIECE: usize = 1 << 20;
/// How long a line of a plain list may be to be read; the protocol allows 2,048.
const MAX_LINE: usize = 8 << 10;

/// One of the errors that this module names.
type Reading<T> = std::result::Result<T, SitemapError>;

/// What a sitemap is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SitemapKind {
    /// A `sitemapindex`: it names sitemaps.
    Index,
    /// A `urlset`.
    Urls,
    /// A URL a line.
    Text,
    /// RSS, of any version.
    Rss,
    /// Atom.
    Atom,
    /// A robots.txt, for its `Sitemap` lines.
    Robots,
}

/// Why a sitemap can't be read, or not to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SitemapError {
    /// It is something else.
    #[error("no sitemap: it begins with `{0}`")]
    Other(String),
    /// There is not one URL in it.
    #[error("no sitemap: neither XML nor a list of URLs")]
    NoUrl,
    /// It ends before its root element does.
    #[error("the sitemap ends early, at byte {0}")]
    EndsEarly(u64),
    /// It is no XML from there on.
    #[error("the sitemap is broken at byte {at}: {error}")]
    Broken {
        /// Counted in UTF-8, unpacked.
        at: u64,
        /// What is wrong.
        error: String,
    },
    /// It is nested deeper than any sitemap.
    #[error("the sitemap is nested too deeply, at byte {0}")]
    TooDeep(u64),
    /// It can't be unpacked, or goes beyond a limit.
    #[error("the sitemap can't be read on")]
    Read(#[from] io::Error),
}

/// A sitemap being read: an iterator over its entries that pass the filters, in order.
///
/// Where the file is broken, its last item is the error, after all that came before.
///
/// ```
/// # use nephila::prelude::*;
/// # #[derive(Default)] struct Shop;
/// #[spider(start = "http://127.0.0.1:7788/robots.txt")]
/// impl Shop {
///     async fn maps(&self, page: Page) -> Result {
///         let map = page.sitemap()?.only("/book/*")?;
///         map.follow(Self::maps, Self::book)?;
///         Ok(())
///     }
///
///     async fn book(&self, page: Page) -> Result {
///         let title: String = page.get("h1")?;
///         println!("{title}");
///         Ok(())
///     }
/// }
/// ```
#[must_use = "a sitemap is read by `follow`, or by going over it"]
pub struct Sitemap<'a> {
    page: &'a Page,
    kind: SitemapKind,
    source: Source<'a>,
    only: Vec<(String, Regex)>,
    /// Whether `only` has left pages out.
    has_others: bool,
    languages: Languages,
    since: Option<Timestamp>,
    below: Option<String>,
    invalid: Option<(u64, String)>,
}

/// What [`Sitemap::follow`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Followed {
    /// Sitemaps that were requested.
    pub maps: usize,
    /// Pages that were requested.
    pub pages: usize,
    /// Where the file is broken, if it is: the rest of it is lost.
    pub broken: Option<SitemapError>,
}

enum Source<'a> {
    Robots(vec::IntoIter<Url>),
    Text { input: Input<'a>, found: bool },
    Xml(Box<Xml<'a>>),
    End,
}

impl<'a> Sitemap<'a> {
    pub(super) fn of(page: &'a Page) -> Reading<Self> {
        let url = page.url();
        let (kind, source) = if url.path() == "/robots.txt" {
            let urls = Robots::parse(page.text().as_bytes(), "*").sitemap_urls(url);
            (SitemapKind::Robots, Source::Robots(urls.into_iter()))
        } else {
            let mut input = Input::new(page.body(), page.response().header("content-type"));
            if input.begins_with_tag()? {
                let xml = Box::new(Xml::open(input, url)?);
                (xml.kind(), Source::Xml(xml))
            } else {
                let found = false;
                (SitemapKind::Text, Source::Text { input, found })
            }
        };
        Ok(Self {
            page,
            kind,
            source,
            only: Vec::new(),
            has_others: false,
            languages: Languages::default(),
            since: None,
            below: None,
            invalid: None,
        })
    }

    /// What it is written in.
    pub fn kind(&self) -> SitemapKind {
        self.kind
    }

    /// Only pages whose URL matches: as in the setting `include`, `/book/*` or `re:…`. Said again,
    /// another pattern is another choice. Sitemaps that it names are no pages, and stay.
    ///
    /// # Errors
    /// If it is no pattern.
    pub fn only(mut self, pattern: &str) -> Result<Self> {
        let regex = url_pattern(pattern)
            .map_err(|error| format!("`{pattern}` is no pattern of URLs: {error}"))?;
        self.only.push((pattern.to_owned(), regex));
        Ok(self)
    }

    /// Of a page that is there in several languages (`hreflang`) those in this one, each once: `de` is
    /// `de-AT`, too, and `*` is every language. Said again, another language is another choice. A page that
    /// names no languages stays.
    pub fn language(mut self, language: &str) -> Self {
        self.languages.want(language);
        self
    }

    /// Only what has changed since `moment`, be it a page or a whole sitemap. What does not say when it
    /// changed stays; with `None` all does.
    pub fn since(mut self, moment: impl Into<Option<Timestamp>>) -> Self {
        self.since = moment.into();
        self
    }

    /// Only pages that the protocol lets a sitemap speak for: those below the folder that it is in.
    pub fn strict(mut self) -> Self {
        let url = self.page.url();
        self.below = url.join(".").map(String::from).ok();
        self
    }

    /// Requests what it names: sitemaps for the step `maps`, pages for the step `pages`. As with links,
    /// duplicates and URLs out of scope cost nothing, and those beyond the setting `max_links` are
    /// counted. A file that is broken is followed as far as it goes.
    ///
    /// # Errors
    /// If a step is none.
    pub fn follow<M, P>(mut self, maps: impl Step<M>, pages: impl Step<P>) -> Result<Followed> {
        let page = self.page;
        let (maps, pages) = (page.own_step(maps)?, page.own_step(pages)?);
        let terms_of = |step| Arc::new(page.terms_of_links(step));
        let (maps, pages) = (terms_of(maps), terms_of(pages));
        let mut followed = Followed::default();
        let mut emitted = page.0.emitted.borrow_mut();
        for entry in &mut self {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    tracing::warn!(url = %page.url(), "{error}: following what came before");
                    followed.broken = Some(error);
                    break;
                }
            };
            if emitted.requests.len() >= page.0.context.links.count {
                emitted.add_surplus(&entry.url);
                continue;
            }
            let (terms, count) = if entry.is_map {
                (&maps, &mut followed.maps)
            } else {
                (&pages, &mut followed.pages)
            };
            *count += 1;
            let mut request = Request::on(entry.url, Arc::clone(terms));
            // What does not say when it changed may have changed.
            request.lastmod = Some(entry.lastmod.unwrap_or(Timestamp::MAX));
            emitted.push(request, &page.0.context.links);
        }
        if let Some((count, sample)) = self.invalid {
            emitted.add_invalid(count, &sample);
        }
        if followed.pages == 0 && self.has_others {
            let patterns: Vec<_> = self.only.iter().map(|(text, _)| text.as_str()).collect();
            emitted.missed(&format!("only {}", patterns.join(", ")));
        }
        Ok(followed)
    }

    fn passes(&mut self, entry: &SitemapEntry) -> bool {
        let url = entry.url.as_str();
        let is_old = |since| entry.lastmod.is_some_and(|changed| changed < since);
        if self.since.is_some_and(is_old) {
            return false;
        }
        let is_other = !entry.is_map
            && !self.only.is_empty()
            && !self.only.iter().any(|(_, only)| only.is_match(url));
        self.has_others |= is_other;
        let is_below = |own: &String| url.starts_with(own);
        entry.is_map || !is_other && self.below.as_ref().is_none_or(is_below)
    }

    /// The next entry, in the languages that are wanted.
    fn read_chosen(&mut self) -> Option<Reading<SitemapEntry>> {
        loop {
            if let Some(entry) = self.languages.next() {
                return Some(Ok(entry));
            }
            match self.read()? {
                Ok(entry) if self.languages.are_of(&entry) => self.languages.choose(&entry),
                read => return Some(read),
            }
        }
    }

    fn read(&mut self) -> Option<Reading<SitemapEntry>> {
        let invalid = &mut self.invalid;
        let mut refuse = |text: &str| match invalid {
            Some((count, _)) => *count += 1,
            None => *invalid = Some((1, text.to_owned())),
        };
        match &mut self.source {
            Source::End => None,
            Source::Robots(urls) => urls.next().map(|url| Ok(SitemapEntry::new(url, true))),
            Source::Text { input, found } => next_line(input, *found, refuse).inspect(|read| {
                *found |= read.is_ok();
            }),
            Source::Xml(xml) => xml.next(&mut refuse).transpose(),
        }
    }
}

impl Iterator for Sitemap<'_> {
    type Item = std::result::Result<SitemapEntry, SitemapError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_chosen() {
                Some(Ok(entry)) if !self.passes(&entry) => {}
                Some(Ok(entry)) => return Some(Ok(entry)),
                end => {
                    self.source = Source::End;
                    return end;
                }
            }
        }
    }
}

/// The next line of a list that is a URL.
fn next_line(
    input: &mut Input<'_>,
    found: bool,
    mut refuse: impl FnMut(&str),
) -> Option<Reading<SitemapEntry>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        input.new_piece();
        match input.read_until(b'\n', &mut line) {
            Err(error) => return Some(Err(error.into())),
            Ok(0) => return (!found).then_some(Err(SitemapError::NoUrl)),
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = trimmed(&text);
        if text.is_empty() {
            continue;
        }
        match Url::parse(text) {
            Ok(url) if is_web(&url) && text.len() <= MAX_LINE => {
                return Some(Ok(SitemapEntry::new(url, false)));
            }
            _ => refuse(beginning(text)),
        }
    }
}

/// A URL as sitemaps write them: absolute, rarely relative, and at times without its scheme.
fn located(base: &Url, text: &str) -> Option<Url> {
    let text = trimmed(text);
    if text.is_empty() {
        return None;
    }
    let own = base.host_str().and_then(|host| text.strip_prefix(host));
    let is_own = own.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '?']));
    let url = if is_own {
        Url::parse(&format!("{}://{text}", base.scheme()))
    } else {
        base.join(text)
    };
    url.ok().filter(is_web)
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Without white space of any kind, and without what can't be seen.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\0'))
}

/// As much of a text as a message may show.
fn beginning(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(100)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests;
