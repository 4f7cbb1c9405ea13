//! What to fetch next: a read, unless a delayed request has come due.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use url::Url;

use super::error::Failure;
use super::{Inner, cell, moment};
use crate::request::{Fingerprint, HostKey, StepRef};
use crate::store::{StoreError, Taken, Ticket, TicketKey, Visit, spec};

/// The first row tells when the next delayed request is due; the others are tickets.
///
/// `+ 0`, because SQLite prepares a statement anew each time a value is bound that is a limit by itself.
const READY: &str =
    "SELECT 0, 0, (SELECT due FROM queue WHERE host = ?1 AND due > 0 ORDER BY due LIMIT 1),
       0, 0, '', NULL, NULL, '', NULL
UNION ALL SELECT * FROM
(SELECT q.ord, q.depth, q.seq, q.fp, q.tries, q.step, q.args, q.spec,
       h.origin || q.path, ph.origin || p.path
FROM queue q CROSS JOIN host h ON h.id = q.host
LEFT JOIN page p ON p.id = q.parent LEFT JOIN host ph ON ph.id = p.host
WHERE q.host = ?1 AND q.due = 0
ORDER BY q.ord, q.depth, q.seq LIMIT ?2 + 0)";

/// The same with what an earlier round learned of the pages.
const READY_AGAIN: &str =
    "SELECT 0, 0, (SELECT due FROM queue WHERE host = ?1 AND due > 0 ORDER BY due LIMIT 1),
       0, 0, '', NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL
UNION ALL SELECT * FROM
(SELECT q.ord, q.depth, q.seq, q.fp, q.tries, q.step, q.args, q.spec,
       h.origin || q.path, ph.origin || p.path,
       v.at, v.changed, v.every, v.etag, v.modified, v.hash
FROM queue q CROSS JOIN host h ON h.id = q.host
LEFT JOIN page p ON p.id = q.parent LEFT JOIN host ph ON ph.id = p.host
LEFT JOIN visit v ON v.page = q.seq
WHERE q.host = ?1 AND q.due = 0
ORDER BY q.ord, q.depth, q.seq LIMIT ?2 + 0)";

const PROMOTE: &str = "UPDATE queue SET due = 0 WHERE (host, due, ord, depth, seq) IN
(SELECT host, due, ord, depth, seq FROM queue WHERE host = ? AND due > 0 AND due <= ?
 ORDER BY due LIMIT ? + 0)";

/// So many delayed requests become ready in one transaction; the rest with the next call.
const PROMOTED: i64 = 1000;

/// Reads the next requests of a host.
pub(super) async fn take(
    inner: &Inner,
    host: HostKey,
    limit: usize,
    now: Timestamp,
) -> Result<Taken, Failure> {
    let active = inner.active()?;
    let (now, again) = (active.tell(now), active.again);
    let taken = read(inner, host, limit, again).await?;
    match taken.next_due {
        Some(due) if due.as_millisecond() <= now => {
            promote(inner, host, now).await?;
            read(inner, host, limit, again).await
        }
        _ => Ok(taken),
    }
}

async fn read(inner: &Inner, host: HostKey, limit: usize, again: bool) -> Result<Taken, Failure> {
    match &inner.reader {
        Some(reader) => ready(&mut *reader.lock().await, host, limit, again).await,
        None => ready(inner.writer.lock().await.connection(), host, limit, again).await,
    }
}

async fn ready(
    db: &mut SqliteConnection,
    host: HostKey,
    limit: usize,
    again: bool,
) -> Result<Taken, Failure> {
    let rows = sqlx::query(if again { READY_AGAIN } else { READY })
        .bind(host.0)
        .bind(limit as i64)
        .fetch_all(db)
        .await?;
    let Some((first, rows)) = rows.split_first() else {
        return Ok(Taken::default());
    };
    let next_due: Option<i64> = cell(first, 2)?;
    let tickets = rows.iter().map(|row| ticket(host, row, again));
    Ok(Taken {
        generation: 0,
        tickets: tickets.collect::<Result<_, _>>()?,
        next_due: next_due.map(moment),
    })
}

/// One statement, so it needs no transaction and leaves none behind when it is dropped.
async fn promote(inner: &Inner, host: HostKey, now: i64) -> Result<(), Failure> {
    sqlx::query(PROMOTE)
        .bind(host.0)
        .bind(now)
        .bind(PROMOTED)
        .execute(inner.writer.lock().await.connection())
        .await?;
    Ok(())
}

fn ticket(host: HostKey, row: &SqliteRow, again: bool) -> Result<Ticket, Failure> {
    let order: i32 = cell(row, 0)?;
    let depth: u16 = cell(row, 1)?;
    let seq = cell(row, 2)?;
    let mut step = StepRef::named(cell::<String>(row, 5)?);
    step.args = cell(row, 6)?;
    let referrer: Option<&str> = cell(row, 9)?;
    let mut request = spec::read(cell(row, 8)?, step, cell(row, 7)?)
        .map_err(|reason| StoreError::Database(format!("queue row {seq}: {reason}")))?;
    request.depth = depth;
    request.priority = order.saturating_neg() as i16;
    Ok(Ticket {
        key: TicketKey {
            host,
            order,
            depth,
            seq,
        },
        fingerprint: Fingerprint(cell(row, 3)?),
        tries: cell(row, 4)?,
        request,
        referrer: referrer.and_then(|url| Url::parse(url).ok()),
        visit: if again { visit(row)? } else { None },
    })
}

fn visit(row: &SqliteRow) -> Result<Option<Box<Visit>>, Failure> {
    let Some(at) = cell::<Option<i64>>(row, 10)? else {
        return Ok(None);
    };
    let every: Option<i64> = cell(row, 12)?;
    Ok(Some(Box::new(Visit {
        at: moment(at),
        changed: moment(cell(row, 11)?),
        every: every.map(|ms| Duration::from_millis(ms.unsigned_abs())),
        etag: cell(row, 13)?,
        modified: cell(row, 14)?,
        hash: cell(row, 15)?,
    })))
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) const HOT: [&str; 3] = [READY, READY_AGAIN, PROMOTE];
