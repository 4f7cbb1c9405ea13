//! Links chosen by their URLs.

use std::collections::HashSet;

use regex::Regex;
use scraper::ElementRef;
use url::Url;

use super::found::Found;
use super::{Page, Scope, Selector, dom};
use crate::request::{Result, Step};
use crate::settings::url_pattern;

/// Endings of files that are no pages: left out unless [`Links::extensions`] says otherwise.
const FILES: [&str; 62] = [
    "7z", "aac", "ai", "apk", "avi", "avif", "bin", "bmp", "bz2", "css", "csv", "dmg", "doc",
    "docm", "docx", "eot", "eps", "exe", "flac", "flv", "gif", "gz", "ico", "iso", "jar", "jpeg",
    "jpg", "js", "m4a", "m4v", "mid", "mkv", "mov", "mp3", "mp4", "mpg", "odp", "ods", "odt",
    "ogg", "otf", "pdf", "png", "ppt", "pptx", "ps", "rar", "rss", "svg", "swf", "tar", "tgz",
    "tif", "tiff", "ttf", "wav", "webm", "webp", "wmv", "woff2", "xlsx", "zip",
];

/// Which links of a page are wanted: by patterns of their URLs, and where they stand.
///
/// Patterns are those of the setting `include`: `/book/*`, `*.html`, `re:…`. Links to files that are no
/// pages (images, archives, office files…) are left out.
///
/// ```
/// use nephila::page::Links;
/// use nephila::prelude::*;
///
/// let html = "<main><a href=/book/1>one</a> <a href=/book/1#top>top</a> <a href=/book/2.pdf>as a file</a></main>
///     <footer><a href=/book/3>three</a></footer>";
/// let page = Page::from_html("http://shop.example/", html)?;
/// let links = page.links(&Links::new().allow("/book/*")?.within("main")?)?;
/// assert_eq!(links.len(), 1);
/// assert_eq!((links[0].url.path(), links[0].text.as_str()), ("/book/1", "one"));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Links {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
    hosts: Vec<String>,
    within: Vec<Selector>,
    tags: Vec<String>,
    attributes: Vec<String>,
    extensions: Option<Vec<String>>,
}

/// A link of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, without its fragment.
    pub url: Url,
    /// Its text, white space folded.
    pub text: String,
    /// What it says of itself (`nofollow`, `next`), in lower case.
    pub rel: Vec<String>,
}

impl Links {
    /// All links of the page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only URLs that match; said again, another pattern is another choice.
    ///
    /// # Errors
    /// If it is no pattern.
    pub fn allow(mut self, pattern: &str) -> Result<Self> {
        self.allow.push(regex(pattern)?);
        Ok(self)
    }

    /// No URLs that match.
    ///
    /// # Errors
    /// If it is no pattern.
    pub fn deny(mut self, pattern: &str) -> Result<Self> {
        self.deny.push(regex(pattern)?);
        Ok(self)
    }

    /// Only on this host; `*.shop.example` is every host below it, too. Said again, another host is
    /// another choice.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        let host = host.strip_prefix('*').unwrap_or(host);
        self.hosts.push(host.to_ascii_lowercase());
        self
    }

    /// Only links within what matches; said again, another place is looked at, too.
    ///
    /// # Errors
    /// If the selector does not parse.
    pub fn within(mut self, selector: &str) -> Result<Self> {
        self.within.push(Selector::parse(selector)?);
        Ok(self)
    }

    /// The elements that are links, instead of `a` and `area`.
    #[must_use]
    pub fn tag(mut self, name: &str) -> Self {
        self.tags.push(name.to_ascii_lowercase());
        self
    }

    /// The attributes that are links, instead of `href`.
    #[must_use]
    pub fn attribute(mut self, name: &str) -> Self {
        self.attributes.push(name.to_ascii_lowercase());
        self
    }

    /// Endings of files that are left out instead of the usual ones; none leaves out none.
    #[must_use]
    pub fn extensions<'a>(mut self, endings: impl IntoIterator<Item = &'a str>) -> Self {
        let ending = |ending: &str| ending.trim_start_matches('.').to_ascii_lowercase();
        self.extensions = Some(endings.into_iter().map(ending).collect());
        self
    }

    /// Whether a URL is wanted, wherever it stands.
    pub fn takes(&self, url: &Url) -> bool {
        let text = url.as_str();
        matches!(url.scheme(), "http" | "https")
            && (self.allow.is_empty() || self.allow.iter().any(|allow| allow.is_match(text)))
            && !self.deny.iter().any(|deny| deny.is_match(text))
            && (self.hosts.is_empty() || self.is_on_host(url))
            && !self.is_file(url)
    }

    fn is_on_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.hosts.iter().any(|wanted| {
            host == wanted.trim_start_matches('.')
                || wanted.starts_with('.') && host.ends_with(wanted.as_str())
        })
    }

    fn is_file(&self, url: &Url) -> bool {
        let name = url.path().rsplit('/').next().unwrap_or_default();
        let Some((_, ending)) = name.rsplit_once('.') else {
            return false;
        };
        let is = |known: &str| ending.eq_ignore_ascii_case(known);
        match &self.extensions {
            None => FILES.iter().any(|known| is(known)),
            Some(own) => own.iter().any(|known| is(known)),
        }
    }

    fn is_link(&self, element: ElementRef<'_>) -> bool {
        let name = element.value().name();
        match &self.tags[..] {
            [] => matches!(name, "a" | "area"),
            tags => tags.iter().any(|tag| tag == name),
        }
    }

    /// The raw links of an element.
    fn hrefs<'a>(&self, element: ElementRef<'a>) -> impl Iterator<Item = &'a str> {
        let own = self.attributes.iter().map(String::as_str);
        let usual = self.attributes.is_empty().then_some("href");
        own.chain(usual).filter_map(move |name| element.attr(name))
    }

    /// The elements that links are looked for within.
    fn places<'a>(&'a self, page: &'a Page) -> Vec<ElementRef<'a>> {
        if self.within.is_empty() {
            return vec![page.html().root_element()];
        }
        let scope = Scope::page(page);
        let found = self.within.iter().map(|within| Found::new(scope, within));
        found.flat_map(|found| found.elements()).collect()
    }
}

fn regex(pattern: &str) -> Result<Regex> {
    url_pattern(pattern)
        .map_err(|error| format!("`{pattern}` is no pattern of URLs: {error}").into())
}

impl Page {
    /// The links that are wanted, in document order, each URL once.
    ///
    /// # Errors
    /// If looking for them costs too much on this page.
    pub fn links(&self, wanted: &Links) -> Result<Vec<Link>> {
        let (mut links, mut known) = (Vec::new(), HashSet::new());
        for place in wanted.places(self) {
            let within = place.descendants().filter_map(ElementRef::wrap);
            let within = within.take_while(|_| self.effort().look(1));
            for element in within.filter(|element| wanted.is_link(*element)) {
                for href in wanted.hrefs(element) {
                    let href = href.trim_matches(|c| c <= ' ');
                    let mut url = match self.resolve_at(self.base(), href) {
                        Ok(url) => url,
                        Err(unresolved) => {
                            let mut emitted = self.emitted_mut();
                            emitted.unresolved(&unresolved, self.base(), href);
                            continue;
                        }
                    };
                    url.set_fragment(None);
                    if wanted.takes(&url)
                        && !known.contains(&url)
                        && self.effort().take(2 * url.as_str().len())
                    {
                        known.insert(url.clone());
                        links.push(Link {
                            url,
                            text: dom::text(element, self.effort()).into_owned(),
                            rel: rel(element),
                        });
                    }
                }
            }
        }
        match self.costs_too_much("links") {
            Some(excess) => Err(excess.clone().into()),
            None => self.unless_complained(links),
        }
    }

    /// Requests the links that are wanted, and returns their number.
    ///
    /// # Errors
    /// As [`links`](Self::links), or if the step is none.
    pub fn follow_links<M>(&self, wanted: &Links, step: impl Step<M>) -> Result<usize> {
        let links = self.links(wanted)?;
        let step = step.step()?;
        for link in &links {
            self.visit(link.url.as_str(), &step)?;
        }
        Ok(links.len())
    }
}

fn rel(element: ElementRef<'_>) -> Vec<String> {
    let words = element.attr("rel").unwrap_or_default();
    words
        .split_ascii_whitespace()
        .map(str::to_ascii_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let html = "<nav><a href=/>home</a></nav><a href=/book/1 rel='Next nofollow'>1</a><area href=/book/2>
            <a href='http://cdn.e.x/a.JPG'>i</a><a href=mailto:a@e.x>m</a><img src=/i.png data-x=/book/3>
            <a href='http://o.x/book/4'>4</a><a href=/book/1>again</a><a href='http://['>bad</a>";
        let page = Page::from_html("http://e.x/", html).unwrap();
        let check = |wanted: Result<Links>, expected: &[&str]| {
            let links = page.links(&wanted.unwrap()).unwrap();
            let urls: Vec<&str> = links.iter().map(|link| link.url.as_str()).collect();
            assert_eq!(urls, expected);
        };
        let (one, two, four) = (
            "http://e.x/book/1",
            "http://e.x/book/2",
            "http://o.x/book/4",
        );
        let all = Links::new;
        check(Ok(all()), &["http://e.x/", one, two, four]);
        check(all().allow("/book/*"), &[one, two, four]);
        check(all().allow("re:book/[24]"), &[two, four]);
        check(all().deny("/book/*"), &["http://e.x/"]);
        check(Ok(all().host("o.x")), &[four]);
        check(Ok(all().host("*.x")), &["http://e.x/", one, two, four]);
        check(all().within("nav"), &["http://e.x/"]);
        check(all().within("xpath://nav"), &["http://e.x/"]);
        check(Ok(all().tag("area")), &[two]);
        check(
            Ok(all().tag("img").attribute("data-x")),
            &["http://e.x/book/3"],
        );
        check(
            Ok(all().tag("img").attribute("src").extensions([])),
            &["http://e.x/i.png"],
        );
        check(
            all().allow("*.JPG").map(|links| links.extensions([".gif"])),
            &["http://cdn.e.x/a.JPG"],
        );
        let links = page.links(&all()).unwrap();
        assert_eq!(links[1].rel, ["next", "nofollow"]);
        assert!(all().allow("re:(").is_err());
    }
}
