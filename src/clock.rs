//! The one place that reads a clock.
//!
//! Decisions take time as a parameter; who needs it asks here. [`now`] is wall time, for what is
//! stored and compared across restarts; for intervals inside a process use [`tokio::time::Instant`],
//! which tests can pause.

use std::time::Duration;

use jiff::Timestamp;

/// Wall time now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Wall time now, in milliseconds since 1970, as the database stores it.
pub fn now_ms() -> i64 {
    now().as_millisecond()
}

/// CPU time that this thread has used: what work costs, however many others want the processor.
#[cfg(unix)]
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}

/// Time that passed, where a thread's own can't be had.
#[cfg(not(unix))]
pub fn thread_cpu() -> Duration {
    now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs()
}
