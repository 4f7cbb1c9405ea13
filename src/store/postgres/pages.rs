//! Tickets and what becomes of them: page rows, or queue rows once more. And the state of hosts.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;

use super::compose::{Composed, clean};
use super::error::Failure;
use super::skew::Skew;
use super::{Active, Inner};
use crate::store::{Host, PageCommit, Verdict};

/// The pages of a batch, each ticket once, in the order of their keys; with their places in the batch.
pub(super) fn in_order(pages: &[PageCommit]) -> Vec<(usize, &PageCommit)> {
    let mut ordered = pages.iter().enumerate().collect::<Vec<_>>();
    ordered.sort_by_key(|(at, page)| (page.key, *at));
    // The first that brings a ticket uses it up.
    ordered.dedup_by_key(|(_, page)| page.key);
    ordered
}

/// Columns of a verdict, in the order in which `tickets` takes them.
#[derive(Default)]
struct Columns {
    host: Vec<i64>,
    ord: Vec<i32>,
    depth: Vec<i32>,
    seq: Vec<i64>,
    state: Vec<Option<&'static str>>,
    reason: Vec<Option<&'static str>>,
    message: Vec<Option<String>>,
    status: Vec<i32>,
    ms: Vec<i64>,
    bytes: Vec<i64>,
    due: Vec<i64>,
    again: Vec<i32>,
}

impl Columns {
    fn push(&mut self, page: &PageCommit, skew: &Skew) {
        self.host.push(page.key.host.0);
        self.ord.push(page.key.order);
        self.depth.push(i32::from(page.key.depth));
        self.seq.push(page.key.seq);
        match &page.verdict {
            Verdict::Page(row) => {
                self.state.push(Some(row.state.as_str()));
                self.reason.push(row.reason);
                self.message.push(row.message.as_deref().map(clean));
                self.status.push(i32::from(row.status));
                self.ms.push(i64::from(row.took_ms));
                self.bytes.push(row.bytes as i64);
                self.due.push(0);
                self.again.push(0);
            }
            Verdict::Retry {
                due,
                message,
                counts,
            } => {
                self.state.push(None);
                self.reason.push(None);
                self.message.push(Some(clean(message)));
                self.status.push(0);
                self.ms.push(0);
                self.bytes.push(0);
                // Zero would be ready at once; a request that waits has a time.
                self.due.push(skew.theirs(*due).max(1));
                self.again.push(i32::from(*counts));
            }
        }
    }
}

/// Adds `_t`, the tickets that are there with their verdicts, and what uses them up.
///
/// A row that another process has locked is taken by it: nobody waits for it.
pub(super) fn write(
    to: &mut Composed,
    pages: &[(usize, &PageCommit)],
    (inner, active): (&Inner, &Active),
    (run, now): (&str, &str),
) -> Result<(), Failure> {
    let mut columns = Columns::default();
    for (_, page) in pages {
        columns.push(page, &inner.skew);
    }
    let places = [
        to.bind(columns.host)?,
        to.bind(columns.ord)?,
        to.bind(columns.depth)?,
        to.bind(columns.seq)?,
        to.bind(columns.state)?,
        to.bind(columns.reason)?,
        to.bind(columns.message)?,
        to.bind(columns.status)?,
        to.bind(columns.ms)?,
        to.bind(columns.bytes)?,
        to.bind(columns.due)?,
        to.bind(columns.again)?,
    ];
    to.with(format!(
        "_t AS MATERIALIZED (SELECT q.*, b.state, b.reason, b.message, b.status, b.ms, b.bytes,
           b.again_at, b.again
         FROM unnest({}) AS b (host, ord, depth, seq, state, reason, message, status, ms, bytes,
           again_at, again)
         CROSS JOIN LATERAL (SELECT * FROM queue q WHERE q.host = b.host AND q.due = 0
           AND q.ord = b.ord AND q.depth = b.depth AND q.seq = b.seq FOR UPDATE SKIP LOCKED) q)",
        places.join(", ")
    ));
    let is_row =
        "q.host = t.host AND q.due = 0 AND q.ord = t.ord AND q.depth = t.depth AND q.seq = t.seq";
    to.with(format!(
        "_d AS (DELETE FROM queue q USING _t t WHERE t.state IS NOT NULL AND {is_row})"
    ));
    let keeps = to.bind(active.keeps)?;
    // What a page needs to be asked for again may hold secrets, so it is kept only where that may happen.
    // JSONB does not take an escaped U+0000, which only the bytes of a body have.
    to.with(format!(
        "_p AS (INSERT INTO page (id, run, host, fp, step, path, state, reason, message, status, ms, bytes,
           ord, depth, tries, parent, at, args, spec)
         SELECT seq, {run}, host, fp, step, path, state, reason, message, status, ms, bytes,
           ord, depth, tries, parent, {now}, CASE WHEN state <> 'done' OR {keeps} THEN args END,
           CASE WHEN state <> 'done' OR ({keeps} AND position('\\u0000' IN spec) > 0) THEN spec
             WHEN {keeps} THEN nullif((spec::jsonb - 'url')::text, '{{}}') END
         FROM _t WHERE state IS NOT NULL)"
    ));
    let retries = |page: &PageCommit| matches!(page.verdict, Verdict::Retry { .. });
    if pages.iter().any(|(_, page)| retries(page)) {
        to.with(format!(
            "_r AS (UPDATE queue q SET due = t.again_at, tries = q.tries + t.again FROM _t t
             WHERE t.state IS NULL AND {is_row})"
        ));
        // A host that answers 503 for days must not fill the disk: the first tries say it all.
        to.with(format!(
            "_a AS (INSERT INTO attempt (page, at, run, message)
             SELECT seq, {now}, {run}, message FROM _t WHERE state IS NULL
               AND (SELECT count(*) FROM attempt a WHERE a.page = _t.seq) < 32
             ON CONFLICT (page, at) DO UPDATE SET message = excluded.message)"
        ));
    }
    Ok(())
}

/// A host that somebody else has meanwhile is theirs to describe.
const HOSTS: &str = "WITH ours AS MATERIALIZED
  (SELECT v.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bool[],
       $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
     AS v (id, next_at, errors, seed, delay, ceiling, day, sent)
   CROSS JOIN LATERAL (SELECT h.id FROM host h WHERE h.id = v.id AND (h.run = $5 OR h.run IS NULL)
     FOR UPDATE) h)
UPDATE host SET next_at = v.next_at, errors = v.errors, seed = host.seed OR v.seed,
  delay = v.delay, ceiling = v.ceiling, day = v.day, sent = v.sent,
  lease_at = CASE WHEN lease_at IS NOT NULL THEN greatest(lease_at, v.next_at) END
FROM ours v WHERE host.id = v.id";

const ROBOTS: &str = "INSERT INTO robots (host, status, at, body)
SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[]) AS v (host, status, at, body)
ORDER BY host
ON CONFLICT (host) DO UPDATE SET status = excluded.status, at = excluded.at, body = excluded.body
WHERE robots.at <> excluded.at";

/// Writes the pace, errors and robots.txt of hosts; their lease is kept.
pub(super) async fn hosts(
    db: &mut PgConnection,
    active: &Active,
    skew: &Skew,
    hosts: &[Host],
) -> Result<(), Failure> {
    if hosts.is_empty() {
        return Ok(());
    }
    let last = last_said(hosts);
    described(HOSTS, (active, skew), &last)
        .execute(&mut *db)
        .await?;
    robots(db, &last).await
}

/// Each host once, in the order of their keys: what is said last of one counts.
pub(super) fn last_said(hosts: &[Host]) -> Vec<&Host> {
    let mut last = std::collections::BTreeMap::new();
    for host in hosts {
        last.insert(host.key, host);
    }
    last.into_values().collect()
}

/// A statement that writes what hosts are like, as [`HOSTS`] does.
pub(super) fn described(
    sql: &'static str,
    (active, skew): (&Active, &Skew),
    hosts: &[&Host],
) -> Query<'static, Postgres, PgArguments> {
    let column = |part: fn(&Host) -> i64| hosts.iter().map(|host| part(host)).collect::<Vec<_>>();
    let next_at = hosts.iter().map(|host| skew.theirs(host.next_at));
    sqlx::query(sql)
        .bind(column(|host| host.key.0))
        .bind(next_at.collect::<Vec<_>>())
        .bind(column(|host| i64::from(host.errors)))
        .bind(hosts.iter().map(|host| host.seed).collect::<Vec<_>>())
        .bind(active.run)
        .bind(column(|host| millis(host.delay)))
        .bind(column(|host| millis(host.ceiling)))
        .bind(column(|host| host.day))
        .bind(column(|host| i64::try_from(host.sent).unwrap_or(i64::MAX)))
}

/// Writes the robots.txt of hosts that have one.
pub(super) async fn robots(db: &mut PgConnection, hosts: &[&Host]) -> Result<(), Failure> {
    let files = hosts
        .iter()
        .filter_map(|host| Some((host.key.0, host.robots.as_ref()?)))
        .collect::<Vec<_>>();
    if files.is_empty() {
        return Ok(());
    }
    let status = files.iter().map(|(_, file)| i32::from(file.status));
    let at = files.iter().map(|(_, file)| file.at.as_millisecond());
    let bodies = files.iter().map(|(_, file)| clean(&file.body));
    sqlx::query(ROBOTS)
        .bind(files.iter().map(|(host, _)| *host).collect::<Vec<_>>())
        .bind(status.collect::<Vec<_>>())
        .bind(at.collect::<Vec<_>>())
        .bind(bodies.collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) const HOT: [&str; 2] = [HOSTS, ROBOTS];
