//! A copy of a crawl is one process's at first, so the parts of a host that was divided are one there.
//!
//! Views of the copy's own connection stand before the tables while it reads them, and show them so.

use sqlx::{AssertSqlSafe, PgConnection};

use super::error::Failure;
use super::table::quote;
use crate::request::Identity;

/// A part of a host, and what it is a part of.
const PARTS: &str =
    "CREATE TEMP TABLE part (id bigint PRIMARY KEY, whole bigint NOT NULL) ON COMMIT DROP";

/// What is held is to be looked at when it is leased next; nothing says which part's delay was the host's.
const HOST: &str =
    "SELECT coalesce(p.whole, h.id) AS id, min(h.crawl) AS crawl, min(h.origin) AS origin,
  bool_or(h.seed) AS seed, NULL::bigint AS run, max(h.next_at) AS next_at,
  min(CASE WHEN h.run IS NULL THEN h.lease_at ELSE 0 END) AS lease_at,
  bool_or(h.lapsed OR h.run IS NOT NULL) AS lapsed, max(h.errors) AS errors, max(h.delay) AS delay,
  max(h.ceiling) AS ceiling, max(h.day) AS day, sum(h.sent)::bigint AS sent, min(h.pace) AS pace
FROM /*schema*/.host h LEFT JOIN part p ON p.id = h.id GROUP BY 1";

/// Has the tables read as if no host were divided, until the transaction ends; nothing is done where none is.
pub(super) async fn parts(db: &mut PgConnection) -> Result<(), Failure> {
    let divided: Vec<(Vec<u8>, i64, String)> = sqlx::query_as(
        "SELECT c.key, h.id, h.origin FROM crawl c JOIN host h ON h.crawl = c.id
         WHERE c.shares NOT IN ('', '{}')",
    )
    .fetch_all(&mut *db)
    .await?;
    let parts = divided.into_iter().filter_map(|(key, id, origin)| {
        let whole = Identity::new(key.try_into().ok()?).host(&origin).0;
        (whole != id).then_some((id, whole))
    });
    let (ids, wholes): (Vec<i64>, Vec<i64>) = parts.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let schema: String = sqlx::query_scalar("SELECT current_schema()")
        .fetch_one(&mut *db)
        .await?;
    sqlx::query(PARTS).execute(&mut *db).await?;
    sqlx::query("INSERT INTO part SELECT * FROM unnest($1::bigint[], $2::bigint[])")
        .bind(ids)
        .bind(wholes)
        .execute(&mut *db)
        .await?;
    for (table, one, order) in [
        ("seen", "", ""),
        ("queue", "", ""),
        ("page", "", ""),
        (
            "robots",
            "DISTINCT ON (coalesce(p.whole, t.host))",
            "ORDER BY coalesce(p.whole, t.host), t.at DESC",
        ),
    ] {
        let columns: String = sqlx::query_scalar(
            "SELECT string_agg(CASE attname WHEN 'host' THEN 'coalesce(p.whole, t.host) AS host'
               ELSE 't.' || quote_ident(attname) END, ', ' ORDER BY attnum)
             FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
        )
        .bind(table)
        .fetch_one(&mut *db)
        .await?;
        let schema = quote(&schema);
        let seen = format!(
            "SELECT {one} {columns} FROM {schema}.{table} t LEFT JOIN part p ON p.id = t.host {order}"
        );
        stand_before(db, table, &seen).await?;
    }
    stand_before(db, "host", &HOST.replace("/*schema*/", &quote(&schema))).await?;
    Ok(())
}

/// What is temporary is found before what is not.
async fn stand_before(db: &mut PgConnection, table: &str, shown: &str) -> Result<(), Failure> {
    let view = AssertSqlSafe(format!("CREATE TEMP VIEW {table} AS {shown}"));
    sqlx::raw_sql(view).execute(db).await?;
    Ok(())
}
