//! Pages that were fetched before, from disk.
//!
//! Three modes, one store. **`http`** is a private cache by RFC 9111: what the server lets be kept is
//! answered from disk while it is fresh, and asked for with its validators once it is not. **`dev`**
//! is for writing a spider: every page is fetched once and replayed for ever, whatever its headers
//! say; what failed is not kept. **`keep`** answers nothing from disk and keeps what comes, where `dev` and
//! [`KeptPages`] find it.
//!
//! Whose page it is counts. A page is found again only by a request of the same spider and arguments,
//! the same session and the same credentials (Authorization; in the mode `http` the cookies, too).
//! Of credentials and headers only hashes are stored, and `Set-Cookie` is not stored at all.
//!
//! On disk: an entry per request, named by the hash of what it is found by, and bodies named by the
//! hash of their bytes, compressed. Files are written aside and renamed, so that no reader and no
//! other process ever sees half of one; a body that is not what its name says is no body. Nothing is
//! locked: the worst that processes can do to each other is a page fetched twice.

mod disk;
mod entry;
mod fresh;
mod kept;

pub use kept::{KeptPage, KeptPages};

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use sha2::{Digest, Sha256};

use self::disk::Disk;
use self::entry::Entry;
use self::fresh::{Freshness, judge};
use super::http::HttpFetch;
use super::middleware::{Middleware, Next};
use super::{FetchError, FetchSetupError};
use crate::clock;
use crate::request::{Request, Response, Source};
use crate::settings::{CacheMode, Settings};

/// Answers from disk what was fetched before.
#[derive(Debug)]
pub(crate) struct Cache {
    disk: Arc<Disk>,
    mode: CacheMode,
    /// Hash of the spider and its arguments.
    owner: [u8; 32],
    /// What our own fetch adds to a request says whose it is.
    http: Option<Arc<HttpFetch>>,
    max_body: usize,
}

impl Cache {
    /// None if the settings want no cache. `owner` is what tells this crawl from others.
    pub(crate) fn new(
        settings: &Settings,
        owner: &[&str],
        http: Option<Arc<HttpFetch>>,
    ) -> Result<Option<Self>, FetchSetupError> {
        let folder = match settings.cache {
            CacheMode::Off => return Ok(None),
            CacheMode::Http => "http",
            CacheMode::Dev | CacheMode::Keep => "dev",
        };
        let root = settings.cache_root().ok_or(FetchSetupError::CacheFolder)?;
        let age = settings.cache_max_age;
        let disk = Disk::new(root.join(folder), settings.cache_size as u64, age);
        Ok(Some(Self {
            disk: Arc::new(disk),
            mode: settings.cache,
            owner: owned_by(owner),
            http,
            max_body: settings.max_body,
        }))
    }

    /// What goes over the wire with `request`, as far as is known.
    fn sent_headers(&self, request: &Request) -> HeaderMap {
        match &self.http {
            Some(http) => http.sent_headers(request),
            None => request.headers.clone(),
        }
    }

    /// What a request's page is found by.
    fn key(&self, request: &Request, sent: &HeaderMap) -> Key {
        let mut hash = asked(&self.owner, request);
        // The cookies of a replayed login are not there, so they must not be asked for.
        let cookies = match self.mode {
            CacheMode::Http => sent,
            _ => &request.headers,
        };
        let values = sent.get_all(header::AUTHORIZATION).iter();
        for value in values.chain(cookies.get_all(header::COOKIE)) {
            hash.update(value.len().to_le_bytes());
            hash.update(value);
        }
        Key(hex(&hash.finalize()))
    }

    async fn replay(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
        let key = self.key(request, &self.sent_headers(request));
        if self.mode == CacheMode::Dev
            && let Some((entry, body)) = self.load(&key).await
        {
            return Ok(self.answer(request, &entry, body, Source::Cache).await);
        }
        let response = next.fetch(request).await?;
        let status = response.status;
        // A host without rules says so with a 404, which is an answer, too.
        let is_kept = status.is_success()
            || is_redirect(status)
            || request.step.is_robots() && status.is_client_error();
        if is_kept {
            let entry = Entry {
                owner: hex(&self.owner),
                step: request.step.name.to_string(),
                args: request.step.args.clone(),
                at: Some(clock::now()),
                ..Entry::of(&response, None)
            };
            self.store(key, entry, &response).await;
        }
        Ok(response)
    }

    async fn by_the_rules(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
        if !matches!(request.method, Method::GET | Method::HEAD) || asks_itself(&request.headers) {
            return next.fetch(request).await;
        }
        let sent = self.sent_headers(request);
        let key = self.key(request, &sent);
        let Some((entry, body)) = self.load(&key).await else {
            return self.fetch_and_keep(request, &sent, key, next).await;
        };
        match judge(&entry, request, &sent, clock::now()) {
            Freshness::Fresh(headers) => {
                let entry = Entry { headers, ..entry };
                Ok(self.answer(request, &entry, body, Source::Cache).await)
            }
            Freshness::Stale(validators) => {
                let mut conditional = request.clone();
                conditional.headers.extend(validators);
                let response = next.fetch(&conditional).await?;
                let renewed = fresh::renew(&entry, request, &sent, &response, clock::now());
                if let Some(renewed) = renewed {
                    let answer = self
                        .answer(request, &renewed, body, Source::Revalidated)
                        .await;
                    self.touch(key, renewed).await;
                    return Ok(answer);
                }
                if response.status == StatusCode::NOT_MODIFIED {
                    // Not modified since a version that we do not have: ask for the whole.
                    return self.fetch_and_keep(request, &sent, key, next).await;
                }
                self.keep(request, &sent, key, &response).await;
                Ok(response)
            }
            Freshness::Other => self.fetch_and_keep(request, &sent, key, next).await,
        }
    }

    async fn fetch_and_keep(
        &self,
        request: &Request,
        sent: &HeaderMap,
        key: Key,
        next: Next,
    ) -> Result<Response, FetchError> {
        let response = next.fetch(request).await?;
        self.keep(request, sent, key, &response).await;
        Ok(response)
    }

    /// Stores what the rules let be stored.
    async fn keep(&self, request: &Request, sent: &HeaderMap, key: Key, response: &Response) {
        if let Some(policy) = fresh::policy(request, sent, response, clock::now()) {
            self.store(key, Entry::of(response, Some(policy)), response)
                .await;
        }
    }

    async fn answer(
        &self,
        request: &Request,
        entry: &Entry,
        body: Vec<u8>,
        source: Source,
    ) -> Response {
        let body = match &self.http {
            Some(http) => http.hold(body).await,
            None => body.into(),
        };
        Response {
            status: StatusCode::from_u16(entry.status).unwrap_or(StatusCode::OK),
            headers: entry.headers(),
            wire_bytes: 0,
            source,
            ..Response::new(without_login(request), body)
        }
    }

    async fn load(&self, key: &Key) -> Option<(Entry, Vec<u8>)> {
        let (disk, key, limit) = (Arc::clone(&self.disk), key.clone(), self.max_body);
        let load = tokio::task::spawn_blocking(move || disk.load(&key, limit));
        load.await.ok().flatten()
    }

    /// A cache that can't be written to is no reason to lose a page.
    async fn store(&self, key: Key, entry: Entry, response: &Response) {
        let (disk, body) = (Arc::clone(&self.disk), response.body.clone());
        let store = tokio::task::spawn_blocking(move || disk.store(&key, entry, &body));
        if let Ok(Err(error)) = store.await {
            tracing::warn!(%error, "the cache can't be written to");
        }
    }

    async fn touch(&self, key: Key, entry: Entry) {
        let disk = Arc::clone(&self.disk);
        let store = tokio::task::spawn_blocking(move || disk.store_entry(&key, &entry));
        if let Ok(Err(error)) = store.await {
            tracing::warn!(%error, "the cache can't be written to");
        }
    }
}

impl Middleware for Cache {
    async fn handle(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
        if request.step.is_file() {
            // It is on disk already, once it is there.
            next.fetch(request).await
        } else if self.mode == CacheMode::Http {
            self.by_the_rules(request, next).await
        } else {
            self.replay(request, next).await
        }
    }
}

/// What a request asks for, as whom; credentials left out.
fn asked(owner: &[u8; 32], request: &Request) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(owner);
    let url = &request.url[..url::Position::AfterQuery];
    // Of a pool, any session would do: what tells them apart are the credentials.
    let session = request.session.identity().unwrap_or_default();
    for part in [request.method.as_str(), url, session] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let body = request.body.as_deref().unwrap_or_default();
    hash.update(body.len().to_le_bytes());
    hash.update(body);
    hash
}

/// Who kept a page: a spider and its arguments.
fn owned_by(owner: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in owner {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The name of an entry: a hash in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a request has conditions of its own, or wants a part.
fn asks_itself(headers: &HeaderMap) -> bool {
    [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::RANGE,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301..=303 | 307 | 308)
}

fn without_login(request: &Request) -> url::Url {
    let mut url = request.url.clone();
    // Neither fails for a URL with a host, and no other gets here.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

#[cfg(test)]
mod tests;
