//! Which URLs belong to a crawl: by host, then by pattern.
//!
//! By default the seeds' hosts, and hosts that a seed redirects to. A host is its name and, unless it
//! is the scheme's default, its port, so that `http` and `https` of one site are one host while
//! two services on one machine are two. Patterns narrow that down.

use std::collections::HashSet;

use psl::Psl;
use regex::{Regex, RegexSet};
use url::{Host, Position, Url};

use crate::settings::{Settings, url_pattern};

/// What may be crawled.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    seeds: HashSet<String>,
    hosts: Vec<Pattern>,
    include: Patterns,
    exclude: Patterns,
}

/// Why a URL is out of scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outside<'a> {
    /// Its host is none of the crawl's.
    Host,
    /// It matches none of the setting `include`.
    Include,
    /// It matches this pattern of the setting `exclude`.
    Exclude(&'a str),
}

impl Outside<'_> {
    /// The word for grouping.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Host => "scope",
            Self::Include => "include",
            Self::Exclude(_) => "exclude",
        }
    }
}

/// A name, and a port if only that one is meant.
#[derive(Clone, Debug)]
struct Pattern {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Name {
    Any,
    Exact(String),
    /// A domain and all below it; with the leading dot.
    Below(String),
    /// With a star for a part of a label.
    Glob(Regex),
}

impl Pattern {
    fn new(text: &str) -> Self {
        let text = text.trim();
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port),
            _ => (text, ""),
        };
        let (name, port) = match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) if port == "*" => (name, None),
            Err(_) => (text, None),
        };
        let name = match name.strip_prefix("*.") {
            _ if name == "*" => Name::Any,
            Some(domain) if !domain.contains('*') => {
                Name::Below(format!(".{}", as_in_urls(domain)))
            }
            None if !name.contains('*') => Name::Exact(as_in_urls(name)),
            _ => Name::of_glob(name),
        };
        Self { name, port }
    }

    fn fits(&self, name: &str, url: &Url) -> bool {
        self.port
            .is_none_or(|port| url.port_or_known_default() == Some(port))
            && match &self.name {
                Name::Any => true,
                Name::Exact(host) => host == name,
                Name::Below(suffix) => name.ends_with(suffix.as_str()) || *name == suffix[1..],
                Name::Glob(glob) => glob.is_match(name),
            }
    }
}

impl Name {
    fn of_glob(text: &str) -> Self {
        let parts: Vec<_> = text
            .split('*')
            .map(|part| regex::escape(&part.to_lowercase()))
            .collect();
        match Regex::new(&format!("^{}$", parts.join("[^.]*"))) {
            Ok(glob) => Self::Glob(glob),
            Err(_) => Self::Exact(text.to_lowercase()),
        }
    }
}

/// A host's name as it stands in URLs: in lower case, in ASCII.
fn as_in_urls(name: &str) -> String {
    Host::parse(name).map_or_else(|_| name.to_ascii_lowercase(), |host| host.to_string())
}

/// Patterns with their texts.
#[derive(Clone, Debug, Default)]
struct Patterns {
    texts: Vec<String>,
    set: RegexSet,
}

impl Patterns {
    /// Those that are none are left out: the settings refuse them.
    fn new(texts: &[String]) -> Self {
        let regexes = texts
            .iter()
            .filter_map(|text| url_pattern(text).ok().map(|regex| (text, regex)));
        let (texts, regexes): (Vec<_>, Vec<_>) = regexes.unzip();
        Self {
            texts: texts.into_iter().cloned().collect(),
            set: RegexSet::new(regexes.iter().map(Regex::as_str)).unwrap_or_default(),
        }
    }

    fn first(&self, url: &Url) -> Option<&str> {
        let text = &url[..Position::AfterQuery];
        let first = self.set.matches(text).into_iter().next()?;
        self.texts.get(first).map(String::as_str)
    }
}

impl Scope {
    /// The scope of the settings `hosts`, `include` and `exclude`, without any seed.
    ///
    /// Hosts are `"shop.example"`, `"*.shop.example"` (the domain itself included),
    /// `"shop-*.example"` (a star within is for a part of a label), or `"*"`; one without a port fits
    /// every port.
    pub fn new(settings: &Settings) -> Self {
        Self {
            seeds: HashSet::new(),
            hosts: settings
                .hosts
                .iter()
                .map(|host| Pattern::new(host))
                .collect(),
            include: Patterns::new(&settings.include),
            exclude: Patterns::new(&settings.exclude),
        }
    }

    /// Takes the host of `url` in.
    pub fn add(&mut self, url: &Url) {
        self.seeds.insert(host_and_port(url));
    }

    /// Whether the host of `url` is one of the crawl's.
    pub fn contains(&self, url: &Url) -> bool {
        let name = url.host_str().unwrap_or_default();
        let seed = if url.port().is_none() {
            self.seeds.contains(name)
        } else {
            self.seeds.contains(&host_and_port(url))
        };
        seed || self.hosts.iter().any(|pattern| pattern.fits(name, url))
    }

    /// Why `url` may not be crawled; none if it may.
    pub fn refuse(&self, url: &Url) -> Option<Outside<'_>> {
        if !self.contains(url) {
            return Some(Outside::Host);
        }
        if !self.exclude.texts.is_empty()
            && let Some(pattern) = self.exclude.first(url)
        {
            return Some(Outside::Exclude(pattern));
        }
        let is_included = self.include.texts.is_empty() || self.include.first(url).is_some();
        (!is_included).then_some(Outside::Include)
    }
}

/// The host as people name it: `shop.example`, `127.0.0.1:7788`.
pub fn host_and_port(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        None => name.to_owned(),
        Some(port) => format!("{name}:{port}"),
    }
}

/// The registrable domain of a host, `shop.example` of `www.shop.example`, by the list of public
/// suffixes; a host that has none (an address, `localhost`, a suffix itself) stands for itself.
pub fn registrable(url: &Url) -> &str {
    let name = url.host_str().unwrap_or_default();
    if !matches!(url.host(), Some(Host::Domain(_))) {
        return name;
    }
    let domain = psl::List.domain(name.as_bytes());
    let domain = domain.and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok());
    // The domain is the end of the name.
    let from = domain.map_or(0, |domain| name.len().saturating_sub(domain.len()));
    name.get(from..).unwrap_or(name)
}

/// Whether a URL or origin names this machine, where no delay is needed: `localhost` and names below
/// it, 127.0.0.0/8 and ::1.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(change: impl FnOnce(&mut Settings)) -> Scope {
        let mut settings = Settings::default();
        change(&mut settings);
        Scope::new(&settings)
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn membership() {
        let patterns = [
            "*.Shop.example",
            "cdn.example",
            "api.example:81",
            "*.web.example:8080",
            "tls.example:443",
            "img-*.pics.example",
            "B\u{fc}cher.example",
            "[::1]:99",
            "[2001:DB8::1]",
            "any.example:*",
        ];
        let mut scope = scope(|settings| settings.hosts = strings(&patterns));
        scope.add(&"http://127.0.0.1:7788/x".parse().unwrap());
        scope.add(&"http://seed.example/".parse().unwrap());
        let check = |url: &str, inside| {
            assert_eq!(scope.contains(&url.parse().unwrap()), inside, "{url}");
        };
        check("http://127.0.0.1:7788/y", true);
        check("http://127.0.0.1:7789/y", false);
        check("http://127.0.0.1/y", false);
        check("http://seed.example/", true);
        check("https://SEED.example:443/", true);
        check("https://seed.example:444/", false);
        check("https://www.seed.example/", false);
        check("https://seed.example.evil.example/", false);
        check("https://shop.example/", true);
        check("https://a.b.shop.example:99/", true);
        check("https://myshop.example/", false);
        check("https://cdn.example:99/", true);
        check("https://api.example:81/", true);
        check("https://api.example/", false);
        check("http://a.web.example:8080/", true);
        check("http://web.example:8080/", true);
        check("http://a.web.example/", false);
        check("https://tls.example/", true);
        check("http://tls.example/", false);
        check("http://img-7.pics.example/", true);
        check("http://img-7.x.pics.example/", false);
        check("http://img-.pics.example/", true);
        check("http://aimg-7.pics.example/", false);
        check("http://xn--bcher-kva.example/", true);
        check("http://[::1]:99/", true);
        check("http://[::1]/", false);
        check("http://[2001:db8:0::1]:5/", true);
        check("http://any.example:5/", true);
    }

    #[test]
    fn any_host() {
        let any = scope(|settings| settings.hosts = strings(&["*"]));
        assert!(any.contains(&"http://any.example:5/".parse().unwrap()));
    }

    #[test]
    fn patterns_narrow_it_down() {
        let check = |include: &[&str], exclude: &[&str], url: &str, expected| {
            let mut scope = scope(|settings| {
                settings.include = strings(include);
                settings.exclude = strings(exclude);
            });
            scope.add(&"http://e.x/".parse().unwrap());
            let url = url.parse().unwrap();
            let refused = scope.refuse(&url);
            assert_eq!(refused, expected, "{include:?} {exclude:?} {url}");
        };
        check(&[], &[], "http://e.x/a", None);
        check(&["/b"], &["/a"], "http://f.x/b", Some(Outside::Host));
        check(&["/a", "/b/*"], &[], "http://e.x/b/1?c#d", None);
        check(&["/a", "/b/*"], &[], "http://e.x/c", Some(Outside::Include));
        check(
            &[],
            &["/c", "re:\\?sort="],
            "http://e.x/b?sort=1",
            Some(Outside::Exclude("re:\\?sort=")),
        );
        check(
            &["/b**"],
            &["/b/no"],
            "http://e.x/b/no",
            Some(Outside::Exclude("/b/no")),
        );
        check(
            &["/b**"],
            &["/b/no"],
            "http://e.x/b/no#x",
            Some(Outside::Exclude("/b/no")),
        );
        check(&[], &["/b"], "http://e.x/b?c", None);
    }

    #[test]
    fn registrable_domains() {
        let check = |url: &str, expected: &str| {
            assert_eq!(registrable(&Url::parse(url).unwrap()), expected, "{url}");
        };
        check("https://www.shop.example.co.uk:8080/", "example.co.uk");
        check("http://a.b.example.com/", "example.com");
        check("http://example.com./", "example.com.");
        check("http://me.github.io/", "me.github.io");
        check("http://github.io/", "github.io");
        check("http://localhost/", "localhost");
        check("http://127.0.0.1:80/", "127.0.0.1");
        check("http://[::1]/", "[::1]");
    }
}
