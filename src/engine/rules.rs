//! What a host's robots.txt means for its requests.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use url::Url;

use super::life::class_of;
use super::shared::Shared;
use crate::clock;
use crate::fetch::{DynFetch, FetchError};
use crate::policy::redirect;
use crate::policy::robots::{self, Availability, Robots};
use crate::request::{Request, Response, StepRef};
use crate::store::{PageState, RobotsFile};

/// Redirects of a robots.txt that are followed (RFC 9309, 2.3.1.2).
const MAX_HOPS: u8 = 5;

/// A host's rules.
#[derive(Clone)]
pub(super) enum Rules {
    /// Everything may be fetched.
    None,
    /// By robots.txt.
    Robots(Arc<Robots>),
    /// Nothing may be fetched, or can.
    Condemned(Arc<Sentence>),
}

/// Why a request is not sent.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) state: PageState,
}

impl Rules {
    /// The rules of a fetched file; none if it could not be fetched, which means "not now".
    pub(super) fn from_file(file: &RobotsFile, user_agent: &str) -> Option<Self> {
        match Availability::of_status(file.status) {
            Availability::Readable => {
                let robots = Robots::parse(file.body.as_bytes(), user_agent);
                Some(Self::Robots(Arc::new(robots)))
            }
            Availability::Unavailable => Some(Self::None),
            Availability::Unreachable => None,
        }
    }

    pub(super) fn crawl_delay(&self) -> Option<Duration> {
        match self {
            Self::Robots(robots) => robots.crawl_delay(),
            _ => None,
        }
    }

    /// Why `url` must not be fetched.
    pub(super) fn forbid(&self, url: &Url) -> Option<Sentence> {
        match self {
            Self::None => None,
            Self::Condemned(sentence) => Some((**sentence).clone()),
            Self::Robots(robots) => {
                let verdict =
                    robots.verdict(&url[url::Position::BeforePath..url::Position::AfterQuery]);
                (!verdict.allowed).then(|| Sentence {
                    reason: "robots",
                    message: verdict.rule.map_or_else(
                        || "forbidden by robots.txt".to_owned(),
                        |rule| format!("{} (robots.txt line {})", rule.text, rule.line),
                    ),
                    state: PageState::Skipped,
                })
            }
        }
    }
}

/// Fetches a host's robots.txt; without an answer the status is 0 and the body says why. Also says
/// whether another try may have another outcome.
pub(super) async fn fetch(shared: &Shared, origin: &str) -> (RobotsFile, bool) {
    let outcome = exchange(&*shared.fetch, origin).await;
    let at = clock::now();
    match outcome {
        Ok(response) => {
            let body = robots::to_text(&response.body);
            (
                RobotsFile {
                    status: response.status.as_u16(),
                    body,
                    at,
                },
                true,
            )
        }
        Err(error) => {
            let transient = class_of(error.kind).is_transient();
            (
                RobotsFile {
                    status: 0,
                    body: error.message,
                    at,
                },
                transient,
            )
        }
    }
}

pub(super) async fn exchange(fetch: &dyn DynFetch, origin: &str) -> Result<Response, FetchError> {
    let no_url = |_| FetchError::new(crate::fetch::FailureKind::Other, "no robots.txt URL");
    let url = Url::parse(&format!("{origin}/robots.txt")).map_err(no_url)?;
    let mut request = Request::new(url, StepRef::robots());
    request.headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("text/plain, */*;q=0.5"),
    );
    loop {
        let response = fetch.fetch(&request).await?;
        if !redirect::is_redirect(response.status) {
            return Ok(response);
        }
        match redirect::follow(&request, &response, MAX_HOPS) {
            Ok(next) => request = next,
            Err(_) => return Ok(response),
        }
    }
}
