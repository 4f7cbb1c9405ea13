//! What hosts are asked beside their pages, at their pace: robots.txt files, and what logins want.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::{Dispatcher, Message, Waiting};
use crate::clock;
use crate::engine::life;
use crate::engine::login::Turn;
use crate::engine::rules::{self, Rules, Sentence};
use crate::policy::retry;
use crate::request::{HostKey, HostMap, Source, canonical};
use crate::store::{PageState, RobotsFile};

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

    /// Whose is the first.
    pub(super) fn next(&self) -> Option<HostKey> {
        self.by_time.first().map(|(_, key)| *key)
    }

    /// Takes the first out if it is due.
    fn due(&mut self, now: Instant) -> Option<HostKey> {
        let (_, key) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.remove(key);
        Some(key)
    }
}

impl Dispatcher {
    /// The rules of a stored robots.txt, and how long they hold yet.
    pub(super) fn still_valid(&self, file: &RobotsFile) -> Option<(Rules, Duration)> {
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
        let key = self.leased_part(waiting.host, &waiting.url, None);
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
        origin.map_or(own, |origin| {
            let whole = self.shared.identity.host(&origin);
            self.leased_part(whole, url, Some(own))
        })
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
                    reason: answer.reason,
                    message,
                    state: PageState::Failed,
                };
                self.condemn(key, sentence);
            }
            None => {
                let message = format!("{why}: not now");
                let sentence = Sentence {
                    reason: answer.reason,
                    message,
                    state: PageState::Skipped,
                };
                self.condemn(key, sentence);
            }
        }
    }
}
