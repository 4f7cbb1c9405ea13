//! Servers that are away: waited for at the beginning, and told of once later on.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::LAST_PATIENCE;
use super::connect::Link;
use super::error::Failure;

/// Since when calls have failed that are tried again: told once, however many they are.
#[derive(Default)]
pub(super) struct Outage(Mutex<Option<Instant>>);

impl Outage {
    pub(super) fn note(&self, reason: &str, end: Instant) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_some() {
            tracing::debug!("{reason}; trying again");
            return;
        }
        let now = Instant::now();
        let patience = (end - now).as_secs_f64().round();
        tracing::warn!("{reason}; trying again, with growing pauses, for {patience} s at the most");
        *since = Some(now);
    }

    pub(super) fn is_over(&self, server: &str) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = since.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::warn!("{server} answers again, after {seconds:.1} s");
        }
    }
}

/// The first connection: a server that answers that it can't have it now is asked again for a while.
pub(super) async fn wait_for_turn<'a>(
    link: &'a mut Link,
    name: &str,
) -> Result<&'a mut PgConnection, Failure> {
    let end = Instant::now() + LAST_PATIENCE;
    let mut pause = Duration::from_millis(100);
    while let Err(failure) = link.ready().await {
        if !failure.is_not_now() || Instant::now() + pause > end {
            return Err(failure);
        }
        tracing::warn!("{name}: {}; trying again in {pause:?}", failure.message());
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause *= 2;
    }
    link.ready().await
}
