//! What people and reports read: the results, and how the crawl came to them.

use std::ops::ControlFlow;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use super::{Finding, Host, PageState, RunId, StoreError};
use crate::item::{Column, Value};

/// Reads a database, also while somebody crawls into it; writes nothing.
///
/// Every call is answered from one state of the database. A dropped call stops its work.
pub trait Reader: Send + Sync + 'static {
    /// Answers one SQL query, row by row, so that a large answer needs no large memory.
    fn query<'a>(
        &'a self,
        sql: &'a str,
        rows: &'a mut dyn Rows,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// All crawls, newest first.
    fn crawls(&self) -> BoxFuture<'_, Result<Vec<CrawlRow>, StoreError>>;

    /// All runs, newest first.
    fn runs(&self) -> BoxFuture<'_, Result<Vec<RunRow>, StoreError>>;

    /// A name of a table or column of items as SQL takes it here.
    fn quote(&self, name: &str) -> String {
        format!("\"{name}\"")
    }

    /// Looks after the health of the database: what it finds, the most important first. `deep` counts and
    /// checks every row, which takes as long as the database is large.
    fn examine(&self, deep: bool) -> BoxFuture<'_, Result<Vec<Finding>, StoreError>>;

    /// The tables of items, by name.
    fn tables(&self) -> BoxFuture<'_, Result<Vec<TableRow>, StoreError>>;

    /// Why pages of some runs have failed or were skipped, most frequent first.
    fn errors<'a>(
        &'a self,
        runs: &'a [RunId],
        state: PageState,
    ) -> BoxFuture<'a, Result<Vec<ErrorGroup>, StoreError>>;

    /// Links of a crawl that never became requests, most frequent first.
    fn refused(&self, crawl: i64) -> BoxFuture<'_, Result<Vec<RefusedRow>, StoreError>>;

    /// Everything that is known of a URL, in every crawl. `steps` are the names of steps that it may
    /// be for; what another step, method or body makes of it is found by a slower look.
    fn explain<'a>(
        &'a self,
        url: &'a Url,
        steps: &'a [String],
    ) -> BoxFuture<'a, Result<Explained, StoreError>>;
}

/// Takes the answer to a query.
pub trait Rows: Send {
    /// Called once, before the rows, even if there is none.
    fn columns(&mut self, names: Vec<String>);

    /// Called for every row; `Break` ends the query.
    fn row(&mut self, values: Vec<Value>) -> ControlFlow<()>;
}

/// A small answer as a whole: the names of its columns, and its rows.
pub async fn collect(
    reader: &dyn Reader,
    sql: &str,
) -> Result<(Vec<String>, Vec<Vec<Value>>), StoreError> {
    struct Whole(Vec<String>, Vec<Vec<Value>>);
    impl Rows for Whole {
        fn columns(&mut self, names: Vec<String>) {
            self.0 = names;
        }

        fn row(&mut self, values: Vec<Value>) -> ControlFlow<()> {
            self.1.push(values);
            ControlFlow::Continue(())
        }
    }
    let mut whole = Whole(Vec::new(), Vec::new());
    reader.query(sql, &mut whole).await?;
    Ok((whole.0, whole.1))
}

/// A crawl: what runs resume.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CrawlRow {
    /// Its number.
    pub id: i64,
    /// The spider's name.
    pub spider: String,
    /// The spider's arguments as JSON.
    pub args: String,
    /// `open` (can be resumed), `finished`, `dropped` or `gone` (replaced by a newer one).
    pub state: String,
    /// Whether all seeds are in the queue.
    pub seeded: bool,
    /// When its first run began.
    pub started: Timestamp,
    /// When its queue was empty.
    pub finished: Option<Timestamp>,
    /// Requests ever known.
    pub known: u64,
    /// Pages done, failed or skipped.
    pub pages: u64,
}

impl CrawlRow {
    /// Requests left to do.
    pub fn queued(&self) -> u64 {
        self.known.saturating_sub(self.pages)
    }
}

/// A run: one execution of a crawl.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// Its crawl's number.
    pub crawl: i64,
    /// The spider's name.
    pub spider: String,
    /// The spider's arguments as JSON.
    pub args: String,
    /// The process.
    pub pid: u32,
    /// Nephila's version.
    pub version: String,
    /// The steps that it knows, where several processes share a crawl; none: all.
    pub steps: Vec<String>,
    /// Whether it shows signs of life, as far as can be told.
    pub lives: bool,
    /// When it began.
    pub started: Timestamp,
    /// Its last sign of life.
    pub beat: Timestamp,
    /// When it ended; none: it runs, or it was killed and nobody has resumed it.
    pub ended: Option<Timestamp>,
    /// Why it ended: `finished`, `killed`…
    pub stop: Option<String>,
    /// Pages fetched whose step ran, redirects among them.
    pub done: u64,
    /// Pages given up.
    pub failed: u64,
    /// Pages never asked for.
    pub skipped: u64,
    /// Pages that led elsewhere.
    pub redirects: u64,
    /// Tries that were put back into the queue.
    pub retries: u64,
    /// Requests seen for the first time.
    pub known: u64,
    /// Items stored.
    pub items: u64,
    /// Items not known before.
    pub new: u64,
    /// Items whose content changed.
    pub changed: u64,
    /// Of the done: pages that were as in an earlier round.
    pub unchanged: u64,
    /// Pages of earlier runs that it put back into the queue.
    pub requeued: u64,
    /// Pages of earlier runs that it forgot, so that they are found anew.
    pub forgotten: u64,
    /// Body bytes on the wire.
    pub bytes: u64,
    /// The settings as JSON.
    pub settings: String,
    /// The run's own report as JSON, if it came to its end.
    pub report: Option<String>,
}

/// A table of items.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    /// Its name.
    pub name: String,
    /// The item's columns; the table has those of provenance, too.
    pub columns: Vec<Column>,
    /// Names of the columns that identify a row.
    pub key: Vec<String>,
    /// How many rows it has.
    pub rows: u64,
}

/// Pages that failed for one reason, their messages being the same but for numbers, URLs and quoted
/// text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorGroup {
    /// The word for grouping: `status`, `timeout`, `step`…
    pub reason: String,
    /// The step that read or would have read the answers.
    pub step: String,
    /// What the messages have in common.
    pub message: String,
    /// How many pages.
    pub count: u64,
    /// The first of them.
    pub url: String,
    /// Its number.
    pub page: i64,
    /// Its HTTP status; 0 if there was no answer.
    pub status: u16,
    /// Its whole message.
    pub sample: String,
    /// The page that it was found on.
    pub referrer: Option<String>,
}

impl ErrorGroup {
    /// Its name, by which its pages can be tried again.
    pub fn id(&self) -> String {
        super::error_id(&self.reason, &self.step, &self.sample)
    }
}

/// Links that never became requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RefusedRow {
    /// `scope`, `include`, `exclude`, `depth`, `scheme`, `length`, `links`, `invalid`, or a trap's.
    pub reason: String,
    /// What it hit: a host for `scope`, a pattern for `exclude` and traps, else empty; `(others)` after 1000 different ones.
    pub subject: String,
    /// How many.
    pub count: u64,
    /// One of them.
    pub sample: String,
}

/// What is known of a URL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explained {
    /// Its requests: one for each crawl and step that knows it.
    pub requests: Vec<Story>,
    /// Its host in every crawl that knows it, with robots.txt: under the URL's scheme and the other.
    pub hosts: Vec<KnownHost>,
}

/// A host as one crawl knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownHost {
    /// The crawl's number.
    pub crawl: i64,
    /// The spider's name.
    pub spider: String,
    /// The host.
    pub host: Host,
}

/// The life of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// The crawl's number.
    pub crawl: i64,
    /// The spider's name.
    pub spider: String,
    /// The request's number.
    pub seq: i64,
    /// The step that reads the answer.
    pub step: String,
    /// `queued`, `done`, `failed` or `skipped`.
    pub state: String,
    /// Its place among the host's requests: higher first.
    pub priority: Option<i32>,
    /// Links from a seed.
    pub depth: u16,
    /// Tries that failed.
    pub tries: u16,
    /// If it is queued and waits: for when.
    pub due: Option<Timestamp>,
    /// The run that ended it.
    pub run: Option<RunId>,
    /// The word for grouping.
    pub reason: Option<String>,
    /// The sentence.
    pub message: Option<String>,
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// From request to last byte, in milliseconds.
    pub took_ms: u32,
    /// Body bytes on the wire.
    pub bytes: u64,
    /// When it ended.
    pub at: Option<Timestamp>,
    /// Tries before the last, oldest first.
    pub attempts: Vec<Attempt>,
    /// The pages that led to it, nearest first, up to a seed (at most 100).
    pub found_on: Vec<String>,
    /// Rows that came from it last: table and `_id`.
    pub items: Vec<(String, i64)>,
}

/// A try that was not the last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// When it failed.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// Why: the status or the error.
    pub message: String,
}
