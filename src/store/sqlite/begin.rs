//! The first and the last call of a run.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use sqlx::SqliteConnection;

use super::error::Failure;
use super::writer::Writer;
use super::{Active, Inner, again, cell, moment, retire};
use crate::clock;
use crate::store::recent::Recent;
use crate::store::{Began, Begin, Cookie, End, Finished, Resumed, RunId, Spent};

/// Opens or resumes the crawl and registers a run.
pub(super) async fn begin(inner: Arc<Inner>, said: Begin) -> Result<Began, Failure> {
    let mut writer = inner.writer.lock().await;
    inner.say(&format!("crawl {}", said.spider));
    inner.set_active(None);
    writer.begin().await?;
    let opened = open(writer.connection(), &said).await;
    let (mut active, mut began) = writer.finish(opened).await?;
    retire::sweep(&mut writer).await?;
    let rules = match &said.finished {
        Finished::Revisit(rules) => rules.as_slice(),
        _ => &[],
    };
    began.round = again::prepare(&mut writer, &active, rules).await?;
    active.again = began.round.is_some();
    remember(&mut writer, &active).await?;
    inner.set_active(Some(active));
    Ok(began)
}

async fn open(db: &mut SqliteConnection, said: &Begin) -> Result<(Active, Began), Failure> {
    let now = clock::now_ms();
    bury(db).await?;
    let known: Option<(i64, Vec<u8>, bool, String)> = sqlx::query_as(
        "SELECT id, key, seeded, state FROM crawl WHERE spider = ? AND args = ? AND state <> 'dropped'
         ORDER BY id DESC LIMIT 1",
    )
    .bind(&said.spider)
    .bind(&said.args)
    .fetch_optional(&mut *db)
    .await?;
    let (crawl, key, seeded, resumed) = match known {
        Some((id, key, seeded, state)) if state == "open" && !said.fresh => {
            (id, key, seeded, Some(resumed(db, id).await?))
        }
        Some((id, key, _, state))
            if state == "finished" && !said.fresh && said.finished != Finished::Replace =>
        {
            let is_new_round = said.finished != Finished::Reopen;
            again::reopen(db, id, is_new_round).await?;
            let resumed = if is_new_round {
                None
            } else {
                Some(resumed(db, id).await?)
            };
            (id, key, !is_new_round, resumed)
        }
        known => {
            let (id, key) = new_crawl(db, said, now).await?;
            if let Some((old, ..)) = known {
                retire::replace(db, old, id, &key, now).await?;
            }
            (id, key, false, None)
        }
    };
    let run = new_run(db, said, crawl, now).await?;
    let active = Active {
        crawl,
        run,
        again: false,
        keeps: matches!(said.finished, Finished::Revisit(_)),
        told: AtomicI64::new(0),
    };
    let began = Began {
        run: RunId(run),
        key: key
            .try_into()
            .map_err(|_| sqlx::Error::Decode("crawl.key is not 16 bytes long".into()))?,
        resumed,
        seeded,
        seed_hosts: seed_hosts(db, crawl).await?,
        reports: reports(db, said).await?,
        cookies: cookies(db, crawl).await?,
        lapses: None,
        spent: spent(db, crawl, now).await?,
        round: None,
    };
    Ok((active, began))
}

/// Ends the runs of processes that died: this one has the lock, so none of them lives.
async fn bury(db: &mut SqliteConnection) -> Result<(), Failure> {
    sqlx::query("UPDATE run SET ended = beat, stop = 'killed' WHERE ended IS NULL")
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "UPDATE host SET run = NULL, lapsed = 1,
           lease_at = (SELECT max(next_at, q.due) FROM queue q WHERE q.host = host.id ORDER BY q.due LIMIT 1)
         WHERE run IS NOT NULL",
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn new_crawl(
    db: &mut SqliteConnection,
    said: &Begin,
    now: i64,
) -> Result<(i64, Vec<u8>), Failure> {
    Ok(sqlx::query_as(
        "INSERT INTO crawl (spider, args, key, state, started)
         VALUES (?, ?, randomblob(16), 'open', ?) RETURNING id, key",
    )
    .bind(&said.spider)
    .bind(&said.args)
    .bind(now)
    .fetch_one(db)
    .await?)
}

async fn new_run(
    db: &mut SqliteConnection,
    said: &Begin,
    crawl: i64,
    now: i64,
) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(
        "INSERT INTO run (crawl, pid, version, started, beat, seq, settings)
         VALUES (?, ?, ?, ?, ?, ifnull((SELECT seq FROM run ORDER BY id DESC LIMIT 1), 0), ?)
         RETURNING id",
    )
    .bind(crawl)
    .bind(i64::from(std::process::id()))
    .bind(env!("CARGO_PKG_VERSION"))
    .bind(now)
    .bind(now)
    .bind(&said.settings)
    .fetch_one(db)
    .await?)
}

/// From the runs' counters, which are exact: nothing of the size of the crawl is read.
async fn resumed(db: &mut SqliteConnection, crawl: i64) -> Result<Resumed, Failure> {
    let (pages, known, since): (i64, i64, i64) = sqlx::query_as(
        "SELECT ifnull(sum(done + failed + skipped - requeued - forgotten), 0),
                ifnull(sum(known - forgotten), 0),
                ifnull(max(max(beat, ifnull(ended, 0))), 0)
         FROM run WHERE crawl = ?",
    )
    .bind(crawl)
    .fetch_one(db)
    .await?;
    Ok(Resumed {
        pages: pages as u64,
        queued: known.saturating_sub(pages) as u64,
        since: moment(since),
        others: 0,
    })
}

async fn seed_hosts(db: &mut SqliteConnection, crawl: i64) -> Result<Vec<String>, Failure> {
    Ok(
        sqlx::query_scalar("SELECT origin FROM host WHERE crawl = ? AND seed = 1")
            .bind(crawl)
            .fetch_all(db)
            .await?,
    )
}

async fn reports(db: &mut SqliteConnection, said: &Begin) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT r.report FROM run r JOIN crawl c ON c.id = r.crawl
         WHERE c.spider = ? AND c.args = ? AND r.report IS NOT NULL ORDER BY r.id DESC LIMIT 5",
    )
    .bind(&said.spider)
    .bind(&said.args)
    .fetch_all(db)
    .await?)
}

async fn cookies(db: &mut SqliteConnection, crawl: i64) -> Result<Vec<Cookie>, Failure> {
    sqlx::query("SELECT session, key, json FROM cookie WHERE crawl = ?")
        .bind(crawl)
        .fetch_all(db)
        .await?
        .iter()
        .map(|row| {
            Ok(Cookie {
                session: cell(row, 0)?,
                key: cell(row, 1)?,
                json: Some(cell(row, 2)?),
            })
        })
        .collect()
}

const DAY_MS: i64 = 86_400_000;

/// Budgets that still count; those of past days go.
async fn spent(db: &mut SqliteConnection, crawl: i64, now: i64) -> Result<Vec<Spent>, Failure> {
    sqlx::query("DELETE FROM spent WHERE crawl = ? AND day > 0 AND day < ?")
        .bind(crawl)
        .bind(now / DAY_MS)
        .execute(&mut *db)
        .await?;
    sqlx::query("SELECT budget, day, pages FROM spent WHERE crawl = ?")
        .bind(crawl)
        .fetch_all(db)
        .await?
        .iter()
        .map(|row| {
            Ok(Spent {
                budget: cell(row, 0)?,
                day: cell(row, 1)?,
                pages: cell::<i64>(row, 2)?.unsigned_abs(),
            })
        })
        .collect()
}

/// Fills what the writer knows of the database by heart.
async fn remember(writer: &mut Writer, active: &Active) -> Result<(), Failure> {
    let db = writer.connection();
    let seq = sqlx::query_scalar("SELECT seq FROM run WHERE id = ?")
        .bind(active.run)
        .fetch_one(&mut *db)
        .await?;
    let refused: Vec<(String, String)> =
        sqlx::query_as("SELECT reason, subject FROM refused WHERE crawl = ?")
            .bind(active.crawl)
            .fetch_all(db)
            .await?;
    writer.seq = seq;
    writer.refused = refused.into_iter().collect();
    writer.recent = Recent::new();
    writer.tables.clear();
    Ok(())
}

/// Ends the run and gives back all it holds.
pub(super) async fn end(inner: Arc<Inner>, end: End) -> Result<(), Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    writer.begin().await?;
    let closed = close(writer.connection(), &active, &end).await;
    writer.finish(closed).await?;
    inner.is_kept()?;
    inner.set_active(None);
    // The file is whole without its log, unless somebody reads: then the log stays, and that is no
    // error.
    let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(writer.connection())
        .await;
    inner.say("after a crawl");
    Ok(())
}

async fn close(db: &mut SqliteConnection, active: &Active, end: &End) -> Result<(), Failure> {
    let now = clock::now_ms();
    sqlx::query("UPDATE run SET ended = ?, beat = ?, stop = ?, report = ? WHERE id = ?")
        .bind(now)
        .bind(now)
        .bind(&end.stop)
        .bind(&end.report)
        .bind(active.run)
        .execute(&mut *db)
        .await?;
    if end.finished {
        sqlx::query("UPDATE crawl SET state = 'finished', finished = ? WHERE id = ?")
            .bind(now)
            .bind(active.crawl)
            .execute(&mut *db)
            .await?;
    }
    sqlx::query(
        "UPDATE host SET run = NULL, lapsed = 1,
           lease_at = (SELECT max(next_at, q.due) FROM queue q WHERE q.host = host.id ORDER BY q.due LIMIT 1)
         WHERE run = ?",
    )
    .bind(active.run)
    .execute(db)
    .await?;
    Ok(())
}
