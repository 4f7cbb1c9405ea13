//! Which URLs belong to a crawl.
//!
//! By default the seeds' hosts, and hosts that a seed redirects to. A host is its name and, unless it
//! is the scheme's default, its port, so that `http` and `https` of one site are one host while
//! two services on one machine are two.

use std::collections::HashSet;

use url::{Host, Url};

/// The hosts that may be crawled.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    seeds: HashSet<String>,
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Any,
    Exact(String),
    /// A domain and all below it; with the leading dot.
    Below(String),
}

impl Scope {
    /// A scope of patterns: `"shop.example"`, `"*.shop.example"` (the domain itself included),
    /// `"*"`; a pattern without a port fits every port.
    pub fn new(patterns: &[String]) -> Self {
        let pattern = |text: &String| match text.trim().to_ascii_lowercase() {
            text if text == "*" => Pattern::Any,
            text => match text.strip_prefix("*.") {
                Some(domain) => Pattern::Below(format!(".{domain}")),
                None => Pattern::Exact(text),
            },
        };
        Self {
            seeds: HashSet::new(),
            patterns: patterns.iter().map(pattern).collect(),
        }
    }

    /// Takes the host of `url` in.
    pub fn add(&mut self, url: &Url) {
        self.seeds.insert(host_and_port(url));
    }

    /// Whether `url` may be crawled.
    pub fn contains(&self, url: &Url) -> bool {
        let port = url.port();
        let name = url.host_str().unwrap_or_default();
        let seed = if port.is_none() {
            self.seeds.contains(name)
        } else {
            self.seeds.contains(&host_and_port(url))
        };
        seed || self.patterns.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Exact(host) => host == name || (port.is_some() && *host == host_and_port(url)),
            Pattern::Below(suffix) => name.ends_with(suffix.as_str()) || name == &suffix[1..],
        })
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

    #[test]
    fn membership() {
        let patterns = [
            "*.Shop.example".to_owned(),
            "cdn.example".into(),
            "api.example:81".into(),
        ];
        let mut scope = Scope::new(&patterns);
        scope.add(&"http://127.0.0.1:7788/x".parse().unwrap());
        scope.add(&"https://seed.example/".parse().unwrap());
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
        check("https://shop.example/", true);
        check("https://a.b.shop.example:99/", true);
        check("https://myshop.example/", false);
        check("https://cdn.example:99/", true);
        check("https://api.example:81/", true);
        check("https://api.example/", false);
        assert!(Scope::new(&["*".into()]).contains(&"http://any.example/".parse().unwrap()));
    }
}
