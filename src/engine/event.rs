//! What happens in a crawl, as a closed set.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::page::{BadRows, Dropped, FieldError, Truncation};
use crate::request::Source;
use crate::store::{PageReceipt, PageState, Refused, Resumed, Round, RunId};

/// Something that happened. Hooks get every one of them, in order, from the task that did it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The run is registered in the store.
    Started {
        /// Its number.
        run: RunId,
        /// The spider's name.
        spider: String,
        /// Set if an interrupted crawl goes on.
        resumed: Option<Resumed>,
        /// Set if it is not the first time that its pages are asked for.
        round: Option<Round>,
    },
    /// Requests entered the frontier that were not known before (seeds, or found on pages).
    Queued {
        /// How many.
        count: u64,
    },
    /// All seeds were read.
    Seeded {
        /// How many the spider sent.
        sent: u64,
    },
    /// An exchange with a server ended, well or not; robots.txt files included.
    Fetched {
        /// Scheme, host and port.
        origin: String,
        /// HTTP status; 0 if there was no answer.
        status: u16,
        /// How long it took.
        took: Duration,
        /// Body bytes on the wire.
        bytes: u64,
        /// Whether a server was asked.
        source: Source,
    },
    /// A page is done, failed or skipped, and that is stored.
    Page(Box<PageEvent>),
    /// A request goes back into the queue.
    Retry {
        /// What.
        url: Url,
        /// Why.
        message: String,
        /// Tries so far.
        tries: u16,
        /// Not before.
        due: Timestamp,
    },
    /// A host is left alone for a while.
    HostSlowed {
        /// Which.
        origin: String,
        /// Why: "429 Too Many Requests", "robots.txt: 503".
        why: String,
        /// Until when.
        until: Timestamp,
        /// Its requests of today are used up; else it is in trouble, and an answer ends that.
        used_up: bool,
    },
    /// What kept the crawl from going faster for a while; told about once a second.
    Limited {
        /// In words: "x.org: Crawl-delay", "concurrency", "steps", "store".
        by: String,
        /// For how long.
        took: Duration,
    },
    /// Links of a page that never became requests.
    Refused(Refused),
    /// The crawl begins to stop.
    Stopping {
        /// Why.
        stop: Stop,
    },
    /// The spider could not name its seeds, or one of them can't be crawled.
    StartFailed(String),
    /// Something that the user should know and that no page accounts for.
    Warning(String),
}

/// The end of a page.
#[derive(Debug)]
pub struct PageEvent {
    /// The URL asked for.
    pub url: Url,
    /// The page it was found on.
    pub referrer: Option<Url>,
    /// The step that read it, or would have.
    pub step: String,
    /// How it ended.
    pub state: PageState,
    /// A short word for grouping; see [`PageRow`](crate::store::PageRow).
    pub reason: Option<&'static str>,
    /// What happened, for people.
    pub message: Option<String>,
    /// The field that could not be read, if that was it.
    pub field: Option<FieldError>,
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// From request to last byte.
    pub took: Duration,
    /// Body bytes on the wire.
    pub bytes: u64,
    /// Links from a seed.
    pub depth: u16,
    /// Tries that failed before.
    pub tries: u16,
    /// What the commit did.
    pub receipt: PageReceipt,
    /// Items emitted, by table.
    pub items: Vec<(String, u32)>,
    /// Columns that were empty, by table and column.
    pub empty: Vec<(String, String)>,
    /// Selectors of `follow` and `items` that matched nothing.
    pub missed: Vec<String>,
    /// Rows that were left out.
    pub bad_rows: Vec<BadRows>,
    /// Items that a pipeline dropped.
    pub dropped: Vec<Dropped>,
    /// Which limit the page's tree went beyond: not all of it was there to be read.
    pub truncation: Option<Truncation>,
}

/// Why a crawl ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "detail")]
#[non_exhaustive]
pub enum Stop {
    /// Nothing is left to do.
    Finished,
    /// A limit was reached with work left: `max_pages`, `max_time`.
    Limit(&'static str),
    /// Somebody asked for it.
    Interrupted,
    /// Requests are queued for a step that the spider does not have (any more).
    UnknownStep(String),
    /// The store or the engine can't go on.
    Broken(String),
}

impl Stop {
    /// Whether the same command goes on with what is left.
    pub fn is_resumable(&self) -> bool {
        !matches!(self, Self::Finished)
    }
}
