//! The difference between this machine's clock and the database's.
//!
//! What processes tell each other about time (when a host may be asked, when a request is due) is
//! told by the database's clock, so that a machine whose clock is wrong disturbs nobody.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use sqlx::PgConnection;
use tokio::time::Instant;

use super::error::Failure;
use super::moment;
use crate::clock;

/// A difference below this, in ms, is none: so exact are clocks that are kept in step.
const NOTHING: i64 = 20;

/// The database's clock as an expression: milliseconds since 1970.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Milliseconds that the database's clock is ahead.
#[derive(Debug, Default)]
pub(super) struct Skew(AtomicI64);

impl Skew {
    /// Compares the clocks.
    pub(super) async fn measure(&self, db: &mut PgConnection) -> Result<(), Failure> {
        let (before, started) = (clock::now_ms(), Instant::now());
        let theirs: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {NOW}")))
            .fetch_one(db)
            .await?;
        let half = started.elapsed().as_millis() as i64 / 2;
        self.learn(theirs - (before + half), half);
        Ok(())
    }

    /// Takes a difference over that is more than the error of measuring it.
    fn learn(&self, difference: i64, error: i64) {
        let known = self.0.load(Ordering::Relaxed);
        let none = NOTHING + error;
        if difference.abs() <= none {
            self.0.store(0, Ordering::Relaxed);
        } else if (difference - known).abs() > none {
            self.0.store(difference, Ordering::Relaxed);
        }
    }

    /// A moment of this machine as the database would say it, in ms.
    pub(super) fn theirs(&self, moment: Timestamp) -> i64 {
        let skew = self.0.load(Ordering::Relaxed);
        moment.as_millisecond().saturating_add(skew)
    }

    /// A moment of the database as this machine would say it.
    pub(super) fn ours(&self, ms: i64) -> Timestamp {
        moment(ms.saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_differences_are_none() {
        let skew = Skew::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        skew.learn(15, 1);
        assert_eq!(skew.theirs(at(1000)), 1000);
        skew.learn(60_000, 1);
        assert_eq!(
            (skew.theirs(at(1000)), skew.ours(61_000)),
            (61_000, at(1000))
        );
        // Not every measure moves what was told before.
        skew.learn(60_010, 1);
        assert_eq!(skew.theirs(at(1000)), 61_000);
        skew.learn(-60_000, 500);
        assert_eq!(skew.theirs(at(100_000)), 40_000);
        skew.learn(3, 0);
        assert_eq!(skew.ours(i64::MIN), skew.ours(i64::MIN));
        assert_eq!(skew.theirs(at(5)), 5);
    }
}
