//! What a report needs: crawls, runs, tables, errors and refused links.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::error::Failure;
use super::reader::Reading;
use super::{Cells, cell};
use crate::item::Column;
use crate::store::evolve::Known;
use crate::store::message::normalise;
use crate::store::{
    CrawlRow, ErrorGroup, PageState, RefusedRow, RunId, RunRow, StoreError, TableRow,
};

/// More groups of errors than anybody reads; the rest is counted as one.
const MAX_GROUPS: usize = 10_000;

pub(super) async fn crawls(mut reading: Reading) -> Result<Vec<CrawlRow>, Failure> {
    sqlx::query(
        "SELECT c.id, c.spider, c.args, c.state, c.seeded, c.started, c.finished,
           ifnull(sum(r.known - r.forgotten), 0),
           ifnull(sum(r.done + r.failed + r.skipped - r.requeued - r.forgotten), 0)
         FROM crawl c LEFT JOIN run r ON r.crawl = c.id GROUP BY c.id ORDER BY c.id DESC",
    )
    .fetch_all(&mut reading.db)
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

pub(super) async fn runs(mut reading: Reading) -> Result<Vec<RunRow>, Failure> {
    sqlx::query(
        "SELECT r.id, r.crawl, c.spider, c.args, r.pid, r.version, r.started, r.beat, r.ended, r.stop,
           r.done, r.failed, r.skipped, r.redirects, r.retries, r.known, r.items, r.new, r.changed,
           r.unchanged, r.requeued, r.forgotten, r.bytes, r.settings, r.report
         FROM run r JOIN crawl c ON c.id = r.crawl ORDER BY r.id DESC",
    )
    .fetch_all(&mut reading.db)
    .await?
    .iter()
    .map(run)
    .collect()
}

fn run(row: &SqliteRow) -> Result<RunRow, Failure> {
    let mut cells = Cells::of(row);
    Ok(RunRow {
        steps: Vec::new(),
        // Of a process that was killed nobody knows before the next one comes.
        lives: cell::<Option<i64>>(row, 8)?.is_none(),
        id: RunId(cells.next()?),
        crawl: cells.next()?,
        spider: cells.next()?,
        args: cells.next()?,
        pid: cells.next()?,
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
    })
}

/// Names of the item tables that are there; a person may have renamed or dropped one.
pub(super) const ITEM_TABLES: &str = "SELECT i.name, i.schema FROM item_table i
JOIN sqlite_schema s ON s.name = i.name COLLATE NOCASE AND s.type = 'table' ORDER BY i.name";

pub(super) async fn tables(mut reading: Reading) -> Result<Vec<TableRow>, Failure> {
    let db = &mut reading.db;
    let known: Vec<(String, String)> = sqlx::query_as(ITEM_TABLES).fetch_all(&mut *db).await?;
    let mut tables = Vec::with_capacity(known.len());
    for (name, json) in known {
        let known: Known = serde_json::from_str(&json).map_err(|error| StoreError::Schema {
            table: name.clone(),
            reason: format!("its row in item_table: {error}"),
        })?;
        let rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM \"{name}\"")))
                .fetch_one(&mut *db)
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
    mut reading: Reading,
    runs: &[RunId],
    state: PageState,
) -> Result<Vec<ErrorGroup>, Failure> {
    let mut groups = HashMap::<(String, String, String), (u64, i64)>::new();
    for run in runs {
        // The first condition is that of the index.
        let mut pages = sqlx::query(
            "SELECT id, ifnull(reason, ''), step, ifnull(message, '') FROM page
             WHERE run = ? AND state <> 'done' AND state = ?",
        )
        .bind(run.0)
        .bind(state.as_str())
        .fetch(&mut reading.db);
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
        let sample = sample(&mut reading.db, first).await?;
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
async fn sample(db: &mut SqliteConnection, page: i64) -> Result<ErrorGroup, Failure> {
    let row = sqlx::query(
        "SELECT p.id, h.origin || p.path, p.status, ifnull(p.message, ''), ph.origin || pp.path
         FROM page p JOIN host h ON h.id = p.host
         LEFT JOIN page pp ON pp.id = p.parent LEFT JOIN host ph ON ph.id = pp.host
         WHERE p.id = ?",
    )
    .bind(page)
    .fetch_one(db)
    .await?;
    let mut cells = Cells::of(&row);
    Ok(ErrorGroup {
        page: cells.next()?,
        url: cells.next()?,
        status: cells.next()?,
        sample: cells.next()?,
        referrer: cells.next()?,
        reason: String::new(),
        step: String::new(),
        message: String::new(),
        count: 0,
    })
}

pub(super) async fn refused(mut reading: Reading, crawl: i64) -> Result<Vec<RefusedRow>, Failure> {
    sqlx::query(
        "SELECT reason, subject, count, sample FROM refused WHERE crawl = ?
         ORDER BY count DESC, reason, subject",
    )
    .bind(crawl)
    .fetch_all(&mut reading.db)
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
