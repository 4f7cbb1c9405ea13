//! The one place that reads a clock.
//!
//! Decisions take time as a parameter; who needs it asks here. [`now`] is wall time, for what is
//! stored and compared across restarts; for intervals inside a process use [`tokio::time::Instant`],
//! which tests can pause.

use std::time::Duration;

use jiff::Timestamp;

/// Wall time now; in virtual time, that.
pub fn now() -> Timestamp {
    simulated::now().unwrap_or_else(Timestamp::now)
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

    /// As long as this is kept, wall time passes on this thread as its runtime's does.
    #[derive(Debug)]
    pub(crate) struct Following(());

    /// Has wall time pass on this thread as its runtime's does, from now on.
    pub(crate) fn follow() -> Following {
        set(super::now(), Some(Instant::now()));
        Following(())
    }

    impl Drop for Following {
        fn drop(&mut self) {
            EPOCH.set(None);
        }
    }

    /// Wall time now, if it is made up.
    pub(super) fn now() -> Option<Timestamp> {
        let (epoch, start) = EPOCH.get()?;
        let passed = start.map(|start| start.elapsed()).unwrap_or_default();
        Some(epoch.saturating_add(passed).unwrap_or(Timestamp::MAX))
    }
}
