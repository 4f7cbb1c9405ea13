//! Traps: sites that never end, whether they mean it or not.
//!
//! A calendar that goes on for ever, filters that multiply, a relative link that makes every path longer,
//! a session in every URL: a crawl that follows them learns nothing and ends never. Each kind has its
//! limit, a setting; what goes beyond it is refused with the kind as its reason. The limits leave
//! large sites alone: what grows must also be of the kind that says nothing new.
//!
//! Memory is bounded: counts are sketches of distinct URLs, for the patterns that were met lately. The
//! common link costs one look at its bytes.

mod dates;
mod pattern;
mod recent;
mod same;
mod sketch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::memchr_iter;
use url::Url;

use crate::request::HostKey;
use crate::settings::Settings;

use dates::is_far;
pub use pattern::pattern_of;
use recent::Recent;
use same::Streak;
use sketch::Sketch;

/// Parameters that make a mix: fewer are how sites number things.
const MIXED: usize = 3;
/// Parameters of a URL that are watched.
const WATCHED: usize = 8;
/// A mix is none as long as one of its parameters has a value for so many URLs.
const PER_VALUE: u32 = 300;
/// Parts of a path that may repeat.
const LONGEST_PART: usize = 16;

/// Why a URL is taken for a trap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The word for grouping, after the setting: `path_depth`, `path_repeats`, `far_dates`,
    /// `query_mixes`, `same_pages`, `host_pages`.
    pub reason: &'static str,
    /// The pattern of the URL, where there is one.
    pub subject: String,
}

/// The setting that a trap's reason belongs to; none if it is no trap's.
pub fn setting_of(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "path_depth" => "max_path_depth",
        "path_repeats" => "max_path_repeats",
        "far_dates" => "max_far_dates",
        "query_mixes" => "max_query_mixes",
        "same_pages" => "max_same_pages",
        "host_pages" => "max_pages_per_host",
        _ => return None,
    })
}

/// Limits of a path, which need no memory: why `url` goes beyond them.
pub fn refuse_path(url: &Url, settings: &Settings) -> Option<Trap> {
    let path = url.path().as_bytes();
    let depth = memchr_iter(b'/', path).count();
    let max = usize::from(settings.max_path_depth);
    if max > 0 && depth > max {
        return Some(Trap {
            reason: "path_depth",
            subject: String::new(),
        });
    }
    let repeats = usize::from(settings.max_path_repeats);
    (repeats > 0 && depth > repeats && repeats_beyond(url.path(), repeats)).then(|| Trap {
        reason: "path_repeats",
        subject: String::new(),
    })
}

/// Whether a part of a path comes more than `max` times in a row; parts of nothing but digits are
/// dates and numbers.
fn repeats_beyond(path: &str, max: usize) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is_number = |part: &[&str]| {
        part.iter()
            .all(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    (1..=LONGEST_PART.min(segments.len() / (max + 1))).any(|length| {
        let mut run = 0;
        (length..segments.len()).any(|at| {
            run = if segments[at] == segments[at - length] {
                run + 1
            } else {
                0
            };
            run >= length * max && !is_number(&segments[at + 1 - length..=at])
        })
    })
}

/// What a crawl remembers of the patterns of its URLs.
#[derive(Debug)]
pub struct Traps {
    limits: Limits,
    year: i16,
    memory: Mutex<Memory>,
    /// Patterns whose pages have been the same for too long.
    caught: AtomicUsize,
}

#[derive(Debug)]
struct Memory {
    dates: Recent<Sketch<256>>,
    mixes: Recent<Mix>,
    streaks: Recent<Streak>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    far_dates: u32,
    query_mixes: u32,
    same_pages: u32,
}

/// URLs of one path and the same parameters.
#[derive(Debug, Default)]
struct Mix {
    urls: Sketch<256>,
    values: [Sketch<64>; WATCHED],
}

impl Traps {
    /// Nothing seen yet. `year` is that of today; `key` keeps others from crafting patterns that
    /// collide.
    pub fn new(settings: &Settings, year: i16, key: [u8; 16]) -> Self {
        Self {
            limits: Limits {
                far_dates: settings.max_far_dates,
                query_mixes: settings.max_query_mixes,
                same_pages: settings.max_same_pages,
            },
            year,
            memory: Mutex::new(Memory {
                dates: Recent::new(key),
                mixes: Recent::new(key),
                streaks: Recent::new(key),
            }),
            caught: AtomicUsize::new(0),
        }
    }

    /// Counts `url` in, and says why it goes beyond a limit. The same URL counts once.
    pub fn refuse(&self, url: &Url) -> Option<Trap> {
        let reason = if self.is_caught(url) {
            "same_pages"
        } else if self.is_calendar(url) {
            "far_dates"
        } else if self.is_mix(url) {
            "query_mixes"
        } else {
            return None;
        };
        Some(Trap {
            reason,
            subject: pattern_of(url),
        })
    }

    /// Patterns that were caught: whoever holds URLs back may have some of them.
    pub fn caught(&self) -> usize {
        self.caught.load(Ordering::Relaxed)
    }

    /// Whether all pages like `url` have been the same for too long.
    pub fn is_caught(&self, url: &Url) -> bool {
        if self.caught() == 0 {
            return false;
        }
        let memory = self.memory();
        let streak = memory.streaks.get(&pattern_of(url));
        streak.is_some_and(|streak| streak.is_beyond(self.limits.same_pages))
    }

    fn is_calendar(&self, url: &Url) -> bool {
        if self.limits.far_dates == 0 || !is_far(url, self.year) {
            return false;
        }
        let mut memory = self.memory();
        let urls = memory.dates.entry(&pattern_of(url));
        urls.add(hash_of(url));
        urls.count() > self.limits.far_dates
    }

    fn is_mix(&self, url: &Url) -> bool {
        let query = url.query().unwrap_or_default();
        let parameters = memchr_iter(b'&', query.as_bytes()).count() + 1;
        if self.limits.query_mixes == 0 || parameters < MIXED {
            return false;
        }
        let mut memory = self.memory();
        let mix = memory.mixes.entry(&pattern_of(url));
        mix.urls.add(hash_of(url));
        for (pair, values) in query.split('&').zip(&mut mix.values) {
            values.add(sketch::hash(pair.as_bytes()));
        }
        let most = mix.values.iter().map(Sketch::count).max().unwrap_or(0);
        let max = self.limits.query_mixes.max(most.saturating_mul(PER_VALUE));
        mix.urls.count() > max
    }

    /// Notes the body that a GET of `url` was answered with.
    pub fn read(&self, url: &Url, body: &[u8]) {
        let max = self.limits.same_pages;
        if max == 0 {
            return;
        }
        let (pattern, hash) = (pattern_of(url), hash_of(url));
        let mut memory = self.memory();
        let streak = memory.streaks.entry(&pattern);
        let before = streak.is_beyond(max);
        streak.read(hash, body);
        match (before, streak.is_beyond(max)) {
            (false, true) => _ = self.caught.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.caught.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many requests hosts have had, for those met lately.
#[derive(Debug)]
pub struct HostPages {
    max: u64,
    young: HashMap<HostKey, u64>,
    old: HashMap<HostKey, u64>,
}

/// Hosts in a generation.
const HOSTS: usize = 1 << 16;

impl HostPages {
    /// At most `max` for each; 0: no limit.
    pub fn new(max: u64) -> Self {
        Self {
            max,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Counts a request, and whether it was the last one.
    pub fn sent(&mut self, host: HostKey) -> bool {
        if self.max == 0 {
            return false;
        }
        if !self.young.contains_key(&host) && self.young.len() >= HOSTS {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        let entry = self.young.entry(host);
        let sent = entry.or_insert_with(|| old.remove(&host).unwrap_or_default());
        *sent += 1;
        *sent == self.max
    }

    /// Takes a count back: the request was not sent. A host that has had all stays so.
    pub fn unsent(&mut self, host: HostKey) {
        if let Some(sent) = self.young.get_mut(&host).filter(|sent| **sent < self.max) {
            *sent = sent.saturating_sub(1);
        }
    }

    /// Whether a host has had all it may have.
    pub fn is_spent(&self, host: HostKey) -> bool {
        let sent = self.young.get(&host).or_else(|| self.old.get(&host));
        self.max > 0 && sent.is_some_and(|sent| *sent >= self.max)
    }
}

/// What tells URLs of one pattern, and so of one host, apart.
fn hash_of(url: &Url) -> u64 {
    sketch::hash(url[url::Position::BeforePath..url::Position::AfterQuery].as_bytes())
}

#[cfg(test)]
mod tests;
