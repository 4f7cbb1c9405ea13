//! Fetching over HTTP/1.1 and HTTP/2, with reqwest.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Client;
use tokio::time::{Instant, timeout};
use url::Url;

use super::decode::{Decoder, too_large};
use super::failure::{explain, time_as_text};
use super::{FailureKind, Fetch, FetchError, client};
use crate::request::{Request, Response};
use crate::settings::Settings;

/// The fetch of a crawl, unless another is given: HTTP over TCP and TLS.
///
/// Redirects are answers like any other. Cookies, compression and limits are handled here; see
/// [`Settings`] for `max_body` and the time-outs.
#[derive(Debug)]
pub struct HttpFetch {
    client: Client,
    max_body: usize,
    connect_timeout: Duration,
    idle_timeout: Duration,
    timeout: Duration,
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
}

impl HttpFetch {
    /// Made once per crawl: it holds the pool of connections.
    ///
    /// # Errors
    /// If the settings can't be used.
    pub fn new(settings: &Settings) -> Result<Self, FetchSetupError> {
        Ok(Self {
            client: client::builder(settings)?
                .build()
                .map_err(FetchSetupError::Client)?,
            max_body: settings.max_body,
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
            timeout: settings.timeout,
        })
    }

    async fn exchange(&self, request: &Request) -> Result<Response, FetchError> {
        let mut url = request.url.clone();
        let outgoing = self.outgoing(request, &mut url)?;
        let started = Instant::now();
        let mut answer = self.unless_idle(self.client.execute(outgoing)).await?;
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        let (body, wire_bytes) = match has_body(&request.method, status) {
            true => self.read(&mut answer, &headers).await?,
            false => (Vec::new(), 0),
        };
        Ok(Response {
            url,
            status,
            headers,
            body: Bytes::from(body),
            wire_bytes,
            took: started.elapsed(),
        })
    }

    /// The request as reqwest wants it. What is secret in `url` moves from there to a header.
    fn outgoing(&self, request: &Request, url: &mut Url) -> Result<reqwest::Request, FetchError> {
        let mut builder = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        // Neither fails for a URL with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        builder
            .build()
            .map_err(|error| explain(error, self.connect_timeout))
    }

    async fn read(
        &self,
        answer: &mut reqwest::Response,
        headers: &HeaderMap,
    ) -> Result<(Vec<u8>, u64), FetchError> {
        let mut decoder = Decoder::new(headers, self.max_body)?;
        let limit = self.max_body as u64;
        if let Some(declared) = answer.content_length() {
            if declared > limit {
                return Err(too_large(self.max_body));
            }
            decoder.reserve(declared);
        }
        let mut wire_bytes = 0;
        while let Some(chunk) = self.unless_idle(answer.chunk()).await? {
            wire_bytes += chunk.len() as u64;
            if wire_bytes > limit {
                return Err(too_large(self.max_body));
            }
            decoder.push(&chunk)?;
        }
        Ok((decoder.finish()?, wire_bytes))
    }

    async fn unless_idle<T>(
        &self,
        step: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, FetchError> {
        match timeout(self.idle_timeout, step).await {
            Ok(outcome) => outcome.map_err(|error| explain(error, self.connect_timeout)),
            Err(_) => {
                let message = format!("no byte for {}", time_as_text(self.idle_timeout));
                Err(FetchError::new(FailureKind::Timeout, message))
            }
        }
    }
}

impl Fetch for HttpFetch {
    /// # Cancel safety
    /// A dropped exchange closes its connection (HTTP/1.1) or resets its stream (HTTP/2).
    async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        let limit = request.timeout.unwrap_or(self.timeout);
        match timeout(limit, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::new(
                FailureKind::Timeout,
                format!("no whole answer in {}", time_as_text(limit)),
            )),
        }
    }
}

fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
