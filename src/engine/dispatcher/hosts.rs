//! What the dispatcher knows of the hosts that it has leased, and what it does about them: their
//! politeness, their robots.txt, their troubles and their daily quota.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::{Dispatcher, MAX_HOSTS, Message, Waiting, timestamp};
use crate::clock;
use crate::engine::committer::Entry;
use crate::engine::event::Event;
use crate::engine::life::{self, Exchange, Trouble};
use crate::engine::login::Turn;
use crate::engine::rules::{self, Rules, Sentence};
use crate::fetch::address_of;
use crate::frontier::Politeness;
use crate::policy::blame::{Blame, Standing};
use crate::policy::breaker::{self, After};
use crate::policy::retry::{self, Backoff, Class};
use crate::policy::scope::{is_loopback, registrable};
use crate::policy::throttle::{Bounds, Throttle};
use crate::policy::traps::pattern_of;
use crate::request::{HostKey, HostMap, Request, Source, canonical};
use crate::settings::{PolitenessBy, RobotsMode};
use crate::store::{Host, PageState, RobotsFile, Ticket};

/// What the dispatcher knows of a leased host beside its queue.
#[derive(Default)]
pub(super) struct Known {
    /// What is known of its robots.txt.
    pub(super) rules: Option<Rules>,
    /// Set if it may have only so many requests a day.
    quota: Option<Quota>,
    /// Set if its delay follows its answers.
    throttle: Option<Bounds>,
    /// Where its robots.txt redirected to.
    hop: Option<Request>,
    /// How it answered so far.
    pub(super) standing: Standing,
}

/// When something is to be done for a host, once per host.
#[derive(Default)]
pub(super) struct Errands {
    by_time: BTreeSet<(Instant, HostKey)>,
    by_host: HostMap<Instant>,
}

impl Errands {
    /// Sets a host's errand, in place of the one it had.
    pub(super) fn set(&mut self, at: Instant, key: HostKey) {
        self.remove(key);
        self.by_time.insert((at, key));
        self.by_host.insert(key, at);
    }

    pub(super) fn remove(&mut self, key: HostKey) {
        if let Some(at) = self.by_host.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first out if it is due.
    fn due(&mut self, now: Instant) -> Option<HostKey> {
        let (_, key) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.remove(key);
        Some(key)
    }
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
    fn ask(&mut self, key: HostKey, delay: Duration, now: Instant) -> Result<(), Instant> {
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
        let (politeness, known) = self.politeness(&host.origin);
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
                let sender = self.sender.clone();
                self.spawn(async move {
                    let name = url.host_str().unwrap_or_default();
                    let address = address_of(name).await;
                    let group = address.map_or_else(|| name.to_owned(), |ip| ip.to_string());
                    let message = Message::Grouped { key, group, delay };
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
    fn politeness(&self, origin: &str) -> (Politeness, Known) {
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
    fn tell_pause(&self, key: HostKey, why: String, pause: Duration, used_up: bool) {
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

    /// The rules of a stored robots.txt, and how long they hold yet.
    fn still_valid(&self, file: &RobotsFile) -> Option<(Rules, Duration)> {
        let settings = &self.shared.settings;
        let age = clock::now().duration_since(file.at);
        let age = Duration::try_from(age).unwrap_or_default();
        let left = settings.robots_max_age.checked_sub(age)?;
        let rules = Rules::from_file(file, &settings.user_agent)?;
        (!left.is_zero()).then_some((rules, left))
    }

    /// Fetches robots.txt files whose time has come, each redirect at the pace of the host that it
    /// leads to.
    pub(super) fn run_errands(&mut self, now: Instant) {
        while self.fetching < self.shared.settings.concurrency
            && let Some(key) = self.errands.due(now)
        {
            let Some(host) = self.frontier.host(key) else {
                continue;
            };
            let hop = self.known.get_mut(&key).and_then(|known| known.hop.take());
            let Some(request) =
                hop.or_else(|| rules::request(&host.origin, self.shared.settings.max_robots))
            else {
                continue;
            };
            let target = self.host_of(&request.url, key);
            let slot = match self.may_ask(target, &request.url, now) {
                Ok(slot) => slot,
                Err(later) => {
                    if let Some(known) = self.known.get_mut(&key) {
                        known.hop = Some(request);
                    }
                    self.errands.set(later, key);
                    continue;
                }
            };
            self.fetching += 1;
            if let Some(host) = slot {
                self.under_way.took_off(host);
            }
            self.count(target);
            let (shared, sender) = (Arc::clone(&self.shared), self.sender.clone());
            self.spawn(async move {
                let started = Instant::now();
                let outcome = life::fetch(&shared, &request).await;
                let hop = rules::hop(&request, outcome, shared.settings.max_robots);
                let message = Message::Robots {
                    host: key,
                    slot,
                    hop: Box::new(hop),
                    took: started.elapsed(),
                };
                let _ = sender.send(message).await;
            });
        }
    }

    /// Lets logins ask whose turn has come, and puts off those whose turn is too far away.
    pub(super) fn grant_turns(&mut self, now: Instant) {
        for mut waiting in std::mem::take(&mut self.turns) {
            if waiting.at > now {
                self.turns.push(waiting);
                continue;
            }
            match self.turn(&waiting, now) {
                // Whoever asked may have given up.
                Ok(turn) => drop(waiting.reply.send(turn)),
                Err(later) if later <= waiting.until => {
                    waiting.at = later;
                    self.turns.push(waiting);
                }
                Err(_) => {}
            }
        }
    }

    fn turn(&mut self, waiting: &Waiting, now: Instant) -> Result<Turn, Instant> {
        let key = waiting.host;
        if self.frontier.host(key).is_none() {
            self.may_ask(key, &waiting.url, now)?;
            return Ok(Turn::Stranger);
        }
        let rules = self.known.get(&key).and_then(|known| known.rules.as_ref());
        let Some(rules) = rules else {
            // Its robots.txt is on the way, if there is a slot to fetch it in.
            let has_slot = self.fetching < self.shared.settings.concurrency;
            let look = now + Duration::from_millis(50);
            return Err(if has_slot {
                look
            } else {
                waiting.until + look.duration_since(now)
            });
        };
        if let Some(sentence) = rules.forbid(&waiting.url) {
            return Ok(Turn::Forbidden(sentence.message));
        }
        // Its slots may all be held by requests that wait for this login.
        self.frontier.turn(key, now)?;
        self.count(key);
        Ok(Turn::Go)
    }

    /// The host that a redirect of `own`'s robots.txt leads to.
    fn host_of(&self, url: &Url, own: HostKey) -> HostKey {
        let origin = canonical(url, usize::MAX).map(|(origin, _)| origin);
        origin.map_or(own, |origin| self.shared.identity.host(&origin))
    }

    /// Takes a turn of a host for an errand, whether it is leased or not; says whose slot it took.
    fn may_ask(
        &mut self,
        key: HostKey,
        url: &Url,
        now: Instant,
    ) -> Result<Option<HostKey>, Instant> {
        if self.frontier.host(key).is_some() {
            return self.frontier.errand(key, now).map(|()| Some(key));
        }
        let (politeness, _) = self.politeness(url.as_str());
        self.strangers
            .ask(key, politeness.delay, now)
            .map(|()| None)
    }

    /// What a request for a robots.txt led to.
    pub(super) fn robots_answered(
        &mut self,
        key: HostKey,
        slot: Option<HostKey>,
        hop: rules::Hop,
        took: Duration,
    ) {
        self.fetching -= 1;
        if let Some(host) = slot {
            self.under_way.landed(host);
            self.frontier.fetched(host, 0);
            if hop.status() != 0 {
                self.answered_well(host, took);
            }
        }
        let answer = (hop.status(), Source::Network);
        self.note_exchange(slot.unwrap_or(key), answer, took, hop.bytes());
        match hop {
            rules::Hop::Next(request) => {
                if let Some(known) = self.known.get_mut(&key) {
                    known.hop = Some(*request);
                    self.errands.set(Instant::now(), key);
                }
            }
            rules::Hop::End(answer) => self.robots_came(key, *answer),
        }
    }

    fn robots_came(&mut self, key: HostKey, answer: rules::Answer) {
        let settings = &self.shared.settings;
        let rules = Rules::from_file(&answer.file, &settings.user_agent);
        let retries = retry::budget(answer.class, None, settings);
        let max_age = settings.robots_max_age;
        let asked = answer
            .retry_after
            .map(|asked| asked.min(settings.max_retry_after));
        let Some(host) = self.frontier.host_mut(key) else {
            return;
        };
        let status = answer.file.status;
        let why = match status {
            0 => answer.file.body.clone(),
            status => format!("robots.txt answered {status}"),
        };
        host.robots = Some(answer.file);
        match rules {
            Some(rules) => {
                host.errors = 0;
                self.frontier.recovered(key);
                self.errands.set(Instant::now() + max_age, key);
                self.remember(key);
                self.obey(key, rules);
            }
            None if host.errors < retries => {
                // Until it is known anew, nothing is allowed.
                self.frontier.close(key);
                self.in_trouble(key, answer.class, &why, asked);
                let at = self.frontier.next_at(key).unwrap_or_else(Instant::now);
                self.errands.set(at, key);
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
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        if let Some(delay) = rules.crawl_delay() {
            let settings = &self.shared.settings;
            let delay = delay.min(settings.max_crawl_delay);
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

    /// What an exchange tells of its host.
    pub(super) fn learn(&mut self, exchange: &Exchange) {
        let key = exchange.key.host;
        if self.frontier.host(key).is_none() {
            // It was let go of meanwhile; when it comes back, its word still counts.
            let asked = exchange
                .trouble
                .as_ref()
                .and_then(|trouble| trouble.retry_after);
            let now = Instant::now();
            self.strangers
                .note(key, now + asked.unwrap_or_default(), now);
            return;
        }
        match &exchange.trouble {
            Some(trouble) if self.frontier.is_news(key, exchange.started) => {
                match self.blame(exchange, trouble) {
                    Blame::Url => self.end_trial(key),
                    Blame::Doubt => {
                        let pause = Backoff::from(&self.shared.settings).delay(0, fastrand::f64());
                        let now = Instant::now();
                        self.frontier.pause(key, now, now + pause);
                        self.set_pace(key, Throttle::refused);
                    }
                    Blame::Host => {
                        let asked = trouble.retry_after.filter(|_| trouble.is_credible);
                        self.in_trouble(key, trouble.class, &trouble.why, asked);
                    }
                }
            }
            // It was under way when the host was suspended; but it may ask for more time.
            Some(trouble) => {
                if let Some(asked) = trouble.retry_after.filter(|_| trouble.is_credible) {
                    self.frontier.hold(key, Instant::now() + asked);
                }
            }
            // Nothing that can be used, and nothing that speaks against the host.
            None if exchange.status == 0 => {
                if self.frontier.is_news(key, exchange.started) {
                    self.end_trial(key);
                    if let Some(host) = self.frontier.host_mut(key).filter(|_| exchange.has_begun) {
                        host.errors = 0;
                    }
                }
            }
            None => {
                self.answered_well(key, exchange.took);
                self.recover(key, exchange);
            }
        }
    }

    /// A canary that came to grief by itself says nothing against its host: the others follow, so that
    /// bad pages are not tried one by one. The host's failures still count, until it answers well.
    fn end_trial(&mut self, key: HostKey) {
        if self.frontier.host(key).is_some_and(|host| host.errors > 0) {
            self.frontier.recovered(key);
        }
    }

    /// Whose trouble it is.
    fn blame(&mut self, exchange: &Exchange, trouble: &Trouble) -> Blame {
        let Some(known) = self.known.get_mut(&exchange.key.host) else {
            return Blame::Host;
        };
        let (said_when, tries) = (trouble.is_credible, exchange.tries);
        let blame = known
            .standing
            .blame(trouble.class, said_when, exchange.started, tries);
        tracing::debug!(class = %trouble.class, said_when, tries, ?blame, "a host in trouble, or a page");
        blame
    }

    /// A host answered, and well.
    fn answered_well(&mut self, key: HostKey, took: Duration) {
        if let Some(known) = self.known.get_mut(&key) {
            let now = Instant::now();
            known
                .standing
                .answered(now.checked_sub(took).unwrap_or(now), now);
        }
    }

    /// A host answered.
    fn recover(&mut self, key: HostKey, exchange: &Exchange) {
        let Some(host) = self.frontier.host_mut(key) else {
            return;
        };
        if host.errors > 0 {
            host.errors = 0;
            self.frontier.recovered(key);
        }
        let good = exchange.status < 400;
        self.set_pace(key, |throttle, bounds| {
            throttle.answered(exchange.took, good, bounds)
        });
    }

    /// Changes the delay of a host that follows its answers.
    fn set_pace(&mut self, key: HostKey, change: impl FnOnce(Throttle, Bounds) -> Throttle) {
        let bounds = self.known.get(&key).and_then(|known| known.throttle);
        let (Some(bounds), Some(host)) = (bounds, self.frontier.host_mut(key)) else {
            return;
        };
        let before = Throttle {
            delay: host.delay,
            ceiling: host.ceiling,
        };
        let throttle = change(before, bounds);
        if throttle != before {
            (host.delay, host.ceiling) = (throttle.delay, throttle.ceiling);
            self.frontier.throttle(key, throttle.delay);
        }
    }

    /// Leaves a host in trouble alone for a while, and gives it up in the end.
    fn in_trouble(&mut self, key: HostKey, class: Class, why: &str, asked: Option<Duration>) {
        let Some(host) = self.frontier.host_mut(key) else {
            return;
        };
        host.errors = host.errors.saturating_add(1);
        let errors = host.errors;
        let settings = &self.shared.settings;
        let (most, backoff) = (settings.max_host_errors, Backoff::from(settings));
        let now = Instant::now();
        match breaker::after(class, errors, asked, most, backoff, fastrand::f64()) {
            After::Pause(pause) | After::Park(pause) => {
                self.frontier.suspend(key, now, now + pause);
                self.tell_pause(key, why.to_owned(), pause, false);
            }
            After::GiveUp => {
                let message = format!("gave the host up after {errors} failures in a row: {why}");
                let sentence = Sentence {
                    reason: "host",
                    message,
                    state: PageState::Failed,
                };
                self.condemn(key, sentence);
            }
        }
        self.set_pace(key, Throttle::refused);
        self.remember(key);
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
