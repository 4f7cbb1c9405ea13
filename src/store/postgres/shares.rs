//! Hosts that are divided among processes.
//!
//! Each part of such a host has a row of its own in `host`, with its own key: so it has its own queue, lease
//! and pace, and no statement knows of it. What is here sees to it that processes share the parts: of one
//! host, each has its part of them at the most.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::{Connection, PgConnection};
use url::Url;

use super::error::Failure;
use super::skew::Skew;
use super::{Active, Inner};
use crate::clock;
use crate::request::HostKey;
use crate::settings::Shares;
use crate::store::{Host, Resting, StoreError};

/// Notes how hosts are divided, if the crawl begins; how they are.
pub(super) async fn share(inner: Arc<Inner>, wanted: Arc<Shares>) -> Result<Shares, Failure> {
    let active = inner.active()?;
    let mut writer = inner.writer.lock().await;
    let mut transaction = writer.link.ready().await?.begin().await?;
    let written = serde_json::to_string(&*wanted)
        .map_err(|error| StoreError::Database(format!("crawl.shares: {error}")))?;
    let begins = sqlx::query("UPDATE crawl SET shares = $2 WHERE id = $1 AND shares IS NULL")
        .bind(active.crawl)
        .bind(written)
        .execute(&mut *transaction)
        .await?;
    if begins.rows_affected() > 0 {
        divide(&mut transaction, active.crawl, &wanted).await?;
    }
    let stored: String = sqlx::query_scalar("SELECT coalesce(shares, '') FROM crawl WHERE id = $1")
        .bind(active.crawl)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let shares = read(&stored)?;
    if shares != *wanted {
        tracing::warn!(
            "hosts stay divided among processes as they were when this crawl began (`processes`, and \
             `concurrency` of such hosts); `--fresh` begins anew"
        );
    }
    let _ = active.shares.set(shares.clone());
    Ok(shares)
}

/// As stored; nothing in crawls that are older.
pub(super) fn read(stored: &str) -> Result<Shares, Failure> {
    if stored.is_empty() {
        return Ok(Shares::default());
    }
    let read = serde_json::from_str(stored);
    Ok(read.map_err(|error| StoreError::Database(format!("crawl.shares: {error}")))?)
}

fn parts(shares: &Shares, origin: &str) -> usize {
    Url::parse(origin).map_or(1, |url| shares.of(&url))
}

/// Into how many parts a host is divided.
pub(super) fn parts_of(active: &Active, origin: &str) -> usize {
    let shares = active.shares.get().filter(|shares| !shares.is_empty());
    shares.map_or(1, |shares| parts(shares, origin))
}

const RESTING: &str = "SELECT id, next_at, errors FROM host
  WHERE id = ANY($1) AND errors > 0 AND next_at > $2";

/// What the other parts of divided hosts have learnt: that their host is in trouble, and until when it is to
/// be left alone. `held` are the hosts that this process has, and into how many parts each is divided.
pub(super) async fn resting(
    db: &mut PgConnection,
    held: &HashMap<HostKey, usize>,
    skew: &Skew,
) -> Result<Vec<Resting>, Failure> {
    let mut parts_by_other = HashMap::<i64, Vec<HostKey>>::new();
    for (&part, &parts) in held.iter().filter(|(_, parts)| **parts > 1) {
        // The numbers of two parts differ by no more than this; keys that are no part's are nobody's.
        for number in 1..parts.next_power_of_two() {
            let others = parts_by_other.entry(part.part(number).0);
            others.or_default().push(part);
        }
    }
    if parts_by_other.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(RESTING)
        .bind(parts_by_other.keys().copied().collect::<Vec<_>>())
        .bind(skew.theirs(clock::now()))
        .fetch_all(db)
        .await?;
    let told = rows.into_iter().flat_map(|(other, next_at, errors)| {
        let parts = parts_by_other.get(&other).into_iter().flatten();
        parts.map(move |&host| Resting {
            host,
            until: skew.ours(next_at),
            errors: u32::try_from(errors).unwrap_or(u32::MAX),
        })
    });
    Ok(told.collect())
}

/// What is known of hosts from the crawl before is known of each part; each has its part of what was used of
/// a day.
async fn divide(db: &mut PgConnection, crawl: i64, shares: &Shares) -> Result<(), Failure> {
    if shares.is_empty() {
        return Ok(());
    }
    let known: Vec<(i64, String)> = sqlx::query_as("SELECT id, origin FROM host WHERE crawl = $1")
        .bind(crawl)
        .fetch_all(&mut *db)
        .await?;
    for (id, origin) in known {
        let parts = parts(shares, &origin);
        let others = (1..parts).map(|number| HostKey(id).part(number).0);
        sqlx::query(
            "WITH whole AS (UPDATE host SET sent = (sent + $2 - 1) / $2 WHERE id = $1 RETURNING *)
             INSERT INTO host (id, crawl, origin, next_at, errors, delay, ceiling, day, sent, lapsed)
             SELECT part, crawl, origin, next_at, errors, delay, ceiling, day, sent, lapsed
             FROM whole, unnest($3::bigint[]) AS part",
        )
        .bind(id)
        .bind(parts as i64)
        .bind(others.collect::<Vec<_>>())
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Hosts of which this run has more than one part.
const SEVERAL: &str = "SELECT origin, array_agg(id ORDER BY id) FROM host
  WHERE run = $1 GROUP BY origin HAVING count(*) > 1";

/// Parts beyond this process's part of a host, `new` ones before others.
pub(super) async fn crowded(
    db: &mut PgConnection,
    active: &Active,
    new: &[HostKey],
) -> Result<Vec<HostKey>, Failure> {
    let living = active.living.load(Ordering::Relaxed);
    let shares = active.shares.get().filter(|shares| !shares.is_empty());
    let Some(shares) = shares.filter(|_| living > 1) else {
        return Ok(Vec::new());
    };
    let several: Vec<(String, Vec<i64>)> = sqlx::query_as(SEVERAL)
        .bind(active.run)
        .fetch_all(db)
        .await?;
    let new: HashSet<_> = new.iter().collect();
    let beyond = several.into_iter().flat_map(|(origin, ids)| {
        let mut keys: Vec<_> = ids.into_iter().map(HostKey).collect();
        keys.sort_by_key(|key| new.contains(key));
        keys.split_off(parts(shares, &origin).div_ceil(living).min(keys.len()))
    });
    Ok(beyond.collect())
}

/// As it was before it was leased.
const PUT_BACK: &str = "WITH mine AS MATERIALIZED
  (SELECT h.id, back.lapsed FROM host h
     JOIN unnest($1::bigint[], $2::boolean[]) AS back (id, lapsed) ON back.id = h.id
   WHERE h.run = $3 ORDER BY h.id FOR UPDATE OF h)
UPDATE host SET run = NULL, lapsed = mine.lapsed FROM mine WHERE host.id = mine.id";

/// Puts back what was leased beyond this process's part of a host.
pub(super) async fn leave_to_others(
    db: &mut PgConnection,
    active: &Active,
    mut leased: Vec<Host>,
) -> Result<Vec<Host>, Failure> {
    let new: Vec<_> = leased.iter().map(|host| host.key).collect();
    let beyond: HashSet<_> = if new.is_empty() {
        HashSet::new()
    } else {
        crowded(db, active, &new).await?.into_iter().collect()
    };
    let back: Vec<_> = leased
        .extract_if(.., |host| beyond.contains(&host.key))
        .collect();
    if !back.is_empty() {
        sqlx::query(PUT_BACK)
            .bind(back.iter().map(|host| host.key.0).collect::<Vec<_>>())
            .bind(back.iter().map(|host| host.lapsed).collect::<Vec<_>>())
            .bind(active.run)
            .execute(db)
            .await?;
    }
    Ok(leased)
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) const HOT: [&str; 3] = [SEVERAL, PUT_BACK, RESTING];
