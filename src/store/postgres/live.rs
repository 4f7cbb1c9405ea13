//! Signs of life: which processes live, what those that died had, and what is whose part.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use super::error::Failure;
use super::skew::NOW;
use super::{Active, Inner, Writer, shares};
use crate::request::HostKey;
use crate::store::{Beat, Cookie, News};

/// More hosts than this are not counted: they are more than all processes hold.
const MANY: i64 = 50_000;

/// Cookies that were written so long before those that are known may have been committed after them.
const OVERLAP: i64 = 60_000;

/// Shows a sign of life, frees what the dead have held, and tells what this process holds too much.
pub(super) async fn beat(inner: Arc<Inner>) -> Result<Beat, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let db = writer.link.ready().await?;
    inner.skew.measure(db).await?;
    let asked = Instant::now();
    let was_dead = !revive(db, &active).await?;
    reap(db, active.crawl).await?;
    let surplus = share(db, &active).await?;
    let crowded = shares::crowded(db, &active, &[]).await?;
    if was_dead {
        // Its hosts are others' now; those that are not are free for all.
        free_hosts(db, &[active.run]).await?;
        writer.held.clear();
    }
    let took = asked.elapsed();
    if took > active.lease {
        let (took, lease) = (took.as_secs_f64(), active.lease.as_secs_f64());
        tracing::warn!(
            "the server took {took:.1} s to hear a sign of life, and leases end after {lease:.1} s, so nothing \
             can be sent: set a longer one (-s lease=2m), or see what slows it (nephila doctor)"
        );
    }
    Ok(Beat {
        lapses: Some(asked + active.lease),
        lost: was_dead,
        next: Some(asked + active.lease / 3),
        surplus,
        crowded,
    })
}

/// Whether the run was still believed to live; it is again.
pub(super) async fn revive(db: &mut PgConnection, active: &Active) -> Result<bool, Failure> {
    let lived: Option<bool> = sqlx::query_scalar(AssertSqlSafe(format!(
        "WITH before AS (SELECT id, ended IS NULL AS lived FROM run WHERE id = $1 FOR UPDATE)
         UPDATE run SET beat = {NOW}, ended = NULL, stop = NULL FROM before
         WHERE run.id = before.id RETURNING before.lived"
    )))
    .bind(active.run)
    .fetch_optional(db)
    .await?;
    Ok(lived.unwrap_or(false))
}

/// Ends the runs that have shown no sign of life for the time of their lease. One that is locked is
/// left for the next time: nobody waits for a process that stands still.
pub(super) async fn reap(db: &mut PgConnection, crawl: i64) -> Result<(), Failure> {
    sqlx::query(AssertSqlSafe(format!(
        "WITH late AS MATERIALIZED
           (SELECT id FROM run WHERE crawl = $1 AND ended IS NULL AND beat + lease < {NOW}
            FOR UPDATE SKIP LOCKED)
         UPDATE run SET ended = beat, stop = 'killed' FROM late WHERE run.id = late.id"
    )))
    .bind(crawl)
    .execute(&mut *db)
    .await?;
    let ended: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM run WHERE crawl = $1 AND ended IS NOT NULL")
            .bind(crawl)
            .fetch_all(&mut *db)
            .await?;
    free_hosts(db, &ended).await
}

/// Frees the hosts of runs that have ended without giving them back. When they were last asked, nobody
/// knows.
pub(super) async fn free_hosts(db: &mut PgConnection, runs: &[i64]) -> Result<(), Failure> {
    sqlx::query(FREE).bind(runs).execute(db).await?;
    Ok(())
}

const FREE: &str = "WITH theirs AS MATERIALIZED
  (SELECT id FROM host WHERE run = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED)
UPDATE host SET run = NULL, lapsed = true, lease_at = (SELECT greatest(host.next_at, q.due)
  FROM queue q WHERE q.host = host.id ORDER BY q.due LIMIT 1)
FROM theirs WHERE host.id = theirs.id";

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) const HOT: [&str; 1] = [FREE];

/// Reckons this process's part of the hosts, and how many it holds more while others have less.
pub(super) async fn share(db: &mut PgConnection, active: &Active) -> Result<usize, Failure> {
    let living: Vec<(i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT r.id, (SELECT count(*) FROM host h WHERE h.run = r.id) FROM run r
         WHERE r.crawl = $1 AND r.ended IS NULL AND r.beat + r.lease > {NOW}"
    )))
    .bind(active.crawl)
    .fetch_all(&mut *db)
    .await?;
    let (share, surplus) = match living.len() {
        0 | 1 => (usize::MAX, 0),
        many => {
            let free: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM (SELECT 1 FROM host
                 WHERE crawl = $1 AND run IS NULL AND lease_at IS NOT NULL LIMIT $2) free",
            )
            .bind(active.crawl)
            .bind(MANY)
            .fetch_one(db)
            .await?;
            divide(active.run, &living, free, many as i64)
        }
    };
    active.share.store(share, Ordering::Relaxed);
    active.living.store(living.len().max(1), Ordering::Relaxed);
    Ok(surplus)
}

/// The part of each, and what `run` holds too much while there is not enough left for the others.
fn divide(run: i64, living: &[(i64, i64)], free: i64, many: i64) -> (usize, usize) {
    let held: i64 = living.iter().map(|(_, held)| held).sum();
    let share = (held + free + many - 1) / many;
    let mine = living
        .iter()
        .find(|(id, _)| *id == run)
        .map_or(0, |(_, held)| *held);
    let lacking: i64 = living.iter().map(|(_, held)| (share - held).max(0)).sum();
    let surplus = (mine - share).min(lacking - free).max(0);
    (share.max(1) as usize, surplus as usize)
}

/// Origins that are in scope by themselves.
pub(super) async fn seed_hosts(db: &mut PgConnection, crawl: i64) -> Result<Vec<String>, Failure> {
    Ok(
        sqlx::query_scalar("SELECT origin FROM host WHERE crawl = $1 AND seed ORDER BY origin")
            .bind(crawl)
            .fetch_all(db)
            .await?,
    )
}

/// What other processes have learnt since the last time.
pub(super) async fn news(inner: Arc<Inner>) -> Result<News, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let since = writer.cookies_at;
    let db = writer.link.ready().await?;
    let seed_hosts = seed_hosts(db, active.crawl).await?;
    let rows: Vec<(String, String, Option<String>, i64, i64)> = sqlx::query_as(
        "SELECT session, key, json, at, run FROM cookie
         WHERE crawl = $1 AND at > $2 AND run <> $3 ORDER BY at",
    )
    .bind(active.crawl)
    .bind(since.saturating_sub(OVERLAP))
    .bind(active.run)
    .fetch_all(db)
    .await?;
    let mut news = News::default();
    for (session, key, json, at, _) in rows {
        writer.cookies_at = writer.cookies_at.max(at);
        news.cookies.push(Cookie { session, key, json });
    }
    let Writer { link, held, .. } = &mut *writer;
    news.resting = shares::resting(link.ready().await?, held, &inner.skew).await?;
    for origin in seed_hosts {
        if writer.seed_hosts.insert(origin.clone()) {
            news.seed_hosts.push(origin);
        }
    }
    Ok(news)
}

/// Hosts that the database says are this process's, though it does not know of them: a lease whose
/// answer was lost.
pub(super) async fn free_strays(
    db: &mut PgConnection,
    active: &Active,
    held: &[HostKey],
) -> Result<(), Failure> {
    sqlx::query(
        "WITH strays AS MATERIALIZED
           (SELECT id FROM host WHERE run = $1 AND id <> ALL($2) ORDER BY id FOR UPDATE)
         UPDATE host SET run = NULL, lease_at = (SELECT greatest(host.next_at, q.due)
           FROM queue q WHERE q.host = host.id ORDER BY q.due LIMIT 1)
         FROM strays WHERE host.id = strays.id",
    )
    .bind(active.run)
    .bind(held.iter().map(|host| host.0).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn nobody_gives_away_what_nobody_lacks() {
        let check = |living: &[i64], free, expected| {
            let living = living.iter().enumerate();
            let living = living
                .map(|(at, held)| (at as i64, *held))
                .collect::<Vec<_>>();
            assert_eq!(divide(0, &living, free, living.len() as i64), expected);
        };
        check(&[200, 0, 0, 0], 0, (50, 150));
        check(&[50, 50, 50, 50], 0, (50, 0));
        check(&[0, 200], 0, (100, 0));
        // The others take what is free first.
        check(&[100, 0], 100, (100, 0));
        check(&[100, 0], 50, (75, 25));
        check(&[1, 0], 0, (1, 0));
        check(&[0, 0], 0, (1, 0));
        check(&[3, 2, 0], 0, (2, 1));
    }
}
