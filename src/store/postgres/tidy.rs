//! Making room: what nobody needs goes, in pieces that keep nobody waiting.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};

use super::connect::Server;
use super::error::Failure;
use super::report::item_tables;
use super::retire;
use super::table::quote;
use crate::store::{Tidied, Tidy};

/// Rows per statement.
const PIECE: i64 = 20_000;

/// Tables whose space is given back.
const LARGE: &str =
    "VACUUM (ANALYZE) queue, seen, page, host, robots, visit, attempt, run, cookie, refused, spent";

/// Makes room.
pub(super) async fn tidy(server: &Server, tidy: Tidy) -> Result<Tidied, Failure> {
    // As people have set it up: what is done here takes its time.
    let db = &mut server.connect_reader().await?;
    let before = tidy.crawls.map(Timestamp::as_millisecond);
    let (crawls, pages): (i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT c.id),
           coalesce(sum(r.done + r.failed + r.skipped - r.requeued - r.forgotten), 0)::bigint
         FROM crawl c LEFT JOIN run r ON r.crawl = c.id
         WHERE c.state = 'dropped' OR (c.state = 'finished' AND c.finished < $1)",
    )
    .bind(before)
    .fetch_one(&mut *db)
    .await?;
    let mut tidied = Tidied {
        crawls: crawls.unsigned_abs(),
        pages: pages.unsigned_abs(),
        items: 0,
    };
    if !tidy.dry {
        sqlx::query(
            "UPDATE crawl SET state = 'dropped' WHERE state = 'finished' AND finished < $1",
        )
        .bind(before)
        .execute(&mut *db)
        .await?;
        retire::sweep_all(server).await?;
    }
    if let Some(moment) = tidy.items {
        tidied.items = gone(db, moment, tidy.dry).await?;
    }
    if !tidy.dry {
        sqlx::raw_sql(LARGE).execute(&mut *db).await?;
    }
    Ok(tidied)
}

/// Items that are gone since before a moment: deletes them, or only counts them.
async fn gone(db: &mut PgConnection, before: Timestamp, dry: bool) -> Result<u64, Failure> {
    let before = before.as_millisecond();
    let mut items = 0;
    for (table, _) in item_tables(db).await? {
        // The name was checked when the table was made.
        let table = quote(&table);
        let gone = format!("FROM {table} WHERE _gone < to_timestamp($1 / 1000.0)");
        if dry {
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) {gone}")))
                .bind(before)
                .fetch_one(&mut *db)
                .await?;
            items += count.unsigned_abs();
            continue;
        }
        let piece = format!(
            "DELETE FROM {table} WHERE _id IN (SELECT _id {gone} LIMIT {PIECE} FOR UPDATE SKIP LOCKED)"
        );
        loop {
            let deleted = sqlx::query(AssertSqlSafe(piece.clone()))
                .bind(before)
                .execute(&mut *db)
                .await?
                .rows_affected();
            items += deleted;
            if (deleted as i64) < PIECE {
                break;
            }
        }
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}")))
            .execute(&mut *db)
            .await?;
    }
    Ok(items)
}
