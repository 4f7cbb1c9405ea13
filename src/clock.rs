//! The one place that reads a clock.
//!
//! Decisions take time as a parameter; who needs it asks here. [`now`] is wall time, for what is
//! stored and compared across restarts; for intervals inside a process use [`tokio::time::Instant`],
//! which tests can pause.

use jiff::Timestamp;

/// Wall time now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Wall time now, in milliseconds since 1970, as the database stores it.
pub fn now_ms() -> i64 {
    now().as_millisecond()
}
