//! Hosts: who may work on them, and when there is something to do.
//!
//! As on SQLite, `lease_at` of a free host is the first moment at which one of its requests may be sent.
//! Rows that another process has not committed yet are seen by nobody, so a host that seems to have
//! nothing left is looked at once more after [`GRACE`]; and who finds nothing to do at all looks after
//! those that were parked too early.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection};

use super::error::Failure;
use super::{Active, Cells, Inner, cell, links, live, pages, shares};
use crate::clock;
use crate::request::HostKey;
use crate::store::{Host, Rest, RobotsFile};

/// Longer than a commit takes, in ms.
const GRACE: i64 = 5_000;

/// How long a host whose requests are all for steps of other versions is left to those, in ms.
const OTHERS: i64 = 1_000;

/// How long to wait while only others have something to do, in ms.
const COMPANY: i64 = 500;

/// Takes hosts that are due. One whose rows are for nobody's steps here is left to the others; one that
/// has no rows is parked.
///
/// Whether there is a request is looked for from the end of a host's queue: at its head lie the rows that are
/// done, which stay there while anybody holds an old snapshot.
pub(super) const LEASE: &str = "WITH due AS MATERIALIZED
  (SELECT id, lapsed, lease_at FROM host WHERE crawl = $1 AND run IS NULL AND lease_at <= $2
     AND (pace IS NULL OR (pace = ANY($7::bigint[]) AND NOT EXISTS
       (SELECT 1 FROM host o WHERE o.pace = host.pace AND o.run IS NOT NULL AND o.run <> $4)))
   ORDER BY lease_at LIMIT $3 FOR UPDATE SKIP LOCKED),
first AS MATERIALIZED
  (SELECT own.*, CASE WHEN own.mine <= $2 THEN own.mine ELSE
     (SELECT q.due FROM queue q WHERE q.host = own.id ORDER BY q.due LIMIT 1) END AS anyones
   FROM (SELECT due.*, coalesce(
       (SELECT q.due FROM queue q WHERE q.host = due.id AND q.due = 0
          AND ($5::text[] IS NULL OR q.step = ANY($5))
        ORDER BY q.ord DESC, q.depth DESC, q.seq DESC LIMIT 1),
       (SELECT q.due FROM queue q WHERE q.host = due.id AND q.due > 0
          AND ($5::text[] IS NULL OR q.step = ANY($5))
        ORDER BY q.due LIMIT 1)) AS mine
     FROM due OFFSET 0) own),
taken AS
  (UPDATE host h SET
     run = CASE WHEN first.mine <= $2 THEN $4::bigint END,
     lapsed = h.lapsed AND NOT coalesce(first.mine <= $2, false),
     lease_at = CASE
       WHEN first.mine <= $2 THEN h.lease_at
       WHEN first.mine IS NULL AND first.anyones IS NOT NULL THEN $2 + $6
       WHEN first.anyones IS NOT NULL THEN greatest(h.next_at, first.anyones) END
   FROM first WHERE h.id = first.id
   RETURNING h.id, h.origin, h.seed, h.next_at, h.errors, h.delay, h.ceiling, h.day, h.sent,
     first.lapsed, h.run, first.lease_at)
SELECT t.id, t.origin, t.seed, t.next_at, t.errors, r.status, r.body, r.at,
  t.delay, t.ceiling, t.day, t.sent, t.lapsed, t.run IS NOT NULL
FROM taken t LEFT JOIN robots r ON r.host = t.id ORDER BY t.lease_at, t.id";

/// Groups of due hosts that nobody else takes hosts of at this moment.
const GROUPS: &str = "SELECT pace FROM (SELECT DISTINCT pace FROM (SELECT pace FROM host
  WHERE crawl = $1 AND run IS NULL AND lease_at <= $2 AND pace IS NOT NULL
  ORDER BY lease_at LIMIT $3) due) due WHERE pg_try_advisory_xact_lock(pace)";

/// Takes hosts that have something to do now.
pub(super) async fn lease(
    inner: Arc<Inner>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Host>, Failure> {
    let active = inner.active()?;
    let now = active.tell(inner.skew.theirs(now));
    let mut writer = inner.writer.lock().await;
    let room = active
        .share
        .load(Ordering::Relaxed)
        .saturating_sub(writer.held.len());
    let limit = limit.min(room);
    if limit == 0 {
        return Ok(Vec::new());
    }
    let held = writer.held.keys().copied().collect::<Vec<_>>();
    let stray = std::mem::replace(&mut writer.stray, true);
    let db = writer.link.ready().await?;
    if stray {
        live::free_strays(db, &active, &held).await?;
    }
    let leased = if inner.group_of.get().is_some() {
        // A statement sees what was committed before it began, so the groups are locked in one of their
        // own: what their last holder has done with them is seen by the next.
        let mut transaction = db.begin().await?;
        let groups: Vec<i64> = sqlx::query_scalar(GROUPS)
            .bind(active.crawl)
            .bind(now)
            .bind(limit as i64)
            .fetch_all(&mut *transaction)
            .await?;
        let leased = take_due(&mut transaction, &inner, &active, (limit, now), &groups).await?;
        transaction.commit().await?;
        leased
    } else {
        take_due(db, &inner, &active, (limit, now), &[]).await?
    };
    let leased = shares::leave_to_others(db, &active, leased).await?;
    writer.stray = false;
    for host in &leased {
        let parts = shares::parts_of(&active, &host.origin);
        writer.held.insert(host.key, parts);
    }
    Ok(leased)
}

/// Notes the group of a leased host; whether no other process has hosts of it.
///
/// The group is locked in a statement of its own, as in [`lease`], after its name is to be seen: of two processes
/// that find out at once, at least one sees the other. Nobody waits for the lock: who does not get it gives the host
/// back, and comes by it as by any host whose group is known.
pub(super) async fn join_group(
    inner: Arc<Inner>,
    host: HostKey,
    group: String,
) -> Result<bool, Failure> {
    let active = inner.active()?;
    let pace = links::pace(&active, &group);
    let mut writer = inner.writer.lock().await;
    let db = writer.link.ready().await?;
    sqlx::query("UPDATE host SET pace = $2 WHERE id = $1 AND run = $3")
        .bind(host.0)
        .bind(pace)
        .bind(active.run)
        .execute(&mut *db)
        .await?;
    let mut transaction = db.begin().await?;
    let mut is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(pace)
        .fetch_one(&mut *transaction)
        .await?;
    if is_ours {
        is_ours = sqlx::query_scalar(
            "SELECT NOT EXISTS
               (SELECT 1 FROM host WHERE pace = $1 AND run IS NOT NULL AND run <> $2)",
        )
        .bind(pace)
        .bind(active.run)
        .fetch_one(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(is_ours)
}

async fn take_due(
    db: &mut PgConnection,
    inner: &Inner,
    active: &Active,
    (limit, now): (usize, i64),
    groups: &[i64],
) -> Result<Vec<Host>, Failure> {
    let mut leased = Vec::new();
    while leased.len() < limit {
        let rows = sqlx::query(LEASE)
            .bind(active.crawl)
            .bind(now)
            .bind((limit - leased.len()) as i64)
            .bind(active.run)
            .bind(&active.steps)
            .bind(OTHERS)
            .bind(groups)
            .fetch_all(&mut *db)
            .await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if cell(&row, 13)? {
                leased.push(read(&row, inner)?);
            }
        }
    }
    Ok(leased)
}

/// Reads the columns of a host as `LEASE` has them.
pub(super) fn read(row: &PgRow, inner: &Inner) -> Result<Host, Failure> {
    let mut host = read_as_stored(row)?;
    host.next_at = inner.skew.ours(host.next_at.as_millisecond());
    Ok(host)
}

pub(super) fn read_as_stored(row: &PgRow) -> Result<Host, Failure> {
    let mut cells = Cells::of(row);
    let mut host = Host {
        key: HostKey(cells.next()?),
        origin: cells.next()?,
        seed: cells.next()?,
        next_at: cells.moment()?,
        errors: cells.next::<i64>()? as u32,
        robots: None,
        delay: millis(cell(row, 8)?),
        ceiling: millis(cell(row, 9)?),
        day: cell(row, 10)?,
        sent: cell::<i64>(row, 11)?.max(0) as u64,
        lapsed: cell(row, 12)?,
    };
    if let Some(status) = cells.next::<Option<i32>>()? {
        host.robots = Some(RobotsFile {
            status: status as u16,
            body: cells.next()?,
            at: cells.moment()?,
        });
    }
    Ok(host)
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}

/// As [`pages::HOSTS`], and gives the hosts back. One without rows is free once more after the grace.
const RELEASE: &str = "WITH ours AS MATERIALIZED
  (SELECT v.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bool[],
       $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
     AS v (id, next_at, errors, seed, delay, ceiling, day, sent)
   CROSS JOIN LATERAL (SELECT h.id FROM host h WHERE h.id = v.id AND (h.run = $5 OR h.run IS NULL)
     FOR UPDATE) h)
UPDATE host SET run = NULL, next_at = v.next_at, errors = v.errors, seed = host.seed OR v.seed,
  delay = v.delay, ceiling = v.ceiling, day = v.day, sent = v.sent,
  lease_at = greatest(v.next_at, coalesce(
    (SELECT q.due FROM queue q WHERE q.host = host.id AND q.due = 0
     ORDER BY q.ord DESC, q.depth DESC, q.seq DESC LIMIT 1),
    (SELECT q.due FROM queue q WHERE q.host = host.id AND q.due > 0 ORDER BY q.due LIMIT 1), $10))
FROM ours v WHERE host.id = v.id";

/// Gives hosts back.
pub(super) async fn release(inner: Arc<Inner>, hosts: Arc<Vec<Host>>) -> Result<(), Failure> {
    let active = inner.active()?;
    if hosts.is_empty() {
        return Ok(());
    }
    let mut writer = inner.writer.lock().await;
    let db = writer.link.ready().await?;
    let last = pages::last_said(&hosts);
    pages::described(RELEASE, (&active, &inner.skew), &last)
        .bind(active.told().saturating_add(GRACE))
        .execute(&mut *db)
        .await?;
    pages::robots(db, &last).await?;
    for host in hosts.iter() {
        writer.held.remove(&host.key);
    }
    Ok(())
}

/// What is left, in one statement, because a host may change hands between two: when the first free host
/// and the first of this run have something to do for known steps; whether others hold hosts with
/// requests; and if there is none of that, a step that is waited for, and whether a host was parked.
const LEFT: &str = "WITH known AS MATERIALIZED
  (SELECT (SELECT h.lease_at FROM host h
     WHERE h.crawl = $1 AND h.run IS NULL AND h.lease_at IS NOT NULL
       AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id
                   AND ($3::text[] IS NULL OR q.step = ANY($3)))
     ORDER BY h.lease_at LIMIT 1) AS free,
   (SELECT min((SELECT greatest(h.next_at, q.due) FROM queue q WHERE q.host = h.id
                ORDER BY q.due LIMIT 1)) FROM host h WHERE h.run = $2) AS mine,
   EXISTS (SELECT 1 FROM host h WHERE h.run IS NOT NULL AND h.run <> $2 AND h.crawl = $1
           AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id)) AS others)
SELECT known.free, known.mine, known.others,
  CASE WHEN known.free IS NULL AND known.mine IS NULL AND NOT known.others THEN
    (SELECT (SELECT q.step FROM queue q WHERE q.host = h.id LIMIT 1) FROM host h
     WHERE h.crawl = $1 AND h.run IS NULL AND h.lease_at IS NOT NULL
       AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id) LIMIT 1) END,
  CASE WHEN known.free IS NULL AND known.mine IS NULL AND NOT known.others THEN
    EXISTS (SELECT 1 FROM host h WHERE h.crawl = $1 AND h.run IS NULL AND h.lease_at IS NULL
       AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id)) ELSE false END
FROM known";

/// What is left: exact, because a page's rows go when those that it found come.
pub(super) async fn rest(inner: Arc<Inner>) -> Result<Rest, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let db = writer.link.ready().await?;
    let later = inner.skew.theirs(clock::now()) + COMPANY;
    let row = sqlx::query(LEFT)
        .bind(active.crawl)
        .bind(active.run)
        .bind(&active.steps)
        .fetch_one(&mut *db)
        .await?;
    let mut cells = Cells::of(&row);
    let (mut free, mine): (Option<i64>, Option<i64>) = (cells.next()?, cells.next()?);
    if inner.group_of.get().is_some() {
        // It may be free and yet not to be had, because another process has its group.
        free = free.map(|at| at.max(later));
    }
    let others = cells.next::<bool>()?.then_some(later);
    let step: Option<String> = cells.next()?;
    let is_parked: bool = cells.next()?;
    let first = free.into_iter().chain(mine).chain(others).min();
    if let Some(ms) = first {
        return Ok(Rest::Until(inner.skew.ours(ms)));
    }
    if is_parked {
        unpark(db, &active).await?;
        return Ok(Rest::Until(inner.skew.ours(later)));
    }
    match step {
        None => Ok(Rest::Nothing),
        Some(_) if is_for_others(db, &active).await? => Ok(Rest::Until(inner.skew.ours(later))),
        Some(step) => Ok(Rest::Unknown(step)),
    }
}

/// Wakes hosts that were parked while requests for them were on their way.
async fn unpark(db: &mut PgConnection, active: &Active) -> Result<(), Failure> {
    sqlx::query(
        "WITH parked AS MATERIALIZED
           (SELECT h.id FROM host h WHERE h.crawl = $1 AND h.run IS NULL AND h.lease_at IS NULL
              AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id)
            ORDER BY h.id FOR UPDATE SKIP LOCKED)
         UPDATE host SET lease_at = (SELECT greatest(host.next_at, q.due) FROM queue q
           WHERE q.host = host.id ORDER BY q.due LIMIT 1)
         FROM parked WHERE host.id = parked.id",
    )
    .bind(active.crawl)
    .execute(db)
    .await?;
    Ok(())
}

/// Whether another process that lives knows the step of a request that is left.
async fn is_for_others(db: &mut PgConnection, active: &Active) -> Result<bool, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM run r JOIN host h ON h.crawl = r.crawl
           WHERE r.crawl = $1 AND r.id <> $2 AND r.ended IS NULL
             AND h.run IS NULL AND h.lease_at IS NOT NULL
             AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id
                         AND (r.steps = '{}' OR q.step = ANY(r.steps))))",
    )
    .bind(active.crawl)
    .bind(active.run)
    .fetch_one(db)
    .await?)
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) const HOT: [&str; 4] = [LEASE, GROUPS, RELEASE, LEFT];
