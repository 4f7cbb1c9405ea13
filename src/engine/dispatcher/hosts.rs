//! What the dispatcher knows of the hosts that it has leased: their politeness, the rules that hold for
//! their requests, and their daily quota.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::parts::Part;
use super::supply::MAX_HOSTS;
use super::{Dispatcher, Message, timestamp};
use crate::clock;
use crate::engine::committer::Entry;
use crate::engine::event::Event;
use crate::engine::life;
use crate::engine::rules::{Rules, Sentence};
use crate::fetch::address_of;
use crate::frontier::Politeness;
use crate::policy::blame::Standing;
use crate::policy::scope::{is_loopback, registrable};
use crate::policy::throttle::Bounds;
use crate::policy::traps::pattern_of;
use crate::request::{HostKey, HostMap, Request};
use crate::settings::{PolitenessBy, RobotsMode};
use crate::store::{Host, PageState, Ticket};

/// What the dispatcher knows of a leased host beside its queue.
#[derive(Default)]
pub(super) struct Known {
    /// Which part of its host it is.
    pub(super) part: Part,
    /// What is known of its robots.txt.
    pub(super) rules: Option<Rules>,
    /// Set if it may have only so many requests a day.
    pub(super) quota: Option<Quota>,
    /// Set if its delay follows its answers.
    pub(super) throttle: Option<Bounds>,
    /// Where its robots.txt redirected to.
    pub(super) hop: Option<Request>,
    /// How it answered so far.
    pub(super) standing: Standing,
}

/// When hosts that are not leased may be asked: those that were a moment ago, and those that a
/// robots.txt redirected to.
#[derive(Default)]
pub(super) struct Strangers(HostMap<Instant>);

impl Strangers {
    pub(super) fn note(&mut self, key: HostKey, next: Instant, now: Instant) {
        if self.0.len() >= 1_024 {
            self.0.retain(|_, next| *next > now);
        }
        if next > now {
            let known = self.0.entry(key).or_insert(next);
            *known = next.max(*known);
        }
    }

    /// Asks a host that is not leased now, or says when it may be asked.
    pub(super) fn ask(
        &mut self,
        key: HostKey,
        delay: Duration,
        now: Instant,
    ) -> Result<(), Instant> {
        match self.0.get(&key) {
            Some(next) if *next > now => Err(*next),
            _ => {
                self.note(key, now + delay, now);
                Ok(())
            }
        }
    }
}

/// How hosts that were given back have answered: what they are asked next they are asked by the same
/// process, and a page that never answers must not look like a host that never did.
#[derive(Default)]
pub(super) struct Standings(HostMap<Standing>);

impl Standings {
    fn keep(&mut self, key: HostKey, standing: Standing) {
        if self.0.len() >= MAX_HOSTS {
            self.0.clear();
        }
        self.0.insert(key, standing);
    }
}

/// How many requests a host may have today.
pub(super) struct Quota {
    per_day: u64,
    /// Requests of today as the store has them: never fewer than were sent.
    reserved: u64,
}

impl Quota {
    pub(super) fn new(per_day: u64) -> Self {
        Self {
            per_day,
            reserved: 0,
        }
    }

    pub(super) fn per_day(&self) -> u64 {
        self.per_day
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
        let (politeness, known) = self.politeness_of(host.key, &host.origin);
        let wait =
            Duration::try_from(host.next_at.duration_since(clock::now())).unwrap_or_default();
        // Who had it may have asked it just before it was killed.
        let recent = if host.lapsed {
            politeness.delay
        } else {
            Duration::ZERO
        };
        let stranger = self.strangers.0.remove(&host.key).unwrap_or(now);
        let (key, origin) = (host.key, host.origin.clone());
        let (delay, in_trouble) = (host.delay, host.errors > 0);
        let not_before = (now + wait.max(recent)).max(stranger);
        self.frontier.adopt(host, politeness, not_before);
        self.resume(key);
        if in_trouble {
            self.frontier.suspend(key, now, not_before);
        }
        if known.throttle.is_some() {
            self.frontier.throttle(key, delay);
        }
        let standing = self.standings.0.remove(&key).unwrap_or_default();
        self.known.insert(key, Known { standing, ..known });
        self.reserve(key);
        self.find_group(key, &origin, politeness.delay);
    }

    /// Finds out whose pace a host keeps; only then is it asked for anything.
    fn find_group(&mut self, key: HostKey, origin: &str, delay: Duration) {
        let Ok(url) = Url::parse(origin) else {
            return self.begin(key);
        };
        match self.shared.settings.politeness {
            PolitenessBy::Host => self.begin(key),
            PolitenessBy::Domain => self.join(key, registrable(&url), delay),
            PolitenessBy::Address => {
                self.asking += 1;
                let (store, sender) = (Arc::clone(&self.store), self.sender.clone());
                self.spawn(async move {
                    let name = url.host_str().unwrap_or_default();
                    let address = address_of(name).await;
                    let group = address.map_or_else(|| name.to_owned(), |ip| ip.to_string());
                    let is_ours = store.join_group(key, group.clone()).await;
                    let message = Message::Grouped {
                        key,
                        group,
                        delay,
                        is_ours,
                    };
                    let _ = sender.send(message).await;
                });
            }
        }
    }

    /// Takes a host into a group by its name.
    pub(super) fn join(&mut self, key: HostKey, group: &str, delay: Duration) {
        let (group, mut now) = (self.shared.identity.host(group), Instant::now());
        if self.start.queued {
            // Its other hosts may have been asked just before the run that ended.
            now = now.max(self.started + delay);
        }
        if self.start.lapses.is_some() {
            // Another process may have had the group a moment ago.
            now += delay;
        }
        self.frontier.join(key, group, delay, now);
        self.begin(key);
    }

    /// Goes by the robots.txt that is stored, or has it fetched.
    fn begin(&mut self, key: HostKey) {
        let Some(host) = self.frontier.host(key) else {
            return;
        };
        let (now, robots) = (Instant::now(), host.robots.clone());
        if self.shared.settings.robots == RobotsMode::Ignore {
            self.obey(key, Rules::None);
        } else if let Some((rules, left)) = robots.and_then(|file| self.still_valid(&file)) {
            self.errands.set(now + left, key);
            self.obey(key, rules);
        } else {
            self.errands.set(now, key);
        }
    }

    /// How politely a host is asked, by the settings.
    pub(super) fn politeness(&self, origin: &str) -> (Politeness, Known) {
        let settings = &self.shared.settings;
        let url = Url::parse(origin).ok();
        let said = url.as_ref().map(|url| settings.for_host(url));
        let said = said.unwrap_or_default();
        let loopback = url.is_some_and(|url| is_loopback(&url));
        let default = if loopback {
            Duration::ZERO
        } else {
            Duration::from_secs(1)
        };
        let delay = said.delay.or(settings.delay).unwrap_or(default);
        let throttle = said.autothrottle.or(settings.autothrottle);
        let bounds = Bounds {
            floor: delay,
            longest: settings.max_autothrottle_delay,
            in_flight: settings.autothrottle_target,
        };
        let known = Known {
            quota: said.per_day.map(Quota::new),
            throttle: throttle.unwrap_or(!loopback).then_some(bounds),
            ..Known::default()
        };
        let politeness = Politeness {
            delay,
            jitter: settings.jitter,
            concurrency: said.concurrency.unwrap_or(settings.concurrency_per_host),
        };
        (politeness, known)
    }

    /// Hosts that are given back: what is known of them is forgotten, but for when they were asked, and
    /// how they answered.
    pub(super) fn forget(&mut self, hosts: &[(Host, Instant)]) {
        let now = Instant::now();
        for (host, next) in hosts {
            if let Some(known) = self.known.remove(&host.key) {
                self.standings.keep(host.key, known.standing);
            }
            self.errands.remove(host.key);
            self.strangers.note(host.key, *next, now);
        }
    }

    /// Counts a request that goes out, for hosts that have only so many a day.
    pub(super) fn count(&mut self, key: HostKey) {
        let Some(quota) = self
            .known
            .get_mut(&key)
            .and_then(|known| known.quota.as_mut())
        else {
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
        let quota = self.known.get(&key).and_then(|known| known.quota.as_ref());
        if let (Some(quota), Some(host)) = (quota, self.frontier.host_mut(key))
            && !quota.is_used_up(host)
        {
            host.sent = host.sent.saturating_sub(1);
        }
    }

    /// Counts a page for its host, which may have been the last one that it has.
    pub(super) fn count_page(&mut self, ticket: &Ticket) {
        let whole = self.whole(ticket.key.host);
        if ticket.tries == 0 && self.host_pages.sent(whole) {
            for part in self.leased_parts(whole, &ticket.request.url) {
                self.condemn(part, self.spent());
            }
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
        let quota = self
            .known
            .get_mut(&key)
            .and_then(|known| known.quota.as_mut());
        let (Some(quota), Some(host)) = (quota, self.frontier.host_mut(key)) else {
            return;
        };
        quota.turn_to(today(), host);
        let (reserved, used_up) = (quota.reserve(host), quota.is_used_up(host));
        if used_up {
            let why = format!("its {} requests of today (per_day)", quota.per_day);
            let pause = until_tomorrow();
            self.frontier.hold(key, Instant::now() + pause);
            self.tell_pause(key, why, pause, true);
        }
        if used_up || reserved {
            self.remember(key);
        }
    }

    /// Says that a host is left alone for a while.
    pub(super) fn tell_pause(&self, key: HostKey, why: String, pause: Duration, used_up: bool) {
        let Some(host) = self.frontier.host(key) else {
            return;
        };
        let until = clock::now()
            .saturating_add(life::signed(pause))
            .unwrap_or(Timestamp::MAX);
        let origin = host.origin.clone();
        self.shared.bus.emit(&Event::HostSlowed {
            origin,
            why,
            until,
            used_up,
        });
    }

    pub(super) fn condemn(&mut self, key: HostKey, sentence: Sentence) {
        self.obey(key, Rules::Condemned(Arc::new(sentence)));
    }

    /// From now on a host's requests go by `rules`.
    pub(super) fn obey(&mut self, key: HostKey, rules: Rules) {
        let is_spent =
            self.host_pages.is_spent(self.whole(key)) && !matches!(rules, Rules::Condemned(_));
        let rules = if is_spent {
            Rules::Condemned(Arc::new(self.spent()))
        } else {
            rules
        };
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        if let Some(delay) = rules.crawl_delay() {
            let settings = &self.shared.settings;
            let delay = known.part.delay(delay.min(settings.max_crawl_delay));
            if let Some(bounds) = &mut known.throttle {
                bounds.floor = bounds.floor.max(delay);
            }
            self.frontier.slow_down(key, delay, settings.jitter);
        }
        let condemned = matches!(rules, Rules::Condemned(_));
        known.rules = Some(rules);
        self.weed(key);
        if !condemned {
            self.frontier.open(key);
        }
    }

    /// Stores what was learned of a host.
    pub(super) fn remember(&mut self, key: HostKey) {
        let Some(mut host) = self.frontier.host(key).cloned() else {
            return;
        };
        host.next_at = self.frontier.next_at(key).map_or(host.next_at, timestamp);
        if let Some(quota) = self.known.get(&key).and_then(|known| known.quota.as_ref()) {
            host.sent = quota.reserved.max(host.sent);
        }
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            let _ = shared.commits.send(Entry::Host(Box::new(host))).await;
        });
    }

    /// Takes requests that must not be sent out of a host's window, and ends them with the reason.
    pub(super) fn weed(&mut self, key: HostKey) {
        let Some(rules) = self.known.get(&key).and_then(|known| known.rules.clone()) else {
            return;
        };
        let used_up: Vec<_> = self
            .shared
            .budgets
            .numbers()
            .map(|at| self.is_used_up(at))
            .collect();
        let shared = Arc::clone(&self.shared);
        let (traps, budgets) = (&shared.traps, &shared.budgets);
        let budget = |url: &Url| {
            let budget = budgets.of(url)?;
            let is_used_up = used_up.get(budget).copied().unwrap_or_default();
            is_used_up.then(|| Sentence {
                reason: "budget",
                message: budgets.why(budget),
                state: PageState::Skipped,
            })
        };
        let weeds = self.frontier.weed(key, |ticket| {
            let url = &ticket.request.url;
            rules.forbid(url).is_some() || traps.is_caught(url) || budget(url).is_some()
        });
        for ticket in weeds {
            let url = &ticket.request.url;
            let sentence = rules.forbid(url).or_else(|| budget(url));
            // What is not forbidden was caught, even if it would not be any more.
            let sentence = sentence.unwrap_or_else(|| Sentence {
                reason: "same_pages",
                message: format!("pages of {} are all the same", pattern_of(url)),
                state: PageState::Skipped,
            });
            let Sentence {
                reason,
                message,
                state,
            } = sentence;
            let settled = life::settle_unsent(Arc::clone(&shared), ticket, state, reason, message);
            self.spawn(settled);
        }
    }
}
