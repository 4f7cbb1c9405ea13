//! The circuit breaker: how a host in trouble is asked, and when it is given up.
//!
//! The idea: what one request learns of its host counts for all. After a failure that is the host's,
//! nothing is sent to it for a while; then one request goes out as a **canary**, alone, and only if an
//! answer comes do the others follow. Each canary that fails doubles the pause. Requests that were
//! already under way when the pause began tell nothing new.
//!
//! In the end a host that does not answer at all is **given up**: its requests fail, with the reason. A
//! host that answers, but with "not now" (429, 503), is **parked**: its requests stay in the queue, for
//! a later run to go on with.
//!
//! ```
//! use std::time::Duration;
//! use nephila::policy::breaker::{self, After};
//! use nephila::policy::retry::{Backoff, Class};
//!
//! let backoff = Backoff { max: Duration::from_secs(60), ..Backoff::default() };
//! let after = |errors| breaker::after(Class::Connect, errors, None, 3, backoff, 1.0);
//! assert_eq!(after(1), After::Pause(Duration::from_secs(1)));
//! assert_eq!(after(3), After::Pause(Duration::from_secs(4)));
//! assert_eq!(after(4), After::GiveUp);
//! ```

use std::time::Duration;

use super::retry::{Backoff, Class};

/// What follows from a host's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is left alone for so long; then a canary goes out.
    Pause(Duration),
    /// Its requests wait for so long, far longer than a crawl does for them alone.
    Park(Duration),
    /// Its requests fail.
    GiveUp,
}

/// How long a host is parked.
pub const PARKED: Duration = Duration::from_hours(1);

/// What follows from the failure number `errors` of a host in a row, counted from 1.
///
/// `asked` is what its `Retry-After` says, capped; `most` is how many failures are borne; `fraction` is
/// random, from 0 to 1.
pub fn after(
    class: Class,
    errors: u32,
    asked: Option<Duration>,
    most: u32,
    backoff: Backoff,
    fraction: f64,
) -> After {
    let pause = backoff.delay(errors.saturating_sub(1), fraction);
    let pause = pause.max(asked.unwrap_or_default());
    match class {
        _ if errors <= most => After::Pause(pause),
        Class::Status(_) | Class::Blocked => After::Park(pause.max(PARKED)),
        _ => After::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let backoff = Backoff {
            base: Duration::from_secs(2),
            max: Duration::from_secs(30),
            ..Backoff::default()
        };
        let check = |class, errors, asked: Option<u64>, expected| {
            let asked = asked.map(Duration::from_secs);
            let found = after(class, errors, asked, 5, backoff, 1.0);
            assert_eq!(found, expected, "{class} {errors} {asked:?}");
        };
        let pause = |seconds| After::Pause(Duration::from_secs(seconds));
        check(Class::Timeout, 1, None, pause(2));
        check(Class::Timeout, 4, None, pause(16));
        check(Class::Timeout, 5, None, pause(30));
        check(Class::Timeout, 6, None, After::GiveUp);
        check(Class::Status(429), 1, Some(300), pause(300));
        check(Class::Status(429), 3, Some(1), pause(8));
        check(Class::Status(503), 6, None, After::Park(PARKED));
        check(
            Class::Status(503),
            6,
            Some(7_200),
            After::Park(Duration::from_hours(2)),
        );
        check(Class::Status(429), u32::MAX, None, After::Park(PARKED));
        check(Class::Dns, u32::MAX, None, After::GiveUp);
    }
}
