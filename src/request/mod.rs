//! Requests and responses: what goes out, and what comes back.
//!
//! A [`Request`] is plain data, because it is stored before it is fetched: a method, a URL, the
//! [name of a step](StepRef) that reads the answer, and its arguments as JSON. Two requests are the
//! same if their [fingerprints](Identity::fingerprint) are: method, canonical URL, body, step and the
//! headers that were set on it.

mod builder;
pub mod charset;
mod canonical;
mod cookie;
mod fingerprint;
mod prescan;
mod known;
mod proxy;
mod refresh;
mod referrer;
mod response;
mod revisit;
mod session;
mod step;
mod web_link;

pub use builder::RequestBuilder;
pub use canonical::{Uncrawlable, canonical, origin_of, without_logins};
pub use cookie::StoredCookie;
pub use fingerprint::{Fingerprint, HostKey, Identity};
pub(crate) use fingerprint::{HostMap, HostSet};
pub use known::{KnownLinks, LinkBase};
pub use proxy::{NoProxy, Proxy};
pub use referrer::{Referrer, ReferrerPolicy};
pub use refresh::Refresh;
pub use response::{Response, SavedFile, Source};
pub use revisit::Revisit;
pub use session::Session;
pub use step::{Step, StepRef};
pub use web_link::{LinkParam, WebLink};

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use url::Url;

/// The result of user code: `?` works on any error, and `Err("no price".into())` makes one.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One thing to fetch, and the step that reads the answer.
///
/// Made by [`Page::follow`](crate::page::Page::follow),
/// [`visit`](crate::page::Page::visit) and [`request`](crate::page::Page::request). All but its URL is in
/// its [`Terms`], whose fields are read and written as if they were its own:
///
/// ```
/// use nephila::request::{Request, StepRef};
///
/// let mut request = Request::new("http://shop.example/7".parse()?, StepRef::named("book"));
/// request.priority = 3;
/// let mut other = request.clone();
/// other.url = "http://shop.example/8".parse()?;
/// assert_eq!((other.priority, &*other.step.name), (3, "book"));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Absolute, with its fragment (which is neither sent nor part of the identity).
    pub url: Url,
    /// What it has in common with others: a page's links share one.
    pub terms: Arc<Terms>,
    /// When its page last changed, by what names it: a sitemap's `lastmod`. It decides whether a page of a
    /// step with `revisit = "lastmod"` is asked for again, and is no part of the identity.
    pub lastmod: Option<Timestamp>,
    /// The link it was, for [`KnownLinks`]; 0 if none.
    pub(crate) link: u64,
}

/// All of a [`Request`] but its URL; every field may hold any value.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// GET unless said otherwise.
    pub method: Method,
    /// Headers of this request alone; they win over the crawl's.
    pub headers: HeaderMap,
    /// What is sent as the body.
    pub body: Option<Bytes>,
    /// Whether the body is a secret, and so is not stored.
    pub secret_body: bool,
    /// Who reads the answer.
    pub step: StepRef,
    /// Higher comes first; 0 by default.
    pub priority: i16,
    /// Links between a seed and this request.
    pub depth: u16,
    /// Whether a request of the same identity is fetched only once (the default).
    pub dedup: bool,
    /// Total time for this request, instead of the crawl's.
    pub timeout: Option<Duration>,
    /// How often it is tried again if it fails in a way that may pass, instead of as the crawl says.
    pub retries: Option<u16>,
    /// Not to be fetched before this moment.
    pub not_before: Option<Timestamp>,
    /// The URLs that redirected here, first to last.
    pub redirects: Vec<Url>,
    /// Whether a redirect that keeps the method (307, 308) may send the body on to another origin.
    pub resend_body: bool,
    /// How much of the body is wanted; what is beyond is left, instead of failing the request.
    pub(crate) first_bytes: Option<usize>,
    /// Who makes it.
    pub session: Session,
    /// The way out of this request, instead of its session's and the crawl's. No part of its identity.
    pub proxy: Option<Proxy>,
    /// What to tell of the page where it was found, if that is not as the settings say.
    pub referrer: Option<Box<Referrer>>,
}

impl Terms {
    /// A GET, read by `step`.
    pub fn new(step: StepRef) -> Self {
        Self {
            method: Method::GET,
            headers: HeaderMap::new(),
            body: None,
            secret_body: false,
            step,
            priority: 0,
            depth: 0,
            dedup: true,
            timeout: None,
            retries: None,
            not_before: None,
            redirects: Vec::new(),
            resend_body: false,
            first_bytes: None,
            session: Session::Any,
            proxy: None,
            referrer: None,
        }
    }
}

impl Request {
    /// A GET of `url`, read by `step`.
    pub fn new(url: Url, step: StepRef) -> Self {
        Self::on(url, Arc::new(Terms::new(step)))
    }

    /// A request of `url` on terms that others may have, too.
    pub fn on(url: Url, terms: Arc<Terms>) -> Self {
        Self {
            url,
            terms,
            lastmod: None,
            link: 0,
        }
    }
}

impl Deref for Request {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl DerefMut for Request {
    /// Terms that others have, too, are copied first.
    fn deref_mut(&mut self) -> &mut Terms {
        Arc::make_mut(&mut self.terms)
    }
}
