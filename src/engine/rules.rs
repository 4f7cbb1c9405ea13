//! What a host's robots.txt means for its requests.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use url::Url;

use super::judge::{asked, class_of};
use crate::clock;
use crate::fetch::{DynFetch, FetchError};
use crate::policy::redirect;
use crate::policy::retry::Class;
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

/// What came of one request for a robots.txt.
pub(super) enum Hop {
    /// It redirects.
    Next(Box<Request>),
    /// That is it, or there is none to be had.
    End(Box<Answer>),
}

/// The end of a search for a robots.txt.
pub(crate) struct Answer {
    /// Without an answer the status is 0 and the body says why.
    pub(crate) file: RobotsFile,
    /// What the answer means for another try.
    pub(crate) class: Class,
    /// What its `Retry-After` asks for.
    pub(crate) retry_after: Option<Duration>,
    /// Why pages are not fetched if it is none that can be gone by.
    pub(crate) reason: &'static str,
}

impl Hop {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Next(_) => 302,
            Self::End(answer) => answer.file.status,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Next(_) => 0,
            Self::End(answer) => answer.file.body.len() as u64,
        }
    }
}

/// The request for the robots.txt of an origin.
pub(super) fn request(origin: &str, max_bytes: usize) -> Option<Request> {
    let url = Url::parse(&format!("{origin}/robots.txt")).ok()?;
    let mut request = Request::new(url, StepRef::robots());
    // One byte more shows that there is more.
    request.first_bytes = Some(max_bytes + 1);
    request.headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("text/plain, */*;q=0.5"),
    );
    Some(request)
}

/// What came of one request for a robots.txt.
pub(super) fn hop(
    request: &Request,
    outcome: Result<Response, FetchError>,
    max_bytes: usize,
) -> Hop {
    let at = clock::now();
    let answer = match outcome {
        Ok(response) => {
            if redirect::is_redirect(response.status)
                && let Ok(next) = redirect::follow(request, &response, MAX_HOPS)
            {
                return Hop::Next(Box::new(next));
            }
            let status = response.status.as_u16();
            Answer {
                class: Class::Status(status),
                retry_after: asked(&response),
                reason: "robots",
                file: RobotsFile {
                    status,
                    body: robots::to_text(&response.body, max_bytes),
                    at,
                },
            }
        }
        Err(error) => Answer {
            class: class_of(error.kind),
            retry_after: None,
            reason: error.kind.as_str(),
            file: RobotsFile {
                status: 0,
                body: error.message,
                at,
            },
        },
    };
    Hop::End(Box::new(answer))
}

/// Searches for the robots.txt of an origin, redirects followed at once: for who asks a host only once.
/// `None` if the origin is none.
pub(crate) async fn search(fetch: &dyn DynFetch, origin: &str, max_bytes: usize) -> Option<Answer> {
    let mut request = request(origin, max_bytes)?;
    loop {
        let outcome = fetch.fetch(&request).await;
        match hop(&request, outcome, max_bytes) {
            Hop::Next(next) => request = *next,
            Hop::End(answer) => return Some(*answer),
        }
    }
}
