//! What rounds need: visits of pages, items that are seen again without being read, and items that
//! are gone.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::Active;
use super::error::Failure;
use super::many::Many;
use super::pages::is_unchanged;
use super::report::ITEM_TABLES;
use super::tickets::Written;
use crate::store::{PageState, Spent, Verdict};

static VISIT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO visit (page, at, changed, every, etag, modified, hash) SELECT * FROM (VALUES",
        "(?,?,?,?,?,?,?)",
        ") WHERE column1 NOT NULL
         ON CONFLICT (page) DO UPDATE SET at = excluded.at, changed = excluded.changed,
           every = excluded.every, etag = excluded.etag, modified = excluded.modified,
           hash = excluded.hash",
    )
});

/// Writes what the next round must know of the pages that ended.
pub(super) async fn write(db: &mut SqliteConnection, pages: &[Written<'_>]) -> Result<(), Failure> {
    let visits: Vec<_> = pages
        .iter()
        .filter(|written| written.ends())
        .filter_map(|written| Some((written.page.key.seq, written.page.visit.as_deref()?)))
        .collect();
    for (piece, mut statement) in VISIT.over(&visits) {
        for (page, visit) in piece {
            statement = statement
                .bind(*page)
                .bind(visit.at.as_millisecond())
                .bind(visit.changed.as_millisecond())
                .bind(visit.every.map(|every| every.as_millis() as i64))
                .bind(visit.etag.as_deref())
                .bind(visit.modified.as_deref())
                .bind(visit.hash);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// An index that only later rounds need: nobody else asks for items by their page.
pub(super) fn by_page(table: &str) -> String {
    format!("CREATE INDEX IF NOT EXISTS \"{table}__page\" ON \"{table}\" (\"_page\")")
}

const SEEN: &str = "SET \"_run\" = ?, \"_last_seen\" = ? WHERE \"_gone\" IS NULL";
const GONE: &str = "SET \"_gone\" = ?2 WHERE \"_run\" <> ?1 AND \"_gone\" IS NULL";

/// An update of the items of some pages. The table's name was checked when it was made.
fn of_pages(update: &str, table: &str, pages: &[i64]) -> String {
    let numbers: Vec<String> = pages.iter().map(|page| format!("({page})")).collect();
    let numbers = numbers.join(",");
    format!("UPDATE \"{table}\" {update} AND \"_page\" IN (VALUES {numbers})")
}

/// Keeps the items of a later round's pages true: those of an unchanged page are seen again, and those
/// that their page, read or missing, does not have any more are gone. After the items are written.
pub(super) async fn settle(
    db: &mut SqliteConnection,
    active: &Active,
    pages: &[Written<'_>],
    stamp: &str,
) -> Result<(), Failure> {
    let (mut unchanged, mut read) = (Vec::new(), Vec::new());
    for written in pages {
        let Verdict::Page(row) = &written.page.verdict else {
            continue;
        };
        let is_missing = row.state == PageState::Failed && matches!(row.status, 404 | 410);
        if is_unchanged(row) {
            unchanged.push(written.page.key.seq);
        } else if row.state == PageState::Done || is_missing {
            read.push(written.page.key.seq);
        }
    }
    let tables: Vec<(String, String)> = sqlx::query_as(ITEM_TABLES).fetch_all(&mut *db).await?;
    for (table, _) in tables {
        sqlx::query(AssertSqlSafe(by_page(&table)))
            .execute(&mut *db)
            .await?;
        for (update, pages) in [(SEEN, &unchanged), (GONE, &read)] {
            for piece in pages.chunks(200) {
                sqlx::query(AssertSqlSafe(of_pages(update, &table, piece)))
                    .persistent(false)
                    .bind(active.run)
                    .bind(stamp)
                    .execute(&mut *db)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Adds to what was used of budgets.
pub(super) async fn spend(
    db: &mut SqliteConnection,
    active: &Active,
    spent: &[Spent],
) -> Result<(), Failure> {
    for Spent { budget, day, pages } in spent {
        sqlx::query(
            "INSERT INTO spent (crawl, budget, day, pages) VALUES (?, ?, ?, ?)
             ON CONFLICT (crawl, budget, day) DO UPDATE SET pages = pages + excluded.pages",
        )
        .bind(active.crawl)
        .bind(&**budget)
        .bind(*day)
        .bind(*pages as i64)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    VISIT.texts()
}

/// The same of a table of items.
#[cfg(test)]
pub(super) fn hot_of(table: &str) -> Vec<String> {
    let of = |update| of_pages(update, table, &[1, 2, 3]);
    vec![of(SEEN), of(GONE)]
}
