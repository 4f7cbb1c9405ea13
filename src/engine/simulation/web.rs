//! The web of a plan, and a log of who asked it for what, and when.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::plan::{Fate, Fault, Plan, url};
use crate::clock;
use crate::fetch::{FailureKind, Fetch, FetchError};
use crate::request::{Request, Response};

/// A request as the web saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) at: Timestamp,
    /// Which life of the crawl asked.
    pub(super) life: usize,
    pub(super) host: String,
    pub(super) path: String,
    /// In flight with it, itself included: to its host, and to all.
    pub(super) flying: (usize, usize),
    /// What was answered: a status, or 0; none if nobody waited for it.
    pub(super) answer: Option<(Timestamp, u16)>,
    pub(super) retry_after: Option<Duration>,
}

#[derive(Default)]
struct Seen {
    life: usize,
    hits: Vec<Hit>,
    flying: HashMap<String, usize>,
    /// How often each URL was asked for.
    asked: HashMap<String, usize>,
}

#[derive(Clone)]
pub(super) struct Web {
    plan: Arc<Plan>,
    seen: Arc<Mutex<Seen>>,
}

/// A request in flight.
struct Flight<'a> {
    web: &'a Web,
    host: String,
    number: usize,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut seen = self.web.seen();
        *seen.flying.get_mut(&self.host).unwrap() -= 1;
    }
}

impl Web {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let seen = Arc::default();
        Self { plan, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Another life of the crawl begins.
    pub(super) fn next_life(&self) {
        self.seen().life += 1;
    }

    pub(super) fn hits(&self) -> Vec<Hit> {
        self.seen().hits.clone()
    }

    fn take_off(&self, url: &Url) -> Flight<'_> {
        let mut seen = self.seen();
        let host = url.host_str().unwrap().to_owned();
        *seen.flying.entry(host.clone()).or_default() += 1;
        let flying = (seen.flying[&host], seen.flying.values().sum());
        let hit = Hit {
            at: clock::now(),
            life: seen.life,
            host: host.clone(),
            path: url.path().to_owned(),
            flying,
            answer: None,
            retry_after: None,
        };
        seen.hits.push(hit);
        let number = seen.hits.len() - 1;
        Flight {
            web: self,
            host,
            number,
        }
    }

    /// The fault that comes instead of the answer, if there is any left.
    fn fault(&self, url: &Url, faults: &[Fault]) -> Option<Fault> {
        let mut seen = self.seen();
        let asked = seen.asked.entry(url.to_string()).or_default();
        *asked += 1;
        faults.get(*asked - 1).copied()
    }

    fn answered(&self, flight: &Flight<'_>, status: u16, retry_after: Option<Duration>) {
        let hit = &mut self.seen().hits[flight.number];
        hit.answer = Some((clock::now(), status));
        hit.retry_after = retry_after;
    }

    fn page(&self, number: usize) -> (u16, String, Option<String>) {
        match &self.plan.pages[number].fate {
            Fate::Gone => (404, String::new(), None),
            Fate::To(target) => (302, String::new(), Some(url(&self.plan.pages, *target))),
            Fate::Here(links) => {
                let mut body = format!("<title>{number}</title>");
                for link in links {
                    let url = url(&self.plan.pages, *link);
                    write!(body, "<a href='{url}'>{link}</a>").unwrap();
                }
                (200, body, None)
            }
        }
    }

    fn robots(&self, host: usize) -> (u16, String, Option<String>) {
        let robots = &self.plan.hosts[host];
        if robots.forbidden.is_empty() && robots.crawl_delay.is_none() {
            return (404, String::new(), None);
        }
        let mut body = "User-agent: *\n".to_owned();
        if let Some(delay) = robots.crawl_delay {
            writeln!(body, "Crawl-delay: {}", delay.as_secs()).unwrap();
        }
        for page in &robots.forbidden {
            writeln!(body, "Disallow: /p{page}$").unwrap();
        }
        (200, body, None)
    }
}

impl Fetch for Web {
    async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        let flight = self.take_off(&request.url);
        let path = request.url.path();
        let page = path.strip_prefix("/p").and_then(|page| page.parse().ok());
        let host: usize = flight.host[1..].split('.').next().unwrap().parse().unwrap();
        let (faults, took) = match page {
            Some::<usize>(page) => {
                let page = &self.plan.pages[page];
                (&page.faults, page.took)
            }
            None => (&self.plan.hosts[host].faults, Duration::from_millis(20)),
        };
        let fault = self.fault(&request.url, faults);
        let (status, body, location) = match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Timeout) => {
                tokio::time::sleep(self.plan.settings.timeout).await;
                self.answered(&flight, 0, None);
                return Err(FetchError::new(FailureKind::Timeout, "no answer"));
            }
            Some(fault) => {
                tokio::time::sleep(took / 2).await;
                match fault {
                    Fault::Status(status, after) => {
                        let after = after.map(Duration::from_secs);
                        self.answered(&flight, status, after);
                        return Ok(refusal(&request.url, status, after));
                    }
                    Fault::Connect => {
                        self.answered(&flight, 0, None);
                        return Err(FetchError::new(FailureKind::Connect, "refused"));
                    }
                    _ => {
                        self.answered(&flight, 0, None);
                        return Err(FetchError::new(FailureKind::Reset, "reset"));
                    }
                }
            }
            None => {
                tokio::time::sleep(took).await;
                match page {
                    Some(page) => self.page(page),
                    None => self.robots(host),
                }
            }
        };
        self.answered(&flight, status, None);
        let mut response = Response::new(request.url.clone(), body);
        response.status = status.try_into().unwrap();
        if let Some(location) = location {
            let location = location.parse().unwrap();
            response.headers.insert(http::header::LOCATION, location);
        }
        Ok(response)
    }
}

fn refusal(url: &Url, status: u16, after: Option<Duration>) -> Response {
    let mut response = Response::new(url.clone(), "not now");
    response.status = status.try_into().unwrap();
    if let Some(after) = after {
        let value = after.as_secs().into();
        response.headers.insert(http::header::RETRY_AFTER, value);
    }
    response
}
