//! Pages without a crawl: fetched as a crawl would fetch them, one by one.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::CrawlError;
use super::{rules, run};
use crate::fetch::{DynFetch, FailureKind, FetchError, HttpFetch, Middlewares};
use crate::policy::robots::Robots;
use crate::request::{Request, Response, Session, origin_of};
use crate::settings::Settings;
use crate::spider::Spider;

/// Fetches single pages with all that a crawl puts around its fetch: cookies, decoding, limits, the
/// address guard, middleware, the cache. What it leaves to the caller is what the crawl decides: when,
/// whether robots.txt allows it, and where a redirect leads.
///
/// ```
/// use nephila::engine::Fetcher;
/// use nephila::request::{Request, StepRef};
/// use nephila::settings::Settings;
/// # use nephila::site::Site;
///
/// # #[tokio::main] async fn main() -> nephila::Result {
/// # let site = Site::start("127.0.0.1:0").await?;
/// let url = site.url();
/// let fetcher = Fetcher::new(None, "{}", &Settings::default())?;
/// fetcher.trust(&url); // Its address may be private, as that of a start URL.
/// assert!(fetcher.robots(&url).await?.verdict(url.path()).allowed);
/// let response = fetcher.fetch(&Request::new(url, StepRef::named("page"))).await?;
/// assert_eq!(response.status, 200);
/// # Ok(())
/// # }
/// ```
pub struct Fetcher {
    fetch: Arc<dyn DynFetch>,
    http: Arc<HttpFetch>,
    user_agent: String,
    max_robots: usize,
}

impl Fetcher {
    /// As a crawl of `spider` with these arguments (as JSON) would fetch, or of no spider.
    ///
    /// # Errors
    /// If the settings can't be used.
    pub fn new(
        spider: Option<&dyn Spider>,
        args: &str,
        settings: &Settings,
    ) -> Result<Self, CrawlError> {
        let http = Arc::new(HttpFetch::new(settings)?);
        let own = spider.map_or_else(Middlewares::new, Spider::middleware);
        let owner = [spider.map_or("", Spider::name), args];
        let built_in = run::built_in(settings, &owner, Some(&http))?;
        Ok(Self {
            fetch: own
                .and(built_in)
                .around(Arc::clone(&http) as Arc<dyn DynFetch>),
            http,
            user_agent: settings.user_agent.clone(),
            max_robots: settings.max_robots,
        })
    }

    /// Trusts a URL that the user wrote: its host may be at a private address, and its login is sent.
    pub fn trust(&self, url: &Url) {
        self.http.log_in(url);
        self.http.allow_host(url.host_str().unwrap_or_default());
    }

    /// What robots.txt of the host of `url` says.
    ///
    /// # Errors
    /// If it can't be fetched: nothing may be, then.
    pub async fn robots(&self, url: &Url) -> Result<Robots, FetchError> {
        let origin = origin_of(url).unwrap_or_default();
        let answer = rules::search(&*self.fetch, &origin, self.max_robots).await;
        let file = answer.map(|answer| answer.file).ok_or_else(|| {
            FetchError::new(FailureKind::Other, format!("`{origin}` is no origin"))
        })?;
        match file.status {
            0 => Err(FetchError::new(FailureKind::Other, file.body)),
            status => Ok(Robots::of_answer(
                status,
                file.body.as_bytes(),
                &self.user_agent,
            )),
        }
    }

    /// One exchange.
    ///
    /// # Errors
    /// What kept the answer from coming.
    pub async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        self.fetch.fetch(request).await
    }

    /// Sends a header with all requests of a session to the origin of `url`: what a login keeps.
    pub(crate) fn keep_header(
        &self,
        session: &Session,
        url: &Url,
        name: &HeaderName,
        value: HeaderValue,
    ) {
        if let Ok(identity) = self.http.sessions().identity(session) {
            identity.keep_header(url, name, value);
        }
    }

    /// The headers that go out with `request`, as far as they are known before.
    pub(crate) fn headers(&self, request: &Request) -> http::HeaderMap {
        self.http.shown_headers(request)
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}
