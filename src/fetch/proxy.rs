//! The proxies of the settings: which one is asked, and which one rests.

use std::sync::{Mutex, PoisonError};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::Instant;
use url::Url;

use super::FetchSetupError;
use super::health::Health;
use crate::request;
use crate::settings::{ProxyUrl, Settings};

/// A proxy of [`Proxies`], by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProxyId(usize);

/// How an identity gets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// As the environment says.
    Environment,
    /// Through this one.
    Fixed(ProxyId),
    /// Through any of the list, this one first.
    From(ProxyId),
}

/// All proxies that the settings name.
pub(super) struct Proxies {
    /// Those of `proxies`, then those of single sessions.
    all: Vec<Proxy>,
    /// How many of them are for everybody.
    shared: usize,
    no_proxy: Matcher,
}

struct Proxy {
    way: request::Proxy,
    health: Mutex<Health>,
}

/// URLs have credentials.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxies({})", self.all.len())
    }
}

impl Proxies {
    pub(super) fn new(settings: &Settings) -> Result<Self, FetchSetupError> {
        let proxies = settings.proxies.iter().map(proxy);
        let all = proxies.collect::<Result<Vec<_>, _>>()?;
        // The rules are those of the environment variable; the proxy itself is only asked whether.
        let no_proxy = Matcher::builder()
            .all("http://proxy.invalid")
            .no(settings.no_proxy.join(","))
            .build();
        Ok(Self {
            shared: all.len(),
            all,
            no_proxy,
        })
    }

    /// Takes in a proxy that a session has for itself.
    pub(super) fn add(&mut self, url: &ProxyUrl) -> Result<Route, FetchSetupError> {
        self.all.push(proxy(url)?);
        Ok(Route::Fixed(ProxyId(self.all.len() - 1)))
    }

    /// How the `number`th identity gets out if it has no proxy of its own.
    pub(super) fn route(&self, number: usize, fixed: bool) -> Route {
        match number.checked_rem(self.shared) {
            None => Route::Environment,
            Some(at) if fixed => Route::Fixed(ProxyId(at)),
            Some(at) => Route::From(ProxyId(at)),
        }
    }

    pub(super) fn shared(&self) -> usize {
        self.shared
    }

    /// The hosts of all of them.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        let urls = self.all.iter().filter_map(|proxy| proxy.way.url());
        urls.filter_map(Url::host_str)
    }

    /// Whether `url` is to be reached without one.
    pub(super) fn spares(&self, url: &Url) -> bool {
        let uri = url.as_str().parse::<Uri>();
        uri.is_ok_and(|uri| self.no_proxy.intercept(&uri).is_none())
    }

    /// The proxies that a route may take at `now`, best first: those that rest come last, as they
    /// are better than none.
    pub(super) fn ways(&self, route: Route, now: Instant) -> Vec<ProxyId> {
        match route {
            Route::Environment => Vec::new(),
            Route::Fixed(id) => vec![id],
            Route::From(ProxyId(first)) => {
                let ring = (first..self.shared).chain(0..first.min(self.shared));
                let mut ways: Vec<_> = ring.map(ProxyId).collect();
                ways.sort_by_key(|id| self.rest(*id, now));
                ways
            }
        }
    }

    fn rest(&self, id: ProxyId, now: Instant) -> Option<Instant> {
        let health = self.all.get(id.0)?.health.lock();
        let health = health.unwrap_or_else(PoisonError::into_inner);
        health.rests_until().filter(|_| !health.is_fit(now))
    }

    pub(super) fn url(&self, id: ProxyId) -> Option<&Url> {
        self.all.get(id.0)?.way.url()
    }

    /// Its host and port, for people.
    pub(super) fn name(&self, id: ProxyId) -> String {
        let proxy = self.all.get(id.0).map(|proxy| proxy.way.to_string());
        proxy.unwrap_or_default()
    }

    /// Notes whether it could be used.
    pub(super) fn note(&self, id: ProxyId, good: bool) {
        let Some(proxy) = self.all.get(id.0) else {
            return;
        };
        let mut health = proxy.health.lock().unwrap_or_else(PoisonError::into_inner);
        if good {
            health.good();
        } else if health.bad(Instant::now()) {
            drop(health);
            tracing::warn!("{} failed too often: it rests", self.name(id));
        }
    }
}

fn proxy(url: &ProxyUrl) -> Result<Proxy, FetchSetupError> {
    let way = url.0.reveal()?.parse();
    Ok(Proxy {
        way: way.map_err(|_| FetchSetupError::Proxy)?,
        health: Mutex::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(toml: &str) -> Proxies {
        Proxies::new(&Settings::for_spider(toml).unwrap()).unwrap()
    }

    #[test]
    fn hosts_that_are_spared() {
        let proxies = proxies("no_proxy = ['intern', '.corp.example', '10.0.0.0/8']");
        let check = |url: &str, spared| {
            assert_eq!(proxies.spares(&url.parse().unwrap()), spared, "{url}");
        };
        check("http://intern/", true);
        check("https://a.intern:444/", true);
        check("http://internal/", false);
        check("http://corp.example/", true);
        check("http://a.corp.example/", true);
        check("http://acorp.example/", false);
        check("http://10.1.2.3/", true);
        check("http://11.1.2.3/", false);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_fail_rest_and_come_back() {
        let proxies = proxies("proxies = ['http://a:1', 'socks5://b:2', 'direct']");
        let names = |number| {
            let ways = proxies.ways(proxies.route(number, false), Instant::now());
            let names: Vec<_> = ways.into_iter().map(|id| proxies.name(id)).collect();
            names.join(", ")
        };
        assert_eq!(names(0), "proxy a:1, proxy b:2, the direct way");
        assert_eq!(names(4), "proxy b:2, the direct way, proxy a:1");
        for _ in 0..3 {
            proxies.note(ProxyId(0), false);
        }
        assert_eq!(names(0), "proxy b:2, the direct way, proxy a:1");
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        assert_eq!(names(0), "proxy a:1, proxy b:2, the direct way");
        proxies.note(ProxyId(0), false);
        assert_eq!(names(0), "proxy b:2, the direct way, proxy a:1");
        proxies.note(ProxyId(0), true);
        assert_eq!(names(0), "proxy a:1, proxy b:2, the direct way");
    }

    #[test]
    fn nothing_shows_credentials() {
        let proxies = proxies("proxies = ['http://ann:hunter2@a:1']");
        let shown = format!("{proxies:?} {}", proxies.name(ProxyId(0)));
        assert!(
            !shown.contains("hunter2") && !shown.contains("ann"),
            "{shown}"
        );
    }
}
