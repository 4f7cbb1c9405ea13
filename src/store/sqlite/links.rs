//! Requests on their way into the queue: what is new, and which hosts it wakes.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::cell;
use super::error::Failure;
use super::many::Many;
use super::tickets::Written;
use crate::request::{Fingerprint, HostKey};
use crate::store::recent::Recent;
use crate::store::{NewRequest, spec};

/// A request of the batch, the first of its identity.
struct Link<'batch> {
    /// The page it was found on: its place in the batch, and its number. None: a seed.
    parent: Option<(usize, i64)>,
    seq: i64,
    request: &'batch NewRequest,
}

/// The requests of a batch.
#[derive(Default)]
pub(super) struct Links<'batch> {
    /// One of each identity, without those that are known to be old.
    unique: Vec<Link<'batch>>,
    /// Their identities.
    ids: Vec<(HostKey, Fingerprint)>,
    /// Hosts that are in scope by themselves from now on.
    seeds: HashMap<HostKey, &'batch str>,
}

/// What came in.
#[derive(Default)]
pub(super) struct Fresh {
    /// New requests by host.
    pub(super) by_host: HashMap<HostKey, u32>,
    /// By page, as its place in the batch.
    pub(super) by_page: HashMap<usize, u32>,
    /// Of the seeds.
    pub(super) seeds: u64,
    /// All of them.
    pub(super) total: i64,
    /// What is in `seen` for certain once this is committed.
    pub(super) known: Vec<(HostKey, Fingerprint)>,
}

static SEEN: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO seen (host, fp, seq) VALUES",
        "(?,?,?)",
        "ON CONFLICT DO NOTHING RETURNING seq",
    )
});

pub(super) static QUEUE: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO queue (host, due, ord, depth, seq, fp, tries, step, path, args, parent, spec) VALUES",
        "(?,?,?,?,?,?,0,?,?,?,?,?)",
        "",
    )
});

static HOST: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO host (id, crawl, origin, seed, lease_at) VALUES",
        "(?,?,?,?,?)",
        "ON CONFLICT (id) DO UPDATE SET
           seed = max(seed, excluded.seed),
           lease_at = CASE WHEN run IS NOT NULL OR excluded.lease_at IS NULL THEN lease_at
             ELSE min(ifnull(lease_at, 9223372036854775807), max(next_at, excluded.lease_at)) END
         WHERE seed < excluded.seed
            OR (run IS NULL AND ifnull(lease_at, 9223372036854775807) > max(next_at, excluded.lease_at))",
    )
});

impl<'batch> Links<'batch> {
    /// Gathers the requests of the pages that are written, and the seeds; folds those of one
    /// identity; numbers them from `seq` on.
    pub(super) fn gather(
        pages: &[Written<'batch>],
        seeds: &'batch [NewRequest],
        recent: &Recent,
        seq: &mut i64,
    ) -> Self {
        let found = pages.iter().flat_map(|written| {
            let parent = Some((written.at, written.page.key.seq));
            let requests = written.page.requests.iter();
            requests.map(move |request| (parent, request))
        });
        let seeds = seeds.iter().map(|request| (None, request));
        let mut gathered = Self::default();
        let mut first = HashSet::new();
        for (parent, request) in seeds.chain(found) {
            if request.seed {
                gathered.seeds.insert(request.host, &request.origin);
            }
            let id = (request.host, request.fingerprint);
            if recent.has(id.0, id.1) || !first.insert(id) {
                continue;
            }
            *seq += 1;
            gathered.ids.push(id);
            gathered.unique.push(Link {
                parent,
                seq: *seq,
                request,
            });
        }
        gathered
    }

    /// Writes `seen`, and for what is new `queue` and `host`. `told` is the latest moment that the
    /// engine has told.
    pub(super) async fn write(
        self,
        db: &mut SqliteConnection,
        crawl: i64,
        told: i64,
    ) -> Result<Fresh, Failure> {
        let mut fresh = Fresh {
            known: self.ids,
            ..Fresh::default()
        };
        let links = unseen(db, self.unique).await?;
        let mut wake = HashMap::new();
        for link in &links {
            let due = due(link.request, told);
            let host = link.request;
            let (_, first) = wake
                .entry(host.host)
                .or_insert_with(|| (host.origin.as_str(), due));
            *first = due.min(*first);
            *fresh.by_host.entry(host.host).or_default() += 1;
            match link.parent {
                Some((at, _)) => *fresh.by_page.entry(at).or_default() += 1,
                None => fresh.seeds += 1,
            }
            fresh.total += 1;
        }
        queue(db, &links, told).await?;
        hosts(db, crawl, told, wake, self.seeds).await?;
        Ok(fresh)
    }
}

/// Marks links as seen and keeps those that were not: one operation.
async fn unseen<'batch>(
    db: &mut SqliteConnection,
    links: Vec<Link<'batch>>,
) -> Result<Vec<Link<'batch>>, Failure> {
    let mut fresh = HashSet::new();
    for (piece, mut statement) in SEEN.over(&links) {
        for Link { request, seq, .. } in piece {
            statement = statement
                .bind(request.host.0)
                .bind(request.fingerprint.0)
                .bind(*seq);
        }
        for row in statement.fetch_all(&mut *db).await? {
            fresh.insert(cell::<i64>(&row, 0)?);
        }
    }
    Ok(links
        .into_iter()
        .filter(|link| fresh.contains(&link.seq))
        .collect())
}

fn due(request: &NewRequest, told: i64) -> i64 {
    match request.request.not_before {
        Some(moment) if moment.as_millisecond() > told => moment.as_millisecond(),
        _ => 0,
    }
}

async fn queue(db: &mut SqliteConnection, links: &[Link<'_>], told: i64) -> Result<(), Failure> {
    for (piece, mut statement) in QUEUE.over(links) {
        for link in piece {
            let NewRequest {
                host,
                fingerprint,
                origin,
                path,
                request,
                ..
            } = link.request;
            statement = statement
                .bind(host.0)
                .bind(due(link.request, told))
                .bind(-i32::from(request.priority))
                .bind(i32::from(request.depth))
                .bind(link.seq)
                .bind(fingerprint.0)
                .bind(&*request.step.name)
                .bind(path.as_str())
                .bind(request.step.args.as_deref())
                .bind(link.parent.map(|(_, page)| page))
                .bind(spec::write(request, origin, path));
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// Makes new hosts, wakes those that have something to do earlier than was known, and marks those
/// of seeds. A new host stands in line behind those that waited before.
async fn hosts(
    db: &mut SqliteConnection,
    crawl: i64,
    told: i64,
    wake: HashMap<HostKey, (&str, i64)>,
    mut seeds: HashMap<HostKey, &str>,
) -> Result<(), Failure> {
    let mut rows = Vec::with_capacity(wake.len());
    for (host, (origin, due)) in wake {
        let seed = seeds.remove(&host).is_some();
        rows.push((host, origin, seed, Some(due.max(told))));
    }
    rows.extend(
        seeds
            .into_iter()
            .map(|(host, origin)| (host, origin, true, None)),
    );
    for (piece, mut statement) in HOST.over(&rows) {
        for (host, origin, seed, lease_at) in piece {
            statement = statement
                .bind(host.0)
                .bind(crawl)
                .bind(*origin)
                .bind(*seed)
                .bind(*lease_at);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    SEEN.texts().chain(QUEUE.texts()).chain(HOST.texts())
}
