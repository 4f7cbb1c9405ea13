//! The pace of one host: governor as the brake inside the process.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// The frontier's time as governor sees it: it stands still until the frontier moves it, so that
/// decisions depend on the time they are given and on nothing else.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    start: Instant,
    nanos: Arc<AtomicU64>,
}

impl Hands {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            nanos: Arc::default(),
        }
    }

    pub(super) fn set(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.start).as_nanos() as u64;
        self.nanos.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Hands, NoOpMiddleware<Duration>>;

/// One request per delay, plus a random part; and not before a moment, if the host said so.
#[derive(Debug)]
pub(super) struct Pace {
    delay: Duration,
    /// AutoThrottle's delay; the longer of the two counts.
    throttle: Duration,
    jitter: f64,
    limiter: Option<Limiter>,
    /// The host is left alone until then.
    next: Instant,
    /// What `next` was before the latest start, and what that made of it.
    turn: Option<(Instant, Instant)>,
}

fn limiter(delay: Duration, hands: &Hands) -> Option<Limiter> {
    let quota = Quota::with_period(delay)?.allow_burst(NonZeroU32::MIN);
    Some(Limiter::direct_with_clock(quota, hands.clone()))
}

impl Pace {
    pub(super) fn new(delay: Duration, jitter: f64, next: Instant, hands: &Hands) -> Self {
        Self {
            delay,
            throttle: Duration::ZERO,
            jitter,
            limiter: limiter(delay, hands),
            next,
            turn: None,
        }
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// From the next request on, the host is asked no oftener than this.
    pub(super) fn throttle(&mut self, delay: Duration) {
        self.throttle = delay;
    }

    pub(super) fn throttled(&self) -> Duration {
        self.throttle
    }

    /// When the host may be asked next, as far as is known.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Leaves the host alone until `moment`.
    pub(super) fn hold_until(&mut self, moment: Instant) {
        self.next = self.next.max(moment);
    }

    /// Starts a request now, or says when to ask again. `fraction` (0 to 1) is the random part.
    pub(super) fn start(
        &mut self,
        now: Instant,
        fraction: f64,
        hands: &Hands,
    ) -> Result<(), Instant> {
        if now < self.next {
            return Err(self.next);
        }
        if let Some(limiter) = &self.limiter
            && let Err(not_until) = limiter.check()
        {
            self.next = now + not_until.wait_time_from(hands.now());
            return Err(self.next);
        }
        let (before, delay) = (self.next, self.delay.max(self.throttle));
        self.next = now + delay.mul_f64(1.0 + self.jitter * fraction);
        self.turn = Some((before, self.next));
        Ok(())
    }

    /// Takes the latest start back: nothing was sent.
    pub(super) fn give_back(&mut self, hands: &Hands) {
        if let Some((before, after)) = self.turn.take()
            && self.next == after
        {
            // The start before it still holds `next` back, so governor may forget both.
            self.next = before;
            self.limiter = limiter(self.delay, hands);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks every millisecond for a second, and returns the gaps between starts in ms.
    fn gaps(delay: u64, jitter: f64, fraction: f64) -> Vec<u64> {
        let start = Instant::now();
        let hands = Hands::new(start);
        let mut pace = Pace::new(Duration::from_millis(delay), jitter, start, &hands);
        let mut starts = Vec::new();
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            hands.set(now);
            if pace.start(now, fraction, &hands).is_ok() {
                starts.push(ms);
            }
        }
        starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn never_faster_than_the_delay() {
        assert_eq!(gaps(300, 0.0, 0.9), [300, 300, 300]);
        assert_eq!(gaps(300, 0.5, 1.0), [450, 450]);
        assert_eq!(gaps(300, 0.5, 0.0), [300, 300, 300]);
        assert_eq!(gaps(0, 0.5, 1.0).len(), 999);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_sent_nothing_is_given_back() {
        let start = Instant::now();
        let hands = Hands::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(Duration::from_millis(100), 0.0, start, &hands);
        let begin = |pace: &mut Pace, ms| {
            hands.set(at(ms));
            pace.start(at(ms), 0.0, &hands)
        };
        assert_eq!(begin(&mut pace, 0), Ok(()));
        // Sent; the next one is not, and neither is the one after.
        for ms in [100, 101] {
            assert_eq!(begin(&mut pace, ms), Ok(()));
            pace.give_back(&hands);
        }
        assert_eq!(begin(&mut pace, 102), Ok(()));
        // What was sent is not forgotten for a turn that is given back before its time.
        assert_eq!(begin(&mut pace, 103), Err(at(202)));
        pace.give_back(&hands);
        pace.give_back(&hands);
        assert_eq!(begin(&mut pace, 104), Ok(()));
        pace.hold_until(at(900));
        pace.give_back(&hands);
        assert_eq!(begin(&mut pace, 300), Err(at(900)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longer_delay_counts() {
        let start = Instant::now();
        let hands = Hands::new(start);
        let mut pace = Pace::new(Duration::from_millis(50), 0.0, start, &hands);
        let mut next = |throttle| {
            pace.throttle(Duration::from_millis(throttle));
            let now = pace.next();
            hands.set(now);
            pace.start(now, 0.0, &hands).unwrap();
            (pace.next() - now).as_millis()
        };
        assert_eq!([0, 20, 80, 300, 50].map(&mut next), [50, 50, 80, 300, 50]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_host_waits() {
        let start = Instant::now();
        let hands = Hands::new(start);
        let mut pace = Pace::new(Duration::ZERO, 0.0, start, &hands);
        let later = start + Duration::from_secs(5);
        pace.hold_until(later);
        assert_eq!(pace.start(start, 0.0, &hands), Err(later));
        hands.set(later);
        assert_eq!(pace.start(later, 0.0, &hands), Ok(()));
    }
}
