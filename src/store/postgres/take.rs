//! What to fetch next: a read, unless delayed requests have come due.
//!
//! Calls for many hosts at once go to the server together: who gets the connection asks for all that
//! wait.

use std::sync::{Arc, LazyLock, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tokio::sync::{Mutex, oneshot};
use url::Url;

use super::connect::Link;
use super::error::Failure;
use super::{Active, Cells, Inner, cell};
use crate::request::{Fingerprint, HostKey, StepRef};
use crate::store::{StoreError, Taken, Ticket, TicketKey, Visit, spec};

/// So many hosts are asked for in one statement.
const TOGETHER: usize = 500;

/// For each host, a row that tells when its next delayed request is due, and its tickets in order; of later
/// rounds, with what an earlier one learned of the pages.
fn ready(again: bool) -> &'static str {
    static READY: LazyLock<[String; 2]> = LazyLock::new(|| {
        let visits = [
            ("", ""),
            (
                ", v.at, v.changed, v.every, v.etag, v.modified, v.hash",
                "LEFT JOIN LATERAL (SELECT * FROM visit v WHERE v.page = q.seq LIMIT 1) v ON true",
            ),
        ];
        visits.map(|(columns, join)| {
            let nulls = columns.split(", ").skip(1).map(|name| match name {
                "v.etag" | "v.modified" => ", NULL::text",
                _ => ", NULL::bigint",
            });
            READY_ROWS
                .replace("/*nulls*/", &nulls.collect::<String>())
                .replace("/*columns*/", columns)
                .replace("/*join*/", join)
        })
    });
    &READY[usize::from(again)]
}

const READY_ROWS: &str = "WITH wanted AS MATERIALIZED
  (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS wanted (host, count))
SELECT 0 AS is_ticket, w.host, 0::int AS ord, 0::int AS depth,
  (SELECT q.due FROM queue q WHERE q.host = w.host AND q.due > 0
     AND ($3::text[] IS NULL OR q.step = ANY($3)) ORDER BY q.due LIMIT 1) AS seq,
  0::bigint AS fp, 0::int AS tries, '' AS step, NULL AS args, NULL AS spec, '' AS url, NULL AS referrer/*nulls*/
FROM wanted w
UNION ALL
SELECT 1, q.host, q.ord, q.depth, q.seq, q.fp, q.tries, q.step, q.args, q.spec, h.origin || q.path,
  (SELECT ph.origin || p.path FROM page p JOIN host ph ON ph.id = p.host WHERE p.id = q.parent)/*columns*/
FROM wanted w
CROSS JOIN LATERAL (SELECT * FROM queue q WHERE q.host = w.host AND q.due = 0
    AND ($3::text[] IS NULL OR q.step = ANY($3))
  ORDER BY q.host, q.due, q.ord, q.depth, q.seq LIMIT w.count) q
CROSS JOIN LATERAL (SELECT h.origin FROM host h WHERE h.id = w.host LIMIT 1) h
/*join*/
ORDER BY 2, 1, 3, 4, 5";

/// So many delayed requests of a host become ready at once; the rest with the next call.
const PROMOTE: &str = "WITH come AS MATERIALIZED
  (SELECT host, due, ord, depth, seq FROM queue WHERE host = $1 AND due > 0 AND due <= $2
   ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED)
UPDATE queue q SET due = 0 FROM come c
WHERE q.host = c.host AND q.due = c.due AND q.ord = c.ord AND q.depth = c.depth AND q.seq = c.seq";

/// A host, how many of its requests, and where the answer goes.
struct Wish {
    host: HostKey,
    limit: usize,
    answer: oneshot::Sender<Taken>,
}

/// Where wishes wait for the connection that reads.
pub(super) struct Desk {
    wishes: StdMutex<Vec<Wish>>,
    link: Mutex<Link>,
}

impl Desk {
    pub(super) fn new(link: Link) -> Self {
        Self {
            wishes: StdMutex::default(),
            link: Mutex::new(link),
        }
    }

    pub(super) fn lose_connection(&self) {
        if let Ok(mut link) = self.link.try_lock() {
            link.drop_connection();
        }
    }

    pub(super) async fn close(&self) {
        self.link.lock().await.close().await;
    }

    fn wish(&self, host: HostKey, limit: usize) -> oneshot::Receiver<Taken> {
        let (answer, receiver) = oneshot::channel();
        let wish = Wish {
            host,
            limit,
            answer,
        };
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.push(wish);
        receiver
    }

    fn next(&self) -> Vec<Wish> {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has gone away wants nothing any more.
        wishes.retain(|wish| !wish.answer.is_closed());
        let count = wishes.len().min(TOGETHER);
        wishes.drain(..count).collect()
    }
}

/// Reads the next requests of a host.
pub(super) async fn take(
    inner: Arc<Inner>,
    host: HostKey,
    limit: usize,
    now: Timestamp,
) -> Result<Taken, Failure> {
    let active = inner.active()?;
    let now = active.tell(inner.skew.theirs(now));
    let taken = ask(&inner, &active, host, limit).await?;
    match taken.next_due {
        Some(due) if inner.skew.theirs(due) <= now => {
            promote(&inner, host, now).await?;
            ask(&inner, &active, host, limit).await
        }
        _ => Ok(taken),
    }
}

/// Puts the wish on the desk, and answers all that lie there unless somebody has done so.
async fn ask(
    inner: &Inner,
    active: &Active,
    host: HostKey,
    limit: usize,
) -> Result<Taken, Failure> {
    let mut answer = inner.desk.wish(host, limit);
    loop {
        let mut link = inner.desk.link.lock().await;
        match answer.try_recv() {
            Ok(taken) => return Ok(taken),
            Err(oneshot::error::TryRecvError::Empty) => {}
            // Who had it in hand has failed.
            Err(oneshot::error::TryRecvError::Closed) => return Err(Failure::Late),
        }
        let wishes = inner.desk.next();
        link.ready().await?;
        let generation = link.generation();
        let db = link.ready().await?;
        serve((db, generation), inner, active, wishes).await?;
    }
}

async fn serve(
    (db, generation): (&mut PgConnection, u64),
    inner: &Inner,
    active: &Active,
    wishes: Vec<Wish>,
) -> Result<(), Failure> {
    let hosts = wishes.iter().map(|wish| wish.host.0).collect::<Vec<_>>();
    let limits = wishes.iter().map(|wish| wish.limit as i64);
    let again = active.is_again();
    let rows = sqlx::query(ready(again))
        .bind(hosts)
        .bind(limits.collect::<Vec<_>>())
        .bind(&active.steps)
        .fetch_all(db)
        .await?;
    let mut taken = std::collections::HashMap::<HostKey, Taken>::new();
    for row in &rows {
        let host = HostKey(cell(row, 1)?);
        let its = taken.entry(host).or_default();
        if cell::<i32>(row, 0)? == 0 {
            let due: Option<i64> = cell(row, 4)?;
            its.next_due = due.map(|ms| inner.skew.ours(ms));
        } else {
            its.tickets.push(ticket(host, row, again)?);
        }
    }
    for wish in wishes {
        let mut its = taken.get(&wish.host).cloned().unwrap_or_default();
        its.generation = generation;
        // Two wishes for one host bring its rows twice.
        its.tickets.dedup_by_key(|ticket| ticket.key);
        its.tickets.truncate(wish.limit);
        // Who wanted it may have gone away.
        let _ = wish.answer.send(its);
    }
    Ok(())
}

/// One statement, so it needs no transaction and leaves none behind.
async fn promote(inner: &Inner, host: HostKey, now: i64) -> Result<(), Failure> {
    let mut writer = inner.writer.lock().await;
    sqlx::query(PROMOTE)
        .bind(host.0)
        .bind(now)
        .execute(writer.link.ready().await?)
        .await?;
    Ok(())
}

fn ticket(host: HostKey, row: &PgRow, again: bool) -> Result<Ticket, Failure> {
    let order: i32 = cell(row, 2)?;
    let depth = cell::<i32>(row, 3)? as u16;
    let seq = cell(row, 4)?;
    let mut step = StepRef::named(cell::<String>(row, 7)?);
    step.args = cell(row, 8)?;
    let referrer: Option<&str> = cell(row, 11)?;
    let mut request = spec::read(cell(row, 10)?, step, cell(row, 9)?)
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
        fingerprint: Fingerprint(cell(row, 5)?),
        tries: cell::<i32>(row, 6)? as u16,
        request,
        referrer: referrer.and_then(|url| Url::parse(url).ok()),
        visit: if again { visit(row)? } else { None },
    })
}

fn visit(row: &PgRow) -> Result<Option<Box<Visit>>, Failure> {
    let Some(at) = cell::<Option<i64>>(row, 12)? else {
        return Ok(None);
    };
    let mut cells = Cells(row, 13);
    let (changed, every) = (cells.moment()?, cells.next::<Option<i64>>()?);
    Ok(Some(Box::new(Visit {
        at: super::moment(at),
        changed,
        every: every.map(|ms| Duration::from_millis(ms.unsigned_abs())),
        etag: cells.next()?,
        modified: cells.next()?,
        hash: cells.next()?,
    })))
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> [&'static str; 3] {
    [ready(false), ready(true), PROMOTE]
}
