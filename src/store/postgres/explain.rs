//! Everything that is known of a URL.

use sqlx::{AssertSqlSafe, PgConnection, Row};
use url::Url;

use super::error::Failure;
use super::report::item_tables;
use super::table::quote;
use super::{Cells, lease, moment, shares};
use crate::request::{Identity, Request, StepRef, canonical};
use crate::store::{Attempt, Explained, KnownHost, RunId, StoreError, Story};

/// A URL in one crawl.
struct Place<'a> {
    crawl: i64,
    spider: String,
    /// The host's key, or those of its parts.
    hosts: Vec<i64>,
    path: &'a str,
}

pub(super) async fn explain(
    mut db: PgConnection,
    url: &Url,
    steps: &[String],
) -> Result<Explained, Failure> {
    let db = &mut db;
    let (origin, path) =
        canonical(url, usize::MAX).map_err(|error| StoreError::Query(format!("{url}: {error}")))?;
    let crawls: Vec<(i64, String, Vec<u8>, String)> = sqlx::query_as(
        "SELECT id, spider, key, coalesce(shares, '') FROM crawl WHERE state IN ('open', 'finished') ORDER BY id DESC",
    )
    .fetch_all(&mut *db)
    .await?;
    let mut explained = Explained::default();
    for (crawl, spider, key, shares) in crawls {
        let Ok(key) = key.try_into() else { continue };
        let identity = Identity::new(key);
        let parts = shares::read(&shares)?.of(url);
        let keys = |origin: &str| {
            let whole = identity.host(origin);
            (0..parts).map(|number| whole.part(number).0).collect()
        };
        let place = Place {
            crawl,
            spider,
            hosts: keys(&origin),
            path: &path,
        };
        // A host is in scope under both schemes.
        if let Some(twin) = twin(&origin) {
            let twins = hosts(db, &place, keys(&twin)).await?;
            explained.hosts.extend(twins);
        }
        let own = hosts(db, &place, place.hosts.clone()).await?;
        if own.is_empty() {
            continue;
        }
        explained.hosts.extend(own);
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

/// A host, or those of its parts that are known; one whose robots.txt is known first.
async fn hosts(
    db: &mut PgConnection,
    place: &Place<'_>,
    keys: Vec<i64>,
) -> Result<Vec<KnownHost>, Failure> {
    let rows = sqlx::query(
        "SELECT h.id, h.origin, h.seed, h.next_at, h.errors, r.status, r.body, r.at,
                h.delay, h.ceiling, h.day, h.sent, h.lapsed
         FROM host h LEFT JOIN robots r ON r.host = h.id WHERE h.id = ANY($1)
         ORDER BY r.at DESC NULLS LAST",
    )
    .bind(keys)
    .fetch_all(db)
    .await?;
    let host = |row| {
        Ok(KnownHost {
            crawl: place.crawl,
            spider: place.spider.clone(),
            host: lease::read_as_stored(row)?,
        })
    };
    rows.iter().map(host).collect()
}

/// The numbers of the URL's requests: by fingerprint, which is quick; and if there is none, by path,
/// for other methods, bodies and steps.
async fn numbers(
    db: &mut PgConnection,
    place: &Place<'_>,
    identity: &Identity,
    url: &Url,
    steps: &[String],
) -> Result<Vec<i64>, Failure> {
    let mut numbers = Vec::new();
    for step in steps {
        let request = Request::new(url.clone(), StepRef::named(step.clone()));
        let fingerprint = identity.fingerprint(&request, place.path, None);
        let seq: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM seen WHERE host = $1 AND fp = $2")
                .bind(place.hosts[fingerprint.part_of(place.hosts.len())])
                .bind(fingerprint.0)
                .fetch_optional(&mut *db)
                .await?;
        numbers.extend(seq);
    }
    if numbers.is_empty() {
        numbers = sqlx::query_scalar(
            "SELECT id FROM page WHERE host = ANY($1) AND path = $2
             UNION ALL SELECT seq FROM queue WHERE host = ANY($1) AND path = $2 ORDER BY 1 LIMIT 100",
        )
        .bind(&place.hosts)
        .bind(place.path)
        .fetch_all(db)
        .await?;
    }
    Ok(numbers)
}

const PAGE: &str =
    "SELECT step, state, NULL::int, depth, tries, NULL::bigint, run, reason, message, status, ms,
  bytes, at, parent FROM page WHERE id = $1";

const QUEUED: &str =
    "SELECT step, 'queued', -ord, depth, tries, nullif(due, 0), NULL::bigint, NULL, NULL,
  0, 0::bigint, 0::bigint, NULL::bigint, parent FROM queue WHERE host = ANY($2) AND seq = $1";

async fn story(
    db: &mut PgConnection,
    place: &Place<'_>,
    seq: i64,
) -> Result<Option<Story>, Failure> {
    let page = sqlx::query(PAGE).bind(seq).fetch_optional(&mut *db).await?;
    let row = if page.is_some() {
        page
    } else {
        let queued = sqlx::query(QUEUED).bind(seq).bind(&place.hosts);
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
        depth: cells.small()?,
        tries: cells.small()?,
        due: cells.some_moment()?,
        run: cells.next::<Option<i64>>()?.map(RunId),
        reason: cells.next()?,
        message: cells.next()?,
        status: cells.small()?,
        took_ms: cells.count()? as u32,
        bytes: cells.count()?,
        at: cells.some_moment()?,
        attempts,
        found_on,
        items,
    }))
}

async fn attempts(db: &mut PgConnection, seq: i64) -> Result<Vec<Attempt>, Failure> {
    let rows: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT at, run, message FROM attempt WHERE page = $1 ORDER BY at")
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

async fn found_on(db: &mut PgConnection, parent: Option<i64>) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(
        "WITH RECURSIVE up (id, distance) AS (
           SELECT $1::bigint, 1
           UNION ALL SELECT p.parent, distance + 1 FROM up JOIN page p ON p.id = up.id
             WHERE p.parent IS NOT NULL AND distance < 100)
         SELECT h.origin || p.path FROM up JOIN page p ON p.id = up.id JOIN host h ON h.id = p.host
         ORDER BY distance",
    )
    .bind(parent)
    .fetch_all(db)
    .await?)
}

async fn items(db: &mut PgConnection, seq: i64) -> Result<Vec<(String, i64)>, Failure> {
    let mut items = Vec::new();
    for (table, _) in item_tables(db).await? {
        // The name was checked when the table was made.
        let sql = format!(
            "SELECT _id FROM {} WHERE _page = $1 LIMIT 100",
            quote(&table)
        );
        let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(seq)
            .fetch_all(&mut *db)
            .await?;
        items.extend(ids.into_iter().map(|id| (table.clone(), id)));
    }
    Ok(items)
}
