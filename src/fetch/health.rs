//! How well an identity or a proxy does, and when one that does badly is asked again.

use std::time::Duration;

use tokio::time::Instant;

const BEST: u8 = 100;
/// Below, it rests: after three failures in a row of one that did well.
const LEAST: u8 = 20;
/// What it comes back with: one more failure, and it rests again.
const AFTER_A_REST: u8 = 30;
const FIRST_REST: Duration = Duration::from_mins(1);
const LONGEST_REST: Duration = Duration::from_hours(1);

/// A score from 0 to 100: a failure halves it, a success adds ten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    score: u8,
    rests: u32,
    until: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            score: BEST,
            rests: 0,
            until: None,
        }
    }
}

impl Health {
    pub(super) fn score(&self) -> u8 {
        self.score
    }

    /// Whether it may be used at `now`.
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When its rest ends; nothing if it has none.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.until
    }

    pub(super) fn good(&mut self) {
        self.score = (self.score + 10).min(BEST);
        self.rests = 0;
        self.until = None;
    }

    /// Whether it rests from now on.
    pub(super) fn bad(&mut self, now: Instant) -> bool {
        // What was under way when the rest began says nothing new.
        if !self.is_fit(now) {
            return false;
        }
        self.score /= 2;
        if self.score >= LEAST {
            return false;
        }
        let rest = FIRST_REST * 2_u32.saturating_pow(self.rests.min(10));
        self.rests += 1;
        self.score = AFTER_A_REST;
        self.until = Some(now + rest.min(LONGEST_REST));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rests_and_comes_back() {
        let start = Instant::now();
        let mut health = Health::default();
        assert!(!health.bad(start) && !health.bad(start));
        health.good();
        assert!(health.bad(start), "{health:?}");
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!health.is_fit(at(59)) && health.is_fit(at(60)));
        assert!(!health.bad(at(1)), "what was under way does not count");
        // One failure more after the rest, and it rests for longer.
        assert!(health.bad(at(60)));
        assert!(!health.is_fit(at(179)) && health.is_fit(at(180)));
        health.good();
        assert!(health.is_fit(at(180)));
        assert!(!health.bad(at(180)), "a success takes the doubling back");
    }

    #[tokio::test(start_paused = true)]
    async fn rests_are_bounded() {
        let mut now = Instant::now();
        let mut health = Health::default();
        for _ in 0..100 {
            health.bad(now);
            now = health.rests_until().unwrap_or(now);
        }
        health.bad(now);
        let rest = health.rests_until().unwrap() - now;
        assert!(rest <= LONGEST_REST, "{rest:?}");
    }
}
