//! The end of a crawl in figures: a fold over its events.

mod counts;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::emptier::{Emptier, emptier};
use super::event::{Event, PageEvent, Stop};
use super::expect::{self, Unmet};
use crate::page::FieldError;
use crate::request::Source;
use crate::settings::Settings;
use crate::store::{PageState, Resumed, Round};

pub use counts::{
    BadRowCount, DroppedCount, ErrorGroup, Extreme, HostCount, ItemCount, RefusedCount,
    SlowedCount, StepCount, TruncatedCount, WorkerCount,
};

/// At most this many groups of a kind are told apart; the rest is counted as "others".
pub(super) const MAX_GROUPS: usize = 1_000;

/// Counts of a run, kept up to date event by event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Statistics {
    /// The spider's name.
    pub spider: String,
    /// The run's number.
    pub run: i64,
    /// How far the crawl was when this run took it up.
    pub resumed: Option<Resumed>,
    /// Which time it is that the crawl's pages are asked for, if it is not the first.
    pub round: Option<Round>,
    /// Pages fetched and read by their step.
    pub pages: u64,
    /// Pages given up, 404 and 410 on links included.
    pub failed: u64,
    /// Of the failed: links to pages that do not exist (404, 410). They are not errors of ours.
    pub missing: u64,
    /// Requests never sent: robots, limits.
    pub skipped: u64,
    /// Redirects followed.
    pub redirects: u64,
    /// Pages that were as in an earlier round, so that their step was spared.
    pub unchanged: u64,
    /// Requests that went back into the queue.
    pub retries: u64,
    /// Requests that entered the frontier.
    pub queued: u64,
    /// Seeds the spider sent.
    pub seeds: u64,
    /// Answers that came from the cache, those included that the server was asked about first.
    pub cached: u64,
    /// Body bytes on the wire.
    pub bytes: u64,
    /// Pages and items by step.
    pub steps: BTreeMap<String, StepCount>,
    /// Rows by table.
    pub items: BTreeMap<String, ItemCount>,
    /// Answers by HTTP status; 0 is no answer.
    pub statuses: BTreeMap<u16, u64>,
    /// Exchanges by origin.
    pub hosts: BTreeMap<String, HostCount>,
    /// Failed and skipped pages, grouped.
    pub errors: Vec<ErrorGroup>,
    /// Links that never became requests, by reason and subject.
    pub refused: BTreeMap<String, RefusedCount>,
    /// Hosts that were left alone for a while, by origin.
    pub slowed: BTreeMap<String, SlowedCount>,
    /// Selectors that matched nothing: "step selector" and on how many pages.
    pub missed: BTreeMap<String, u64>,
    /// Rows that were left out: "step: what was wrong", with what differs replaced by `*`.
    pub bad_rows: BTreeMap<String, BadRowCount>,
    /// Items that a pipeline dropped: "table: reason".
    pub dropped: BTreeMap<String, DroppedCount>,
    /// Pages that were not read whole, by the setting whose limit they went beyond.
    pub truncated: BTreeMap<String, TruncatedCount>,
    /// What kept the spider from naming its seeds, or seeds from being crawled.
    pub start_failed: Vec<String>,
    /// Warnings, in order.
    pub warnings: Vec<String>,
    /// What kept the crawl from going faster, and for how many milliseconds.
    pub limited_ms: BTreeMap<String, u64>,
    /// The processes that did all this, if it was more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerCount>,
    /// Items of processes that died: of which table, they did not say.
    #[serde(skip_serializing_if = "is_none")]
    pub items_of_killed: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Statistics {
    /// Takes account of an event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Started {
                run,
                spider,
                resumed,
                round,
            } => {
                self.round = *round;
                self.run = run.0;
                self.spider.clone_from(spider);
                self.resumed = *resumed;
            }
            Event::Queued { count } => self.queued += count,
            Event::Seeded { sent } => self.seeds += sent,
            Event::Fetched {
                origin,
                status,
                took,
                bytes,
                source,
            } => {
                self.cached += u64::from(*source != Source::Network);
                if *source == Source::Cache {
                    *self.statuses.entry(*status).or_default() += 1;
                } else {
                    self.fetched(origin, *status, *took, *bytes);
                }
            }
            Event::Page(page) => self.page(page),
            Event::Retry { .. } => self.retries += 1,
            Event::Limited { by, took } => {
                *bounded(&mut self.limited_ms, by) += took.as_millis() as u64;
            }
            Event::Refused(refused) => {
                let name = format!("{} {}", refused.reason, refused.subject);
                let count = bounded(&mut self.refused, name.trim_end());
                count.count += refused.count;
                if count.sample.is_empty() {
                    count.sample.clone_from(&refused.sample);
                }
            }
            Event::HostSlowed {
                origin,
                why,
                until,
                used_up,
            } => {
                let slowed = bounded(&mut self.slowed, origin);
                slowed.count += 1;
                slowed.in_a_row += 1;
                slowed.used_up = *used_up;
                slowed.why.clone_from(why);
                slowed.until = *until;
            }
            Event::StartFailed(why) if self.start_failed.len() < MAX_GROUPS => {
                self.start_failed.push(why.clone());
            }
            Event::Warning(warning) if self.warnings.len() < MAX_GROUPS => {
                self.warnings.push(warning.clone());
            }
            Event::StartFailed(_) | Event::Warning(_) | Event::Stopping { .. } => {}
        }
    }

    /// All items emitted.
    pub fn item_count(&self) -> u64 {
        let told: u64 = self.items.values().map(|table| table.emitted).sum();
        told + self.items_of_killed
    }

    /// What limits the crawl most, and its share of the time, 0 to 1.
    pub fn limit(&self) -> Option<(&str, f64)> {
        let all: u64 = self.limited_ms.values().sum();
        let (by, most) = self.limited_ms.iter().max_by_key(|(_, ms)| **ms)?;
        (all > 0).then(|| (by.as_str(), *most as f64 / all as f64))
    }

    /// Requests still queued or in flight, as far as this run knows.
    pub fn left(&self) -> u64 {
        let before = match (self.resumed, self.round) {
            (Some(resumed), _) => resumed.queued,
            (None, Some(round)) => round.queued,
            (None, None) => 0,
        };
        (before + self.queued).saturating_sub(
            self.pages + self.unchanged + self.failed + self.skipped + self.redirects,
        )
    }

    /// The warnings that are made of counts.
    pub(super) fn of_truncated(&self) -> Vec<String> {
        let warn = |(setting, TruncatedCount { count, sample }): (&String, &_)| {
            let (pages, were) = match count {
                1 => ("page", "was"),
                _ => ("pages", "were"),
            };
            format!(
                "{count} {pages} went beyond {setting} and {were} not read whole, like {sample}"
            )
        };
        self.truncated.iter().map(warn).collect()
    }

    fn fetched(&mut self, origin: &str, status: u16, took: Duration, bytes: u64) {
        *self.statuses.entry(status).or_default() += 1;
        self.bytes += bytes;
        let host = bounded(&mut self.hosts, origin);
        host.took_ms += took.as_millis() as u64;
        host.bytes += bytes;
        if !matches!(status, 0 | 429 | 503)
            && let Some(slowed) = self.slowed.get_mut(origin)
            && !slowed.used_up
        {
            slowed.in_a_row = 0;
        }
        match status {
            0 => host.unanswered += 1,
            _ => host.answered += 1,
        }
        if matches!(status, 429 | 503) {
            host.refused += 1;
        }
    }

    fn page(&mut self, page: &PageEvent) {
        match page.state {
            PageState::Done if page.reason == Some("redirect") => self.redirects += 1,
            PageState::Done if page.reason == Some("unchanged") => self.unchanged += 1,
            PageState::Done => {
                self.pages += 1;
                let step = bounded(&mut self.steps, &page.step);
                step.read(page);
            }
            PageState::Failed => self.failed += 1,
            PageState::Skipped => self.skipped += 1,
        }
        for (table, count) in &page.items {
            bounded(&mut self.items, table).emitted += u64::from(*count);
        }
        for (table, column) in &page.empty {
            *bounded(&mut bounded(&mut self.items, table).empty, column) += 1;
        }
        self.left_out(page);
        for selector in &page.missed {
            *bounded(&mut self.missed, &format!("{} {selector}", page.step)) += 1;
        }
        if let Some(truncation) = page.truncation {
            let truncated = bounded(&mut self.truncated, truncation.setting());
            truncated.count += 1;
            if truncated.count == 1 {
                truncated.sample = page.url.to_string();
            }
        }
        if page.state != PageState::Done {
            let missing = page.depth > 0 && matches!(page.status, 404 | 410);
            self.missing += u64::from(missing && page.state == PageState::Failed);
            self.group(page);
        }
    }

    /// Rows and items of a page that are not stored.
    fn left_out(&mut self, page: &PageEvent) {
        for rows in &page.bad_rows {
            let name = format!("{}: {}", page.step, pattern_of(&rows.message));
            let known = bounded(&mut self.bad_rows, &name);
            known.count += rows.count;
            known.pages += 1;
            if known.pages == 1 {
                known.message.clone_from(&rows.message);
                known.selector.clone_from(&rows.selector);
                known.sample = page.url.to_string();
            }
        }
        for items in &page.dropped {
            let name = format!("{}: {}", items.table, pattern_of(&items.reason));
            let known = bounded(&mut self.dropped, &name);
            known.count += items.count;
            if known.sample.is_empty() {
                known.sample = page.url.to_string();
            }
        }
    }

    fn group(&mut self, page: &PageEvent) {
        let message = page.message.clone().unwrap_or_default();
        let pattern = pattern_of(&message);
        let reason = page.reason.unwrap_or_default();
        let known = self.errors.iter_mut().find(|group| {
            group.state == page.state
                && group.reason == reason
                && group.step == page.step
                && group.pattern == pattern
        });
        if let Some(group) = known {
            group.count += 1;
            group.seed |= page.depth == 0;
            // The least URL, so that equal crawls have equal reports whatever came first.
            if *page.url.as_str() < *group.sample {
                group.sample = page.url.to_string();
                group.referrer = page.referrer.as_ref().map(ToString::to_string);
                group.message = message;
            }
        } else if self.errors.len() < MAX_GROUPS {
            self.errors.push(ErrorGroup {
                state: page.state,
                reason: reason.to_owned(),
                step: page.step.clone(),
                pattern,
                message,
                count: 1,
                sample: page.url.to_string(),
                referrer: page.referrer.as_ref().map(ToString::to_string),
                selector: page.field.as_ref().map(FieldError::written),
                seed: page.depth == 0,
            });
        }
    }
}

/// The entry of `name`, or of "(others)" once the map is full.
pub(super) fn bounded<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    let name = if map.len() < MAX_GROUPS || map.contains_key(name) {
        name
    } else {
        "(others)"
    };
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name).expect("it was just inserted")
}

/// A message with what differs from page to page replaced by `*`: numbers, quoted text, URLs.
pub fn pattern_of(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '"' => rest[1..].find('"').map(|end| end + 2),
            '0'..='9' => Some(
                rest.find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len()),
            ),
            'h' if rest.starts_with("http://") || rest.starts_with("https://") => {
                Some(rest.find([' ', ',', ')']).unwrap_or(rest.len()))
            }
            _ => None,
        };
        if let Some(end) = skipped {
            out.push('*');
            rest = &rest[end..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Why it ended.
    pub stop: Stop,
    /// How long it took.
    #[serde(serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// What is wrong with the outcome; empty: all is well.
    pub problems: Vec<Problem>,
    /// Columns that are emptier than in an earlier run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emptier: Vec<Emptier>,
    /// What was expected and not found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Unmet>,
    /// Everything counted.
    #[serde(flatten)]
    pub statistics: Statistics,
}

fn as_seconds<S: serde::Serializer>(elapsed: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(elapsed.as_secs_f64())
}

/// Why an ended crawl is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// No item at all, and `allow_empty` is off.
    NothingScraped,
    /// The spider named no seed.
    NoSeeds,
    /// A start URL failed or was skipped.
    SeedFailed,
    /// More pages failed than `max_errors` allows.
    TooManyErrors,
    /// A column that an earlier run filled is empty in every item, and `allow_empty` is off.
    LostField,
    /// What the setting `expect` says does not hold.
    Unexpected,
}

impl Report {
    /// Judges an ended run by its settings.
    pub fn new(
        stop: Stop,
        elapsed: Duration,
        mut statistics: Statistics,
        settings: &Settings,
    ) -> Self {
        let truncated = statistics.of_truncated();
        statistics.warnings.extend(truncated);
        let mut problems = Vec::new();
        // What an earlier run or round found counts, too.
        let resumed = statistics.resumed.is_some() || statistics.round.is_some();
        let errors = statistics.failed - statistics.missing;
        let all = statistics.pages + statistics.unchanged + statistics.failed;
        if stop == Stop::Finished {
            let seed_failed = statistics.errors.iter().any(|group| group.seed);
            if seed_failed || !statistics.start_failed.is_empty() {
                problems.push(Problem::SeedFailed);
            }
            if statistics.seeds == 0 && statistics.queued == 0 && !resumed {
                problems.push(Problem::NoSeeds);
            } else if statistics.item_count() == 0 && !settings.allow_empty && !resumed {
                problems.push(Problem::NothingScraped);
            }
        }
        if !settings.max_errors.allows(errors, all) {
            problems.push(Problem::TooManyErrors);
        }
        let unmet = expect::unmet(&statistics, &stop, settings);
        if !unmet.is_empty() {
            problems.push(Problem::Unexpected);
        }
        Self {
            stop,
            elapsed,
            problems,
            emptier: Vec::new(),
            unmet,
            statistics,
        }
    }

    /// Looks for columns that are emptier than in the runs before, given by their reports.
    pub(super) fn compare(&mut self, before: &[String], settings: &Settings) {
        self.emptier = emptier(&self.statistics.items, before);
        let lost = self.emptier.iter().any(|column| column.filled == 0);
        if lost && !settings.allow_empty {
            self.problems.push(Problem::LostField);
        }
    }

    /// 0 all is well · 1 ended with problems · 2 the spider does not fit the queue · 3 stopped with work left · 130 interrupted · 70
    /// broken.
    pub fn exit_code(&self) -> u8 {
        match &self.stop {
            Stop::Broken(_) => 70,
            Stop::Interrupted => 130,
            Stop::UnknownStep(_) => 2,
            _ if !self.problems.is_empty() => 1,
            Stop::Limit(_) => 3,
            Stop::Finished => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |message: &str, pattern: &str| assert_eq!(pattern_of(message), pattern);
        check(
            "field `price`: can't read \"Call us\" as f64",
            "field `price`: can't read * as f*",
        );
        check("no byte for 20 s", "no byte for * s");
        check("see http://a.b/c?d=1 (twice)", "see * (twice)");
        check("an open \" quote, \u{e4}", "an open \" quote, \u{e4}");
    }

    #[test]
    fn groups_are_bounded() {
        let mut map = BTreeMap::<String, u64>::new();
        for n in 0..2 * MAX_GROUPS {
            *bounded(&mut map, &n.to_string()) += 1;
        }
        assert_eq!(map.len(), MAX_GROUPS + 1);
        assert_eq!(map["(others)"], MAX_GROUPS as u64);
    }
}
