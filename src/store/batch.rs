//! What a commit writes, and what it answers.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Cookie;
use crate::frontier::{Host, Ticket, TicketKey, Visit};
use crate::item::Record;
use crate::request::{Fingerprint, HostKey, Request};

/// A request on its way into the queue.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Hash of the origin.
    pub host: HostKey,
    /// Identity within the host.
    pub fingerprint: Fingerprint,
    /// The identity that it takes if its own is known already: it is wanted all the same.
    pub again: Option<Fingerprint>,
    /// Scheme, host and port.
    pub origin: String,
    /// Canonical path and query.
    pub path: String,
    /// Whether its host is in scope by itself from now on (seeds and their redirects).
    pub seed: bool,
    /// In a later round: its page goes back into the queue if it was last asked for before this.
    pub renews: Option<Timestamp>,
    /// Everything else.
    pub request: Request,
}

/// How a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageState {
    /// Fetched, and its step ran (or it was a redirect).
    Done,
    /// Given up, with the reason.
    Failed,
    /// Never asked for, with the reason.
    Skipped,
}

impl PageState {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The page row that replaces a queue row.
#[derive(Clone, Debug)]
pub struct PageRow {
    /// How it ended.
    pub state: PageState,
    /// A short word for grouping: `redirect`, `status`, `timeout`, `step`, `robots`, `depth`… Done and
    /// `unchanged`: the page's items of an earlier round are seen again.
    pub reason: Option<&'static str>,
    /// The whole sentence, for people.
    pub message: Option<String>,
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// From request to last byte, in milliseconds.
    pub took_ms: u32,
    /// Body bytes on the wire.
    pub bytes: u64,
}

/// What becomes of a ticket.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The queue row becomes a page row.
    Page(PageRow),
    /// The queue row goes back, one try more, not before `due`. Nothing that the try found is written:
    /// the next one will find it again.
    Retry {
        /// When.
        due: Timestamp,
        /// Why, for `explain`.
        message: String,
        /// Whether it counts as a try (a refusal of the whole host, like 429, does not).
        counts: bool,
    },
}

/// One page's part of a commit: all of it is written, or nothing.
#[derive(Clone, Debug)]
pub struct PageCommit {
    /// The ticket.
    pub key: TicketKey,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Items, in order of emission.
    pub records: Vec<Record>,
    /// Requests, in order of emission.
    pub requests: Vec<NewRequest>,
    /// Links that never became requests.
    pub refused: Vec<Refused>,
    /// What the next round must know of the page, if its step says when it wants it again.
    pub visit: Option<Box<Visit>>,
    /// When its requests for its own step are dropped.
    pub stop_when_known: Option<StopWhenKnown>,
}

impl PageCommit {
    /// What becomes of `ticket`, without items and requests so far.
    pub fn new(ticket: &Ticket, verdict: Verdict) -> Self {
        Self {
            key: ticket.key,
            fingerprint: ticket.fingerprint,
            verdict,
            records: Vec::new(),
            requests: Vec::new(),
            refused: Vec::new(),
            visit: None,
            stop_when_known: None,
        }
    }
}

/// When a page's requests for its own step, the next pages of a list, are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopWhenKnown {
    /// The page's step.
    pub step: String,
    /// So many of its items and of its requests for other steps were known before.
    pub known: u32,
}

/// Links of a page that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// A short word: `scope`, `include`, `exclude`, `depth`, `scheme`, `length`, `links`, `invalid`, or a
    /// trap's.
    pub reason: &'static str,
    /// What it hit: a host for `scope`, a pattern for `exclude` and traps, else empty.
    pub subject: String,
    /// How many.
    pub count: u64,
    /// One of them.
    pub sample: String,
}

/// What one transaction writes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Finished pages.
    pub pages: Vec<PageCommit>,
    /// Requests that come from no page.
    pub seeds: Vec<NewRequest>,
    /// All seeds are in.
    pub seeded: bool,
    /// Cookies that changed.
    pub cookies: Vec<Cookie>,
    /// Hosts whose pace, errors or robots.txt changed; their lease is kept.
    pub hosts: Vec<Host>,
    /// Pages that count against budgets which hold over runs.
    pub spent: Vec<Spent>,
}

/// Pages that count against a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The budget's name.
    pub budget: String,
    /// Days since 1970, for a budget per day; 0 for good.
    pub day: i64,
    /// How many.
    pub pages: u64,
}

/// What a commit did.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// For each page of the batch, in its order.
    pub pages: Vec<PageReceipt>,
    /// New requests in the queue, by host.
    pub fresh: HashMap<HostKey, u32>,
    /// The same for the batch's seeds alone.
    pub fresh_seeds: u64,
    /// Pages of earlier rounds that went back into the queue; by host they are among the new.
    pub renewed: u64,
}

/// What a commit did for one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageReceipt {
    /// Whether the ticket was still there; if not, nothing of the page was written.
    pub written: bool,
    /// Requests that were new.
    pub fresh: u32,
    /// Rows inserted.
    pub items_new: u32,
    /// Keyed rows whose content changed.
    pub items_changed: u32,
    /// Keyed rows that were seen again as they were.
    pub items_same: u32,
}
