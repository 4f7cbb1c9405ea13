//! The reqwest clients: what they must do, and all that they must not.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Uri, header};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

use super::FetchSetupError;
use super::guard::{Guard, Resolver};
use crate::settings::Settings;

/// Long enough for a polite pace on one host, short enough that a crawl of many hosts does not fill
/// the table of open files.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_HTTP1_HEADERS: usize = 256;
const MAX_HTTP2_HEADER_BYTES: u32 = 64 * 1024;

const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const ACCEPT_ENCODING: &str = "gzip, br, zstd, deflate";

/// One pool of connections, or two where the environment names a proxy.
#[derive(Debug)]
pub(super) struct Clients {
    /// Goes through the proxy, if there is one and `NO_PROXY` does not say otherwise.
    pub(super) proxied: Client,
    /// Never does.
    pub(super) direct: Client,
}

/// Clients that connect where `guard` allows it, and trust who `roots` vouch for.
pub(super) fn clients(
    settings: &Settings,
    guard: &Guard,
    roots: RootCertStore,
) -> Result<Clients, FetchSetupError> {
    let resolver = Arc::new(Resolver::new(guard.clone()));
    let tls = tls(roots)?;
    let headers = default_headers(settings)?;
    let build = |builder: ClientBuilder| {
        builder
            .tls_backend_preconfigured(tls.clone())
            .default_headers(headers.clone())
            .dns_resolver(Arc::clone(&resolver))
            .build()
            .map_err(FetchSetupError::Client)
    };
    let hosts = proxy_hosts();
    for host in &hosts {
        guard.allow_proxy(host);
    }
    let direct = build(builder(settings).no_proxy())?;
    let proxied = if hosts.is_empty() {
        direct.clone()
    } else {
        build(builder(settings))?
    };
    Ok(Clients { proxied, direct })
}

/// A client that makes exchanges and decides nothing: redirects, retries, cookies, decoding and the
/// total time are the caller's.
fn builder(settings: &Settings) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(settings.concurrency_per_host)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .http1_max_headers(MAX_HTTP1_HEADERS)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http2_max_header_list_size(MAX_HTTP2_HEADER_BYTES)
}

/// The hosts of the proxies that reqwest will find in the environment or the system's settings.
fn proxy_hosts() -> Vec<String> {
    let matcher = Matcher::from_system();
    ["http://host.invalid/", "https://host.invalid/"]
        .into_iter()
        .filter_map(|url| matcher.intercept(&Uri::from_static(url)))
        .filter_map(|proxy| proxy.uri().host().map(str::to_owned))
        .collect()
}

/// Who browsers trust.
pub(super) fn public_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// The provider is named here, so that no global one needs to be installed, nor can be in the way.
fn tls(roots: RootCertStore) -> Result<ClientConfig, FetchSetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchSetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

pub(super) fn default_headers(settings: &Settings) -> Result<HeaderMap, FetchSetupError> {
    let user_agent = HeaderValue::from_str(&settings.user_agent)
        .map_err(|_| FetchSetupError::UserAgent(settings.user_agent.clone()))?;
    Ok(HeaderMap::from_iter([
        (header::USER_AGENT, user_agent),
        (header::ACCEPT, HeaderValue::from_static(ACCEPT)),
        (
            header::ACCEPT_ENCODING,
            HeaderValue::from_static(ACCEPT_ENCODING),
        ),
    ]))
}
