//! Whether a failed request is tried again, and when.
//!
//! The idea: a failure has a class, and its class alone says whether trying again can help. The
//! wait grows exponentially with the number of tries and is spread by a random fraction, so that
//! requests that failed together do not come back together. A host that says how long to wait
//! (`Retry-After`) is believed up to a bound, and never waited for less than our own back-off.
//!
//! ```
//! use std::time::Duration;
//! use nephila::policy::retry::{Backoff, Class, Jitter};
//!
//! let backoff = Backoff { jitter: Jitter::Full, ..Backoff::default() };
//! assert_eq!(backoff.delay(3, 0.5), Duration::from_secs(4));
//!
//! let asked = Some(Duration::from_secs(120));
//! assert_eq!(backoff.retry(Class::Status(503), 0, 0.5, asked), asked);
//! assert_eq!(backoff.retry(Class::Status(404), 0, 0.5, None), None);
//! ```

mod after;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use self::after::parse_retry_after;
use crate::settings::Settings;

/// The longest wait that this module speaks of, 136 years: what is longer saturates to it, so
/// that a caller may add it to a time of today.
pub const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// What went wrong with a request, as far as trying again is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The host's name did not resolve.
    Dns,
    /// No connection: refused, unreachable.
    Connect,
    /// The TLS handshake failed: certificate, version.
    Tls,
    /// Too slow: connecting, or waiting for the answer, or reading it.
    Timeout,
    /// The connection broke before the answer was whole.
    Reset,
    /// The answer was a block page: a challenge, a refusal in place of the page.
    Blocked,
    /// A whole answer with this status.
    Status(u16),
    /// Anything that the same request will meet again: a bad URL, a body too large, a refusal of
    /// our own, a step that fails.
    Permanent,
}

/// How often a request that failed so is tried again: as `own` says, the request's, else as
/// `retries_for` says of the class, else `retries`. What is not transient is tried again only if
/// `retries_for` names it, and what is [permanent](Class::Permanent) never.
///
/// The budget of a class is compared with all tries of the request: one that timed out twice and is
/// then answered 503 has used up two of those for 503.
///
/// ```
/// use nephila::policy::retry::{budget, Class};
/// use nephila::settings::Settings;
///
/// let settings = Settings::for_spider("retries = 3\nretries_for = { dns = 1, 5xx = 2, 503 = 9 }")?;
/// let budget_of = |class| budget(class, None, &settings);
/// assert_eq!(budget_of(Class::Timeout), 3);
/// assert_eq!(budget_of(Class::Dns), 1);
/// assert_eq!([502, 503, 404].map(|status| budget_of(Class::Status(status))), [2, 9, 0]);
/// # Ok::<(), nephila::settings::SettingsError>(())
/// ```
pub fn budget(class: Class, own: Option<u16>, settings: &Settings) -> u32 {
    let said = class.budget_in(&settings.retries_for);
    let budget = match (own, said) {
        _ if class == Class::Permanent => 0,
        (None, Some(said)) => said,
        (own, said) if said.is_some() || class.is_transient() => own.unwrap_or(settings.retries),
        _ => 0,
    };
    budget.into()
}

/// How waits are spread over time, by a random fraction from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    /// From nothing to the whole back-off: spreads best, may not wait at all.
    Full,
    /// From half of the back-off to the whole.
    #[default]
    Equal,
}

/// Exponential back-off: the wait before retry `n`, counted from 0, is `base * 2^n`, at most
/// `max`, spread by `jitter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Wait before the first retry.
    pub base: Duration,
    /// Longest wait of our own making.
    pub max: Duration,
    /// How often a request is tried again after its first try.
    pub retries: u32,
    /// How the waits are spread.
    pub jitter: Jitter,
    /// How long a `Retry-After` is believed; it may exceed `max`.
    pub retry_after_max: Duration,
}

impl Class {
    /// Can the same request succeed later?
    ///
    /// Of the server errors, those that speak of the request or of the server's abilities (501,
    /// 505, 506, 508, 510, 511) cannot.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Dns | Self::Connect | Self::Timeout | Self::Reset | Self::Blocked => true,
            Self::Tls | Self::Permanent | Self::Status(501 | 505 | 506 | 508 | 510 | 511) => false,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..=599),
        }
    }

    /// What is said of this class: by its name, or of its hundred of statuses.
    fn budget_in(self, budgets: &BTreeMap<String, u16>) -> Option<u16> {
        if budgets.is_empty() {
            return None;
        }
        let found = match self {
            Self::Status(status) => budgets
                .get(&status.to_string())
                .or_else(|| budgets.get(&format!("{}xx", status / 100))),
            other => budgets.get(&other.to_string()),
        };
        found.copied()
    }

    /// Is it the host that is in trouble or wants fewer requests, so that its other requests
    /// should wait as well?
    pub fn is_of_host(self) -> bool {
        matches!(
            self,
            Self::Dns | Self::Connect | Self::Timeout | Self::Blocked | Self::Status(429 | 503)
        )
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Blocked => "blocked",
            Self::Status(status) => return write!(f, "status {status}"),
            Self::Permanent => "permanent",
        };
        f.write_str(name)
    }
}

impl From<&Settings> for Backoff {
    fn from(settings: &Settings) -> Self {
        Self {
            base: settings.retry_delay,
            max: settings.max_retry_delay,
            retries: settings.retries.into(),
            jitter: Jitter::Equal,
            retry_after_max: settings.max_retry_after,
        }
    }
}

/// As the default settings have it.
impl Default for Backoff {
    fn default() -> Self {
        Self::from(&Settings::default())
    }
}

impl Backoff {
    /// The wait before retry `attempt`, counted from 0. `fraction` is random, from 0 to 1; what
    /// is outside counts as the nearer end, and no number as 1.
    pub fn delay(&self, attempt: u32, fraction: f64) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        let whole = self.base.saturating_mul(factor).min(self.max).min(LONGEST);
        let fraction = if fraction.is_nan() {
            1.0
        } else {
            fraction.clamp(0.0, 1.0)
        };
        match self.jitter {
            Jitter::Full => whole.mul_f64(fraction),
            Jitter::Equal => whole / 2 + (whole / 2).mul_f64(fraction),
        }
    }

    /// The wait before retry `attempt` of a request that failed, counted from 0, or `None` if it
    /// is given up. `retry_after` is what the host asked for ([`parse_retry_after`]).
    pub fn retry(
        &self,
        class: Class,
        attempt: u32,
        fraction: f64,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        if attempt >= self.retries || !class.is_transient() {
            return None;
        }
        Some(self.wait(attempt, fraction, retry_after))
    }

    /// The wait before retry `attempt`, as [`retry`](Backoff::retry) has it.
    pub fn wait(&self, attempt: u32, fraction: f64, retry_after: Option<Duration>) -> Duration {
        let mut asked = retry_after.unwrap_or_default();
        if asked > self.retry_after_max {
            // Nobody waits that long, and perhaps it was not meant.
            asked = self.retry_after_max.min(self.max);
        }
        self.delay(attempt, fraction).max(asked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes() {
        let check = |class: Class, transient: bool, of_host: bool| {
            assert_eq!(
                (class.is_transient(), class.is_of_host()),
                (transient, of_host),
                "{class}"
            );
        };
        check(Class::Dns, true, true);
        check(Class::Connect, true, true);
        check(Class::Tls, false, false);
        check(Class::Timeout, true, true);
        check(Class::Reset, true, false);
        check(Class::Permanent, false, false);
        for status in [408, 425, 500, 502, 504, 520, 599] {
            check(Class::Status(status), true, false);
        }
        for status in [429, 503] {
            check(Class::Status(status), true, true);
        }
        for status in [200, 301, 400, 401, 403, 404, 410, 501, 505, 511, 600] {
            check(Class::Status(status), false, false);
        }
    }

    #[test]
    fn budgets() {
        let settings = Settings::for_spider(
            "retries = 3\nretries_for = { dns = 1, tls = 2, 429 = 7, 5xx = 4, 503 = 0, 404 = 1 }",
        );
        let settings = settings.unwrap();
        let check = |class: Class, own: Option<u16>, expected: u32| {
            assert_eq!(budget(class, own, &settings), expected, "{class} {own:?}");
        };
        check(Class::Timeout, None, 3);
        check(Class::Dns, None, 1);
        check(Class::Tls, None, 2);
        check(Class::Status(429), None, 7);
        check(Class::Status(500), None, 4);
        check(Class::Status(501), None, 4);
        check(Class::Status(503), None, 0);
        check(Class::Status(404), None, 1);
        check(Class::Status(403), None, 0);
        check(Class::Permanent, None, 0);
        // a request's own word
        check(Class::Timeout, Some(0), 0);
        check(Class::Dns, Some(9), 9);
        check(Class::Tls, Some(9), 9);
        check(Class::Status(403), Some(9), 0);
        check(Class::Permanent, Some(9), 0);
    }

    fn seconds(base: u64, max: u64, jitter: Jitter) -> Backoff {
        Backoff {
            base: Duration::from_secs(base),
            max: Duration::from_secs(max),
            retries: 3,
            jitter,
            retry_after_max: Duration::from_hours(1),
        }
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let check = |jitter, attempt, fraction, millis| {
            let delay = seconds(2, 60, jitter).delay(attempt, fraction);
            assert_eq!(
                delay,
                Duration::from_millis(millis),
                "{jitter:?} {attempt} {fraction}"
            );
        };
        check(Jitter::Full, 0, 1.0, 2_000);
        check(Jitter::Full, 1, 1.0, 4_000);
        check(Jitter::Full, 4, 1.0, 32_000);
        check(Jitter::Full, 5, 1.0, 60_000);
        check(Jitter::Full, 31, 1.0, 60_000);
        check(Jitter::Full, 32, 1.0, 60_000);
        check(Jitter::Full, u32::MAX, 1.0, 60_000);
        check(Jitter::Full, 1, 0.25, 1_000);
        check(Jitter::Full, 1, 0.0, 0);
        check(Jitter::Equal, 1, 0.0, 2_000);
        check(Jitter::Equal, 1, 0.5, 3_000);
        check(Jitter::Equal, 1, 1.0, 4_000);
        check(Jitter::Full, 1, -1.0, 0);
        check(Jitter::Full, 1, 9.0, 4_000);
        check(Jitter::Full, 1, f64::NAN, 4_000);
    }

    #[test]
    fn retries_end_and_hosts_are_believed() {
        let backoff = seconds(2, 60, Jitter::Full);
        let check = |class, attempt, asked: Option<u64>, expected: Option<u64>| {
            let wait = backoff.retry(class, attempt, 1.0, asked.map(Duration::from_secs));
            assert_eq!(
                wait,
                expected.map(Duration::from_secs),
                "{class} {attempt} {asked:?}"
            );
        };
        check(Class::Timeout, 0, None, Some(2));
        check(Class::Timeout, 2, None, Some(8));
        check(Class::Timeout, 3, None, None);
        check(Class::Tls, 0, None, None);
        check(Class::Status(404), 0, Some(9), None);
        check(Class::Status(503), 0, Some(300), Some(300));
        check(Class::Status(503), 0, Some(1), Some(2));
        check(Class::Status(429), 0, Some(3_600), Some(3_600));
        check(Class::Status(429), 0, Some(3_601), Some(60));
    }

    proptest! {
        #[test]
        fn never_exceeds_the_maximum(base: Duration, max: Duration, attempt: u32, fraction: f64) {
            for jitter in [Jitter::Full, Jitter::Equal] {
                let backoff = Backoff { base, max, jitter, ..Backoff::default() };
                prop_assert!(backoff.delay(attempt, fraction) <= max);
            }
        }
    }
}
