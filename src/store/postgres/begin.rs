//! The first and the last call of a run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::compose::clean;
use super::error::Failure;
use super::skew::NOW;
use super::{Active, Inner, again, live, moment, retire};
use crate::store::recent::Recent;
use crate::store::{Began, Begin, Cookie, End, Finished, Resumed, RunId, Spent, StoreError};
use tokio::time::Instant;

/// Opens, joins or resumes the crawl and registers a run.
pub(super) async fn begin(inner: Arc<Inner>, said: Arc<Begin>) -> Result<Began, Failure> {
    let before = inner.active().ok();
    let mut writer = inner.writer.lock().await;
    if inner.server.keep_below(said.lease) {
        writer.link.close().await;
        inner.desk.close().await;
    }
    let db = writer.link.ready().await?;
    inner.skew.measure(db).await?;
    let asked = Instant::now();
    let mut transaction = db.begin().await?;
    if let Some(before) = before {
        bury(&mut transaction, before.run).await?;
    }
    let (active, mut began) = open(&mut transaction, &said, &inner).await?;
    transaction.commit().await?;
    began.lapses = Some(asked + said.lease);
    let db = writer.link.ready().await?;
    let (cookies_at, cookies) = cookies(db, active.crawl).await?;
    let refused: Vec<(String, String)> =
        sqlx::query_as("SELECT reason, subject FROM refused WHERE crawl = $1 AND run = $2")
            .bind(active.crawl)
            .bind(active.run)
            .fetch_all(&mut *db)
            .await?;
    live::reap(db, active.crawl).await?;
    live::share(db, &active).await?;
    began.cookies = cookies;
    writer.refused = refused.into_iter().collect();
    writer.recent = Recent::new();
    writer.tables = HashMap::new();
    writer.by_page.clear();
    writer.held.clear();
    writer.stray = false;
    writer.cookies_at = cookies_at;
    writer.seed_hosts = began.seed_hosts.iter().cloned().collect();
    drop(writer);
    inner.set_active(Some(active));
    // Takes as long as what was replaced is large, and nobody waits for it.
    tokio::spawn(retire::sweep(inner.server.clone()));
    Ok(began)
}

/// Ends a run of this very process, which has begun another.
async fn bury(db: &mut PgConnection, run: i64) -> Result<(), Failure> {
    sqlx::query("UPDATE run SET ended = beat, stop = 'killed' WHERE id = $1 AND ended IS NULL")
        .bind(run)
        .execute(&mut *db)
        .await?;
    live::free_hosts(db, &[run]).await
}

async fn open(
    db: &mut PgConnection,
    said: &Begin,
    inner: &Inner,
) -> Result<(Active, Began), Failure> {
    let (spider, args) = (clean(&said.spider), clean(&said.args));
    // Processes that begin at once are to begin one crawl.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{spider}\n{args}"))
        .execute(&mut *db)
        .await?;
    let known: Option<(i64, Vec<u8>, bool, String)> = sqlx::query_as(
        "SELECT id, key, seeded, state FROM crawl
         WHERE spider = $1 AND args = $2 AND state <> 'dropped' ORDER BY id DESC LIMIT 1",
    )
    .bind(&spider)
    .bind(&args)
    .fetch_optional(&mut *db)
    .await?;
    let (crawl, key, seeded, resumed) = match known {
        Some((id, key, seeded, state)) if state == "open" && !said.fresh => {
            (id, key, seeded, Some(resumed(db, id).await?))
        }
        Some((id, key, _, state))
            if state == "finished" && !said.fresh && said.finished != Finished::Replace =>
        {
            wait_for_company(db, id).await?;
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
            if let Some((old, ..)) = known {
                refuse_company(db, old, inner).await?;
            }
            let (id, key) = new_crawl(db, &spider, &args).await?;
            if let Some((old, ..)) = known {
                retire::replace(db, old, id, &key).await?;
            }
            (id, key, false, None)
        }
    };
    let run = new_run(db, said, crawl).await?;
    let active = Active {
        crawl,
        run,
        again: AtomicBool::new(false),
        keeps: matches!(said.finished, Finished::Revisit(_)),
        steps: (!said.steps.is_empty()).then(|| said.steps.clone()),
        lease: said.lease,
        told: AtomicI64::new(0),
        share: AtomicUsize::new(usize::MAX),
        living: AtomicUsize::new(1),
        shares: OnceLock::new(),
    };
    let began = Began {
        run: RunId(run),
        key: key
            .try_into()
            .map_err(|_| sqlx::Error::Decode("crawl.key is not 16 bytes long".into()))?,
        resumed,
        seeded,
        seed_hosts: live::seed_hosts(db, crawl).await?,
        reports: reports(db, &spider, &args).await?,
        cookies: Vec::new(),
        lapses: None,
        round: None,
        spent: spent(db, crawl).await?,
    };
    Ok((active, began))
}

/// Run and process of one who works on a crawl.
async fn company(db: &mut PgConnection, crawl: i64) -> Result<Option<(i64, i64)>, Failure> {
    Ok(sqlx::query_as(AssertSqlSafe(format!(
        "SELECT id, pid FROM run WHERE crawl = $1 AND ended IS NULL AND beat + lease > {NOW}
         ORDER BY id LIMIT 1"
    )))
    .bind(crawl)
    .fetch_optional(db)
    .await?)
}

/// A finished crawl is not begun once more while one of its processes has not yet noticed its end: it
/// would go on with the new round as if it were the old one.
async fn wait_for_company(db: &mut PgConnection, crawl: i64) -> Result<(), Failure> {
    match company(db, crawl).await? {
        None => Ok(()),
        Some((run, pid)) => Err(Failure::Store(StoreError::Busy(format!(
            "the crawl has finished, and its run {run} (process {pid}) has not ended yet"
        )))),
    }
}

/// A crawl that somebody works on is not replaced.
async fn refuse_company(db: &mut PgConnection, crawl: i64, inner: &Inner) -> Result<(), Failure> {
    let is_open: bool = sqlx::query_scalar("SELECT state = 'open' FROM crawl WHERE id = $1")
        .bind(crawl)
        .fetch_one(&mut *db)
        .await?;
    if !is_open {
        return Ok(());
    }
    match company(db, crawl).await? {
        None => Ok(()),
        Some((run, pid)) => Err(Failure::Store(StoreError::Locked {
            path: inner.server.name.clone(),
            holder: format!("{pid} (run {run} works on this crawl)"),
        })),
    }
}

async fn new_crawl(
    db: &mut PgConnection,
    spider: &str,
    args: &str,
) -> Result<(i64, Vec<u8>), Failure> {
    Ok(sqlx::query_as(AssertSqlSafe(format!(
        "INSERT INTO crawl (spider, args, key, state, shares, started)
         VALUES ($1, $2, decode(md5(gen_random_uuid()::text || gen_random_uuid()::text), 'hex'),
                 'open', NULL, {NOW}) RETURNING id, key"
    )))
    .bind(spider)
    .bind(args)
    .fetch_one(db)
    .await?)
}

async fn new_run(db: &mut PgConnection, said: &Begin, crawl: i64) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(AssertSqlSafe(format!(
        "INSERT INTO run (crawl, pid, version, started, beat, lease, steps, settings)
         SELECT $1, $2, $3, now, now, $4, $5, $6 FROM (SELECT {NOW} AS now) clock RETURNING id"
    )))
    .bind(crawl)
    .bind(i64::from(std::process::id()))
    .bind(env!("CARGO_PKG_VERSION"))
    .bind(said.lease.as_millis() as i64)
    .bind(
        said.steps
            .iter()
            .map(|step| clean(step))
            .collect::<Vec<_>>(),
    )
    .bind(clean(&said.settings))
    .fetch_one(db)
    .await?)
}

/// From the runs' counters, which are exact: nothing of the size of the crawl is read.
async fn resumed(db: &mut PgConnection, crawl: i64) -> Result<Resumed, Failure> {
    let (pages, known, since, others): (i64, i64, i64, i64) =
        sqlx::query_as(AssertSqlSafe(format!(
            "SELECT coalesce(sum(done + failed + skipped - requeued - forgotten), 0)::bigint,
                    coalesce(sum(known - forgotten), 0)::bigint,
                    coalesce(max(greatest(beat, ended)), 0),
                    count(*) FILTER (WHERE ended IS NULL AND beat + lease > {NOW})
             FROM run WHERE crawl = $1"
        )))
        .bind(crawl)
        .fetch_one(db)
        .await?;
    Ok(Resumed {
        pages: pages as u64,
        queued: known.saturating_sub(pages) as u64,
        since: moment(since),
        others: others as u32,
    })
}

async fn reports(db: &mut PgConnection, spider: &str, args: &str) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT r.report FROM run r JOIN crawl c ON c.id = r.crawl
         WHERE c.spider = $1 AND c.args = $2 AND r.report IS NOT NULL ORDER BY r.id DESC LIMIT 5",
    )
    .bind(spider)
    .bind(args)
    .fetch_all(db)
    .await?)
}

/// Budgets that still count; those of past days go.
async fn spent(db: &mut PgConnection, crawl: i64) -> Result<Vec<Spent>, Failure> {
    sqlx::query(AssertSqlSafe(format!(
        "DELETE FROM spent WHERE crawl = $1 AND day > 0 AND day < {NOW} / 86400000"
    )))
    .bind(crawl)
    .execute(&mut *db)
    .await?;
    spent_but(db, crawl, 0).await
}

/// What other processes have used of budgets by now.
pub(super) async fn spent_by_others(inner: Arc<Inner>) -> Result<Vec<Spent>, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    spent_but(writer.link.ready().await?, active.crawl, active.run).await
}

/// What all runs but one have used.
async fn spent_but(db: &mut PgConnection, crawl: i64, run: i64) -> Result<Vec<Spent>, Failure> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT budget, day, sum(pages)::bigint FROM spent WHERE crawl = $1 AND run <> $2
         GROUP BY budget, day ORDER BY budget, day",
    )
    .bind(crawl)
    .bind(run)
    .fetch_all(db)
    .await?;
    let spent = |(budget, day, pages): (String, i64, i64)| Spent {
        budget,
        day,
        pages: pages.unsigned_abs(),
    };
    Ok(rows.into_iter().map(spent).collect())
}

/// All cookies, and the moment up to which they are known.
async fn cookies(db: &mut PgConnection, crawl: i64) -> Result<(i64, Vec<Cookie>), Failure> {
    let now: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {NOW}")))
        .fetch_one(&mut *db)
        .await?;
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT session, key, json FROM cookie WHERE crawl = $1 AND json IS NOT NULL
         ORDER BY session, key",
    )
    .bind(crawl)
    .fetch_all(db)
    .await?;
    let cookie = |(session, key, json)| Cookie { session, key, json };
    Ok((now, rows.into_iter().map(cookie).collect()))
}

/// Ends the run and gives back all it holds.
pub(super) async fn end(inner: Arc<Inner>, end: End) -> Result<(), Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let db = writer.link.ready().await?;
    let mut transaction = db.begin().await?;
    close(&mut transaction, &active, &end).await?;
    transaction.commit().await?;
    inner.set_active(None);
    writer.held.clear();
    writer.link.close().await;
    inner.desk.close().await;
    Ok(())
}

async fn close(db: &mut PgConnection, active: &Active, end: &End) -> Result<(), Failure> {
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE run SET ended = now, beat = now, stop = $2, report = $3
         FROM (SELECT {NOW} AS now) clock WHERE id = $1"
    )))
    .bind(active.run)
    .bind(clean(&end.stop))
    .bind(clean(&end.report))
    .execute(&mut *db)
    .await?;
    if end.finished {
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE crawl SET state = 'finished', finished = {NOW} WHERE id = $1 AND state = 'open'"
        )))
        .bind(active.crawl)
        .execute(&mut *db)
        .await?;
    }
    live::free_hosts(db, &[active.run]).await
}
