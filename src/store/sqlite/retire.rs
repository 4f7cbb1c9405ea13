//! The way out of old crawls: a new one takes their place at once, their rows go in small pieces.
//!
//! Hashes are keyed by the crawl, so rows that are not yet gone collide with nothing and count for
//! nobody. A process that dies between the pieces leaves the rest to the next.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::Inner;
use super::error::Failure;
use super::report::ITEM_TABLES;
use super::seen::key_of;
use super::writer::Writer;
use crate::request::Identity;
use crate::store::{Tidied, Tidy};

/// Rows per transaction: the log stays small, a reader's view stays young.
const PIECE: i64 = 20_000;

/// Makes room.
pub(super) async fn tidy(inner: Arc<Inner>, tidy: Tidy) -> Result<Tidied, Failure> {
    let mut writer = inner.writer.lock().await;
    let db = writer.connection();
    let before = tidy.crawls.map(jiff::Timestamp::as_millisecond);
    let (crawls, pages): (i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT c.id), ifnull(sum(r.done + r.failed + r.skipped - r.requeued - r.forgotten), 0)
         FROM crawl c LEFT JOIN run r ON r.crawl = c.id
         WHERE c.state = 'dropped' OR (c.state = 'finished' AND c.finished < ?)",
    )
    .bind(before)
    .fetch_one(&mut *db)
    .await?;
    let mut tidied = Tidied {
        crawls: crawls.unsigned_abs(),
        pages: pages.unsigned_abs(),
        items: 0,
    };
    if !tidy.dry {
        sqlx::query("UPDATE crawl SET state = 'dropped' WHERE state = 'finished' AND finished < ?")
            .bind(before)
            .execute(db)
            .await?;
        sweep(&mut writer).await?;
    }
    if let Some(moment) = tidy.items {
        tidied.items = gone(writer.connection(), moment, tidy.dry).await?;
    }
    if !tidy.dry {
        for statement in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::raw_sql(statement)
                .execute(writer.connection())
                .await?;
        }
    }
    Ok(tidied)
}

/// Items that are gone since before a moment: deletes them, or only counts them.
async fn gone(
    db: &mut SqliteConnection,
    before: jiff::Timestamp,
    dry: bool,
) -> Result<u64, Failure> {
    let before = before.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let tables: Vec<(String, String)> = sqlx::query_as(ITEM_TABLES).fetch_all(&mut *db).await?;
    let mut items = 0;
    for (table, _) in tables {
        // The name was checked when the table was made.
        let gone = format!("FROM \"{table}\" WHERE \"_gone\" < ?");
        if dry {
            let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) {gone}"));
            let count: i64 = sqlx::query_scalar(sql)
                .bind(&*before)
                .fetch_one(&mut *db)
                .await?;
            items += count.unsigned_abs();
        } else {
            let sql = sqlx::AssertSqlSafe(format!("DELETE {gone}"));
            let deleted = sqlx::query(sql).bind(&*before).execute(&mut *db).await?;
            items += deleted.rows_affected();
        }
    }
    Ok(items)
}

/// Marks `old` as replaced by `new`. Politeness outlives the crawl: hosts that asked to be left
/// alone until some moment, had requests today that are limited, or whose last moment is not known, go
/// over to the new one, without work.
pub(super) async fn replace(
    db: &mut SqliteConnection,
    old: i64,
    new: i64,
    key: &[u8],
    now: i64,
) -> Result<(), Failure> {
    sqlx::query("UPDATE crawl SET state = 'dropped' WHERE id = ?")
        .bind(old)
        .execute(&mut *db)
        .await?;
    let Ok(key) = <[u8; 16]>::try_from(key) else {
        return Ok(());
    };
    let identity = Identity::new(key);
    let known: Vec<(i64, String)> = sqlx::query_as(
        "SELECT id, origin FROM host WHERE crawl = ? AND (next_at > ? OR day >= ? OR lapsed)",
    )
    .bind(old)
    .bind(now)
    .bind(now.div_euclid(86_400_000))
    .fetch_all(&mut *db)
    .await?;
    for (id, origin) in known {
        sqlx::query(
            "INSERT INTO host (id, crawl, origin, next_at, errors, delay, ceiling, day, sent, lapsed)
             SELECT ?, ?, origin, next_at, errors, delay, ceiling, day, sent, lapsed
             FROM host WHERE id = ?",
        )
        .bind(identity.host(&origin).0)
        .bind(new)
        .bind(id)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Deletes the rows of all crawls that were replaced. Runs and items stay.
pub(super) async fn sweep(writer: &mut Writer) -> Result<(), Failure> {
    let dropped: Vec<i64> = sqlx::query_scalar("SELECT id FROM crawl WHERE state = 'dropped'")
        .fetch_all(writer.connection())
        .await?;
    for crawl in dropped {
        if is_alone(writer.connection(), crawl).await? {
            clear(writer, crawl).await?;
        } else {
            sweep_hosts(writer, crawl).await?;
            sweep_pages(writer, crawl).await?;
        }
        writer.begin().await?;
        let gone = forget(writer.connection(), crawl).await;
        writer.finish(gone).await?;
    }
    Ok(())
}

/// Whether no other crawl has rows in the large tables, apart from hosts that only wait.
async fn is_alone(db: &mut SqliteConnection, crawl: i64) -> Result<bool, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT 1 FROM run JOIN crawl ON crawl.id = run.crawl
           WHERE crawl.id <> ? AND crawl.state <> 'gone' AND run.known > 0)",
    )
    .bind(crawl)
    .fetch_one(db)
    .await?)
}

/// Without a condition, SQLite throws away whole trees instead of rows.
async fn clear(writer: &mut Writer, crawl: i64) -> Result<(), Failure> {
    writer.begin().await?;
    let cleared = async {
        let db = writer.connection();
        for statement in [
            "DELETE FROM queue",
            "DELETE FROM seen",
            "DELETE FROM page",
            "DELETE FROM visit",
            "DELETE FROM attempt",
        ] {
            sqlx::query(statement).execute(&mut *db).await?;
        }
        sqlx::query("DELETE FROM robots WHERE host IN (SELECT id FROM host WHERE crawl = ?)")
            .bind(crawl)
            .execute(&mut *db)
            .await?;
        sqlx::query("DELETE FROM host WHERE crawl = ?")
            .bind(crawl)
            .execute(&mut *db)
            .await?;
        Ok(())
    }
    .await;
    writer.finish(cleared).await
}

/// A host's row goes when nothing hangs on it any more, so that an interrupted sweep finds it.
async fn sweep_hosts(writer: &mut Writer, crawl: i64) -> Result<(), Failure> {
    let mut last = i64::MIN;
    loop {
        let hosts: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM host WHERE crawl = ? AND id > ? ORDER BY id LIMIT 1000",
        )
        .bind(crawl)
        .bind(last)
        .fetch_all(writer.connection())
        .await?;
        let Some(&end) = hosts.last() else {
            return Ok(());
        };
        last = end;
        for &host in &hosts {
            drain(writer, host).await?;
        }
        writer.begin().await?;
        let deleted = delete_hosts(writer.connection(), &hosts).await;
        writer.finish(deleted).await?;
    }
}

/// What is queued goes after what is known of it, so that an interrupted sweep finds both.
async fn drain(writer: &mut Writer, host: i64) -> Result<(), Failure> {
    const SEEN: &str = concat!(
        "DELETE FROM seen WHERE key IN (SELECT ",
        key_of!("q"),
        " FROM queue q WHERE q.host = ? ORDER BY q.due, q.ord, q.depth, q.seq LIMIT ?)"
    );
    const QUEUE: &str = "DELETE FROM queue WHERE (host, due, ord, depth, seq) IN
        (SELECT host, due, ord, depth, seq FROM queue WHERE host = ?
         ORDER BY due, ord, depth, seq LIMIT ?)";
    loop {
        let mut deleted = 0;
        for statement in [SEEN, QUEUE] {
            let done = sqlx::query(statement).bind(host).bind(PIECE);
            deleted = done.execute(writer.connection()).await?.rows_affected();
        }
        if (deleted as i64) < PIECE {
            return Ok(());
        }
    }
}

async fn delete_hosts(db: &mut SqliteConnection, hosts: &[i64]) -> Result<(), Failure> {
    for &host in hosts {
        for statement in [
            "DELETE FROM robots WHERE host = ?",
            "DELETE FROM host WHERE id = ?",
        ] {
            sqlx::query(statement).bind(host).execute(&mut *db).await?;
        }
    }
    Ok(())
}

async fn sweep_pages(writer: &mut Writer, crawl: i64) -> Result<(), Failure> {
    let mut from = i64::MIN;
    loop {
        let db = writer.connection();
        let to: Option<i64> = sqlx::query_scalar(
            "SELECT max(id) FROM (SELECT id FROM page WHERE id > ? ORDER BY id LIMIT ?)",
        )
        .bind(from)
        .bind(PIECE)
        .fetch_one(&mut *db)
        .await?;
        let Some(to) = to else { return Ok(()) };
        sqlx::query(
            "DELETE FROM visit WHERE page > ? AND page <= ? AND page IN
             (SELECT id FROM page WHERE id > ? AND id <= ? AND run IN (SELECT id FROM run WHERE crawl = ?))",
        )
        .bind(from)
        .bind(to)
        .bind(from)
        .bind(to)
        .bind(crawl)
        .execute(&mut *db)
        .await?;
        sqlx::query(concat!(
            "DELETE FROM seen WHERE key IN (SELECT ",
            key_of!("p"),
            " FROM page p WHERE p.id > ? AND p.id <= ?
             AND p.run IN (SELECT id FROM run WHERE crawl = ?))"
        ))
        .bind(from)
        .bind(to)
        .bind(crawl)
        .execute(&mut *db)
        .await?;
        sqlx::query(
            "DELETE FROM page WHERE id > ? AND id <= ?
             AND run IN (SELECT id FROM run WHERE crawl = ?)",
        )
        .bind(from)
        .bind(to)
        .bind(crawl)
        .execute(db)
        .await?;
        from = to;
    }
}

async fn forget(db: &mut SqliteConnection, crawl: i64) -> Result<(), Failure> {
    for statement in [
        "DELETE FROM attempt WHERE run IN (SELECT id FROM run WHERE crawl = ?)",
        "DELETE FROM cookie WHERE crawl = ?",
        "DELETE FROM spent WHERE crawl = ?",
        "DELETE FROM refused WHERE crawl = ?",
        "UPDATE crawl SET state = 'gone' WHERE id = ?",
    ] {
        sqlx::query(statement).bind(crawl).execute(&mut *db).await?;
    }
    Ok(())
}
