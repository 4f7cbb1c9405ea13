//! What rounds need: visits of pages, items that are seen again without being read, and items that
//! are gone. And what was used of budgets.

use sqlx::{AssertSqlSafe, PgConnection};

use super::compose::{Composed, clean};
use super::error::Failure;
use super::items::Rows;
use super::report::item_tables;
use super::table::quote;
use super::{Active, Writer};
use crate::store::{PageCommit, Spent, Verdict};

/// Adds what the next round must know of the pages that end.
pub(super) fn write(to: &mut Composed, pages: &[(usize, &PageCommit)]) -> Result<(), Failure> {
    let visits: Vec<_> = pages
        .iter()
        .filter(|(_, page)| matches!(page.verdict, Verdict::Page(_)))
        .filter_map(|(_, page)| Some((page.key.seq, page.visit.as_deref()?)))
        .collect();
    if visits.is_empty() {
        return Ok(());
    }
    let all = || visits.iter().map(|(_, visit)| *visit);
    let text = |text: &Option<String>| text.as_deref().map(clean);
    let every = all().map(|visit| visit.every.map(|every| every.as_millis() as i64));
    let places = [
        to.bind(visits.iter().map(|(page, _)| *page).collect::<Vec<_>>())?,
        to.bind(all().map(|v| v.at.as_millisecond()).collect::<Vec<_>>())?,
        to.bind(
            all()
                .map(|v| v.changed.as_millisecond())
                .collect::<Vec<_>>(),
        )?,
        to.bind(every.collect::<Vec<_>>())?,
        to.bind(all().map(|v| text(&v.etag)).collect::<Vec<_>>())?,
        to.bind(all().map(|v| text(&v.modified)).collect::<Vec<_>>())?,
        to.bind(all().map(|v| v.hash).collect::<Vec<_>>())?,
    ];
    to.with(format!(
        "_v AS (INSERT INTO visit (page, at, changed, every, etag, modified, hash)
         SELECT v.* FROM unnest({}) AS v (page, at, changed, every, etag, modified, hash)
         WHERE v.page IN (SELECT seq FROM _t WHERE state IS NOT NULL) ORDER BY v.page
         ON CONFLICT (page) DO UPDATE SET at = excluded.at, changed = excluded.changed,
           every = excluded.every, etag = excluded.etag, modified = excluded.modified,
           hash = excluded.hash)",
        places.join(", ")
    ));
    Ok(())
}

/// Makes sure that the items of a page are found by an index, in all tables of items; their names.
///
/// Only later rounds ask for items by their page, so only then are there such indexes.
pub(super) async fn index_pages(db: &mut PgConnection) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for (table, _) in item_tables(db).await? {
        let index = quote(&format!("_page_of_{table}"));
        // Who looks first waits for no lock.
        let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&index)
            .fetch_one(&mut *db)
            .await?;
        if !is_there {
            let sql = format!(
                "CREATE INDEX IF NOT EXISTS {index} ON {} (\"_page\")",
                quote(&table)
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *db).await?;
        }
        names.push(table.to_ascii_lowercase());
    }
    Ok(names)
}

/// The tables whose items may be seen again or be gone, if the crawl is in a later round.
pub(super) async fn tables(writer: &mut Writer, active: &Active) -> Result<Vec<String>, Failure> {
    if !active.is_again() {
        return Ok(Vec::new());
    }
    let db = writer.link.ready().await?;
    let all: Vec<String> = item_tables(db)
        .await?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let is_known = |name: &String| writer.by_page.contains(&name.to_ascii_lowercase());
    if !all.iter().all(is_known) {
        writer.by_page.extend(index_pages(db).await?);
    }
    Ok(all)
}

/// Adds what keeps the items of a later round's pages true: those of an unchanged page are seen again,
/// and those that their page, read or missing, does not have any more are gone. What the batch itself
/// writes is left out, since a statement can't update a row twice: `written`, with the numbers of their
/// parts.
pub(super) fn settle(
    to: &mut Composed,
    (number, table): (usize, &str),
    written: &[(usize, &Rows<'_>)],
    after: &str,
    (run, now): (&str, &str),
) {
    let keys = |rows: &Rows<'_>, from: &str| {
        let key = rows.key().into_iter().map(|name| format!("{from}.{name}"));
        key.collect::<Vec<_>>().join(", ")
    };
    // Rows without a key are never updated.
    let is_left = written.iter().filter(|(_, rows)| !rows.key().is_empty());
    let is_left = is_left.map(|(at, rows)| {
        let (ours, theirs) = (keys(rows, "x"), keys(rows, "f"));
        format!(" AND (({ours}) IN (SELECT {theirs} FROM _f{at} f)) IS NOT TRUE")
    });
    let is_left = is_left.collect::<Vec<_>>().concat();
    let name = quote(table);
    to.with(format!(
        "_g{number} AS (UPDATE {name} x SET
           _run = CASE WHEN t.is_same THEN {run} ELSE x._run END,
           _last_seen = CASE WHEN t.is_same THEN s._at ELSE x._last_seen END,
           _gone = CASE WHEN t.is_same THEN NULL ELSE s._at END
         FROM (SELECT seq, state = 'done' AND reason IS NOT DISTINCT FROM 'unchanged' AS is_same
               FROM _t WHERE state = 'done' OR (state = 'failed' AND status IN (404, 410))) t,
           (SELECT date_trunc('second', to_timestamp({now} / 1000.0)) AS _at) s
         WHERE x._page = t.seq AND x._gone IS NULL AND (t.is_same OR x._run <> {run})
          {is_left} AND {after} RETURNING 1)"
    ));
}

/// Adds to what was used of budgets, unless the batch was written before: its tickets are gone then.
pub(super) fn spend(
    to: &mut Composed,
    spent: &[Spent],
    has_pages: bool,
    (crawl, run): (&str, &str),
) -> Result<(), Failure> {
    if spent.is_empty() {
        return Ok(());
    }
    let places = [
        to.bind(
            spent
                .iter()
                .map(|spent| clean(&spent.budget))
                .collect::<Vec<_>>(),
        )?,
        to.bind(spent.iter().map(|spent| spent.day).collect::<Vec<_>>())?,
        to.bind(
            spent
                .iter()
                .map(|spent| spent.pages as i64)
                .collect::<Vec<_>>(),
        )?,
    ];
    let is_news = if has_pages {
        "EXISTS (SELECT 1 FROM _t)"
    } else {
        "true"
    };
    to.with(format!(
        "_b AS (INSERT INTO spent AS t (crawl, run, budget, day, pages)
         SELECT {crawl}, {run}, budget, day, sum(pages)::bigint
         FROM unnest({}) AS s (budget, day, pages) WHERE {is_news} GROUP BY budget, day
         ON CONFLICT (crawl, run, budget, day) DO UPDATE SET pages = t.pages + excluded.pages)",
        places.join(", ")
    ));
    Ok(())
}
