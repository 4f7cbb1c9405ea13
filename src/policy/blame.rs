//! Whose trouble a failure is: the host's, or the URL's alone.
//!
//! A host that is in trouble must be left alone as a whole; a page that never answers, or says "not
//! now" for ever, must not hold up its neighbours. One looks like the other, so the evidence is what
//! the host does for others:
//!
//! * **No answer**: a host that answered somebody well while this request waited in vain is alive. One
//!   that took the connection, and answered well before, has credit, as below.
//!   An answer that begins and never ends is not of this kind: it is the URL's, and the engine does not
//!   ask here.
//! * **429 and 503**: a `Retry-After` that can be meant is the host's word, and is believed. Without
//!   one, a host that answers well has credit: the failure may be the URL's, so there is a short pause
//!   for all, and nothing more. Good answers earn credit and failures spend it, so a host that refuses
//!   everybody has none left soon. A request that was refused before, while the host has answered others
//!   well since it last refused a new one, is refused for its own sake.
//!
//! ```
//! use std::time::Duration;
//! use nephila::policy::blame::{Blame, Standing};
//! use nephila::policy::retry::Class;
//! use tokio::time::Instant;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # let _inside = runtime.enter();
//! let (start, second) = (Instant::now(), Duration::from_secs(1));
//! let mut host = Standing::default();
//! assert_eq!(host.blame(Class::Timeout, false, start, 0), Blame::Host);
//!
//! host.answered(start + second, start + 2 * second);
//! assert_eq!(host.blame(Class::Timeout, false, start + second, 0), Blame::Url);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::retry::Class;

/// Good answers that earn a host the benefit of the doubt once.
const ANSWERS_PER_CREDIT: u32 = 4;
/// The most that a host may have: doubts in a row.
const MAX_CREDIT: u32 = 16;

/// Whose trouble a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The request's own: its host is well.
    Url,
    /// The request's own, perhaps: a short pause for all will do.
    Doubt,
    /// The host's.
    Host,
}

/// What a host did for its requests lately, in this process.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether it answered a page well, and not its robots.txt only.
    pub has_served: bool,
    /// When the latest answer came that was no trouble.
    well_at: Option<Instant>,
    /// When the latest request began that was refused and spoke for the host.
    refused_at: Option<Instant>,
    /// How long a good answer takes, about.
    usual: Duration,
    /// Good answers, less what was spent of them.
    credit: u32,
}

impl Standing {
    /// Notes a whole answer that is no trouble.
    pub fn answered(&mut self, started: Instant, now: Instant) {
        let took = now.saturating_duration_since(started);
        self.usual = if self.well_at.is_none() {
            took
        } else {
            (self.usual * 7 + took) / 8
        };
        self.well_at = Some(now);
        self.credit = (self.credit + 1).min(MAX_CREDIT * ANSWERS_PER_CREDIT);
    }

    /// Whose trouble it is that a request which `started` then ended as `class`; `tries` of it had
    /// failed before. `said_when`: the host said for how long, and that can be meant.
    pub fn blame(&mut self, class: Class, said_when: bool, started: Instant, tries: u16) -> Blame {
        match class {
            _ if !class.is_of_host() => Blame::Url,
            Class::Blocked | Class::Status(_)
                if !said_when && tries > 0 && self.well_at > self.refused_at =>
            {
                Blame::Url
            }
            Class::Blocked | Class::Status(_) => {
                self.refused_at = Some(started);
                let is_doubtful = class != Class::Blocked && !said_when && self.spend_credit();
                if is_doubtful {
                    Blame::Doubt
                } else {
                    Blame::Host
                }
            }
            // What failed before is no witness against a host that answers others.
            _ if self.well_at.is_some_and(|at| tries > 0 || at >= started) => Blame::Url,
            // Where all good pages are done, those are left that never answer.
            Class::Timeout if self.spend_credit() => Blame::Url,
            _ => Blame::Host,
        }
    }

    /// Whether there was credit for one more doubt.
    fn spend_credit(&mut self) -> bool {
        let left = self.credit.checked_sub(ANSWERS_PER_CREDIT);
        self.credit = left.unwrap_or(self.credit);
        left.is_some()
    }

    /// How long a request may take before it gives way to those that wait behind it; none as long as
    /// nobody knows what is usual for this host.
    pub fn patience(&self, at_least: Duration) -> Option<Duration> {
        self.well_at.map(|_| at_least.max(self.usual * 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_host_that_answers_others_is_well() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        let mut host = Standing::default();
        assert_eq!(host.blame(Class::Connect, false, at(0), 0), Blame::Host);
        assert_eq!(host.blame(Class::Connect, false, at(0), 1), Blame::Host);
        host.answered(at(2), at(3));
        let mut check = |class, started, tries, expected| {
            let blame = host.blame(class, false, at(started), tries);
            assert_eq!(blame, expected, "{class} {started} {tries}");
        };
        check(Class::Timeout, 2, 0, Blame::Url);
        check(Class::Timeout, 4, 1, Blame::Url);
        check(Class::Timeout, 4, 0, Blame::Host);
        check(Class::Reset, 4, 0, Blame::Url);
        check(Class::Status(404), 4, 0, Blame::Url);
        check(Class::Blocked, 2, 0, Blame::Host);
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_give_credit() {
        let now = Instant::now();
        let mut host = Standing::default();
        let busy = Class::Status(429);
        assert_eq!(host.blame(busy, false, now, 0), Blame::Host);
        for _ in 0..100 {
            host.answered(now, now);
        }
        assert_eq!(host.blame(busy, true, now, 0), Blame::Host);
        for _ in 0..MAX_CREDIT {
            assert_eq!(host.blame(busy, false, now, 0), Blame::Doubt);
        }
        assert_eq!(host.blame(busy, false, now, 0), Blame::Host);
        for _ in 0..ANSWERS_PER_CREDIT {
            host.answered(now, now);
        }
        assert_eq!(host.blame(busy, false, now, 3), Blame::Doubt);
        assert_eq!(host.blame(busy, false, now, 3), Blame::Host);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_again_by_a_host_that_is_well_speaks_for_himself() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        let mut host = Standing::default();
        let blame = |host: &mut Standing, said_when, second, tries| {
            host.blame(Class::Status(429), said_when, at(second), tries)
        };
        host.answered(at(0), at(1));
        assert_eq!(blame(&mut host, true, 2, 0), Blame::Host, "its word");
        assert_eq!(
            blame(&mut host, true, 3, 1),
            Blame::Host,
            "nobody is let in"
        );
        host.answered(at(4), at(5));
        assert_eq!(blame(&mut host, false, 6, 2), Blame::Url);
        assert_eq!(blame(&mut host, false, 7, 3), Blame::Url);
        assert_eq!(blame(&mut host, true, 8, 0), Blame::Host, "a new one, too");
        assert_eq!(blame(&mut host, false, 9, 1), Blame::Host);
        host.answered(at(9), at(10));
        assert_eq!(blame(&mut host, true, 11, 1), Blame::Host, "its word");
    }

    #[tokio::test(start_paused = true)]
    async fn pages_that_never_answer_have_credit_too() {
        let now = Instant::now();
        let mut host = Standing::default();
        for _ in 0..2 * ANSWERS_PER_CREDIT {
            host.answered(now, now);
        }
        let later = now + SECOND;
        let mut blame = |class| host.blame(class, false, later, 0);
        assert_eq!(blame(Class::Connect), Blame::Host, "nobody is there");
        for expected in [Blame::Url, Blame::Url, Blame::Host] {
            assert_eq!(blame(Class::Timeout), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_hosts_have_more_patience() {
        let start = Instant::now();
        let mut host = Standing::default();
        assert_eq!(host.patience(SECOND), None);
        host.answered(start, start + SECOND / 100);
        assert_eq!(host.patience(SECOND), Some(SECOND));
        for _ in 0..50 {
            host.answered(start, start + SECOND * 3);
        }
        let patience = host.patience(SECOND).unwrap();
        assert!(
            patience > SECOND * 11 && patience <= SECOND * 12,
            "{patience:?}"
        );
    }
}
