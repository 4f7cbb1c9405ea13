//! AutoThrottle: how the delay of a host follows its latency and its troubles.
//!
//! The idea: a host that takes long to answer is busy, so it is asked as often as keeps a certain
//! number of requests in its hands, and no oftener. When it refuses (429, 503) or does not answer, the
//! delay doubles, and the delay that was too short is remembered: the **ceiling** of its speed. After
//! that the delay comes down again, yet stays a step above the ceiling, which is forgotten only slowly.
//! So the pace settles below what the host can bear, instead of running into it again and again.
//!
//! It only ever makes slower: the delay of the settings and of robots.txt is its floor.
//!
//! ```
//! use std::time::Duration;
//! use nephila::policy::throttle::{Bounds, Throttle};
//!
//! let second = Duration::from_secs(1);
//! let bounds = Bounds { floor: second, longest: 60 * second, in_flight: 2.0 };
//! // A host that answers in half a second is asked as the settings say,
//! let quick = Throttle::default().answered(second / 2, true, bounds);
//! assert_eq!(quick.delay, second);
//! // one that takes six seconds every three,
//! let slow = Throttle::default().answered(6 * second, true, bounds);
//! assert_eq!(slow.delay, 3 * second);
//! // and one that refuses half as often as before.
//! assert_eq!(slow.refused(bounds).delay, 6 * second);
//! ```

use std::time::Duration;

/// What is known of how fast a host can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttle {
    /// From the start of one request to the start of the next.
    pub delay: Duration,
    /// The delay at which the host was last in trouble; zero if it never was.
    pub ceiling: Duration,
}

/// Within which the delay moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The delay of the settings and of robots.txt.
    pub floor: Duration,
    /// The longest delay of our own making.
    pub longest: Duration,
    /// Requests that the host shall have in its hands, on average.
    pub in_flight: f64,
}

/// The first step of a host that has no delay at all.
const FIRST: Duration = Duration::from_millis(100);
/// The part of the ceiling that is forgotten with each good answer.
const FORGOTTEN: u32 = 4_096;

impl Throttle {
    /// After an answer, which took `latency`; `good` unless its status says that something is wrong.
    ///
    /// The delay goes up at once and comes down by halves. What is no good answer may be quick because
    /// it is none, so it never shortens the delay.
    #[must_use]
    pub fn answered(self, latency: Duration, good: bool, bounds: Bounds) -> Self {
        let wanted = latency
            .div_f64(bounds.in_flight.max(0.1))
            .max(bounds.floor)
            .min(bounds.longest.max(bounds.floor));
        let now = self.delay.max(bounds.floor);
        if !good {
            return Self {
                delay: now.max(wanted),
                ..self
            };
        }
        let ceiling = self.ceiling.saturating_sub(self.ceiling / FORGOTTEN);
        let above = ceiling + ceiling / 8;
        let halfway = now / 2 + wanted / 2;
        Self {
            delay: wanted.max(halfway).max(above.min(now)),
            ceiling,
        }
    }

    /// After the host refused a request or did not answer it.
    #[must_use]
    pub fn refused(self, bounds: Bounds) -> Self {
        let ceiling = self.delay.max(bounds.floor).max(FIRST / 2);
        Self {
            delay: (2 * ceiling).min(bounds.longest.max(bounds.floor)),
            ceiling,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn bounds(floor: u64) -> Bounds {
        Bounds {
            floor: ms(floor),
            longest: ms(60_000),
            in_flight: 2.0,
        }
    }

    /// A host that refuses what comes sooner than `least` after the request before, asked `times` as
    /// the throttle says: how often it refused, and the delays of the last hundred.
    fn ask(
        least: Duration,
        latency: Duration,
        times: usize,
        bounds: Bounds,
    ) -> (usize, Vec<Duration>) {
        let mut throttle = Throttle::default();
        let mut refused = 0;
        let mut delays = Vec::new();
        for _ in 0..times {
            let delay = throttle.delay.max(bounds.floor);
            delays.push(delay);
            throttle = if delay < least {
                refused += 1;
                throttle.refused(bounds)
            } else {
                throttle.answered(latency, true, bounds)
            };
        }
        (refused, delays.split_off(times.saturating_sub(100)))
    }

    #[test]
    fn it_settles_and_does_not_swing() {
        for least in [60, 150, 300, 2_000, 7_000] {
            let (refused, last) = ask(ms(least), ms(20), 2_000, bounds(50));
            assert!(refused <= 14, "{least}: refused {refused} times");
            for delay in &last {
                assert!(*delay <= ms(least) * 2, "{least}: {delay:?}");
            }
            let (low, high) = (last.iter().min().unwrap(), last.iter().max().unwrap());
            assert!(*high <= *low * 2, "{least}: from {low:?} to {high:?}");
        }
    }

    #[test]
    fn it_follows_the_latency_and_comes_back() {
        let mut throttle = Throttle::default();
        let mut delays = Vec::new();
        for latency in [100, 100, 4_000, 4_000, 100, 100, 100, 100] {
            throttle = throttle.answered(ms(latency), true, bounds(500));
            delays.push(throttle.delay.as_millis());
        }
        assert_eq!(delays, [500, 500, 2_000, 2_000, 1_250, 875, 687, 593]);
    }

    #[test]
    fn bad_answers_never_make_it_faster() {
        let slow = Throttle::default().answered(ms(8_000), true, bounds(0));
        assert_eq!(slow.delay, ms(4_000));
        assert_eq!(slow.answered(ms(1), false, bounds(0)).delay, ms(4_000));
        assert_eq!(
            slow.answered(ms(20_000), false, bounds(0)).delay,
            ms(10_000)
        );
        assert_eq!(
            slow.answered(ms(1), true, bounds(0)).delay,
            ms(2_000) + ms(1) / 4
        );
    }

    #[test]
    fn a_host_without_a_delay_gets_one_when_it_refuses() {
        let refused = Throttle::default().refused(bounds(0));
        assert_eq!((refused.delay, refused.ceiling), (ms(100), ms(50)));
        let many = (0..99).fold(refused, |throttle, _| throttle.refused(bounds(0)));
        assert_eq!(many.delay, ms(60_000));
    }

    proptest! {
        #[test]
        fn never_below_the_floor_nor_beyond_the_longest(
            floor in 0_u64..90_000,
            events in prop::collection::vec((0_u64..400_000, any::<bool>(), any::<bool>()), 0..60),
        ) {
            let bounds = bounds(floor);
            let mut throttle = Throttle::default();
            for (latency, good, refused) in events {
                throttle = if refused {
                    throttle.refused(bounds)
                } else {
                    throttle.answered(ms(latency), good, bounds)
                };
                prop_assert!(throttle.delay >= bounds.floor);
                prop_assert!(throttle.delay <= bounds.longest.max(bounds.floor));
            }
        }
    }
}
