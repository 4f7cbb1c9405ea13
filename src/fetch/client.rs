//! The reqwest clients: what they must do, and all that they must not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Proxy};
use rustls::RootCertStore;
use url::{Host, Url};

use super::FetchSetupError;
use super::auth::{decoded, without_login};
use super::guard::{Guard, Resolver};
use super::tls::{Profile, Tls};
use crate::settings::Settings;

/// Long enough for a polite pace on one host, short enough that a crawl of many hosts does not fill
/// the table of open files.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_HTTP1_HEADERS: usize = 256;
const MAX_HTTP2_HEADER_BYTES: u32 = 64 * 1024;
/// Clients besides the usual two: one for each proxy, and for hosts with rules of their own for TLS.
const MAX_CLIENTS: usize = 64;

const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const ACCEPT_ENCODING: &str = "gzip, br, zstd, deflate";

/// Pools of connections, made when they are needed.
///
/// Proxy and certificates are properties of a whole reqwest client; the clients share resolver and
/// settings.
pub(super) struct Clients {
    settings: Arc<Settings>,
    headers: HeaderMap,
    resolver: Arc<Resolver>,
    tls: Tls,
    /// What the environment says of proxies, if anything.
    environment: Option<Matcher>,
    direct: Client,
    proxied: Client,
    /// The others, used last first.
    others: Mutex<Vec<(Key, Client)>>,
}

type Key = (Way, Profile, Reuse);

/// Whether a connection may serve one request after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// As usual.
    Kept,
    /// No other request shares it.
    Alone,
}

/// How a client gets out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From here.
    Direct,
    /// Through the proxy of the environment.
    Environment,
    /// Through this proxy.
    Proxy(Url),
}

/// Proxies have credentials.
impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// Clients that connect where `guard` allows it, and trust who `roots` vouch for.
    pub(super) fn new(
        settings: &Settings,
        guard: &Guard,
        roots: RootCertStore,
    ) -> Result<Self, FetchSetupError> {
        let settings = Arc::new(settings.clone());
        let resolver = Arc::new(Resolver::new(guard.clone(), settings.dns_ttl));
        let tls = Tls::new(&settings, roots)?;
        let headers = default_headers(&settings)?;
        let matcher = Matcher::from_system();
        let hosts = proxy_hosts(&matcher);
        for host in &hosts {
            guard.allow_proxy(host);
        }
        let build = |way| {
            let key = (way, Profile::USUAL, Reuse::Kept);
            make(&settings, &headers, &resolver, &tls, &key).map_err(FetchSetupError::Client)
        };
        let direct = build(Way::Direct)?;
        let environment = (!hosts.is_empty()).then_some(matcher);
        let proxied = match environment {
            None => direct.clone(),
            Some(_) => build(Way::Environment)?,
        };
        Ok(Self {
            others: Mutex::default(),
            settings,
            headers,
            resolver,
            tls,
            environment,
            direct,
            proxied,
        })
    }

    /// What goes out with every request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What the environment says for `url`.
    pub(super) fn environment(&self, url: &Url) -> Way {
        let is_proxied = self.environment.as_ref().is_some_and(|matcher| {
            let uri = url.as_str().parse::<Uri>();
            uri.is_ok_and(|uri| matcher.intercept(&uri).is_some())
        });
        if is_proxied && !is_loopback(url) {
            Way::Environment
        } else {
            Way::Direct
        }
    }

    /// The client for `url`.
    pub(super) fn client(
        &self,
        way: Way,
        url: &Url,
        reuse: Reuse,
    ) -> Result<Client, reqwest::Error> {
        let profile = self.tls.profile(url);
        match (&way, reuse) {
            _ if profile != Profile::USUAL => {}
            (Way::Direct, Reuse::Kept) => return Ok(self.direct.clone()),
            (Way::Environment, Reuse::Kept) => return Ok(self.proxied.clone()),
            _ => {}
        }
        let key = (way, profile, reuse);
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let known = others.iter().position(|(known, _)| *known == key);
        let (key, client) = if let Some(at) = known {
            others.remove(at)
        } else {
            let Self {
                settings,
                headers,
                resolver,
                tls,
                ..
            } = self;
            let client = make(settings, headers, resolver, tls, &key)?;
            (key, client)
        };
        // Whoever still uses one that goes keeps it until he is done.
        others.truncate(MAX_CLIENTS - 1);
        others.insert(0, (key, client.clone()));
        Ok(client)
    }
}

fn make(
    settings: &Settings,
    headers: &HeaderMap,
    resolver: &Arc<Resolver>,
    tls: &Tls,
    (way, profile, reuse): &Key,
) -> Result<Client, reqwest::Error> {
    let idle = match reuse {
        Reuse::Kept => settings.concurrency_per_host,
        Reuse::Alone => 0,
    };
    let builder = builder(settings)
        .pool_max_idle_per_host(idle)
        .tls_backend_preconfigured(tls.config(*profile).clone())
        .default_headers(headers.clone())
        .dns_resolver(Arc::clone(resolver));
    match way {
        Way::Direct => builder.no_proxy(),
        Way::Environment => builder,
        Way::Proxy(url) => {
            let mut proxy = Proxy::all(without_login(url.clone()))?;
            if super::auth::has_login(url) {
                let password = decoded(url.password().unwrap_or_default());
                proxy = proxy.basic_auth(&decoded(url.username()), &password);
            }
            // No other proxy is asked besides.
            builder.no_proxy().proxy(proxy)
        }
    }
    .build()
}

/// A client that makes exchanges and decides nothing: redirects, retries, cookies, decoding and the
/// total time are the caller's.
fn builder(settings: &Settings) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .http1_max_headers(MAX_HTTP1_HEADERS)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http2_max_header_list_size(MAX_HTTP2_HEADER_BYTES)
}

/// The hosts of the proxies that reqwest will find in the environment or the system's settings.
fn proxy_hosts(matcher: &Matcher) -> Vec<String> {
    ["http://host.invalid/", "https://host.invalid/"]
        .into_iter()
        .filter_map(|url| matcher.intercept(&Uri::from_static(url)))
        .filter_map(|proxy| proxy.uri().host().map(str::to_owned))
        .collect()
}

/// Proxies are asked for nothing that lies on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Who browsers trust.
pub(super) fn public_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

fn default_headers(settings: &Settings) -> Result<HeaderMap, FetchSetupError> {
    let mut headers = HeaderMap::from_iter([
        (header::USER_AGENT, user_agent(&settings.user_agent)?),
        (header::ACCEPT, HeaderValue::from_static(ACCEPT)),
        (
            header::ACCEPT_ENCODING,
            HeaderValue::from_static(ACCEPT_ENCODING),
        ),
    ]);
    headers.extend(own_headers(&settings.headers)?);
    Ok(headers)
}

pub(super) fn user_agent(name: &str) -> Result<HeaderValue, FetchSetupError> {
    HeaderValue::from_str(name).map_err(|_| FetchSetupError::UserAgent(name.to_owned()))
}

/// Headers as settings have them.
pub(super) fn own_headers<'a>(
    headers: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<HeaderMap, FetchSetupError> {
    let headers = headers.into_iter().map(|(name, value)| {
        let wrong = |_| FetchSetupError::Header(name.clone());
        let value = HeaderValue::try_from(value).map_err(wrong)?;
        let name = HeaderName::try_from(name).map_err(|_| FetchSetupError::Header(name.clone()))?;
        Ok((name, value))
    });
    headers.collect()
}
