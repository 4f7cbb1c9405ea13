//! Settings of single hosts: `[host."shop.example"]`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::table::{DURATION, SWITCH, Setting, setting};
use super::{Settings, human};

/// What is said of single hosts, by their pattern: `"shop.example"`, `"shop.example:8080"`,
/// `"*.shop.example"` (the domain itself included) or `"*"`.
pub type Hosts = BTreeMap<String, HostSettings>;

/// What may be said of a host. What is not said is as for all hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSettings {
    /// From the start of one request to the start of the next; also written as a `rate`.
    #[serde(
        with = "human::optional_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay: Option<Duration>,
    /// Requests in flight. 1 to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// Whether AutoThrottle is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autothrottle: Option<bool>,
    /// Requests a day (UTC), every kind of them counted. At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u64>,
    /// Processes that ask it at once, where several work on a crawl. 1 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
}

/// The settings of a host by name, in the order of [`HostSettings`]; `rate` is another way to write
/// `delay`.
pub const HOST_SETTINGS: &[Setting] = &[
    setting("rate", "requests per time, like 5/s, 30/m or 1000/h"),
    setting("delay", DURATION),
    setting("concurrency", "a whole number, 1 to 1000"),
    setting("autothrottle", SWITCH),
    setting("per_day", "a whole number, at least 1"),
    setting("processes", "a whole number, 1 to 16"),
];

impl HostSettings {
    /// Whether every value is in its range.
    pub(super) fn is_in_range(&self) -> bool {
        self.concurrency
            .is_none_or(|concurrency| (1..=1_000).contains(&concurrency))
            && self.per_day != Some(0)
            && self
                .processes
                .is_none_or(|processes| (1..=16).contains(&processes))
    }

    /// These settings where they say something, else those of `other`.
    fn or(self, other: &Self) -> Self {
        Self {
            delay: self.delay.or(other.delay),
            concurrency: self.concurrency.or(other.concurrency),
            autothrottle: self.autothrottle.or(other.autothrottle),
            per_day: self.per_day.or(other.per_day),
            processes: self.processes.or(other.processes),
        }
    }
}

/// What is said of the host of `url`, key by key, by the closest pattern.
pub(super) fn closest(hosts: &Hosts, url: &Url) -> HostSettings {
    let mut fitting: Vec<_> = hosts
        .iter()
        .filter_map(|(pattern, settings)| Some((strength(pattern, url)?, settings)))
        .collect();
    fitting.sort_by_key(|(strength, _)| std::cmp::Reverse(*strength));
    fitting
        .into_iter()
        .fold(HostSettings::default(), |all, (_, settings)| {
            all.or(settings)
        })
}

impl Settings {
    /// What is said of the host of `url`, key by key: a host with its port before a host, before
    /// the longest wildcard.
    ///
    /// ```
    /// use nephila::settings::Settings;
    ///
    /// let settings = Settings::for_spider(
    ///     "[host.'*.shop.example']\nrate = '2/s'\nper_day = 20_000\n\
    ///      [host.'api.shop.example']\nrate = '5/s'",
    /// )?;
    /// let api = settings.for_host(&"https://api.shop.example/v1".parse().unwrap());
    /// assert_eq!(api.delay.map(|delay| delay.as_millis()), Some(200));
    /// assert_eq!(api.per_day, Some(20_000));
    /// # Ok::<(), nephila::settings::SettingsError>(())
    /// ```
    pub fn for_host(&self, url: &Url) -> HostSettings {
        closest(&self.host, url)
    }
}

/// How closely a pattern describes the host of `url`; `None` if it does not.
fn strength(pattern: &str, url: &Url) -> Option<usize> {
    let name = url.host_str()?;
    if let Some(domain) = pattern.strip_prefix('*') {
        let domain = domain.trim_start_matches('.');
        let below = name.strip_suffix(domain)?;
        return (domain.is_empty() || below.is_empty() || below.ends_with('.'))
            .then_some(domain.len());
    }
    if pattern == name {
        return Some(usize::MAX - 1);
    }
    let (host, port) = pattern.rsplit_once(':')?;
    let same_port = port.parse() == Ok(url.port_or_known_default()?);
    (host == name && same_port).then_some(usize::MAX)
}

/// A pattern in the spelling of URLs, or `None` if it is none: lower case, names in punycode.
pub(super) fn pattern(written: &str) -> Option<String> {
    let written = written.trim();
    if written == "*" {
        return Some(written.to_owned());
    }
    if let Some(domain) = written.strip_prefix("*.") {
        return match Host::parse(domain).ok()? {
            Host::Domain(domain) if !domain.contains('*') => Some(format!("*.{domain}")),
            _ => None,
        };
    }
    if written.contains('*') {
        return None;
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    match written.rsplit_once(':').filter(|(_, port)| is_port(port)) {
        Some((host, port)) if !host.ends_with(':') => {
            let host = Host::parse(host).ok()?;
            Some(format!("{host}:{}", port.trim_start_matches('0')))
        }
        _ => Host::parse(written).ok().map(|host| host.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |written: &str, expected: Option<&str>| {
            assert_eq!(pattern(written).as_deref(), expected, "{written}");
        };
        check("Shop.Example", Some("shop.example"));
        check("b\u{fc}cher.example", Some("xn--bcher-kva.example"));
        check("*.Shop.example", Some("*.shop.example"));
        check("*", Some("*"));
        check("127.0.0.1:08080", Some("127.0.0.1:8080"));
        check("[::1]", Some("[::1]"));
        check("[::1]:80", Some("[::1]:80"));
        for bad in [
            "",
            "http://shop.example",
            "shop.example/",
            "shop.*",
            "*shop",
            "a b",
            "::1",
            "a:70000",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn the_closest_pattern_wins_key_by_key() {
        let with = |per_day, concurrency| HostSettings {
            per_day: Some(per_day),
            concurrency,
            ..HostSettings::default()
        };
        let settings = Settings {
            host: Hosts::from([
                ("*".to_owned(), with(1, Some(1))),
                ("*.a.b".to_owned(), with(2, Some(2))),
                ("*.b".to_owned(), with(3, Some(3))),
                ("x.a.b".to_owned(), with(4, None)),
                ("x.a.b:8080".to_owned(), with(5, None)),
                ("x.a.b:443".to_owned(), with(6, None)),
            ]),
            ..Settings::default()
        };
        let check = |url: &str, per_day, concurrency| {
            let found = settings.for_host(&Url::parse(url).unwrap());
            assert_eq!(found, with(per_day, Some(concurrency)), "{url}");
        };
        check("http://c/", 1, 1);
        check("http://ab/", 1, 1);
        check("http://b/", 3, 3);
        check("http://ya.b/", 3, 3);
        check("http://a.b/", 2, 2);
        check("http://y.a.b/", 2, 2);
        check("http://x.a.b/", 4, 2);
        check("http://x.a.b:8080/", 5, 2);
        check("https://x.a.b/", 6, 2);
    }
}
