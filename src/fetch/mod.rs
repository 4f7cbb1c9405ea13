//! Fetching: one request out, one response back.
//!
//! A [`Fetch`] knows nothing of crawling. It makes one exchange: it does not follow redirects,
//! retry, wait for politeness or read robots.txt, because each of these is a decision of the crawl
//! that must hold for every hop. What it must do is end: within the time-outs, within the body limit,
//! with a [`FetchError`] that says what kind of failure it was.

mod http;
mod session;
mod auth;
mod cookies;
mod health;
mod proxy;
mod client;
mod suspects;
mod tls;
mod budget;
mod wait;
mod warc;
mod guard;
mod decode;
mod failure;
mod middleware;
mod block_page;
mod cache;
mod files;

pub use self::http::{FetchSetupError, HttpFetch};
pub(crate) use auth::take_login;
pub(crate) use block_page::BlockPages;
pub(crate) use cache::Cache;
pub use cache::{KeptPage, KeptPages};
pub use cookies::{Jar, Limits};
pub(crate) use guard::address_of;
pub use guard::{Guard, Refused};
pub use middleware::{Middleware, Middlewares, Next};
pub use session::{Identity, Sessions};
#[cfg(feature = "s3")]
pub(crate) use tls::install_tls;
pub use warc::{WarcPage, WarcReader, WarcWriter};

use std::future::Future;
use std::pin::Pin;

use crate::request::{Request, Response};

/// Makes one exchange with a server.
///
/// Called by the engine once per try, from many tasks at once, at most
/// `concurrency` at a time. A fetch may be dropped at any await (a stop, a time-out): it must leave
/// nothing behind but a closed connection.
pub trait Fetch: Send + Sync + 'static {
    /// Sends `request` and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// What kept the answer from coming; never an HTTP status.
    fn fetch(&self, request: &Request)
    -> impl Future<Output = Result<Response, FetchError>> + Send;
}

/// The boxed twin of [`Fetch`], so that the engine holds one type.
pub(crate) trait DynFetch: Send + Sync + 'static {
    fn fetch<'a>(
        &'a self,
        request: &'a Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, FetchError>> + Send + 'a>>;
}

impl<F: Fetch> DynFetch for F {
    fn fetch<'a>(
        &'a self,
        request: &'a Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, FetchError>> + Send + 'a>> {
        Box::pin(Fetch::fetch(self, request))
    }
}

/// The kinds of failure that a retry budget tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, also from a proxy.
    Connect,
    /// The proxy can't be reached, or does not accept us.
    Proxy,
    /// The TLS handshake failed.
    Tls,
    /// A time-out passed.
    Timeout,
    /// The connection broke before the answer was whole.
    Reset,
    /// The answer is not HTTP, or contradicts itself.
    Protocol,
    /// A limit was exceeded (body, headers).
    TooLarge,
    /// The body's content encoding is unknown or broken.
    Encoding,
    /// The address is not allowed.
    Blocked,
    /// The answer is a block page: a challenge, a refusal, whatever its status.
    BlockPage,
    /// A middleware refused to send the request; its page is skipped.
    Refused,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Blocked => "blocked",
            Self::BlockPage => "block_page",
            Self::Refused => "refused",
            Self::Other => "fetch",
        }
    }
}

/// Why no response came that a step could read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// The kind, which decides about a retry.
    pub kind: FailureKind,
    /// A sentence's fragment: "connection refused", "body over 16 MiB".
    pub message: String,
    /// The cause, where there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The answer, if one came that must not be taken for the page.
    pub response: Option<Box<Response>>,
    /// The connection broke, and it may have been another request's doing: this one is asked again on
    /// a connection of its own, and only what comes of that counts.
    pub is_inconclusive: bool,
    /// The head of an answer had come: whoever is to blame, the host is alive.
    pub has_begun: bool,
}

impl FetchError {
    /// A failure of `kind`.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            response: None,
            is_inconclusive: false,
            has_begun: false,
        }
    }

    /// What a [`Middleware`] says that does not let a request pass: its page is skipped, with this as
    /// the reason.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, message)
    }
}
