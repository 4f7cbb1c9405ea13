//! Pages that are asked for again: put back into the queue by number, or by a new round.
//!
//! A page row becomes a queue row of the same number, so `seen = queue + page` holds. A round is
//! prepared in pieces, each a transaction; one that was cut short is gone on with by the next run.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error::Failure;
use super::many::{self, Many};
use super::writer::Writer;
use super::{Active, Inner, seen};
use crate::clock;
use crate::request::{Fingerprint, HostKey, Revisit};
use crate::store::{Round, Rule};

/// Pages looked at in one transaction: the log stays small.
const PIECE: i64 = 20_000;

/// Those of the pages that are there and of the crawl.
static OWN: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "SELECT group_concat(p.id) FROM page p CROSS JOIN run r
         WHERE r.id = p.run AND r.crawl = ? AND p.id IN (VALUES",
        "(?)",
        ")",
    )
});

static QUEUE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT OR ROLLBACK INTO queue (host, due, ord, depth, seq, fp, tries, step, path, args, parent, spec)
         SELECT p.host, 0, p.ord, p.depth, p.id, p.fp, 0, p.step, p.path, p.args, p.parent, p.spec
         FROM (VALUES",
        "(?)",
        ") v CROSS JOIN page p WHERE p.id = v.column1",
    )
});

/// Those that are done, by an earlier run than this, and were not asked for since a moment. One that
/// this run has read is not read again, whatever its sitemap makes of the future.
static STALE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "SELECT group_concat(iif(p.run <> ?, p.id || ',' || v.column1, NULL)) FROM (VALUES",
        "(#,?,?)",
        ") v CROSS JOIN seen s ON s.key = v.column2
         CROSS JOIN page p ON p.id = s.seq LEFT JOIN visit t ON t.page = p.id
         WHERE p.state = 'done' AND ifnull(t.at, 0) < v.column3",
    )
});

/// What it failed of is a try from now on.
static ATTEMPT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT OR IGNORE INTO attempt (page, at, run, message)
         SELECT p.id, p.at, p.run, ifnull(p.message, p.state) FROM (VALUES",
        "(?)",
        ") v CROSS JOIN page p WHERE p.id = v.column1 AND p.state <> 'done'",
    )
});

static DELETE: LazyLock<Many> =
    LazyLock::new(|| Many::new("DELETE FROM page WHERE id IN (VALUES", "(?)", ")"));

static FORGET: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        concat!(
            "DELETE FROM seen WHERE key IN (SELECT ",
            seen::key_of!("p"),
            " FROM (VALUES"
        ),
        "(?)",
        ") v CROSS JOIN page p WHERE p.id = v.column1)",
    )
});

static VISIT: LazyLock<Many> =
    LazyLock::new(|| Many::new("DELETE FROM visit WHERE page IN (VALUES", "(?)", ")"));

/// All free hosts of a crawl: when they have something to do.
const WAKE: &str = "UPDATE host SET lease_at =
  (SELECT max(next_at, q.due) FROM queue q WHERE q.host = host.id ORDER BY q.due LIMIT 1)
WHERE crawl = ? AND run IS NULL";

/// Puts pages back into the queue.
pub(super) async fn requeue(inner: Arc<Inner>, pages: Vec<i64>) -> Result<u64, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let mut count = 0;
    for piece in pages.chunks(PIECE as usize) {
        writer.begin().await?;
        let moved = async {
            let db = writer.connection();
            let mut own = Vec::with_capacity(piece.len());
            for (piece, statement) in OWN.over(piece) {
                let mut statement = statement.bind(active.crawl);
                for page in piece {
                    statement = statement.bind(*page);
                }
                own.extend(many::numbers(db, statement).await?);
            }
            each(db, &ATTEMPT, &own).await?;
            back(db, &active, &own).await?;
            Ok(own.len() as u64)
        }
        .await;
        count += writer.finish(moved).await?;
    }
    wake(&mut writer, active.crawl).await?;
    Ok(count)
}

async fn each(db: &mut SqliteConnection, many: &Many, pages: &[i64]) -> Result<(), Failure> {
    for (piece, mut statement) in many.over(pages) {
        for page in piece {
            statement = statement.bind(*page);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

async fn back(db: &mut SqliteConnection, active: &Active, pages: &[i64]) -> Result<(), Failure> {
    each(db, &QUEUE, pages).await?;
    each(db, &DELETE, pages).await?;
    sqlx::query("UPDATE run SET requeued = requeued + ? WHERE id = ?")
        .bind(pages.len() as i64)
        .bind(active.run)
        .execute(db)
        .await?;
    Ok(())
}

/// A request that was found again, and since when its page must have been asked for not to be stale.
pub(super) struct Found {
    pub(super) host: HostKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) before: i64,
}

/// Puts the pages of requests that were found again back into the queue, if they are stale; which those are.
pub(super) async fn renew(
    db: &mut SqliteConnection,
    active: &Active,
    found: &[Found],
) -> Result<Vec<usize>, Failure> {
    let (mut renewed, mut start) = (Vec::new(), 0);
    for (piece, statement) in STALE.over(found) {
        let mut statement = statement.bind(active.run);
        for found in piece {
            statement = statement
                .bind(seen::key(found.host, found.fingerprint).to_vec())
                .bind(found.before);
        }
        // Number and place, in turn.
        let stale = many::numbers(db, statement).await?;
        let stale: BTreeMap<_, _> = stale
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        let pages: Vec<_> = stale.keys().copied().collect();
        back(db, active, &pages).await?;
        renewed.extend(stale.into_values().map(|at| start + at as usize));
        start += piece.len();
    }
    Ok(renewed)
}

/// Pages as if they had never been found.
async fn forget(db: &mut SqliteConnection, active: &Active, pages: &[i64]) -> Result<(), Failure> {
    for many in [&FORGET, &VISIT, &DELETE] {
        each(db, many, pages).await?;
    }
    sqlx::query("UPDATE run SET forgotten = forgotten + ? WHERE id = ?")
        .bind(pages.len() as i64)
        .bind(active.run)
        .execute(db)
        .await?;
    Ok(())
}

async fn wake(writer: &mut Writer, crawl: i64) -> Result<(), Failure> {
    sqlx::query(WAKE)
        .bind(crawl)
        .execute(writer.connection())
        .await?;
    Ok(())
}

/// Ends the queued requests of a step.
pub(super) async fn discard(inner: Arc<Inner>, step: String) -> Result<u64, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    writer.begin().await?;
    let discarded = async {
        let db = writer.connection();
        let count = sqlx::query(
            "INSERT OR ROLLBACK INTO page (id, run, host, fp, step, path, state, reason, message, status,
               ms, bytes, ord, depth, tries, parent, at, args, spec)
             SELECT q.seq, ?, q.host, q.fp, q.step, q.path, 'skipped', 'discarded',
               'its step was given up', 0, 0, 0, q.ord, q.depth, q.tries, q.parent, ?, q.args, q.spec
             FROM host h CROSS JOIN queue q ON q.host = h.id WHERE h.crawl = ? AND q.step = ?",
        )
        .bind(active.run)
        .bind(clock::now_ms())
        .bind(active.crawl)
        .bind(&step)
        .execute(&mut *db)
        .await?
        .rows_affected();
        sqlx::query(
            "DELETE FROM queue WHERE step = ? AND host IN (SELECT id FROM host WHERE crawl = ?)",
        )
        .bind(&step)
        .bind(active.crawl)
        .execute(&mut *db)
        .await?;
        sqlx::query("UPDATE run SET skipped = skipped + ? WHERE id = ?")
            .bind(count as i64)
            .bind(active.run)
            .execute(db)
            .await?;
        Ok(count)
    }
    .await;
    let count = writer.finish(discarded).await?;
    wake(&mut writer, active.crawl).await?;
    Ok(count)
}

/// Begins a new round of a finished crawl; [`prepare`] does the work.
pub(super) async fn reopen(
    db: &mut SqliteConnection,
    crawl: i64,
    is_new_round: bool,
) -> Result<(), Failure> {
    let reopened = if is_new_round {
        "UPDATE crawl SET state = 'open', finished = NULL, seeded = 0, round = round + 1,
           again = -9223372036854775808 WHERE id = ?"
    } else {
        "UPDATE crawl SET state = 'open', finished = NULL WHERE id = ?"
    };
    sqlx::query(reopened).bind(crawl).execute(db).await?;
    Ok(())
}

/// Queues what is due of a round that was begun and is not yet prepared. None: the crawl is in its
/// first round.
pub(super) async fn prepare(
    writer: &mut Writer,
    active: &Active,
    rules: &[(String, Rule)],
) -> Result<Option<Round>, Failure> {
    let (number, again): (i64, Option<i64>) =
        sqlx::query_as("SELECT round, again FROM crawl WHERE id = ?")
            .bind(active.crawl)
            .fetch_one(writer.connection())
            .await?;
    if number < 2 {
        return Ok(None);
    }
    if let Some(mut from) = again {
        index_pages(writer).await?;
        let now = clock::now_ms();
        while let Some(to) = end_of_piece(writer, from).await? {
            writer.begin().await?;
            let moved = piece(writer.connection(), active, rules, (from, to), now).await;
            writer.finish(moved).await?;
            from = to;
        }
        wake(writer, active.crawl).await?;
        sqlx::query("UPDATE crawl SET again = NULL WHERE id = ?")
            .bind(active.crawl)
            .execute(writer.connection())
            .await?;
    }
    let (queued, known, left): (i64, i64, i64) = sqlx::query_as(
        "SELECT sum(iif(id = ?, requeued, 0)), sum(known - forgotten),
           sum(known + requeued - done - failed - skipped) FROM run WHERE crawl = ?",
    )
    .bind(active.run)
    .bind(active.crawl)
    .fetch_one(writer.connection())
    .await?;
    Ok(Some(Round {
        number: number.unsigned_abs(),
        queued: queued.unsigned_abs(),
        resting: known.saturating_sub(left).unsigned_abs(),
    }))
}

/// The rows of a page are looked for in a new round only, so only then are there indexes for that.
async fn index_pages(writer: &mut Writer) -> Result<(), Failure> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT i.name FROM item_table i
         JOIN sqlite_schema s ON s.name = i.name COLLATE NOCASE AND s.type = 'table'",
    )
    .fetch_all(writer.connection())
    .await?;
    for table in tables {
        // The name was checked when the table was made.
        let sql =
            format!("CREATE INDEX IF NOT EXISTS \"{table}__page\" ON \"{table}\" (\"_page\")");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(writer.connection())
            .await?;
    }
    Ok(())
}

async fn end_of_piece(writer: &mut Writer, from: i64) -> Result<Option<i64>, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT max(id) FROM (SELECT id FROM page WHERE id > ? ORDER BY id LIMIT ?)",
    )
    .bind(from)
    .bind(PIECE)
    .fetch_one(writer.connection())
    .await?)
}

/// Number, step, whether it is done, depth, and when and for how long it was visited.
type Known = (i64, String, bool, i64, Option<i64>, Option<i64>);

async fn piece(
    db: &mut SqliteConnection,
    active: &Active,
    rules: &[(String, Rule)],
    (from, to): (i64, i64),
    now: i64,
) -> Result<(), Failure> {
    let pages: Vec<Known> = sqlx::query_as(
        "SELECT p.id, p.step, p.state = 'done', p.depth, v.at, v.every
         FROM page p CROSS JOIN run r ON r.id = p.run LEFT JOIN visit v ON v.page = p.id
         WHERE p.id > ? AND p.id <= ? AND r.crawl = ?",
    )
    .bind(from)
    .bind(to)
    .bind(active.crawl)
    .fetch_all(&mut *db)
    .await?;
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
    back(db, active, &due).await?;
    forget(db, active, &forgotten).await?;
    sqlx::query("UPDATE crawl SET again = ? WHERE id = ?")
        .bind(to)
        .bind(active.crawl)
        .execute(db)
        .await?;
    Ok(())
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
    let at = at.unwrap_or(0);
    revisit.is_due(super::moment(at), every, super::moment(now))
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    let all = [&OWN, &QUEUE, &STALE, &ATTEMPT, &DELETE, &FORGET, &VISIT];
    all.into_iter().flat_map(|many| many.texts())
}
