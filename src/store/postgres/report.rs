//! What a report needs: crawls, runs, tables, errors and refused links.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};

use super::Cells;
use super::error::Failure;
use super::skew::NOW;
use super::table::quote;
use crate::item::Column;
use crate::store::evolve::Known;
use crate::store::message::normalise;
use crate::store::{
    CrawlRow, ErrorGroup, PageState, RefusedRow, RunId, RunRow, StoreError, TableRow,
};

/// More groups of errors than anybody reads; the rest is counted as one.
const MAX_GROUPS: usize = 10_000;

pub(super) async fn crawls(mut db: PgConnection) -> Result<Vec<CrawlRow>, Failure> {
    sqlx::query(
        "SELECT c.id, c.spider, c.args, c.state, c.seeded, c.started, c.finished,
           coalesce(sum(r.known - r.forgotten), 0)::bigint,
           coalesce(sum(r.done + r.failed + r.skipped - r.requeued - r.forgotten), 0)::bigint
         FROM crawl c LEFT JOIN run r ON r.crawl = c.id GROUP BY c.id ORDER BY c.id DESC",
    )
    .fetch_all(&mut db)
    .await?
    .iter()
    .map(|row| {
        let mut cells = Cells::of(row);
        Ok(CrawlRow {
            id: cells.next()?,
            spider: cells.next()?,
            args: cells.next()?,
            state: cells.next()?,
            seeded: cells.next()?,
            started: cells.moment()?,
            finished: cells.some_moment()?,
            known: cells.count()?,
            pages: cells.count()?,
        })
    })
    .collect()
}

pub(super) async fn runs(mut db: PgConnection) -> Result<Vec<RunRow>, Failure> {
    sqlx::query(AssertSqlSafe(format!(
        "SELECT r.id, r.crawl, c.spider, c.args, r.pid, r.version, r.started, r.beat, r.ended, r.stop,
           r.done, r.failed, r.skipped, r.redirects, r.retries, r.known, r.items, r.new, r.changed,
           r.unchanged, r.requeued, r.forgotten, r.bytes, r.settings, r.report, r.steps,
           r.ended IS NULL AND r.beat + r.lease > {NOW}
         FROM run r JOIN crawl c ON c.id = r.crawl ORDER BY r.id DESC"
    )))
    .fetch_all(&mut db)
    .await?
    .iter()
    .map(run)
    .collect()
}

fn run(row: &PgRow) -> Result<RunRow, Failure> {
    let mut cells = Cells::of(row);
    Ok(RunRow {
        id: RunId(cells.next()?),
        crawl: cells.next()?,
        spider: cells.next()?,
        args: cells.next()?,
        pid: cells.count()? as u32,
        version: cells.next()?,
        started: cells.moment()?,
        beat: cells.moment()?,
        ended: cells.some_moment()?,
        stop: cells.next()?,
        done: cells.count()?,
        failed: cells.count()?,
        skipped: cells.count()?,
        redirects: cells.count()?,
        retries: cells.count()?,
        known: cells.count()?,
        items: cells.count()?,
        new: cells.count()?,
        changed: cells.count()?,
        unchanged: cells.count()?,
        requeued: cells.count()?,
        forgotten: cells.count()?,
        bytes: cells.count()?,
        settings: cells.next()?,
        report: cells.next()?,
        steps: cells.next()?,
        lives: cells.next()?,
    })
}

/// Names and schemas of the item tables that are there; a person may have renamed or dropped one.
pub(super) async fn item_tables(db: &mut PgConnection) -> Result<Vec<(String, String)>, Failure> {
    Ok(sqlx::query_as(
        "SELECT name, schema FROM item_table
         WHERE to_regclass(quote_ident(lower(name))) IS NOT NULL ORDER BY name",
    )
    .fetch_all(db)
    .await?)
}

pub(super) async fn tables(mut db: PgConnection) -> Result<Vec<TableRow>, Failure> {
    let known = item_tables(&mut db).await?;
    let mut tables = Vec::with_capacity(known.len());
    for (name, json) in known {
        let known: Known = serde_json::from_str(&json).map_err(|error| StoreError::Schema {
            table: name.clone(),
            reason: format!("its row in item_table: {error}"),
        })?;
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT count(*) FROM {}",
            quote(&name)
        )))
        .fetch_one(&mut db)
        .await?;
        let columns = known.columns.into_iter().map(|column| Column {
            name: column.name.into(),
            kind: column.kind,
            nullable: column.nullable,
        });
        tables.push(TableRow {
            name,
            columns: columns.collect(),
            key: known.key,
            rows: rows.unsigned_abs(),
        });
    }
    Ok(tables)
}

pub(super) async fn errors(
    mut db: PgConnection,
    runs: &[RunId],
    state: PageState,
) -> Result<Vec<ErrorGroup>, Failure> {
    let mut groups = HashMap::<(String, String, String), (u64, i64)>::new();
    for run in runs {
        // The first condition is that of the index.
        let mut pages = sqlx::query(
            "SELECT id, coalesce(reason, ''), step, coalesce(message, '') FROM page
             WHERE run = $1 AND state <> 'done' AND state = $2",
        )
        .bind(run.0)
        .bind(state.as_str())
        .fetch(&mut db);
        while let Some(page) = pages.try_next().await? {
            let mut cells = Cells::of(&page);
            let id = cells.next()?;
            let mut group = (cells.next()?, cells.next()?, normalise(cells.next()?));
            if groups.len() >= MAX_GROUPS && !groups.contains_key(&group) {
                "(others)".clone_into(&mut group.2);
            }
            let (count, first) = groups.entry(group).or_insert((0, id));
            *count += 1;
            *first = id.min(*first);
        }
    }
    let mut errors = Vec::with_capacity(groups.len());
    for ((reason, step, message), (count, first)) in groups {
        let sample = sample(&mut db, first).await?;
        errors.push(ErrorGroup {
            reason,
            step,
            message,
            count,
            ..sample
        });
    }
    errors.sort_by_key(|group| (std::cmp::Reverse(group.count), group.page));
    Ok(errors)
}

/// One page of a group of errors, without what the group knows.
async fn sample(db: &mut PgConnection, page: i64) -> Result<ErrorGroup, Failure> {
    let row = sqlx::query(
        "SELECT p.id, h.origin || p.path, p.status, coalesce(p.message, ''), ph.origin || pp.path
         FROM page p JOIN host h ON h.id = p.host
         LEFT JOIN page pp ON pp.id = p.parent LEFT JOIN host ph ON ph.id = pp.host
         WHERE p.id = $1",
    )
    .bind(page)
    .fetch_one(db)
    .await?;
    let mut cells = Cells::of(&row);
    Ok(ErrorGroup {
        page: cells.next()?,
        url: cells.next()?,
        status: cells.small()?,
        sample: cells.next()?,
        referrer: cells.next()?,
        reason: String::new(),
        step: String::new(),
        message: String::new(),
        count: 0,
    })
}

pub(super) async fn refused(mut db: PgConnection, crawl: i64) -> Result<Vec<RefusedRow>, Failure> {
    sqlx::query(
        "SELECT reason, subject, sum(count)::bigint, min(sample) FROM refused WHERE crawl = $1
         GROUP BY reason, subject ORDER BY 3 DESC, reason, subject",
    )
    .bind(crawl)
    .fetch_all(&mut db)
    .await?
    .iter()
    .map(|row| {
        let mut cells = Cells::of(row);
        Ok(RefusedRow {
            reason: cells.next()?,
            subject: cells.next()?,
            count: cells.count()?,
            sample: cells.next()?,
        })
    })
    .collect()
}
