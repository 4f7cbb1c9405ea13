//! The end that all processes of a crawl have together.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use super::error::Failure;
use super::skew::NOW;
use super::{Active, Inner, live, report};
use crate::store::{PageState, RunId, Worker, together};

/// How often the others are looked after.
const LOOK: Duration = Duration::from_millis(100);

/// Waits for the processes that worked together with this one until the end, those that die for as long as
/// their leases; what each of them did. None, if there were no others.
pub(super) async fn company(inner: Arc<Inner>, ended: Arc<Active>) -> Result<Vec<Worker>, Failure> {
    // Time enough for a lease to end whose process died just now.
    let until = Instant::now() + ended.lease + Duration::from_secs(5);
    let mut db = inner.server.connect().await?;
    while is_anybody_there(&mut db, &ended).await? && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    drop(db);
    let runs = report::runs(inner.server.connect_reader().await?).await?;
    let runs = together(&runs, RunId(ended.run));
    let mut workers = Vec::with_capacity(runs.len());
    if runs.len() < 2 {
        return Ok(workers);
    }
    for run in runs {
        let mut lost = Vec::new();
        if run.report.is_none() {
            for state in [PageState::Failed, PageState::Skipped] {
                let db = inner.server.connect_reader().await?;
                let groups = report::errors(db, &[run.id], state).await?;
                lost.extend(groups.into_iter().map(|group| (state, group)));
            }
        }
        let run = run.clone();
        workers.push(Worker { run, lost });
    }
    Ok(workers)
}

/// Whether a process is still at it that was when this one ended.
async fn is_anybody_there(db: &mut PgConnection, ended: &Active) -> Result<bool, Failure> {
    live::reap(db, ended.crawl).await?;
    Ok(sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT EXISTS (SELECT 1 FROM run r JOIN run own ON own.id = $2
           WHERE r.crawl = $1 AND r.id <> own.id AND r.ended IS NULL
             AND r.started <= coalesce(own.ended, {NOW}))"
    )))
    .bind(ended.crawl)
    .bind(ended.run)
    .fetch_one(db)
    .await?)
}
