//! The one place that reads a clock.
//!
//! Decisions take time as a parameter; who needs it asks here. [`now`] is wall time, for what is
//! stored and compared across restarts; for intervals inside a process use [`tokio::time::Instant`],
//! which tests can pause.

use std::time::Duration;

#[cfg(not(test))]
pub use wall::now;

#[cfg(test)]
pub use simulated::now;

#[cfg(not(test))]
mod wall {
    use jiff::Timestamp;

    /// Wall time now.
    pub fn now() -> Timestamp {
        Timestamp::now()
    }
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

/// CPU time that this process has used since it began, all threads together.
#[cfg(unix)]
pub fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}

/// Not known here.
#[cfg(not(unix))]
pub fn process_cpu() -> Duration {
    Duration::ZERO
}

/// Time that passed, where a thread's own can't be had.
#[cfg(not(unix))]
pub fn thread_cpu() -> Duration {
    now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs()
}

/// Wall time that follows a runtime's paused time.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;

    use jiff::Timestamp;
    use tokio::time::Instant;

    thread_local! {
        static EPOCH: Cell<Option<(Timestamp, Option<Instant>)>> = const { Cell::new(None) };
    }

    /// From now on it is `epoch` on this thread, and time passes as its runtime's does, or not at all.
    pub(crate) fn set(epoch: Timestamp, start: Option<Instant>) {
        EPOCH.set(Some((epoch, start)));
    }

    /// Wall time now.
    pub fn now() -> Timestamp {
        match EPOCH.get() {
            None => Timestamp::now(),
            Some((epoch, start)) => {
                let passed = start.map(|start| start.elapsed()).unwrap_or_default();
                epoch.saturating_add(passed).unwrap_or(Timestamp::MAX)
            }
        }
    }
}
