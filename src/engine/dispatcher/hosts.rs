//! What the dispatcher knows of the hosts that it has leased, and what it does about them: their
//! politeness, their robots.txt, their troubles and their daily quota.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::{Dispatcher, Message, timestamp};
use crate::clock;
use crate::engine::committer::Entry;
use crate::engine::event::Event;
use crate::engine::life;
use crate::engine::rules::{self, Rules, Sentence};
use crate::frontier::Politeness;
use crate::policy::retry::Backoff;
use crate::policy::scope::is_loopback;
use crate::policy::traps::pattern_of;
use crate::request::HostKey;
use crate::settings::RobotsMode;
use crate::store::{Host, PageState, RobotsFile, Ticket};

/// Failures of a host in a row after which it is given up.
const MAX_HOST_ERRORS: u32 = 20;

/// How many requests a host may have today.
pub(super) struct Quota {
    per_day: u64,
    /// Requests of today as the store has them: never fewer than were sent.
    reserved: u64,
}

impl Quota {
    fn new(per_day: u64) -> Self {
        Self {
            per_day,
            reserved: 0,
        }
    }

    /// Begins anew if the day is another one.
    fn turn_to(&mut self, today: i64, host: &mut Host) {
        if host.day != today {
            (host.day, host.sent, self.reserved) = (today, 0, 0);
        }
    }

    fn is_used_up(&self, host: &Host) -> bool {
        host.sent >= self.per_day
    }

    /// Takes more requests in advance if few are left, so that a crash can't make them be forgotten
    /// and each one needs no write of its own.
    fn reserve(&mut self, host: &Host) -> bool {
        let piece = (self.per_day / 20).clamp(1, 64);
        let needed = self.reserved < self.per_day && host.sent + piece / 2 >= self.reserved;
        if needed {
            self.reserved = (host.sent + piece).min(self.per_day);
        }
        needed
    }
}

/// Days since 1970, UTC.
fn today() -> i64 {
    clock::now().as_second().div_euclid(86_400)
}

fn until_tomorrow() -> Duration {
    let seconds = clock::now().as_second().rem_euclid(86_400);
    Duration::from_secs(86_400 - seconds.unsigned_abs())
}

impl Dispatcher {
    pub(super) fn adopt(&mut self, host: Host) {
        let now = Instant::now();
        let politeness = self.politeness(&host);
        let wait =
            Duration::try_from(host.next_at.duration_since(clock::now())).unwrap_or_default();
        // An earlier run may have asked this host just before it was killed.
        let recent = if self.start.recent {
            politeness.delay
        } else {
            Duration::ZERO
        };
        let (key, robots) = (host.key, host.robots.clone());
        self.frontier
            .adopt(host, politeness, now + wait.max(recent));
        self.reserve(key);
        if self.shared.settings.robots == RobotsMode::Ignore {
            self.obey(key, Rules::None);
        } else if let Some(rules) = robots.and_then(|file| self.still_valid(&file)) {
            self.obey(key, rules);
        } else {
            self.errands.insert((now, key));
        }
    }

    /// How politely a host is asked, by the settings.
    fn politeness(&mut self, host: &Host) -> Politeness {
        let settings = &self.shared.settings;
        let url = Url::parse(&host.origin).ok();
        let said = url.as_ref().map(|url| settings.for_host(url));
        let said = said.unwrap_or_default();
        let default = match url {
            Some(url) if is_loopback(&url) => Duration::ZERO,
            _ => Duration::from_secs(1),
        };
        if let Some(per_day) = said.per_day {
            self.quotas.insert(host.key, Quota::new(per_day));
        }
        Politeness {
            delay: said.delay.or(settings.delay).unwrap_or(default),
            jitter: settings.jitter,
            concurrency: said.concurrency.unwrap_or(settings.concurrency_per_host),
        }
    }

    /// Counts a request that goes out, for hosts that have only so many a day.
    pub(super) fn count(&mut self, key: HostKey) {
        let Some(quota) = self.quotas.get_mut(&key) else {
            return;
        };
        if let Some(host) = self.frontier.host_mut(key) {
            quota.turn_to(today(), host);
            host.sent += 1;
            self.reserve(key);
        }
    }

    /// Takes a count back: nothing was sent. A day that was used up with it stays so.
    pub(super) fn uncount(&mut self, key: HostKey) {
        if let (Some(quota), Some(host)) = (self.quotas.get(&key), self.frontier.host_mut(key))
            && !quota.is_used_up(host)
        {
            host.sent = host.sent.saturating_sub(1);
        }
    }

    /// Counts a page for its host, which may have been the last one that it has.
    pub(super) fn count_page(&mut self, ticket: &Ticket) {
        let key = ticket.key.host;
        if ticket.tries == 0 && self.host_pages.sent(key) {
            self.condemn(key, self.spent());
        }
    }

    /// Why a host gets no more requests in this run.
    fn spent(&self) -> Sentence {
        let max = self.shared.settings.max_pages_per_host;
        Sentence {
            reason: "host_pages",
            message: format!("the host had its {max} requests of this run (max_pages_per_host)"),
            state: PageState::Skipped,
        }
    }

    /// Sees to it that the store knows of requests before they are sent, and that a host whose day
    /// is used up is left alone until the next.
    fn reserve(&mut self, key: HostKey) {
        let (Some(quota), Some(host)) = (self.quotas.get_mut(&key), self.frontier.host_mut(key))
        else {
            return;
        };
        quota.turn_to(today(), host);
        let (reserved, used_up) = (quota.reserve(host), quota.is_used_up(host));
        if used_up {
            let why = format!("its {} requests of today (per_day)", quota.per_day);
            self.pause(key, why, until_tomorrow());
        }
        if used_up || reserved {
            self.remember(key);
        }
    }

    /// Leaves a host alone for a while, and says so.
    fn pause(&mut self, key: HostKey, why: String, pause: Duration) {
        self.frontier.hold(key, Instant::now() + pause);
        let Some(host) = self.frontier.host(key) else {
            return;
        };
        let until = clock::now()
            .saturating_add(life::signed(pause))
            .unwrap_or(Timestamp::MAX);
        let origin = host.origin.clone();
        self.shared
            .bus
            .emit(&Event::HostSlowed { origin, why, until });
    }

    fn still_valid(&self, file: &RobotsFile) -> Option<Rules> {
        let age = clock::now().duration_since(file.at);
        let fresh = age < jiff::SignedDuration::from_hours(24);
        if fresh {
            Rules::from_file(file, &self.shared.settings.user_agent)
        } else {
            None
        }
    }

    /// Fetches robots.txt files whose time has come.
    pub(super) fn run_errands(&mut self, now: Instant) {
        while self.fetching < self.shared.settings.concurrency
            && let Some(&(at, key)) = self.errands.first()
            && at <= now
        {
            self.errands.pop_first();
            if let Err(later) = self.frontier.errand(key, now) {
                self.errands.insert((later, key));
                continue;
            }
            let Some(host) = self.frontier.host(key) else {
                continue;
            };
            let (shared, origin) = (Arc::clone(&self.shared), host.origin.clone());
            let sender = self.sender.clone();
            self.fetching += 1;
            self.count(key);
            self.tasks.spawn(async move {
                let started = Instant::now();
                let (file, may_change) = rules::fetch(&shared, &origin).await;
                let took = started.elapsed();
                let message = Message::Robots {
                    host: key,
                    file,
                    may_change,
                    took,
                };
                let _ = sender.send(message).await;
            });
        }
    }

    pub(super) fn robots_came(&mut self, key: HostKey, file: RobotsFile, may_change: bool) {
        let rules = Rules::from_file(&file, &self.shared.settings.user_agent);
        let Some(host) = self.frontier.host_mut(key) else {
            return;
        };
        let why = match file.status {
            0 => file.body.clone(),
            status => format!("robots.txt answered {status}"),
        };
        let status = file.status;
        host.robots = Some(file);
        match rules {
            Some(rules) => {
                host.errors = 0;
                self.remember(key);
                self.obey(key, rules);
            }
            None if may_change && host.errors < u32::from(self.shared.settings.retries) => {
                self.in_trouble(key, &why, None);
                let at = self.frontier.next_at(key).unwrap_or_else(Instant::now);
                self.errands.insert((at, key));
            }
            // Without an answer the host can't be crawled at all; with an error it says "not now".
            None if status == 0 => {
                let tries = host.errors + 1;
                let message = if tries > 1 {
                    format!("{why}, {tries} tries")
                } else {
                    why
                };
                let sentence = Sentence {
                    reason: "connect",
                    message,
                    state: PageState::Failed,
                };
                self.condemn(key, sentence);
            }
            None => {
                let message = format!("{why}: not now");
                let sentence = Sentence {
                    reason: "robots",
                    message,
                    state: PageState::Skipped,
                };
                self.condemn(key, sentence);
            }
        }
    }

    fn condemn(&mut self, key: HostKey, sentence: Sentence) {
        self.obey(key, Rules::Condemned(Arc::new(sentence)));
    }

    /// From now on a host's requests go by `rules`.
    fn obey(&mut self, key: HostKey, rules: Rules) {
        let is_spent = self.host_pages.is_spent(key) && !matches!(rules, Rules::Condemned(_));
        let rules = if is_spent {
            Rules::Condemned(Arc::new(self.spent()))
        } else {
            rules
        };
        if let Some(delay) = rules.crawl_delay() {
            let settings = &self.shared.settings;
            self.frontier
                .slow_down(key, delay.min(settings.max_crawl_delay), settings.jitter);
        }
        let condemned = matches!(rules, Rules::Condemned(_));
        self.rules.insert(key, rules);
        self.weed(key);
        if !condemned {
            self.frontier.open(key);
        }
    }

    /// Leaves a host in trouble alone for a while, and gives it up in the end.
    pub(super) fn in_trouble(&mut self, key: HostKey, why: &str, retry_after: Option<Duration>) {
        let Some(host) = self.frontier.host_mut(key) else {
            return;
        };
        host.errors += 1;
        let errors = host.errors;
        let settings = &self.shared.settings;
        let backoff = Backoff::from(settings);
        let pause = retry_after.unwrap_or_else(|| backoff.delay(errors - 1, fastrand::f64()));
        if errors > MAX_HOST_ERRORS {
            let message = format!("gave the host up after {errors} failures in a row: {why}");
            self.condemn(
                key,
                Sentence {
                    reason: "host",
                    message,
                    state: PageState::Failed,
                },
            );
        } else {
            self.pause(key, why.to_owned(), pause);
        }
        self.remember(key);
    }

    /// Stores what was learned of a host.
    pub(super) fn remember(&mut self, key: HostKey) {
        let Some(mut host) = self.frontier.host(key).cloned() else {
            return;
        };
        host.next_at = self.frontier.next_at(key).map_or(host.next_at, timestamp);
        if let Some(quota) = self.quotas.get(&key) {
            host.sent = quota.reserved.max(host.sent);
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let _ = shared.commits.send(Entry::Host(Box::new(host))).await;
        });
    }

    /// Takes requests that must not be sent out of a host's window, and ends them with the reason.
    pub(super) fn weed(&mut self, key: HostKey) {
        let Some(rules) = self.rules.get(&key).cloned() else {
            return;
        };
        let traps = &self.shared.traps;
        let weeds = self.frontier.weed(key, |ticket| {
            let url = &ticket.request.url;
            rules.forbid(url).is_some() || traps.is_caught(url)
        });
        for ticket in weeds {
            let url = &ticket.request.url;
            // What is not forbidden was caught, even if it would not be any more.
            let sentence = rules.forbid(url).unwrap_or_else(|| Sentence {
                reason: "same_pages",
                message: format!("pages of {} are all the same", pattern_of(url)),
                state: PageState::Skipped,
            });
            let Sentence {
                reason,
                message,
                state,
            } = sentence;
            let shared = Arc::clone(&self.shared);
            self.tasks
                .spawn(life::settle_unsent(shared, ticket, state, reason, message));
        }
    }
}
