//! The way out of old crawls: a new one takes their place at once, their rows go in small pieces.
//!
//! Hashes are keyed by the crawl, so rows that are not yet gone collide with nothing and count for
//! nobody. A process that dies between the pieces leaves the rest to the next; two that sweep at once
//! only share the work.

use sqlx::{AssertSqlSafe, PgConnection};

use super::connect::Server;
use super::error::Failure;
use super::skew::NOW;
use crate::request::Identity;

/// Rows per statement.
const PIECE: i64 = 20_000;

/// Marks `old` as replaced by `new`. Politeness outlives the crawl: hosts that asked to be left alone
/// until some moment, had requests today that are limited, or whose last moment is not known, go over to
/// the new one, without work.
pub(super) async fn replace(
    db: &mut PgConnection,
    old: i64,
    new: i64,
    key: &[u8],
) -> Result<(), Failure> {
    sqlx::query("UPDATE crawl SET state = 'dropped' WHERE id = $1")
        .bind(old)
        .execute(&mut *db)
        .await?;
    let Ok(key) = <[u8; 16]>::try_from(key) else {
        return Ok(());
    };
    let identity = Identity::new(key);
    let known: Vec<(i64, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT id, origin FROM host
         WHERE crawl = $1 AND (next_at > {NOW} OR day >= {NOW} / 86400000 OR lapsed OR run IS NOT NULL)"
    )))
    .bind(old)
    .fetch_all(&mut *db)
    .await?;
    let ids = known.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let new_ids = known.iter().map(|(_, origin)| identity.host(origin).0);
    sqlx::query(
        "INSERT INTO host (id, crawl, origin, next_at, errors, delay, ceiling, day, sent, lapsed)
         SELECT n.id, $1, min(h.origin), max(h.next_at), max(h.errors), max(h.delay), max(h.ceiling),
           max(h.day), coalesce(sum(h.sent) FILTER (WHERE h.day = n.day), 0)::bigint,
           bool_or(h.lapsed OR h.run IS NOT NULL)
         FROM (SELECT n.*, max(h.day) OVER (PARTITION BY n.id) AS day
               FROM unnest($2::bigint[], $3::bigint[]) AS n (id, old) JOIN host h ON h.id = n.old) n
         JOIN host h ON h.id = n.old GROUP BY n.id",
    )
    .bind(new)
    .bind(new_ids.collect::<Vec<_>>())
    .bind(ids)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the rows of all crawls that were replaced; what fails is left to the next run.
pub(super) async fn sweep(server: Server) {
    if let Err(failure) = sweep_all(&server).await {
        let reason = failure.message();
        tracing::debug!(reason, "rows of replaced crawls are left for the next run");
    }
}

/// Deletes the rows of all crawls that were replaced. Runs and items stay.
pub(super) async fn sweep_all(server: &Server) -> Result<(), Failure> {
    let mut db = server.connect().await?;
    let dropped: Vec<i64> = sqlx::query_scalar("SELECT id FROM crawl WHERE state = 'dropped'")
        .fetch_all(&mut db)
        .await?;
    for crawl in dropped {
        sweep_hosts(&mut db, crawl).await?;
        sweep_pages(&mut db, crawl).await?;
        forget(&mut db, crawl).await?;
    }
    Ok(())
}

/// A host's row goes when nothing hangs on it any more, so that an interrupted sweep finds it.
async fn sweep_hosts(db: &mut PgConnection, crawl: i64) -> Result<(), Failure> {
    loop {
        let hosts: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM host WHERE crawl = $1 ORDER BY id LIMIT 1000")
                .bind(crawl)
                .fetch_all(&mut *db)
                .await?;
        if hosts.is_empty() {
            return Ok(());
        }
        for piece in [
            "DELETE FROM queue WHERE (host, due, ord, depth, seq) IN
               (SELECT host, due, ord, depth, seq FROM queue WHERE host = ANY($1) LIMIT $2)",
            "DELETE FROM seen WHERE (host, fp) IN
               (SELECT host, fp FROM seen WHERE host = ANY($1) LIMIT $2)",
        ] {
            loop {
                let deleted = sqlx::query(piece)
                    .bind(&hosts)
                    .bind(PIECE)
                    .execute(&mut *db)
                    .await?
                    .rows_affected();
                if (deleted as i64) < PIECE {
                    break;
                }
            }
        }
        for statement in [
            "DELETE FROM robots WHERE host = ANY($1)",
            "DELETE FROM host WHERE id = ANY($1)",
        ] {
            sqlx::query(statement)
                .bind(&hosts)
                .execute(&mut *db)
                .await?;
        }
    }
}

async fn sweep_pages(db: &mut PgConnection, crawl: i64) -> Result<(), Failure> {
    let mut from = i64::MIN;
    loop {
        let to: Option<i64> = sqlx::query_scalar(
            "SELECT max(id) FROM (SELECT id FROM page WHERE id > $1 ORDER BY id LIMIT $2) piece",
        )
        .bind(from)
        .bind(PIECE)
        .fetch_one(&mut *db)
        .await?;
        let Some(to) = to else { return Ok(()) };
        sqlx::query(
            "WITH gone AS (DELETE FROM page WHERE id > $1 AND id <= $2
               AND run IN (SELECT id FROM run WHERE crawl = $3) RETURNING id)
             DELETE FROM visit v USING gone WHERE v.page = gone.id",
        )
        .bind(from)
        .bind(to)
        .bind(crawl)
        .execute(&mut *db)
        .await?;
        from = to;
    }
}

async fn forget(db: &mut PgConnection, crawl: i64) -> Result<(), Failure> {
    for statement in [
        "DELETE FROM attempt WHERE run IN (SELECT id FROM run WHERE crawl = $1)",
        "DELETE FROM cookie WHERE crawl = $1",
        "DELETE FROM refused WHERE crawl = $1",
        "DELETE FROM spent WHERE crawl = $1",
        "UPDATE crawl SET state = 'gone' WHERE id = $1",
    ] {
        sqlx::query(statement).bind(crawl).execute(&mut *db).await?;
    }
    Ok(())
}
