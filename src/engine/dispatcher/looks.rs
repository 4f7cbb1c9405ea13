//! What the dispatcher says of itself: what limits the crawl, and all that it is at.

use std::fmt::Write;
use std::sync::PoisonError;

use tokio::time::Instant;
use url::Url;

use super::Dispatcher;
use crate::engine::rules::Rules;
use crate::frontier::Waits;
use crate::request::{HostKey, without_logins};
use crate::store::{Ticket, TicketKey};

/// Hosts and requests that are listed one by one; the others are counted.
const LISTED: usize = 50;

/// A request in hand.
pub(super) struct InHand {
    pub(super) key: TicketKey,
    tries: u16,
    since: Instant,
    url: Url,
    step: String,
    /// Its exchange has ended: it is with a step, or waits for one, or for its commit.
    pub(super) is_answered: bool,
}

impl InHand {
    pub(super) fn new(since: Instant, ticket: &Ticket) -> Self {
        Self {
            key: ticket.key,
            tries: ticket.tries,
            since,
            url: ticket.request.url.clone(),
            step: ticket.request.step.name.to_string(),
            is_answered: false,
        }
    }

    /// Its number, and its failed tries if it is being fetched.
    pub(super) fn under_way(&self) -> (i64, Option<u16>) {
        let fetching = !self.is_answered;
        (self.key.seq, fetching.then_some(self.tries))
    }
}

impl Dispatcher {
    /// Notes what the crawl is about to wait for.
    pub(super) fn note_limit(&mut self) {
        let limit = self.limit();
        self.limits.set(limit.as_deref(), Instant::now());
    }

    /// What keeps the crawl from going faster.
    fn limit(&self) -> Option<String> {
        let in_hand = self.frontier.in_hand();
        let unread = self.jobs.len();
        let here = || {
            let what = if unread > 0 { "steps" } else { "store" };
            Some(what.to_owned())
        };
        if self.stopping.is_some() {
            None
        } else if self.fetching >= self.shared.settings.concurrency {
            Some("concurrency".to_owned())
        } else if self.wants_room {
            Some("room shared with other crawls".to_owned())
        } else if self.is_full() {
            here()
        } else if let Some((_, key)) = self.frontier.first() {
            Some(self.pace(key))
        } else if self.fetching > 0 {
            match self.frontier.only() {
                Some((key, Waits::Slots)) => Some(format!("{}: its connections", self.origin(key))),
                _ => Some("answers of servers".to_owned()),
            }
        } else if in_hand > 0 {
            here()
        } else if let Some(key) = self.errands.next().filter(|key| self.is_in_trouble(*key)) {
            Some(self.pace(key))
        } else if self.asking > 0 || self.leasing {
            Some("store".to_owned())
        } else if self.start.seeding {
            Some("start of the spider".to_owned())
        } else {
            None
        }
    }

    fn is_in_trouble(&self, key: HostKey) -> bool {
        self.frontier.host(key).is_some_and(|host| host.errors > 0)
    }

    /// Why the host whose turn is next must wait.
    fn pace(&self, key: HostKey) -> String {
        let origin = self.origin(key);
        let rules = self.known.get(&key).and_then(|known| known.rules.as_ref());
        let why = match rules.and_then(Rules::crawl_delay) {
            _ if self.is_in_trouble(key) => "left alone after failures",
            Some(_) => "Crawl-delay",
            None => "delay",
        };
        format!("{origin}: {why}")
    }

    fn origin(&self, key: HostKey) -> &str {
        let origin = self.frontier.host(key).map_or("?", |host| &host.origin);
        origin.split_once("://").map_or(origin, |(_, host)| host)
    }

    /// All that the crawl is at, in lines.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        let now = Instant::now();
        let (settings, shared) = (&self.shared.settings, &self.shared);
        writeln!(
            to,
            "{}: {} in hand, {} of {} being fetched, {} of {} commits wait, {} questions to the store, {}",
            shared.spider.name(),
            self.frontier.in_hand(),
            self.fetching,
            settings.concurrency,
            shared.commits.max_capacity() - shared.commits.capacity(),
            shared.commits.max_capacity(),
            self.asking,
            match &self.stopping {
                Some((stop, _)) => format!("stopping: {stop:?}"),
                None => format!("limited by {}", self.limits.now().unwrap_or("nothing")),
            }
        )?;
        self.write_hosts(to, now)?;
        self.write_hands(to, now)?;
        let threads = shared
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writeln!(to, "steps: {} pages wait", self.jobs.len())?;
        for (number, thread) in threads
            .iter()
            .filter_map(std::sync::Weak::upgrade)
            .enumerate()
        {
            let at = thread.at().map(|held| held.ticket.key);
            for held in thread.all() {
                let computes = if at == Some(held.ticket.key) {
                    "computes"
                } else {
                    "waits"
                };
                let request = &held.ticket.request;
                writeln!(
                    to,
                    "  thread {number} {computes}  {}  {}",
                    request.step.name,
                    without_logins(request.url.as_str())
                )?;
            }
        }
        Ok(())
    }

    fn write_hosts(&self, to: &mut String, now: Instant) -> std::fmt::Result {
        let mut hosts: Vec<_> = self.frontier.waits(now).collect();
        hosts.sort_by_key(|(key, waits, _)| (*waits, *key));
        write!(to, "hosts: {} leased", hosts.len())?;
        for waits in Waits::ALL {
            let count = hosts.iter().filter(|(_, of, _)| *of == waits).count();
            if count > 0 {
                write!(to, ", {count} {}", waits.words())?;
            }
        }
        writeln!(to)?;
        for (key, waits, window) in hosts.iter().take(LISTED) {
            let next = self.frontier.next_at(*key).unwrap_or(now);
            let pause = next.saturating_duration_since(now).as_secs_f32();
            writeln!(
                to,
                "  {}  {}, window {window}, next in {pause:.1} s",
                self.origin(*key),
                waits.words()
            )?;
        }
        Ok(())
    }

    fn write_hands(&self, to: &mut String, now: Instant) -> std::fmt::Result {
        let mut hands: Vec<_> = self.hands.values().collect();
        hands.sort_by_key(|held| held.since);
        writeln!(to, "requests: {} in hand, oldest first", hands.len())?;
        for held in hands.iter().take(LISTED) {
            let age = now.saturating_duration_since(held.since).as_secs_f32();
            let at = if held.is_answered {
                "answered"
            } else {
                "being fetched"
            };
            let url = without_logins(held.url.as_str());
            writeln!(to, "  {age:.1} s  {at}  {}  {url}", held.step)?;
        }
        Ok(())
    }
}
