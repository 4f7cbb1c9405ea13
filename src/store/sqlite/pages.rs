//! What becomes of tickets: page rows, or queue rows once more. And the state of hosts.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::Active;
use super::error::Failure;
use super::many::Many;
use super::tickets::Written;
use crate::request::HostKey;
use crate::store::{Host, PageRow, PageState, Verdict};

static PAGE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO page (id, run, host, step, path, state, reason, message, status, ms, bytes,
           depth, tries, parent, at, args, spec) VALUES",
        "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        "",
    )
});

/// A host that answers 503 for days must not fill the disk: the first tries say it all.
static ATTEMPT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT OR REPLACE INTO attempt (page, at, run, message)
         SELECT * FROM (VALUES",
        "(?,?,?,?)",
        ") AS v WHERE (SELECT count(*) FROM attempt a WHERE a.page = v.column1) < 32",
    )
});

/// What the verdicts of a batch count.
#[derive(Default)]
pub(super) struct Verdicts {
    pub(super) done: i64,
    pub(super) failed: i64,
    pub(super) skipped: i64,
    pub(super) redirects: i64,
    pub(super) retries: i64,
    pub(super) bytes: i64,
}

/// Writes the verdicts.
pub(super) async fn write(
    db: &mut SqliteConnection,
    active: &Active,
    pages: &[Written<'_>],
    now: i64,
) -> Result<Verdicts, Failure> {
    let mut verdicts = Verdicts::default();
    let mut ended = Vec::with_capacity(pages.len());
    let mut again = Vec::new();
    for written in pages {
        match &written.page.verdict {
            Verdict::Page(row) => {
                verdicts.count(row);
                ended.push((written, row));
            }
            Verdict::Retry {
                due,
                message,
                counts,
            } => {
                verdicts.retries += 1;
                // Zero would be ready at once, and without an end.
                let due = due.as_millisecond().max(1);
                again.push((written, due, message.as_str(), i64::from(*counts)));
            }
        }
    }
    insert(db, active, &ended, now).await?;
    if !again.is_empty() {
        requeue(db, &again).await?;
        attempts(db, active, &again, now).await?;
        wake(db, &again).await?;
    }
    Ok(verdicts)
}

impl Verdicts {
    fn count(&mut self, row: &PageRow) {
        let state = match row.state {
            PageState::Done => &mut self.done,
            PageState::Failed => &mut self.failed,
            PageState::Skipped => &mut self.skipped,
        };
        *state += 1;
        self.redirects += i64::from(row.reason == Some("redirect"));
        self.bytes += row.bytes as i64;
    }
}

async fn insert(
    db: &mut SqliteConnection,
    active: &Active,
    ended: &[(&Written<'_>, &PageRow)],
    now: i64,
) -> Result<(), Failure> {
    for (piece, mut statement) in PAGE.over(ended) {
        for (
            Written {
                page, row: ticket, ..
            },
            row,
        ) in piece
        {
            let failed = row.state == PageState::Failed;
            statement = statement
                .bind(page.key.seq)
                .bind(active.run)
                .bind(page.key.host.0)
                .bind(&*ticket.step)
                .bind(&*ticket.path)
                .bind(row.state.as_str())
                .bind(row.reason)
                .bind(row.message.as_deref())
                .bind(i32::from(row.status))
                .bind(i64::from(row.took_ms))
                .bind(row.bytes as i64)
                .bind(i32::from(page.key.depth))
                .bind(ticket.tries)
                .bind(ticket.parent)
                .bind(now)
                .bind(ticket.args.as_deref().filter(|_| failed))
                .bind(ticket.spec.as_deref().filter(|_| failed));
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// A ticket that goes back: when it is due, why, and whether the try counts.
type Again<'a> = (&'a Written<'a>, i64, &'a str, i64);

static REQUEUE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO queue (host, due, ord, depth, seq, fp, tries, step, path, args, parent, spec) VALUES",
        "(?,?,?,?,?,?,?,?,?,?,?,?)",
        "",
    )
});

async fn requeue(db: &mut SqliteConnection, again: &[Again<'_>]) -> Result<(), Failure> {
    for (piece, mut statement) in REQUEUE.over(again) {
        for (Written { page, row, .. }, due, _, counts) in piece {
            statement = statement
                .bind(page.key.host.0)
                .bind(*due)
                .bind(page.key.order)
                .bind(i32::from(page.key.depth))
                .bind(page.key.seq)
                .bind(row.fp)
                .bind(row.tries + counts)
                .bind(&*row.step)
                .bind(&*row.path)
                .bind(row.args.as_deref())
                .bind(row.parent)
                .bind(row.spec.as_deref());
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

async fn attempts(
    db: &mut SqliteConnection,
    active: &Active,
    again: &[Again<'_>],
    now: i64,
) -> Result<(), Failure> {
    for (piece, mut statement) in ATTEMPT.over(again) {
        for (written, _, message, _) in piece {
            statement = statement
                .bind(written.page.key.seq)
                .bind(now)
                .bind(active.run)
                .bind(*message);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// A retry may come after its host was given back.
async fn wake(db: &mut SqliteConnection, again: &[Again<'_>]) -> Result<(), Failure> {
    let mut first = HashMap::<HostKey, i64>::new();
    for (written, due, ..) in again {
        let earliest = first.entry(written.page.key.host).or_insert(*due);
        *earliest = (*due).min(*earliest);
    }
    for (host, due) in first {
        sqlx::query(
            "UPDATE host SET lease_at = max(next_at, ?1)
             WHERE id = ?2 AND run IS NULL AND ifnull(lease_at, 9223372036854775807) > max(next_at, ?1)",
        )
        .bind(due)
        .bind(host.0)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Writes the pace, errors and robots.txt of hosts; their lease is kept.
pub(super) async fn hosts(
    db: &mut SqliteConnection,
    active: &Active,
    hosts: &[Host],
) -> Result<(), Failure> {
    for host in hosts {
        sqlx::query(
            "UPDATE host SET next_at = ?1, errors = ?2, seed = max(seed, ?3),
               lease_at = CASE WHEN lease_at < ?1 THEN ?1 ELSE lease_at END
             WHERE id = ?4 AND crawl = ?5",
        )
        .bind(host.next_at.as_millisecond())
        .bind(i64::from(host.errors))
        .bind(host.seed)
        .bind(host.key.0)
        .bind(active.crawl)
        .execute(&mut *db)
        .await?;
        if let Some(robots) = &host.robots {
            sqlx::query(
                "INSERT INTO robots (host, status, at, body) VALUES (?, ?, ?, ?)
                 ON CONFLICT (host) DO UPDATE SET
                   status = excluded.status, at = excluded.at, body = excluded.body
                 WHERE at <> excluded.at",
            )
            .bind(host.key.0)
            .bind(i32::from(robots.status))
            .bind(robots.at.as_millisecond())
            .bind(&*robots.body)
            .execute(&mut *db)
            .await?;
        }
    }
    Ok(())
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    PAGE.texts().chain(REQUEUE.texts()).chain(ATTEMPT.texts())
}
