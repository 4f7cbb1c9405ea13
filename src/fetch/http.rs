//! Fetching over HTTP/1.1 and HTTP/2, with reqwest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use rustls::RootCertStore;
use tokio::time::{Instant, timeout};
use url::Url;

use super::auth::{Auth, basic_of, without_login};
use super::budget::Budget;
use super::client::{self, Clients, Reuse, Way, is_loopback};
use super::decode::{Decoder, too_large};
use super::failure::{bytes_as_text, explain, explain_proxied, time_as_text};
use super::files::Files;
use super::guard::{Guard, Refused};
use super::session::{Identity, Sessions};
use super::suspects::Suspects;
use super::wait::Wait;
use super::{FailureKind, Fetch, FetchError};
use crate::request::{Proxy, Request, Response, SavedFile, Source};
use crate::settings::{Settings, network};

/// Proxies that are tried for one exchange, if they can't be reached.
const MAX_PROXIES: usize = 3;

/// The fetch of a crawl, unless another is given: HTTP over TCP and TLS.
///
/// Cookies, compression, limits and the address guard are handled here; redirects are answers like
/// any other. See [`Settings`] for `max_body`, `cookies` and the time-outs; time without a byte counts
/// from the start of an exchange, connecting included.
///
/// ```
/// # use nephila::fetch::{FailureKind, Fetch, HttpFetch};
/// # use nephila::request::{Request, StepRef};
/// # use nephila::settings::Settings;
/// # async fn example() -> nephila::Result {
/// let fetch = HttpFetch::new(&Settings::default())?;
/// let router = Request::new("http://192.168.0.1/".parse()?, StepRef::named("page"));
/// let refused = fetch.fetch(&router).await.unwrap_err();
/// assert_eq!(refused.kind, FailureKind::Blocked);
/// assert_eq!(refused.message, "192.168.0.1 is a private address");
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Debug)]
pub struct HttpFetch {
    clients: Clients,
    guard: Guard,
    sessions: Arc<Sessions>,
    auth: Auth,
    files: Files,
    file_timeout: Duration,
    max_body: usize,
    max_header_bytes: usize,
    budget: Budget,
    connect_timeout: Duration,
    wait: Wait,
    timeout: Duration,
    suspects: Suspects,
}

/// Why no [`HttpFetch`] could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchSetupError {
    /// The user agent can't be sent in a header.
    #[error("the user agent {0:?} has a forbidden character")]
    UserAgent(String),
    /// A header of the settings can't be sent.
    #[error("the header `{0}` has a forbidden character")]
    Header(String),
    /// Credentials that can't be sent.
    #[error("`auth`: {0} has a forbidden character")]
    Auth(&'static str),
    /// A proxy that an environment variable names, and that is none.
    #[error("a proxy is no URL like http://proxy:3128 or socks5://proxy:1080")]
    Proxy,
    /// A secret that is not there.
    #[error(transparent)]
    Secret(#[from] crate::settings::Unset),
    /// A file with certificates or a key.
    #[error("can't use {file}: {reason}")]
    Pem {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// TLS can't be set up.
    #[error("can't set up TLS: {0}")]
    Tls(String),
    /// The HTTP client can't be built.
    #[error("can't set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// There is no place for the cache.
    #[error("no folder for the cache: set `cache_folder`, or XDG_CACHE_HOME or HOME")]
    CacheFolder,
    /// A pattern of `blocked` can't be read.
    #[error("`blocked` has a bad pattern: {0}")]
    Blocked(#[source] regex::Error),
}

impl HttpFetch {
    /// Made once per crawl: it holds the pool of connections.
    ///
    /// Refuses private addresses, except for the hosts in `settings.hosts` (those without a
    /// wildcard), those in `settings.private_networks` and what [`allow_host`](Self::allow_host) adds.
    ///
    /// # Errors
    /// If the settings can't be used.
    pub fn new(settings: &Settings) -> Result<Self, FetchSetupError> {
        let guard = Guard::new();
        for host in &settings.hosts {
            // A wildcard is no host's name, and so allows nothing.
            guard.allow_host(host);
        }
        for network in settings
            .private_networks
            .iter()
            .filter_map(|text| network(text))
        {
            guard.allow_network(network);
        }
        Self::with_guard(settings, guard)
    }

    /// The same with a guard of one's own.
    ///
    /// # Errors
    /// If the settings can't be used.
    pub fn with_guard(settings: &Settings, guard: Guard) -> Result<Self, FetchSetupError> {
        Self::with_roots(settings, guard, client::public_roots())
    }

    fn with_roots(
        settings: &Settings,
        guard: Guard,
        roots: RootCertStore,
    ) -> Result<Self, FetchSetupError> {
        let sessions = Sessions::new(settings)?;
        for host in sessions.proxies().hosts() {
            guard.allow_proxy(host);
        }
        Ok(Self {
            clients: Clients::new(settings, &guard, roots)?,
            guard,
            sessions: Arc::new(sessions),
            auth: Auth::new(&settings.auth)?,
            files: Files::new(settings),
            file_timeout: settings.file_timeout,
            max_body: settings.max_body,
            max_header_bytes: settings.max_header_bytes,
            budget: Budget::new(settings.max_bytes_in_flight),
            connect_timeout: settings.connect_timeout,
            wait: Wait {
                first_byte: settings.first_byte_timeout,
                idle: settings.idle_timeout,
                min_rate: settings.min_rate,
            },
            timeout: settings.timeout,
            suspects: Suspects::default(),
        })
    }

    /// Lets a host that the user named, like a seed's, be at a private address. A name or an address
    /// as in a URL, with no port.
    pub fn allow_host(&self, host: &str) {
        self.guard.allow_host(host);
    }

    /// Sends user name and password of `url`, if it has them, with every request to its origin, as
    /// browsers do. For URLs that the user wrote, never for links: a page could log others in.
    pub fn log_in(&self, url: &Url) {
        self.auth.learn(url);
    }

    /// The identities that requests are made as.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// What tells whose a request is: its own headers, and the cookies and the login that go with it.
    pub(super) fn sent_headers(&self, request: &Request) -> HeaderMap {
        match self.sessions.identity(&request.session) {
            Ok(identity) => self.headers(request, &identity),
            Err(_) => request.headers.clone(),
        }
    }

    /// All headers that go out with `request`, but for those of the connection. For people,
    /// who mask what is sensitive.
    pub(crate) fn shown_headers(&self, request: &Request) -> HeaderMap {
        let mut headers = self.clients.headers().clone();
        let sent = self.sent_headers(request);
        for name in sent.keys() {
            headers.remove(name);
        }
        for (name, value) in &sent {
            headers.append(name, value.clone());
        }
        headers
    }

    /// `body`, counted with those that are held at once.
    pub(super) async fn hold(&self, body: Vec<u8>) -> Bytes {
        let mut share = self.budget.share();
        share.grow(body.len()).await;
        share.keep(body)
    }

    /// One exchange; `has_begun` from the moment when the head of the answer is there.
    async fn exchange(
        &self,
        request: &Request,
        has_begun: &AtomicBool,
    ) -> Result<Response, FetchError> {
        self.guard.check(&request.url).map_err(blocked)?;
        let identity = self.sessions.identity(&request.session);
        let identity = identity.map_err(|error| FetchError::new(FailureKind::Other, error))?;
        let started = Instant::now();
        let mut answer = self.send(request, &identity).await?;
        has_begun.store(true, Ordering::Relaxed);
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        if bytes_of(&headers) > self.max_header_bytes {
            let message = format!("header over {}", bytes_as_text(self.max_header_bytes));
            return Err(FetchError::new(FailureKind::TooLarge, message));
        }
        let url = without_login(request.url.clone());
        if let Some(jar) = identity.jar() {
            jar.store(&url, &headers);
        }
        if request.step.is_file() && status.is_success() && has_body(&request.method, status) {
            let (file, wire_bytes) = self.save(&mut answer, &headers, &url).await?;
            return Ok(Response {
                status,
                headers,
                wire_bytes,
                took: started.elapsed(),
                file: Some(Box::new(file)),
                ..Response::new(url, Bytes::new())
            });
        }
        let (body, wire_bytes) = if has_body(&request.method, status) {
            match self.read(&mut answer, &headers, request.first_bytes).await {
                // Where it leads is all that matters of a redirect.
                Err(_) if is_redirect(status, &headers) => Default::default(),
                outcome => outcome?,
            }
        } else {
            Default::default()
        };
        Ok(Response {
            url,
            status,
            headers,
            body,
            wire_bytes,
            took: started.elapsed(),
            source: Source::Network,
            file: None,
        })
    }

    /// Sends a request on the way that its identity takes, as far as the head of the answer.
    async fn send(
        &self,
        request: &Request,
        identity: &Identity,
    ) -> Result<reqwest::Response, FetchError> {
        let headers = self.headers(request, identity);
        if is_loopback(&request.url) {
            return self.send_by(Way::Direct, request, headers).await;
        }
        if self.guard.is_proxy(&request.url) {
            let message = "the host is a proxy of this crawl";
            return Err(FetchError::new(FailureKind::Blocked, message));
        }
        if let Some(own) = &request.proxy {
            return self.send_by_own(own, request, headers).await;
        }
        let proxies = self.sessions.proxies();
        let ways = proxies.ways(identity.route, Instant::now());
        if ways.is_empty() {
            let way = self.clients.environment(&request.url);
            return self.send_by(way, request, headers).await;
        }
        if proxies.spares(&request.url) {
            return self.send_by(Way::Direct, request, headers).await;
        }
        let mut error = None;
        for proxy in ways.into_iter().take(MAX_PROXIES) {
            let way = proxies.url(proxy).cloned().map_or(Way::Direct, Way::Proxy);
            match self.send_by(way, request, headers.clone()).await {
                // Nothing has reached the server yet: another proxy may do better.
                Err(mut failed) if failed.kind == FailureKind::Proxy => {
                    proxies.note(proxy, false);
                    failed.message = format!("{}: {}", proxies.name(proxy), failed.message);
                    error = Some(failed);
                }
                outcome => {
                    proxies.note(proxy, true);
                    return outcome;
                }
            }
        }
        Err(error.unwrap_or_else(|| FetchError::new(FailureKind::Proxy, "no proxy")))
    }

    /// Sends a request by the proxy that it names, and by no other.
    async fn send_by_own(
        &self,
        proxy: &Proxy,
        request: &Request,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, FetchError> {
        let way = match proxy.url() {
            None => Way::Direct,
            Some(url) => {
                self.guard.allow_proxy(url.host_str().unwrap_or_default());
                Way::Proxy(url.clone())
            }
        };
        let outcome = self.send_by(way, request, headers).await;
        outcome.map_err(|mut failed| {
            if failed.kind == FailureKind::Proxy {
                failed.message = format!("{proxy}: {}", failed.message);
            }
            failed
        })
    }

    async fn send_by(
        &self,
        way: Way,
        request: &Request,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, FetchError> {
        let is_proxied = way != Way::Direct;
        let reuse = if self.suspects.take(&request.url) {
            Reuse::Alone
        } else {
            Reuse::Kept
        };
        let explained = |error| FetchError {
            is_inconclusive: reuse == Reuse::Kept,
            ..explain(error, self.connect_timeout)
        };
        let client = self.clients.client(way, &request.url, reuse);
        let client = client.map_err(explained)?;
        let mut builder = client
            .request(request.method.clone(), without_login(request.url.clone()))
            .headers(headers);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let outgoing = builder.build().map_err(explained)?;
        let explain = |error| {
            if is_proxied {
                explain_proxied(error, self.connect_timeout)
            } else {
                explained(error)
            }
        };
        let answer = self.wait.head(client.execute(outgoing)).await?;
        let answer = answer.map_err(explain)?;
        if is_proxied
            && request.url.scheme() == "http"
            && answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            let message = "the proxy does not accept our credentials";
            return Err(FetchError::new(FailureKind::Proxy, message));
        }
        Ok(answer)
    }

    /// What is sent besides reqwest's own: the request's headers win over its identity's, and those
    /// over the crawl's.
    fn headers(&self, request: &Request, identity: &Identity) -> HeaderMap {
        let mut headers = request.headers.clone();
        // The settings alone say what a proxy gets; a server would get it, too.
        headers.remove(header::PROXY_AUTHORIZATION);
        if !headers.contains_key(header::AUTHORIZATION)
            && let Some(basic) = basic_of(&request.url)
        {
            headers.insert(header::AUTHORIZATION, basic);
        }
        identity.dress(&request.url, &mut headers);
        self.auth.apply(&request.url, &mut headers);
        headers
    }

    async fn read(
        &self,
        answer: &mut reqwest::Response,
        headers: &HeaderMap,
        first_bytes: Option<usize>,
    ) -> Result<(Bytes, u64), FetchError> {
        let most = first_bytes.map_or(self.max_body, |first| first.min(self.max_body));
        let mut decoder = Decoder::new(headers, most, self.budget.share())?;
        let may_cut = first_bytes.is_some();
        let (wire_bytes, is_whole) = self.pour(answer, &mut decoder, most, may_cut).await?;
        let body = if is_whole {
            decoder.finish()?
        } else {
            decoder.cut()
        };
        Ok((body, wire_bytes))
    }

    /// Reads the body into a file.
    async fn save(
        &self,
        answer: &mut reqwest::Response,
        headers: &HeaderMap,
        url: &Url,
    ) -> Result<(SavedFile, u64), FetchError> {
        let limit = self.files.max_bytes();
        let mut decoder = Decoder::into_file(headers, limit, self.files.begin().await?)?;
        let (wire_bytes, _) = self.pour(answer, &mut decoder, limit, false).await?;
        let part = decoder.finish_file()?;
        let file = self.files.keep(part, url, headers).await?;
        Ok((file, wire_bytes))
    }

    /// Reads the body as it comes; how many bytes it has on the wire, and whether that is all of it.
    /// One that is longer than `max_bytes` may be cut, or is an error.
    async fn pour(
        &self,
        answer: &mut reqwest::Response,
        decoder: &mut Decoder<'_>,
        max_bytes: usize,
        may_cut: bool,
    ) -> Result<(u64, bool), FetchError> {
        let limit = max_bytes as u64;
        if let Some(declared) = answer.content_length() {
            if declared > limit && !may_cut {
                return Err(too_large(max_bytes));
            }
            decoder.reserve(declared);
        }
        let mut wire_bytes = 0;
        let mut wait = self.wait.body();
        let explained = |error| explain(error, self.connect_timeout);
        while let Some(chunk) = wait.piece(answer.chunk()).await?.map_err(explained)? {
            wire_bytes += chunk.len() as u64;
            let pushed = decoder.push(&chunk).await;
            let too_many = wire_bytes > limit;
            match pushed {
                Err(error) if error.kind != FailureKind::TooLarge => return Err(error),
                Ok(()) if !too_many => {}
                _ if may_cut => return Ok((wire_bytes, false)),
                _ => return Err(too_large(max_bytes)),
            }
        }
        Ok((wire_bytes, true))
    }
}

impl Fetch for HttpFetch {
    /// # Cancel safety
    /// A dropped exchange closes its connection (HTTP/1.1) or resets its stream (HTTP/2).
    async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        let default = if request.step.is_file() {
            self.file_timeout
        } else {
            self.timeout
        };
        let limit = request.timeout.unwrap_or(default);
        let has_begun = AtomicBool::new(false);
        let exchange = timeout(limit, self.exchange(request, &has_begun));
        let outcome = exchange.await.unwrap_or_else(|_| {
            let message = format!("no whole answer in {}", time_as_text(limit));
            Err(FetchError::new(FailureKind::Timeout, message))
        });
        let is_new = self.suspects.note(&request.url, &outcome);
        outcome.map_err(|error| FetchError {
            is_inconclusive: error.is_inconclusive && is_new && request.method.is_safe(),
            has_begun: has_begun.into_inner(),
            ..error
        })
    }
}

/// As on the wire, with `: ` and the end of the line.
fn bytes_of(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    fields
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

fn blocked(refused: Refused) -> FetchError {
    FetchError::new(FailureKind::Blocked, refused.to_string())
}

fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_redirection() && headers.contains_key(header::LOCATION)
}

#[cfg(test)]
mod tests;
