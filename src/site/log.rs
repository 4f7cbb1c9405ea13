//! What was asked, when, and how much of it at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::call::Call;

/// How many requests are remembered; later ones are only counted.
pub const MAX_HITS: usize = 100_000;

/// A request that the site has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// `GET`, `HEAD`, `POST` …
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// The `Host` header, with its port.
    pub host: String,
    /// When it came, since the site was started.
    pub at: Duration,
    /// The status of the answer; 0 while there is none, and when the connection was broken instead.
    pub status: u16,
    /// How many requests with the same `Host` were being answered, this one included. A request
    /// ends before its answer is sent, so a client that sends one at a time always sees 1.
    pub open: usize,
    /// The `Cookie` header.
    pub cookie: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The `Referer` header.
    pub referer: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

#[derive(Debug)]
pub(super) struct Log {
    start: Instant,
    on: bool,
    count: AtomicUsize,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    hits: Vec<Hit>,
    /// How many hits were forgotten before the first one here.
    forgotten: usize,
    open: HashMap<String, usize>,
}

impl Log {
    pub(super) fn new(on: bool) -> Self {
        Self {
            start: Instant::now(),
            on,
            count: AtomicUsize::new(0),
            book: Mutex::default(),
        }
    }

    pub(super) fn hits(&self) -> Vec<Hit> {
        self.book().hits.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        let mut book = self.book();
        book.forgotten += book.hits.len();
        book.hits.clear();
    }

    /// Notes that a request has come; none when the log is off.
    pub(super) fn open(self: &Arc<Self>, call: &Call) -> Option<Open> {
        self.count.fetch_add(1, Ordering::Relaxed);
        if !self.on {
            return None;
        }
        let header = |name| call.header(name).map(str::to_owned);
        let mut book = self.book();
        let open = book.open.entry(call.host.clone()).or_default();
        *open += 1;
        let hit = Hit {
            method: call.method.to_string(),
            path: call.target(),
            host: call.host.clone(),
            at: self.start.elapsed(),
            status: 0,
            open: *open,
            cookie: header("cookie"),
            user_agent: header("user-agent"),
            referer: header("referer"),
            authorization: header("authorization"),
        };
        let number = book.forgotten + book.hits.len();
        if book.hits.len() < MAX_HITS {
            book.hits.push(hit);
        }
        Some(Open {
            log: Arc::clone(self),
            number,
            host: call.host.clone(),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered, until it is dropped.
pub(super) struct Open {
    log: Arc<Log>,
    number: usize,
    host: String,
}

impl Open {
    pub(super) fn answer(&self, status: u16) {
        let mut book = self.log.book();
        let index = self.number.checked_sub(book.forgotten);
        if let Some(hit) = index.and_then(|index| book.hits.get_mut(index)) {
            hit.status = status;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut book = self.log.book();
        let Some(open) = book.open.get_mut(&self.host) else {
            return;
        };
        *open -= 1;
        if *open == 0 {
            book.open.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{ask, get, site};
    use super::super::{Options, Site};
    use super::Hit;

    #[tokio::test]
    async fn a_hit_says_what_was_asked() {
        let site = site().await;
        let headers = [
            ("Host", "a.test:1"),
            ("Cookie", "a=b"),
            ("User-Agent", "Nephila"),
            ("Referer", "/x"),
        ];
        ask(&site, "HEAD", "/page/2?a=1", &headers, "")
            .await
            .expect("an answer");
        get(&site, "/nope").await;
        let log = site.log();
        let expected = Hit {
            method: "HEAD".to_owned(),
            path: "/page/2?a=1".to_owned(),
            host: "a.test:1".to_owned(),
            at: log[0].at,
            status: 200,
            open: 1,
            cookie: Some("a=b".to_owned()),
            user_agent: Some("Nephila".to_owned()),
            referer: Some("/x".to_owned()),
            authorization: None,
        };
        assert_eq!(log[0], expected);
        assert_eq!((log[1].status, log[1].cookie.as_deref()), (404, None));
        assert!(log[0].at <= log[1].at);
    }

    #[tokio::test]
    async fn a_cleared_log_forgets_and_goes_on() {
        let site = site().await;
        get(&site, "/").await;
        site.clear_log();
        assert_eq!(site.log(), []);
        get(&site, "/nope").await;
        let statuses: Vec<_> = site.log().iter().map(|hit| hit.status).collect();
        assert_eq!(statuses, [404]);
        assert_eq!(site.hits(), 2);
    }

    #[tokio::test]
    async fn the_log_can_be_off() {
        let options = Options {
            log: false,
            ..Options::default()
        };
        let site = Site::start_with("127.0.0.1:0", options)
            .await
            .expect("a free port");
        get(&site, "/").await;
        assert_eq!(site.log(), []);
        assert_eq!(site.hits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn open_requests_are_counted_by_host() {
        let site = site().await;
        let slow = async |host: &str| {
            let headers = [("Host", host)];
            ask(&site, "GET", "/slow?ms=1000", &headers, "")
                .await
                .expect("an answer");
        };
        tokio::join!(slow("a"), slow("a"), slow("b"), slow("a"));
        slow("a").await;
        let mut open: Vec<_> = site
            .log()
            .into_iter()
            .map(|hit| (hit.host, hit.open))
            .collect();
        assert_eq!(open.pop(), Some(("a".to_owned(), 1)));
        open.sort();
        let expected = [("a", 1), ("a", 2), ("a", 3), ("b", 1)];
        assert_eq!(open, expected.map(|(host, open)| (host.to_owned(), open)));
    }
}
