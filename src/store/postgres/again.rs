//! Pages that are asked for again: put back into the queue by number, or by a new round.
//!
//! A page row becomes a queue row of the same number, so `seen = queue + page` holds. A round is
//! prepared in pieces, each a transaction that holds the crawl's row: processes that begin together take
//! turns, and one that dies leaves the rest to the others. None of them fetches before all is prepared.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::error::Failure;
use super::skew::NOW;
use super::{Active, Inner, live, moment, visits};
use crate::clock;
use crate::request::{HostKey, Revisit};
use crate::store::{NewRequest, Round, Rule};

/// Pages looked at in one transaction.
pub(super) const PIECE: i64 = 20_000;

/// Those of the pages that are there and of the crawl.
const OWN: &str = "SELECT p.id FROM (SELECT DISTINCT id FROM unnest($2::bigint[]) AS v (id)) v
CROSS JOIN LATERAL (SELECT p.id, p.run FROM page p WHERE p.id = v.id LIMIT 1) p
CROSS JOIN LATERAL (SELECT r.crawl FROM run r WHERE r.id = p.run LIMIT 1) r
WHERE r.crawl = $1 ORDER BY p.id";

/// Those that are done, since before this run began, and were not asked for since a moment, with their hosts.
const STALE: &str = "SELECT p.id, p.host
FROM (SELECT host, fp, max(before) AS before
  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS v (host, fp, before) GROUP BY host, fp) v
CROSS JOIN LATERAL (SELECT s.seq FROM seen s WHERE s.host = v.host AND s.fp = v.fp LIMIT 1) s
CROSS JOIN LATERAL (SELECT p.id, p.host FROM page p WHERE p.id = s.seq AND p.state = 'done' AND p.run <> $1
  AND p.at <= (SELECT r.started FROM run r WHERE r.id = $1)
  AND coalesce((SELECT t.at FROM visit t WHERE t.page = p.id), 0) < v.before
  LIMIT 1 FOR UPDATE SKIP LOCKED) p";

/// What a page failed of is a try from now on.
const ATTEMPT: &str = "INSERT INTO attempt (page, at, run, message)
SELECT p.id, p.at, p.run, coalesce(p.message, p.state)
FROM page p WHERE p.id = ANY($1::bigint[]) AND p.state <> 'done' ORDER BY p.id
ON CONFLICT DO NOTHING";

/// Back into the queue; tells how many rows moved, which are counted for the run.
const BACK: &str = "WITH gone AS (DELETE FROM page WHERE id = ANY($1::bigint[]) RETURNING *),
queued AS (INSERT INTO queue (host, due, ord, depth, seq, fp, tries, step, path, args, parent, spec)
  SELECT host, 0, ord, depth, id, fp, 0, step, path, args, parent, spec FROM gone
  ORDER BY host, ord, depth, id RETURNING host),
counted AS (UPDATE run SET requeued = requeued + (SELECT count(*) FROM queued) WHERE id = $2)
SELECT array_agg(DISTINCT host) FROM queued";

/// Pages as if they had never been found.
const FORGET: &str =
    "WITH gone AS (DELETE FROM page WHERE id = ANY($1::bigint[]) RETURNING id, host, fp),
unseen AS (DELETE FROM seen s USING gone g WHERE s.host = g.host AND s.fp = g.fp),
unvisited AS (DELETE FROM visit v USING gone g WHERE v.page = g.id)
UPDATE run SET forgotten = forgotten + (SELECT count(*) FROM gone) WHERE id = $2";

/// Free hosts: when they have something to do.
const WAKE: &str = "WITH woken AS MATERIALIZED
  (SELECT id FROM host WHERE id = ANY($1::bigint[]) AND run IS NULL ORDER BY id FOR UPDATE)
UPDATE host SET lease_at = (SELECT greatest(host.next_at, q.due) FROM queue q
  WHERE q.host = host.id ORDER BY q.due LIMIT 1)
FROM woken WHERE host.id = woken.id";

/// Puts pages back into the queue.
pub(super) async fn requeue(inner: Arc<Inner>, pages: Arc<[i64]>) -> Result<u64, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let mut transaction = writer.link.ready().await?.begin().await?;
    let db = &mut *transaction;
    let own: Vec<i64> = sqlx::query_scalar(OWN)
        .bind(active.crawl)
        .bind(&*pages)
        .fetch_all(&mut *db)
        .await?;
    sqlx::query(ATTEMPT).bind(&own).execute(&mut *db).await?;
    back(db, &active, &own).await?;
    transaction.commit().await?;
    Ok(own.len() as u64)
}

async fn back(db: &mut PgConnection, active: &Active, pages: &[i64]) -> Result<(), Failure> {
    if pages.is_empty() {
        return Ok(());
    }
    let hosts: Option<Vec<i64>> = sqlx::query_scalar(BACK)
        .bind(pages)
        .bind(active.run)
        .fetch_one(&mut *db)
        .await?;
    sqlx::query(WAKE)
        .bind(hosts.unwrap_or_default())
        .execute(db)
        .await?;
    Ok(())
}

/// Puts the pages of requests that were found again back into the queue, if they are stale; how many of each
/// host. It may be done twice.
pub(super) async fn renew(
    db: &mut PgConnection,
    active: &Active,
    found: &[&NewRequest],
) -> Result<HashMap<HostKey, u32>, Failure> {
    let before = |new: &&NewRequest| new.renews.map_or(0, Timestamp::as_millisecond);
    let mut transaction = db.begin().await?;
    let stale: Vec<(i64, i64)> = sqlx::query_as(STALE)
        .bind(active.run)
        .bind(found.iter().map(|new| new.host.0).collect::<Vec<_>>())
        .bind(
            found
                .iter()
                .map(|new| new.fingerprint.0)
                .collect::<Vec<_>>(),
        )
        .bind(found.iter().map(before).collect::<Vec<_>>())
        .fetch_all(&mut *transaction)
        .await?;
    let mut pages: Vec<_> = stale.iter().map(|(page, _)| *page).collect();
    pages.sort_unstable();
    back(&mut transaction, active, &pages).await?;
    transaction.commit().await?;
    let mut hosts = HashMap::new();
    for (_, host) in stale {
        *hosts.entry(HostKey(host)).or_default() += 1;
    }
    Ok(hosts)
}

/// Ends queued requests of a step, as many as one statement takes; how many there were.
pub(super) async fn discard(inner: Arc<Inner>, step: Arc<str>) -> Result<u64, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let db = writer.link.ready().await?;
    let (count, hosts): (i64, Option<Vec<i64>>) = sqlx::query_as(AssertSqlSafe(format!(
        "WITH found AS MATERIALIZED
           (SELECT q.host, q.due, q.ord, q.depth, q.seq
            FROM host h JOIN queue q ON q.host = h.id WHERE h.crawl = $1 AND q.step = $3
            LIMIT {PIECE} FOR UPDATE OF q SKIP LOCKED),
         gone AS (DELETE FROM queue q USING found f WHERE q.host = f.host AND q.due = f.due
            AND q.ord = f.ord AND q.depth = f.depth AND q.seq = f.seq RETURNING q.*),
         ended AS (INSERT INTO page (id, run, host, fp, step, path, state, reason, message, status, ms,
              bytes, ord, depth, tries, parent, at, args, spec)
            SELECT seq, $2, host, fp, step, path, 'skipped', 'discarded', 'its step was given up', 0, 0,
              0, ord, depth, tries, parent, {NOW}, args, spec FROM gone),
         counted AS (UPDATE run SET skipped = skipped + (SELECT count(*) FROM gone) WHERE id = $2)
         SELECT count(*), array_agg(DISTINCT host) FROM gone"
    )))
    .bind(active.crawl)
    .bind(active.run)
    .bind(&*step)
    .fetch_one(&mut *db)
    .await?;
    sqlx::query(WAKE)
        .bind(hosts.unwrap_or_default())
        .execute(db)
        .await?;
    Ok(count.unsigned_abs())
}

/// Opens a finished crawl again; [`prepare`] does the work of a new round.
pub(super) async fn reopen(
    db: &mut PgConnection,
    crawl: i64,
    is_new_round: bool,
) -> Result<(), Failure> {
    let reopened = if is_new_round {
        "UPDATE crawl SET state = 'open', finished = NULL, seeded = false, round = round + 1,
           again = -9223372036854775808 WHERE id = $1"
    } else {
        "UPDATE crawl SET state = 'open', finished = NULL WHERE id = $1"
    };
    sqlx::query(reopened).bind(crawl).execute(db).await?;
    Ok(())
}

/// How far the preparation of a round is.
pub(super) struct Prepared {
    pub(super) is_done: bool,
    /// Set when it is done, if the crawl is not in its first round.
    pub(super) round: Option<Round>,
    /// When the lease of the process ends unless it shows a sign of life before.
    pub(super) lapses: Instant,
}

/// Queues the next piece of what is due of a round that was begun and is not yet prepared.
pub(super) async fn prepare(
    inner: Arc<Inner>,
    rules: Arc<[(String, Rule)]>,
) -> Result<Prepared, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let asked = Instant::now();
    let mut transaction = writer.link.ready().await?.begin().await?;
    let db = &mut *transaction;
    live::revive(db, &active).await?;
    let (number, again): (i64, Option<i64>) =
        sqlx::query_as("SELECT round, again FROM crawl WHERE id = $1 FOR UPDATE")
            .bind(active.crawl)
            .fetch_one(&mut *db)
            .await?;
    let mut prepared = Prepared {
        is_done: again.is_none(),
        round: None,
        lapses: asked + active.lease,
    };
    if let Some(from) = again {
        if from == i64::MIN {
            visits::index_pages(db).await?;
        }
        piece(db, &active, &rules, from).await?;
    } else if number > 1 {
        prepared.round = Some(round(db, &active, number).await?);
        active.again.store(true, Ordering::Relaxed);
    }
    transaction.commit().await?;
    Ok(prepared)
}

async fn round(db: &mut PgConnection, active: &Active, number: i64) -> Result<Round, Failure> {
    let (queued, known, left): (i64, i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(requeued) FILTER (WHERE id = $1), 0)::bigint,
           sum(known - forgotten)::bigint,
           sum(known + requeued - done - failed - skipped)::bigint FROM run WHERE crawl = $2",
    )
    .bind(active.run)
    .bind(active.crawl)
    .fetch_one(db)
    .await?;
    Ok(Round {
        number: number.unsigned_abs(),
        queued: queued.unsigned_abs(),
        resting: known.saturating_sub(left).unsigned_abs(),
    })
}

/// Number, step, whether it is done, depth, and when and for how long it was visited.
type Known = (i64, String, bool, i32, Option<i64>, Option<i64>);

async fn piece(
    db: &mut PgConnection,
    active: &Active,
    rules: &[(String, Rule)],
    from: i64,
) -> Result<(), Failure> {
    let to: Option<i64> = sqlx::query_scalar(
        "SELECT max(id) FROM (SELECT id FROM page WHERE id > $1 ORDER BY id LIMIT $2) piece",
    )
    .bind(from)
    .bind(PIECE)
    .fetch_one(&mut *db)
    .await?;
    if let Some(to) = to {
        let pages: Vec<Known> = sqlx::query_as(
            "SELECT p.id, p.step, p.state = 'done', p.depth, v.at, v.every
             FROM page p LEFT JOIN visit v ON v.page = p.id
             WHERE p.id > $1 AND p.id <= $2
               AND (SELECT r.crawl FROM run r WHERE r.id = p.run) = $3",
        )
        .bind(from)
        .bind(to)
        .bind(active.crawl)
        .fetch_all(&mut *db)
        .await?;
        let (due, forgotten) = sort(pages, rules, clock::now_ms());
        back(db, active, &due).await?;
        sqlx::query(FORGET)
            .bind(&forgotten)
            .bind(active.run)
            .execute(&mut *db)
            .await?;
    }
    sqlx::query("UPDATE crawl SET again = $2 WHERE id = $1")
        .bind(active.crawl)
        .bind(to)
        .execute(db)
        .await?;
    Ok(())
}

/// The pages that are due, and those that are forgotten.
fn sort(pages: Vec<Known>, rules: &[(String, Rule)], now: i64) -> (Vec<i64>, Vec<i64>) {
    let (mut due, mut forgotten) = (Vec::new(), Vec::new());
    for (page, step, is_done, depth, at, every) in pages {
        let rule = rules.iter().find(|(name, _)| *name == step);
        match rule.map(|(_, rule)| *rule) {
            Some(Rule::Seeds) if depth > 0 => forgotten.push(page),
            Some(Rule::Due(revisit))
                if is_done && !is_due(revisit, depth == 0, (at, every), now) => {}
            _ => due.push(page),
        }
    }
    (due, forgotten)
}

fn is_due(
    revisit: Revisit,
    is_seed: bool,
    (at, every): (Option<i64>, Option<i64>),
    now: i64,
) -> bool {
    // No sitemap names a seed.
    if is_seed && revisit == Revisit::Lastmod {
        return true;
    }
    let every = every.map(|ms| std::time::Duration::from_millis(ms.unsigned_abs()));
    // A page without a visit was read before its step had a rule, or was a redirect.
    revisit.is_due(moment(at.unwrap_or(0)), every, moment(now))
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) const HOT: [&str; 6] = [OWN, STALE, ATTEMPT, BACK, FORGET, WAKE];
