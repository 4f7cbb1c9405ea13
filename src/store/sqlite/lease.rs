//! Hosts: who may work on them, and when there is something to do.
//!
//! `lease_at` of a free host is the first moment at which one of its requests may be sent; it is
//! computed when the host is given back and lowered by those who queue requests for it. So neither
//! a lease nor the question how long to rest looks at more hosts than it answers with.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::error::Failure;
use super::many::Many;
use super::{Active, Inner, cell, moment, pages};
use crate::request::HostKey;
use crate::store::{Host, Rest, RobotsFile};

const DUE: &str = "SELECT h.id, h.origin, h.seed, h.next_at, h.errors, r.status, r.body, r.at,
       h.delay, h.ceiling, h.day, h.sent, h.lapsed,
       (SELECT q.due FROM queue q WHERE q.host = h.id ORDER BY q.due LIMIT 1)
FROM host h LEFT JOIN robots r ON r.host = h.id
WHERE h.crawl = ? AND h.run IS NULL AND h.lease_at <= ?
ORDER BY h.lease_at LIMIT ? + 0";

const IS_ANY_DUE: &str = "SELECT EXISTS
(SELECT 1 FROM host WHERE crawl = ? AND run IS NULL AND lease_at <= ?)";

/// Takes hosts that have something to do now.
pub(super) async fn lease(
    inner: Arc<Inner>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Host>, Failure> {
    let active = inner.active()?;
    let now = active.tell(now);
    if limit == 0 || !is_any_due(&inner, &active, now).await? {
        return Ok(Vec::new());
    }
    let mut writer = inner.writer.lock().await;
    writer.begin().await?;
    let leased = take_due(writer.connection(), &active, limit, now).await;
    writer.finish(leased).await
}

/// Asked of the reader, so that an idle engine writes nothing.
async fn is_any_due(inner: &Inner, active: &Active, now: i64) -> Result<bool, Failure> {
    let Some(reader) = &inner.reader else {
        return Ok(true);
    };
    Ok(sqlx::query_scalar(IS_ANY_DUE)
        .bind(active.crawl)
        .bind(now)
        .fetch_one(&mut *reader.lock().await)
        .await?)
}

async fn take_due(
    db: &mut SqliteConnection,
    active: &Active,
    limit: usize,
    now: i64,
) -> Result<Vec<Host>, Failure> {
    let mut leased = Vec::new();
    while leased.len() < limit {
        let rows = sqlx::query(DUE)
            .bind(active.crawl)
            .bind(now)
            .bind((limit - leased.len()) as i64)
            .fetch_all(&mut *db)
            .await?;
        if rows.is_empty() {
            break;
        }
        let mut idle = Vec::new();
        let mut held = Vec::new();
        for row in &rows {
            let host = read(row)?;
            let first_due: Option<i64> = cell(row, 13)?;
            if first_due.is_some_and(|due| due <= now) {
                held.push(host.key);
                leased.push(host);
            } else {
                idle.push(host.key);
            }
        }
        hold(db, active, &held).await?;
        free(db, &idle).await?;
    }
    Ok(leased)
}

static HOLD: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "UPDATE host SET run = ?, lapsed = 0 WHERE id IN (VALUES",
        "(?)",
        ")",
    )
});

async fn hold(
    db: &mut SqliteConnection,
    active: &Active,
    hosts: &[HostKey],
) -> Result<(), Failure> {
    for (piece, statement) in HOLD.over(hosts) {
        let mut statement = statement.bind(active.run);
        for host in piece {
            statement = statement.bind(host.0);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// Nobody holds the hosts any more; when they may be leased again is computed anew.
static FREE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "UPDATE host SET run = NULL, lease_at =
           (SELECT max(next_at, q.due) FROM queue q WHERE q.host = host.id ORDER BY q.due LIMIT 1)
         WHERE id IN (VALUES",
        "(?)",
        ")",
    )
});

async fn free(db: &mut SqliteConnection, hosts: &[HostKey]) -> Result<(), Failure> {
    for (piece, mut statement) in FREE.over(hosts) {
        for host in piece {
            statement = statement.bind(host.0);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// Reads the columns of a host as `DUE` has them.
pub(super) fn read(row: &SqliteRow) -> Result<Host, Failure> {
    let status: Option<i64> = cell(row, 5)?;
    let robots = match status {
        None => None,
        Some(status) => Some(RobotsFile {
            status: status as u16,
            body: cell(row, 6)?,
            at: moment(cell(row, 7)?),
        }),
    };
    Ok(Host {
        key: HostKey(cell(row, 0)?),
        origin: cell(row, 1)?,
        seed: cell(row, 2)?,
        next_at: moment(cell(row, 3)?),
        errors: cell(row, 4)?,
        robots,
        delay: millis(cell(row, 8)?),
        ceiling: millis(cell(row, 9)?),
        day: cell(row, 10)?,
        sent: cell::<i64>(row, 11)?.max(0) as u64,
        lapsed: cell(row, 12)?,
    })
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}

/// Gives hosts back.
pub(super) async fn release(inner: Arc<Inner>, hosts: Vec<Host>) -> Result<(), Failure> {
    inner.active()?;
    if hosts.is_empty() {
        return Ok(());
    }
    let mut writer = inner.writer.lock().await;
    writer.begin().await?;
    let released = give_back(writer.connection(), &hosts).await;
    writer.finish(released).await
}

async fn give_back(db: &mut SqliteConnection, hosts: &[Host]) -> Result<(), Failure> {
    pages::hosts(db, hosts).await?;
    let keys = hosts.iter().map(|host| host.key).collect::<Vec<_>>();
    free(db, &keys).await
}

/// What is left: exact, and independent of the size of the queue.
///
/// Hosts that nobody holds are in order of `lease_at`; those that the engine holds are few.
pub(super) async fn rest(inner: &Inner) -> Result<Rest, Failure> {
    let active = inner.active()?;
    let moments = match &inner.reader {
        Some(reader) => moments(&mut *reader.lock().await, &active).await?,
        None => moments(inner.writer.lock().await.connection(), &active).await?,
    };
    Ok(match moments.into_iter().flatten().min() {
        Some(ms) => Rest::Until(moment(ms)),
        None => Rest::Nothing,
    })
}

const FIRST_FREE: &str = "SELECT h.lease_at FROM host h
WHERE h.crawl = ? AND h.run IS NULL AND h.lease_at IS NOT NULL
  AND EXISTS (SELECT 1 FROM queue q WHERE q.host = h.id)
ORDER BY h.lease_at LIMIT 1";

const FIRST_HELD: &str = "SELECT min((SELECT max(h.next_at, q.due) FROM queue q WHERE q.host = h.id
                    ORDER BY q.due LIMIT 1))
FROM host h WHERE h.run = ?";

async fn moments(db: &mut SqliteConnection, active: &Active) -> Result<[Option<i64>; 2], Failure> {
    let free: Option<i64> = sqlx::query_scalar(FIRST_FREE)
        .bind(active.crawl)
        .fetch_optional(&mut *db)
        .await?;
    let held: Option<i64> = sqlx::query_scalar(FIRST_HELD)
        .bind(active.run)
        .fetch_one(db)
        .await?;
    Ok([free, held])
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    [DUE, IS_ANY_DUE, FIRST_FREE, FIRST_HELD]
        .into_iter()
        .chain(HOLD.texts())
        .chain(FREE.texts())
}
