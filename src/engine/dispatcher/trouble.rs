//! What an exchange tells of its host: whose trouble it is, and what follows from it.

use std::time::Duration;

use tokio::time::Instant;

use super::Dispatcher;
use crate::clock;
use crate::engine::judge::{Exchange, Trouble};
use crate::engine::rules::Sentence;
use crate::policy::blame::Blame;
use crate::policy::breaker::{self, After};
use crate::policy::retry::{Backoff, Class};
use crate::policy::throttle::{Bounds, Throttle};
use crate::request::HostKey;
use crate::store::{PageState, Resting};

impl Dispatcher {
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
                        let is_believed = trouble.is_credible || !self.serves_others(key);
                        let asked = trouble.retry_after.filter(|_| is_believed);
                        let mut why = trouble.why.clone();
                        if !is_believed && trouble.retry_after.is_some_and(|asked| !asked.is_zero())
                        {
                            why.push_str(", not believed yet, as it answers others");
                        }
                        self.in_trouble(key, trouble.class, &why, asked);
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
                if let Some(known) = self.known.get_mut(&key) {
                    known.standing.has_served = true;
                }
                self.recover(key, exchange);
            }
        }
    }

    /// Whether a host has answered others well, and refused fewer than three in a row since.
    fn serves_others(&self, key: HostKey) -> bool {
        let known = self.known.get(&key);
        known.is_some_and(|known| known.standing.has_served)
            && self.frontier.host(key).is_some_and(|host| host.errors < 2)
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
    pub(super) fn answered_well(&mut self, key: HostKey, took: Duration) {
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
    pub(super) fn in_trouble(
        &mut self,
        key: HostKey,
        class: Class,
        why: &str,
        asked: Option<Duration>,
    ) {
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
                for other in self.other_parts(key) {
                    self.rest(other, now, now + pause, errors);
                }
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

    /// Leaves parts of hosts alone whose other parts, which other processes have, were told to.
    pub(super) fn rest_with_others(&mut self, resting: &[Resting]) {
        let now = Instant::now();
        for part in resting {
            let pause = Duration::try_from(part.until.duration_since(clock::now()));
            let pause = pause.unwrap_or_default();
            if self.rest(part.host, now, now + pause, part.errors) {
                let why = "another part of it is left alone".to_owned();
                self.tell_pause(part.host, why, pause, false);
            }
        }
    }

    /// Leaves a part of a host in trouble alone; whether it was not so far. What one part has learnt counts for
    /// all, as if it were one host.
    fn rest(&mut self, key: HostKey, now: Instant, until: Instant, errors: u32) -> bool {
        // Two readings of a clock are never the same.
        let known = self.frontier.next_at(key);
        let is_news = known.is_some_and(|next| next + Duration::from_millis(100) < until);
        if let Some(host) = self.frontier.host_mut(key).filter(|_| is_news) {
            host.errors = host.errors.max(errors);
            self.frontier.suspend(key, now, until);
        }
        is_news
    }
}
