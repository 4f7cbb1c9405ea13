//! Fetching over HTTP/1.1 and HTTP/2, with reqwest.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Client;
use rustls::RootCertStore;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use super::budget::Budget;
use super::client::{self, Clients};
use super::decode::{Decoder, too_large};
use super::failure::{bytes_as_text, explain, time_as_text};
use super::files::Files;
use super::guard::{Guard, Refused};
use super::wait::Wait;
use super::{FailureKind, Fetch, FetchError, Jar};
use crate::request::{Request, Response, SavedFile, Source, origin_of};
use crate::settings::Settings;

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
    jar: Option<Arc<Jar>>,
    logins: Logins,
    /// What goes out with every request.
    default_headers: HeaderMap,
    files: Files,
    file_timeout: Duration,
    max_body: usize,
    max_header_bytes: usize,
    budget: Budget,
    connect_timeout: Duration,
    wait: Wait,
    timeout: Duration,
}

/// User name and password by origin, as they were in a URL.
#[derive(Default)]
struct Logins(RwLock<HashMap<String, (String, Option<String>)>>);

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logins(..)")
    }
}

/// Why no [`HttpFetch`] could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchSetupError {
    /// The user agent can't be sent in a header.
    #[error("the user agent {0:?} has a forbidden character")]
    UserAgent(String),
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
    /// wildcard) and what [`allow_host`](Self::allow_host) adds.
    ///
    /// # Errors
    /// If the settings can't be used.
    pub fn new(settings: &Settings) -> Result<Self, FetchSetupError> {
        let guard = Guard::new();
        for host in &settings.hosts {
            // A wildcard is no host's name, and so allows nothing.
            guard.allow_host(host);
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
        Ok(Self {
            clients: client::clients(settings, &guard, roots)?,
            guard,
            jar: settings.cookies.then(Arc::default),
            logins: Logins::default(),
            files: Files::new(settings),
            file_timeout: settings.file_timeout,
            default_headers: client::default_headers(settings)?,
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
        if let Ok(origin) = origin_of(url)
            && has_login(url)
        {
            let login = (url.username().to_owned(), url.password().map(str::to_owned));
            let mut logins = self
                .logins
                .0
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            logins.insert(origin, login);
        }
    }

    /// The cookies, if the settings keep them.
    pub fn jar(&self) -> Option<&Arc<Jar>> {
        self.jar.as_ref()
    }

    /// What tells whose a request is: its own headers, and the cookies and the login that go with it.
    pub(super) fn sent_headers(&self, request: &Request) -> HeaderMap {
        let mut headers = request.headers.clone();
        if let Some(jar) = &self.jar
            && !headers.contains_key(header::COOKIE)
            && let Some(cookies) = jar.cookie_header(&request.url)
        {
            headers.insert(header::COOKIE, cookies);
        }
        let url = self.with_login(&request.url);
        if has_login(&url) && !headers.contains_key(header::AUTHORIZATION) {
            let login = [url.username(), ":", url.password().unwrap_or_default()].concat();
            if let Ok(login) = HeaderValue::try_from(login) {
                headers.insert(header::AUTHORIZATION, login);
            }
        }
        headers
    }

    /// All headers that go out with `request`, but for those of the connection. Logins are not encoded:
    /// for people, with secrets masked.
    pub(crate) fn shown_headers(&self, request: &Request) -> HeaderMap {
        let mut headers = self.default_headers.clone();
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

    async fn exchange(&self, request: &Request) -> Result<Response, FetchError> {
        self.guard.check(&request.url).map_err(blocked)?;
        let (client, outgoing) = self.outgoing(request)?;
        let started = Instant::now();
        let answer = self.wait.head(client.execute(outgoing)).await?;
        let mut answer = answer.map_err(|error| explain(error, self.connect_timeout))?;
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        if bytes_of(&headers) > self.max_header_bytes {
            let message = format!("header over {}", bytes_as_text(self.max_header_bytes));
            return Err(FetchError::new(FailureKind::TooLarge, message));
        }
        let url = without_login(request.url.clone());
        if let Some(jar) = &self.jar {
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

    /// The request as reqwest wants it, and the client to send it.
    fn outgoing(&self, request: &Request) -> Result<(&Client, reqwest::Request), FetchError> {
        let client = if is_loopback(&request.url) {
            &self.clients.direct
        } else if self.guard.is_proxy(&request.url) {
            let message = "the host is a proxy of this crawl";
            return Err(FetchError::new(FailureKind::Blocked, message));
        } else {
            &self.clients.proxied
        };
        let mut headers = request.headers.clone();
        if let Some(jar) = &self.jar
            && !headers.contains_key(header::COOKIE)
            && let Some(cookies) = jar.cookie_header(&request.url)
        {
            headers.insert(header::COOKIE, cookies);
        }
        // reqwest makes a header of the login in the URL; the request's own headers replace it.
        let mut builder = client
            .request(request.method.clone(), self.with_login(&request.url))
            .headers(headers);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let outgoing = builder
            .build()
            .map_err(|error| explain(error, self.connect_timeout))?;
        Ok((client, outgoing))
    }

    /// `url` with what [`log_in`](Self::log_in) knows for its origin, unless it says itself.
    fn with_login(&self, url: &Url) -> Url {
        let mut url = url.clone();
        let logins = self.logins.0.read().unwrap_or_else(PoisonError::into_inner);
        if !logins.is_empty()
            && !has_login(&url)
            && let Ok(origin) = origin_of(&url)
            && let Some((name, password)) = logins.get(&origin)
        {
            set_login(&mut url, name, password.as_deref());
        }
        url
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
        let Ok(outcome) = timeout(limit, self.exchange(request)).await else {
            let message = format!("no whole answer in {}", time_as_text(limit));
            return Err(FetchError::new(FailureKind::Timeout, message));
        };
        outcome
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

/// Proxies are asked for nothing that lies on this machine.
fn is_loopback(url: &Url) -> bool {
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

fn has_login(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn set_login(url: &mut Url, name: &str, password: Option<&str>) {
    // Neither fails for a URL with a host, and no other gets here.
    let _ = url.set_username(name);
    let _ = url.set_password(password);
}

fn without_login(mut url: Url) -> Url {
    if has_login(&url) {
        set_login(&mut url, "", None);
    }
    url
}

fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn is_redirect(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_redirection() && headers.contains_key(header::LOCATION)
}

#[cfg(test)]
mod tests;
