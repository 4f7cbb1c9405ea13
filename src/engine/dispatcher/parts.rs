//! Hosts that are divided among processes: a part of one is asked with its part of what the host may be
//! asked.

use std::time::Duration;

use url::Url;

use super::Dispatcher;
use super::hosts::{Known, Quota};
use crate::engine::event::Stop;
use crate::frontier::Politeness;
use crate::request::HostKey;
use tokio::time::Instant;

/// A part of a host, which may be the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    number: usize,
    of: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { number: 0, of: 1 }
    }
}

impl Part {
    /// Its part of what can be counted: those of all parts together are the whole.
    fn count(self, whole: u64) -> u64 {
        let (number, of) = (self.number as u64, self.of as u64);
        whole / of + u64::from(number < whole % of)
    }

    /// As many parts as there are keep the host's delay together.
    pub(super) fn delay(self, whole: Duration) -> Duration {
        whole.saturating_mul(self.of as u32)
    }

    fn politeness(self, whole: Politeness) -> Politeness {
        Politeness {
            delay: self.delay(whole.delay),
            concurrency: self.count(whole.concurrency as u64) as usize,
            ..whole
        }
    }
}

impl Dispatcher {
    /// How politely a leased host is asked, or its part, and what is known of it so far.
    pub(super) fn politeness_of(&mut self, key: HostKey, origin: &str) -> (Politeness, Known) {
        let (whole, mut known) = self.politeness(origin);
        let parts = Url::parse(origin).map_or(1, |url| self.shared.shares.of(&url));
        if parts == 1 {
            return (whole, known);
        }
        let number = key.0 ^ self.shared.identity.host(origin).0;
        let part = Part {
            number: usize::try_from(number).unwrap_or_default(),
            of: parts,
        };
        let politeness = part.politeness(whole);
        // Whichever part it is: some other would never be asked.
        if whole.concurrency < parts {
            let most = whole.concurrency;
            let why = format!(
                "{origin} has been shared by {parts} processes since this crawl began, so its `concurrency` \
                 can't be {most}: raise it to {parts}, or begin anew (--fresh)"
            );
            self.stop_for(Stop::Broken(why), Instant::now());
        }
        if let Some(bounds) = &mut known.throttle {
            bounds.floor = part.delay(bounds.floor);
            bounds.longest = part.delay(bounds.longest);
            bounds.in_flight /= part.of as f64;
        }
        known.quota = known
            .quota
            .map(|quota| Quota::new(part.count(quota.per_day())));
        (politeness, Known { part, ..known })
    }

    /// The key of the host that a leased one is a part of.
    pub(super) fn whole(&self, key: HostKey) -> HostKey {
        let part = self.known.get(&key).map(|known| known.part);
        key.part(part.unwrap_or_default().number)
    }

    /// The parts of the host of `url` that are leased, which is the whole if it is not divided.
    pub(super) fn leased_parts(&self, whole: HostKey, url: &Url) -> Vec<HostKey> {
        let parts = (0..self.shared.shares.of(url)).map(|number| whole.part(number));
        parts
            .filter(|key| self.frontier.host(*key).is_some())
            .collect()
    }

    /// The leased parts of the host that a leased one is a part of, but for itself.
    pub(super) fn other_parts(&self, key: HostKey) -> Vec<HostKey> {
        let is_part = self.known.get(&key).is_some_and(|known| known.part.of > 1);
        let host = self.frontier.host(key).filter(|_| is_part);
        let Some(url) = host.and_then(|host| Url::parse(&host.origin).ok()) else {
            return Vec::new();
        };
        let mut parts = self.leased_parts(self.whole(key), &url);
        parts.retain(|part| *part != key);
        parts
    }

    /// The part of the host of `url` that is asked for something of the host as a whole: `own`, if it is one;
    /// the whole, if none is leased.
    pub(super) fn leased_part(&self, whole: HostKey, url: &Url, own: Option<HostKey>) -> HostKey {
        let leased = self.leased_parts(whole, url);
        let own = own.filter(|own| leased.contains(own));
        own.or(leased.first().copied()).unwrap_or(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_together() {
        for (whole, of) in [(8, 3), (3, 3), (20_000, 7), (2, 3), (5, 1)] {
            let parts = (0..of).map(|number| Part { number, of });
            let counts: Vec<_> = parts.map(|part| part.count(whole)).collect();
            assert_eq!(counts.iter().sum::<u64>(), whole, "{counts:?}");
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
        let second = Duration::from_secs(1);
        assert_eq!(Part { number: 1, of: 3 }.delay(second), second * 3);
        assert_eq!(Part::default().delay(second), second);
    }
}
