//! A web in memory, whose answers are a function: who was asked for what, when, and how much at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use nephila::fetch::{Fetch, FetchError};
use nephila::prelude::*;
use nephila::request::{Request, Response};
use tokio::time::Instant;

/// One request, as the web saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) at: Instant,
    /// Requests to the same host under way, this one included.
    pub(super) open: usize,
}

/// What the web answers, or why it does not.
pub(super) type Outcome = std::result::Result<Response, FetchError>;

/// What the web answers to the request of this URL when it comes for the n-th time, from 0.
type Answers = dyn Fn(&Url, usize) -> Outcome + Send + Sync;

#[derive(Clone)]
pub(super) struct Web {
    answers: Arc<Answers>,
    /// Of pages whose path begins so; others answer at once.
    slow: Option<(&'static str, Duration)>,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    asked: Vec<Asked>,
    open: HashMap<String, usize>,
}

impl Web {
    pub(super) fn new(answers: impl Fn(&Url, usize) -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            answers: Arc::new(answers),
            slow: None,
            log: Arc::default(),
        }
    }

    /// Pages whose path begins so take that long.
    pub(super) fn slow(self, path: &'static str, latency: Duration) -> Self {
        let slow = Some((path, latency));
        Self { slow, ..self }
    }

    /// Everything that was asked, in order.
    pub(super) fn log(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// How often a URL was asked for.
    pub(super) fn count(&self, url: &str) -> usize {
        self.lock()
            .asked
            .iter()
            .filter(|asked| asked.url == url)
            .count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetch for Web {
    async fn fetch(&self, request: &Request) -> Outcome {
        let (url, host) = (
            request.url.to_string(),
            request.url.host_str().unwrap_or_default().to_owned(),
        );
        let number = {
            let mut log = self.lock();
            let number = log.asked.iter().filter(|asked| asked.url == url).count();
            let open = log.open.entry(host.clone()).or_default();
            *open += 1;
            let open = *open;
            log.asked.push(Asked {
                url,
                at: Instant::now(),
                open,
            });
            number
        };
        let slow = self
            .slow
            .filter(|(path, _)| request.url.path().starts_with(path));
        tokio::time::sleep(slow.map_or(Duration::from_millis(1), |(_, latency)| latency)).await;
        if let Some(open) = self.lock().open.get_mut(&host) {
            *open -= 1;
        }
        (self.answers)(&request.url, number)
    }
}

/// A page that links to these.
pub(super) fn page(url: &Url, links: &[&str]) -> Response {
    let links = links.iter().map(|link| format!("<a href=\"{link}\">x</a>"));
    Response::new(url.clone(), links.collect::<String>())
}

pub(super) fn status(url: &Url, status: u16) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        ..Response::new(url.clone(), "")
    }
}

pub(super) fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    response.headers.insert(
        HeaderName::from_static(name),
        HeaderValue::from_str(value).unwrap(),
    );
    response
}
