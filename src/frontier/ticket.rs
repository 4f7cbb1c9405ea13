//! What the store hands out: hosts, and the requests of their queues.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::request::{Fingerprint, HostKey, Request};

/// A host and the state that politeness needs over restarts.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Hash of the origin.
    pub key: HostKey,
    /// Scheme, host and port: `https://example.com`.
    pub origin: String,
    /// In scope by itself: a seed's host, or one that a seed redirected to.
    pub seed: bool,
    /// Nothing is sent to it before this moment.
    pub next_at: Timestamp,
    /// Consecutive failures of the host itself (429, 503, time-outs).
    pub errors: u32,
    /// robots.txt as last fetched, if it was.
    pub robots: Option<RobotsFile>,
    /// The delay that AutoThrottle chose; zero if none.
    pub delay: Duration,
    /// The delay at which the host was last in trouble; zero if never.
    pub ceiling: Duration,
    /// The day of `sent`: days since 1970, UTC.
    pub day: i64,
    /// Requests of that day, if they are limited.
    pub sent: u64,
    /// Whoever had it before did not give it back: it may have been asked a moment ago.
    pub lapsed: bool,
}

/// A robots.txt as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct RobotsFile {
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// The body, at most 1 MiB.
    pub body: String,
    /// When it was fetched.
    pub at: Timestamp,
}

/// The place of a request in its host's queue: the primary key of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketKey {
    /// The host.
    pub host: HostKey,
    /// Priority negated, so that smaller comes first.
    pub order: i32,
    /// Links from a seed.
    pub depth: u16,
    /// The request's number for life, in order of discovery; also the id of its page row.
    pub seq: i64,
}

/// A queued request in a worker's hand.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Its row.
    pub key: TicketKey,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Tries that failed so far.
    pub tries: u16,
    /// What to fetch.
    pub request: Request,
    /// The page it was found on.
    pub referrer: Option<Url>,
    /// What an earlier round learned of the page, if its step says when it wants it again.
    pub visit: Option<Box<Visit>>,
}

/// What must be known of a page to tell whether it has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// When it was last asked for.
    pub at: Timestamp,
    /// When its content was last found to be another.
    pub changed: Timestamp,
    /// Time until it is asked for again, where that adapts.
    pub every: Option<Duration>,
    /// ETag of the answer.
    pub etag: Option<String>,
    /// Last-Modified of the answer.
    pub modified: Option<String>,
    /// Keyed hash of the body.
    pub hash: Option<i64>,
}

/// Requests that may be fetched now, and when the next delayed one is due.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// In order: priority, depth, first come. Requests already in the caller's hands come again.
    pub tickets: Vec<Ticket>,
    /// When the next request that waits for its time is due.
    pub next_due: Option<Timestamp>,
    /// Another number than before: the last of what was stored may have been lost since, with a server that
    /// crashed, so nothing of it is known by heart any more.
    pub generation: u64,
}
