//! Tickets: the queue rows whose deletion makes a page's commit count.

use std::collections::HashSet;
use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::error::Failure;
use super::many::{self, Many, Statement};
use crate::store::{PageCommit, TicketKey, Verdict};

/// A page whose ticket was there.
pub(super) struct Written<'batch> {
    /// Its place in the batch.
    pub(super) at: usize,
    pub(super) page: &'batch PageCommit,
}

impl Written<'_> {
    /// Whether the request leaves the queue for good.
    pub(super) fn ends(&self) -> bool {
        matches!(self.page.verdict, Verdict::Page(_))
    }
}

static FIND: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "SELECT group_concat(q.seq) FROM (VALUES",
        "(?,?,?,?)",
        ") v CROSS JOIN queue q WHERE q.host = v.column1 AND q.due = 0
           AND q.ord = v.column2 AND q.depth = v.column3 AND q.seq = v.column4",
    )
});

/// Deletes the rows of tickets, bound by [`bind`].
pub(super) const DELETE: [&str; 3] = [
    "DELETE FROM queue WHERE (host, due, ord, depth, seq) IN (VALUES",
    "(?,0,?,?,?)",
    ")",
];

/// The pages whose queue row is there: they may write, each once.
///
/// Nobody can take the rows away before they are deleted: the transaction is the only one that writes.
pub(super) async fn present<'batch>(
    db: &mut SqliteConnection,
    pages: &'batch [PageCommit],
) -> Result<Vec<Written<'batch>>, Failure> {
    let mut there = HashSet::with_capacity(pages.len());
    for (piece, mut statement) in FIND.over(pages) {
        for page in piece {
            statement = bind(statement, &page.key);
        }
        there.extend(many::numbers(db, statement).await?);
    }
    Ok(pages
        .iter()
        .enumerate()
        .filter(|(_, page)| there.remove(&page.key.seq))
        .map(|(at, page)| Written { at, page })
        .collect())
}

/// Binds host, order, depth and number.
pub(super) fn bind(statement: Statement, key: &TicketKey) -> Statement {
    statement
        .bind(key.host.0)
        .bind(key.order)
        .bind(i32::from(key.depth))
        .bind(key.seq)
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    FIND.texts()
}
