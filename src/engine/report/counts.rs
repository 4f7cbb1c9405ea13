//! What a run counts, kind by kind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PageEvent;
use crate::store::PageState;

/// What one process of several did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCount {
    /// Its run.
    pub run: i64,
    /// Its number as a process of its machine.
    pub pid: u32,
    /// Why it ended: `finished`, `limit`, `killed`...; empty: it has not ended.
    pub stop: String,
    /// Pages fetched and read by their step, or unchanged.
    pub pages: u64,
    /// Pages given up.
    pub failed: u64,
    /// Items stored.
    pub items: u64,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCount {
    /// Pages that it read to the end.
    pub pages: u64,
    /// Items that it emitted.
    pub items: u64,
    /// The page with the fewest items.
    pub fewest: Option<Extreme>,
    /// The page with the most items.
    pub most: Option<Extreme>,
}

/// A page, and how many items it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extreme {
    /// Its items.
    pub items: u64,
    /// Its URL.
    pub sample: String,
}

/// Rows that were left out for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRowCount {
    /// How many.
    pub count: u64,
    /// On how many pages.
    pub pages: u64,
    /// What was wrong with the first of them.
    pub message: String,
    /// Selector and pattern of the field, if one could not be read.
    pub selector: Option<String>,
    /// Its page.
    pub sample: String,
}

/// Items that were dropped for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedCount {
    /// How many.
    pub count: u64,
    /// The page of the first of them.
    pub sample: String,
}

/// Rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemCount {
    /// Items emitted.
    pub emitted: u64,
    /// Empty cells by column.
    pub empty: BTreeMap<String, u64>,
}

/// Exchanges with a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCount {
    /// Requests answered, whatever the status.
    pub answered: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// Answers 429 and 503.
    pub refused: u64,
    /// Time spent, in milliseconds.
    pub took_ms: u64,
    /// Body bytes on the wire.
    pub bytes: u64,
}

/// Pages that ended alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// `failed` or `skipped`.
    pub state: PageState,
    /// The short word.
    pub reason: String,
    /// The step.
    pub step: String,
    /// The message with numbers, URLs and quoted text replaced by `*`.
    pub pattern: String,
    /// The first message as it was.
    pub message: String,
    /// How many pages.
    pub count: u64,
    /// The first page.
    pub sample: String,
    /// The page it was found on.
    pub referrer: Option<String>,
    /// Selector and pattern of the field, if one could not be read.
    pub selector: Option<String>,
    /// Whether one of them was a seed.
    pub seed: bool,
}

/// Links refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCount {
    /// How many.
    pub count: u64,
    /// One of them.
    pub sample: String,
}

/// How often a host was left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowedCount {
    /// How often.
    pub count: u64,
    /// Why, the last time.
    pub why: String,
    /// Until when, the last time.
    pub until: Timestamp,
    /// How often since it answered last: 0 if it is left alone no more.
    pub in_a_row: u64,
    /// Its requests of the day are used up; else it is in trouble, and an answer ends that.
    pub used_up: bool,
}

/// Pages whose tree went beyond one limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruncatedCount {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub sample: String,
}

impl StepCount {
    pub(super) fn read(&mut self, page: &PageEvent) {
        let items = page.items.iter().map(|(_, count)| u64::from(*count));
        let items = items.sum::<u64>();
        self.pages += 1;
        self.items += items;
        let of = |page: &PageEvent| Extreme {
            items,
            sample: page.url.to_string(),
        };
        if self.fewest.as_ref().is_none_or(|known| items < known.items) {
            self.fewest = Some(of(page));
        }
        if self.most.as_ref().is_none_or(|known| items > known.items) {
            self.most = Some(of(page));
        }
    }
}
