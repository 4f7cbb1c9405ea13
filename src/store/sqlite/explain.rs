//! Everything that is known of a URL.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};
use url::Url;

use super::error::Failure;
use super::reader::Reading;
use super::report::ITEM_TABLES;
use super::{Cells, lease, moment, seen};
use crate::request::{HostKey, Identity, Request, StepRef, canonical};
use crate::store::{Attempt, Explained, KnownHost, RunId, StoreError, Story};

/// A URL in one crawl.
struct Place<'a> {
    crawl: i64,
    spider: String,
    host: HostKey,
    path: &'a str,
}

pub(super) async fn explain(
    mut reading: Reading,
    url: &Url,
    steps: &[String],
) -> Result<Explained, Failure> {
    let db = &mut reading.db;
    let (origin, path) =
        canonical(url, usize::MAX).map_err(|error| StoreError::Query(format!("{url}: {error}")))?;
    let crawls: Vec<(i64, String, Vec<u8>)> = sqlx::query_as(
        "SELECT id, spider, key FROM crawl WHERE state IN ('open', 'finished') ORDER BY id DESC",
    )
    .fetch_all(&mut *db)
    .await?;
    let mut explained = Explained::default();
    for (crawl, spider, key) in crawls {
        let Ok(key) = key.try_into() else { continue };
        let identity = Identity::new(key);
        let place = Place {
            crawl,
            spider,
            host: identity.host(&origin),
            path: &path,
        };
        // A host is in scope under both schemes.
        let twin = twin(&origin).map(|origin| identity.host(&origin));
        let twin = match twin {
            Some(twin) => host(db, &place, twin).await?,
            None => None,
        };
        explained.hosts.extend(twin);
        let Some(host) = host(db, &place, place.host).await? else {
            continue;
        };
        explained.hosts.push(host);
        for seq in numbers(db, &place, &identity, url, steps).await? {
            explained.requests.extend(story(db, &place, seq).await?);
        }
    }
    Ok(explained)
}

/// The origin of the same host under the other scheme.
fn twin(origin: &str) -> Option<String> {
    let (scheme, host) = origin.split_once("://")?;
    let other = if scheme == "http" { "https" } else { "http" };
    Some(format!("{other}://{host}"))
}

async fn host(
    db: &mut SqliteConnection,
    place: &Place<'_>,
    key: HostKey,
) -> Result<Option<KnownHost>, Failure> {
    let row = sqlx::query(
        "SELECT h.id, h.origin, h.seed, h.next_at, h.errors, r.status, r.body, r.at,
                h.delay, h.ceiling, h.day, h.sent, h.lapsed
         FROM host h LEFT JOIN robots r ON r.host = h.id WHERE h.id = ?",
    )
    .bind(key.0)
    .fetch_optional(db)
    .await?;
    Ok(match row {
        None => None,
        Some(row) => Some(KnownHost {
            crawl: place.crawl,
            spider: place.spider.clone(),
            host: lease::read(&row)?,
        }),
    })
}

/// The numbers of the URL's requests: by fingerprint, which is quick; and if there is none, by path,
/// for other methods, bodies and steps, and for files of an older version.
async fn numbers(
    db: &mut SqliteConnection,
    place: &Place<'_>,
    identity: &Identity,
    url: &Url,
    steps: &[String],
) -> Result<Vec<i64>, Failure> {
    let mut numbers = Vec::new();
    // Who only reads can't bring a file of an older version up to date.
    let is_current = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('seen') WHERE name = 'key')";
    let is_current: bool = sqlx::query_scalar(is_current).fetch_one(&mut *db).await?;
    for step in steps.iter().filter(|_| is_current) {
        let request = Request::new(url.clone(), StepRef::named(step.clone()));
        let fingerprint = identity.fingerprint(&request, place.path, None);
        let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM seen WHERE key = ?")
            .bind(seen::key(place.host, fingerprint).to_vec())
            .fetch_optional(&mut *db)
            .await?;
        numbers.extend(seq);
    }
    if numbers.is_empty() {
        numbers = sqlx::query_scalar(
            "SELECT id FROM page WHERE host = ?1 AND path = ?2
             UNION ALL SELECT seq FROM queue WHERE host = ?1 AND path = ?2 ORDER BY 1 LIMIT 100",
        )
        .bind(place.host.0)
        .bind(place.path)
        .fetch_all(db)
        .await?;
    }
    Ok(numbers)
}

const PAGE: &str = "SELECT step, state, NULL, depth, tries, NULL, run, reason, message, status, ms,
  bytes, at, parent FROM page WHERE id = ?1";

const QUEUED: &str = "SELECT step, 'queued', -ord, depth, tries, nullif(due, 0), NULL, NULL, NULL,
  0, 0, 0, NULL, parent FROM queue WHERE host = ?2 AND seq = ?1";

async fn story(
    db: &mut SqliteConnection,
    place: &Place<'_>,
    seq: i64,
) -> Result<Option<Story>, Failure> {
    let page = sqlx::query(PAGE).bind(seq).fetch_optional(&mut *db).await?;
    let row = if page.is_some() {
        page
    } else {
        let queued = sqlx::query(QUEUED).bind(seq).bind(place.host.0);
        queued.fetch_optional(&mut *db).await?
    };
    let Some(row) = row else { return Ok(None) };
    let parent: Option<i64> = row.try_get(13)?;
    let (attempts, found_on, items) = (
        attempts(db, seq).await?,
        found_on(db, parent).await?,
        items(db, seq).await?,
    );
    let mut cells = Cells::of(&row);
    Ok(Some(Story {
        crawl: place.crawl,
        spider: place.spider.clone(),
        seq,
        step: cells.next()?,
        state: cells.next()?,
        priority: cells.next()?,
        depth: cells.next()?,
        tries: cells.next()?,
        due: cells.some_moment()?,
        run: cells.next::<Option<i64>>()?.map(RunId),
        reason: cells.next()?,
        message: cells.next()?,
        status: cells.next()?,
        took_ms: cells.next()?,
        bytes: cells.count()?,
        at: cells.some_moment()?,
        attempts,
        found_on,
        items,
    }))
}

async fn attempts(db: &mut SqliteConnection, seq: i64) -> Result<Vec<Attempt>, Failure> {
    let rows: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT at, run, message FROM attempt WHERE page = ? ORDER BY at")
            .bind(seq)
            .fetch_all(db)
            .await?;
    let attempt = |(at, run, message)| Attempt {
        at: moment(at),
        run: RunId(run),
        message,
    };
    Ok(rows.into_iter().map(attempt).collect())
}

async fn found_on(db: &mut SqliteConnection, parent: Option<i64>) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "WITH RECURSIVE up (id, distance) AS (
           SELECT ?, 1
           UNION ALL SELECT p.parent, distance + 1 FROM up JOIN page p ON p.id = up.id
             WHERE p.parent NOT NULL AND distance < 100)
         SELECT h.origin || p.path FROM up JOIN page p ON p.id = up.id JOIN host h ON h.id = p.host
         ORDER BY distance",
    )
    .bind(parent)
    .fetch_all(db)
    .await?)
}

async fn items(db: &mut SqliteConnection, seq: i64) -> Result<Vec<(String, i64)>, Failure> {
    let tables: Vec<(String, String)> = sqlx::query_as(ITEM_TABLES).fetch_all(&mut *db).await?;
    let mut items = Vec::new();
    for (table, _) in tables {
        // The name was checked when the table was made.
        let sql = format!("SELECT \"_id\" FROM \"{table}\" WHERE \"_page\" = ? LIMIT 100");
        let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(seq)
            .fetch_all(&mut *db)
            .await?;
        items.extend(ids.into_iter().map(|id| (table.clone(), id)));
    }
    Ok(items)
}
