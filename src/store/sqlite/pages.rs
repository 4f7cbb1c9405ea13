//! What becomes of tickets: page rows, or queue rows once more. And the state of hosts.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::SqliteConnection;

use super::Active;
use super::error::Failure;
use super::many::{Many, Statement};
use super::tickets::{self, Written};
use crate::request::HostKey;
use crate::store::{Host, PageRow, PageState, RobotsFile, TicketKey, Verdict};

/// The row takes from the queue row what the commit does not know, and that one goes. What it needs to be asked for
/// again may hold secrets, so it is kept only where that may happen.
static PAGE: LazyLock<Many> = LazyLock::new(|| {
    let insert = [
        "INSERT OR ROLLBACK INTO page (id, run, at, host, fp, step, path, ord, depth, tries, parent,
           args, spec, state, reason, message, status, ms, bytes)
         SELECT q.seq, ?, ?, q.host, q.fp, q.step, q.path, q.ord, q.depth, q.tries, q.parent,
           iif(v.column5 <> 'done' OR ?, q.args, NULL),
           iif(v.column5 <> 'done', q.spec, iif(?, nullif(json_remove(q.spec, '$.url'), '{}'), NULL)),
           v.column5, v.column6, v.column7, v.column8, v.column9, v.column10
         FROM (VALUES",
        "(?,?,?,?,?,?,?,?,?,?)",
        ") v CROSS JOIN queue q WHERE q.host = v.column1 AND q.due = 0
           AND q.ord = v.column2 AND q.depth = v.column3 AND q.seq = v.column4",
    ];
    Many::two(insert, tickets::DELETE)
});

/// Zero would be ready at once; a request that waits has a time.
static RETRY: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "UPDATE queue SET due = max(v.column5, 1), tries = tries + v.column6 FROM (VALUES",
        "(?,?,?,?,?,?)",
        ") v WHERE queue.host = v.column1 AND queue.due = 0 AND queue.ord = v.column2
           AND queue.depth = v.column3 AND queue.seq = v.column4",
    )
});

/// A host that answers 503 for days must not fill the disk: the first tries say it all.
static ATTEMPT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT OR REPLACE INTO attempt (run, at, page, message)
         SELECT ?, ?, v.column1, v.column2 FROM (VALUES",
        "(?,?)",
        ") v WHERE v.column1 NOT NULL
           AND (SELECT count(*) FROM attempt a WHERE a.page = v.column1) < 32",
    )
});

/// What the verdicts of a batch count.
#[derive(Default)]
pub(super) struct Verdicts {
    pub(super) done: i64,
    pub(super) failed: i64,
    pub(super) skipped: i64,
    pub(super) redirects: i64,
    pub(super) unchanged: i64,
    pub(super) retries: i64,
    pub(super) bytes: i64,
}

/// Writes the verdicts, and so uses the tickets up.
pub(super) async fn write(
    db: &mut SqliteConnection,
    active: &Active,
    pages: &[Written<'_>],
    now: i64,
) -> Result<Verdicts, Failure> {
    let mut verdicts = Verdicts::default();
    let mut ended = Vec::with_capacity(pages.len());
    let mut again = Vec::new();
    for Written { page, .. } in pages {
        match &page.verdict {
            Verdict::Page(row) => {
                verdicts.count(row);
                ended.push((page.key, row));
            }
            Verdict::Retry {
                due,
                message,
                counts,
            } => {
                verdicts.retries += 1;
                again.push(Again {
                    key: page.key,
                    due: due.as_millisecond(),
                    message,
                    counts: *counts,
                });
            }
        }
    }
    end(db, active, &ended, now).await?;
    // The host of a retry needs no waking: if it is free, its row was queued all the time, and a lease
    // that comes too early sees what is due and when.
    retry(db, &again).await?;
    attempts(db, active, &again, now).await?;
    Ok(verdicts)
}

/// A ticket that goes back.
struct Again<'batch> {
    key: TicketKey,
    due: i64,
    message: &'batch str,
    counts: bool,
}

/// Whether a page was as before.
pub(super) fn is_unchanged(row: &PageRow) -> bool {
    row.state == PageState::Done && row.reason == Some("unchanged")
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
        self.unchanged += i64::from(is_unchanged(row));
        self.bytes += row.bytes as i64;
    }
}

/// Makes page rows of queue rows.
async fn end(
    db: &mut SqliteConnection,
    active: &Active,
    ended: &[(TicketKey, &PageRow)],
    now: i64,
) -> Result<(), Failure> {
    let first = |statement: Statement| {
        let statement = statement.bind(active.run).bind(now);
        statement.bind(active.keeps).bind(active.keeps)
    };
    let row = |statement, (key, row): &(TicketKey, &PageRow)| {
        tickets::bind(statement, key)
            .bind(row.state.as_str())
            .bind(row.reason)
            .bind(row.message.as_deref())
            .bind(i32::from(row.status))
            .bind(i64::from(row.took_ms))
            .bind(row.bytes as i64)
    };
    for (piece, mut statement) in PAGE.over_both(ended, first, row) {
        for (key, _) in piece {
            statement = tickets::bind(statement, key);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

async fn retry(db: &mut SqliteConnection, again: &[Again<'_>]) -> Result<(), Failure> {
    for (piece, mut statement) in RETRY.over(again) {
        for Again {
            key, due, counts, ..
        } in piece
        {
            statement = tickets::bind(statement, key).bind(*due).bind(*counts);
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
    for (piece, statement) in ATTEMPT.over(again) {
        let mut statement = statement.bind(active.run).bind(now);
        for Again { key, message, .. } in piece {
            statement = statement.bind(key.seq).bind(*message);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

static HOST: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "UPDATE host SET next_at = v.column2, errors = v.column3, seed = max(seed, v.column4),
           delay = v.column5, ceiling = v.column6, day = v.column7, sent = v.column8,
           lease_at = max(lease_at, v.column2) FROM (VALUES",
        "(?,?,?,?,?,?,?,?)",
        ") v WHERE host.id = v.column1",
    )
});

/// Writes the pace, errors and robots.txt of hosts; their lease is kept.
pub(super) async fn hosts(db: &mut SqliteConnection, hosts: &[Host]) -> Result<(), Failure> {
    for (piece, mut statement) in HOST.over(hosts) {
        for host in piece {
            statement = statement
                .bind(host.key.0)
                .bind(host.next_at.as_millisecond())
                .bind(i64::from(host.errors))
                .bind(host.seed)
                .bind(millis(host.delay))
                .bind(millis(host.ceiling))
                .bind(host.day)
                .bind(i64::try_from(host.sent).unwrap_or(i64::MAX));
        }
        statement.execute(&mut *db).await?;
    }
    for host in hosts {
        if let Some(file) = &host.robots {
            robots(db, host.key, file).await?;
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn robots(
    db: &mut SqliteConnection,
    host: HostKey,
    file: &RobotsFile,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO robots (host, status, at, body) VALUES (?, ?, ?, ?)
         ON CONFLICT (host) DO UPDATE SET
           status = excluded.status, at = excluded.at, body = excluded.body
         WHERE at <> excluded.at",
    )
    .bind(host.0)
    .bind(i32::from(file.status))
    .bind(file.at.as_millisecond())
    .bind(&*file.body)
    .execute(db)
    .await?;
    Ok(())
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    let all = [&PAGE, &RETRY, &ATTEMPT, &HOST];
    all.into_iter().flat_map(|many| many.texts())
}
