//! Tickets: the queue rows whose deletion makes a page's commit count.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::cell;
use super::error::Failure;
use super::many::Many;
use crate::store::{PageCommit, TicketKey};

/// What a queue row knows that its page's commit does not.
pub(super) struct Row {
    pub(super) fp: i64,
    pub(super) tries: i64,
    pub(super) step: String,
    pub(super) path: String,
    pub(super) args: Option<String>,
    pub(super) parent: Option<i64>,
    pub(super) spec: Option<String>,
    pub(super) origin: String,
}

/// A page whose ticket was there.
pub(super) struct Written<'batch> {
    /// Its place in the batch.
    pub(super) at: usize,
    pub(super) page: &'batch PageCommit,
    pub(super) row: Row,
}

static DELETE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "DELETE FROM queue WHERE (host, due, ord, depth, seq) IN (VALUES",
        "(?,0,?,?,?)",
        ") RETURNING seq, fp, tries, step, path, args, parent, spec,
           (SELECT origin FROM host WHERE id = queue.host)",
    )
});

/// Deletes the queue rows of `pages`; those whose row was there may write, each once.
pub(super) async fn redeem<'batch>(
    db: &mut SqliteConnection,
    pages: &'batch [PageCommit],
) -> Result<Vec<Written<'batch>>, Failure> {
    let keys = pages.iter().map(|page| page.key).collect::<Vec<_>>();
    let mut rows = delete(db, &keys).await?;
    Ok(pages
        .iter()
        .enumerate()
        .filter_map(|(at, page)| {
            let row = rows.remove(&page.key.seq)?;
            Some(Written { at, page, row })
        })
        .collect())
}

async fn delete(
    db: &mut SqliteConnection,
    keys: &[TicketKey],
) -> Result<HashMap<i64, Row>, Failure> {
    let mut deleted = HashMap::with_capacity(keys.len());
    for (keys, mut statement) in DELETE.over(keys) {
        for key in keys {
            statement = statement
                .bind(key.host.0)
                .bind(key.order)
                .bind(i32::from(key.depth))
                .bind(key.seq);
        }
        for row in statement.fetch_all(&mut *db).await? {
            let ticket = Row {
                fp: cell(&row, 1)?,
                tries: cell(&row, 2)?,
                step: cell(&row, 3)?,
                path: cell(&row, 4)?,
                args: cell(&row, 5)?,
                parent: cell(&row, 6)?,
                spec: cell(&row, 7)?,
                origin: cell(&row, 8)?,
            };
            deleted.insert(cell(&row, 0)?, ticket);
        }
    }
    Ok(deleted)
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    DELETE.texts()
}
