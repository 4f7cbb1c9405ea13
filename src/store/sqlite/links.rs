//! Requests on their way into the queue: what is new, and which hosts it wakes.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::error::Failure;
use super::many::{self, Many};
use super::seen::key;
use super::tickets::Written;
use super::{Active, again};
use crate::request::{Fingerprint, HostKey};
use crate::store::recent::Recent;
use crate::store::{NewRequest, StopWhenKnown, spec};

/// A request of the batch, the first of its identity.
#[derive(Clone, Copy)]
struct Link<'batch> {
    /// The page it was found on: its place in the batch, and its number. None: a seed.
    parent: Option<(usize, i64)>,
    request: &'batch NewRequest,
    fingerprint: Fingerprint,
}

impl Link<'_> {
    /// The same by its other identity, if it has one that it does not go by yet.
    fn again(self) -> Option<Self> {
        let again = self.request.again?;
        (again != self.fingerprint).then_some(Self {
            fingerprint: again,
            ..self
        })
    }
}

/// A page that may have led far enough, and what is known of it.
struct Stop<'batch> {
    when: &'batch StopWhenKnown,
    known: u32,
}

/// The requests of a batch.
#[derive(Default)]
pub(super) struct Links<'batch> {
    /// One of each identity, without those that are known to be old.
    unique: Vec<Link<'batch>>,
    /// Hosts that are in scope by themselves from now on.
    seeds: HashMap<HostKey, &'batch str>,
    /// Those whose pages may be wanted again.
    renewing: Vec<&'batch NewRequest>,
    /// By the page's place in the batch.
    stops: HashMap<usize, Stop<'batch>>,
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
    /// Pages of earlier rounds that are wanted again.
    pub(super) renewed: u64,
    /// What is in `seen` for certain once this is committed.
    pub(super) known: Vec<(HostKey, Fingerprint)>,
}

/// To look and then to write is one operation here, because nobody else writes: a known link, and
/// most are known, costs a look only. All keys are one value, ten bytes each.
static UNSEEN: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "SELECT group_concat(v.column1) FROM (VALUES",
        "(#)",
        ") v WHERE v.column1 < ?2
           AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.key = substr(?1, v.column1 * 10 + 1, 10))",
    )
});

/// What is new is known from then on, and queued.
static NEW: LazyLock<Many> = LazyLock::new(|| {
    Many::two(
        [
            "INSERT OR ROLLBACK INTO seen (key, seq)
             SELECT substr(?, v.column1 * 10 + 1, 10), ? + v.column1 FROM (VALUES",
            "(#)",
            ") v WHERE v.column1 < ?",
        ],
        [
            "INSERT OR ROLLBACK INTO queue
               (host, due, ord, depth, seq, fp, tries, step, path, args, parent, spec)
             SELECT * FROM (VALUES",
            "(?,?,?,?,?,?,0,?,?,?,?,?)",
            ") WHERE column1 NOT NULL",
        ],
    )
});

static HOST: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO host (crawl, id, origin, seed, lease_at) SELECT ?, * FROM (VALUES",
        "(?,?,?,?)",
        ") WHERE column1 NOT NULL
         ON CONFLICT (id) DO UPDATE SET
           seed = max(seed, excluded.seed),
           lease_at = CASE WHEN run IS NOT NULL OR excluded.lease_at IS NULL THEN lease_at
             ELSE min(ifnull(lease_at, 9223372036854775807), max(next_at, excluded.lease_at)) END
         WHERE seed < excluded.seed
            OR (run IS NULL AND ifnull(lease_at, 9223372036854775807) > max(next_at, excluded.lease_at))",
    )
});

impl<'batch> Links<'batch> {
    /// Gathers the requests of the pages that end, and the seeds; folds those of one identity.
    ///
    /// What a try found that is to be tried again does not count: the next try will find it.
    pub(super) fn gather(
        pages: &[Written<'batch>],
        seeds: &'batch [NewRequest],
        recent: &Recent,
    ) -> Self {
        let ended = pages.iter().filter(|written| written.ends());
        let found = ended.flat_map(|written| {
            let parent = Some((written.at, written.page.key.seq));
            let requests = written.page.requests.iter();
            requests.map(move |request| (parent, request))
        });
        let seeds = seeds.iter().map(|request| (None, request));
        let stops = pages.iter().filter(|written| written.ends());
        let stops = stops.filter_map(|written| {
            let when = written.page.stop_when_known.as_ref()?;
            Some((written.at, Stop { when, known: 0 }))
        });
        let mut gathered = Self {
            stops: stops.collect(),
            ..Self::default()
        };
        let mut first = HashSet::new();
        for (parent, request) in seeds.chain(found) {
            if request.renews.is_some() {
                gathered.renewing.push(request);
            }
            if request.seed {
                gathered.seeds.insert(request.host, &request.origin);
            }
            let link = Link {
                parent,
                request,
                fingerprint: request.fingerprint,
            };
            if recent.has(request.host, request.fingerprint) {
                match link.again() {
                    Some(again) => gathered.unique.push(again),
                    None => gathered.count_known(&link),
                }
            } else if first.insert(identity(&link)) {
                gathered.unique.push(link);
            } else {
                gathered.unique.extend(link.again());
            }
        }
        gathered
    }

    /// Counts a known link for its page, if that may stop.
    fn count_known(&mut self, link: &Link<'_>) {
        if let Some((at, _)) = link.parent
            && let Some(stop) = self.stops.get_mut(&at)
            && *link.request.request.step.name != *stop.when.step
        {
            stop.known += 1;
        }
    }

    /// Those that are known, and wanted all the same.
    fn known_again(&self, unseen: &[Link<'batch>]) -> Vec<Link<'batch>> {
        let all = self.unique.iter();
        let again: Vec<_> = all.filter(|link| link.again().is_some()).collect();
        if again.is_empty() {
            return Vec::new();
        }
        let unseen: HashSet<_> = unseen.iter().map(identity).collect();
        let known = again
            .into_iter()
            .filter(|link| !unseen.contains(&identity(link)));
        known.filter_map(|link| link.again()).collect()
    }

    /// Drops the requests of pages for their own step that have led to enough of what is known.
    fn stop(&mut self, links: &mut Vec<Link<'batch>>, items: impl Fn(&usize) -> u32) {
        let unseen: HashSet<_> = links.iter().map(|link| identity(link)).collect();
        for link in std::mem::take(&mut self.unique) {
            if !unseen.contains(&identity(&link)) {
                self.count_known(&link);
            }
        }
        links.retain(|link| {
            let stop = link
                .parent
                .and_then(|(at, _)| Some((at, self.stops.get(&at)?)));
            stop.is_none_or(|(at, stop)| {
                stop.known + items(&at) < stop.when.known
                    || *link.request.request.step.name != *stop.when.step
            })
        });
    }

    /// Writes `seen`, `queue` and `host` for what is new, numbered from `seq` on, and queues pages of
    /// earlier rounds that have changed. `known_items` says how many items of a page were known.
    pub(super) async fn write(
        mut self,
        db: &mut SqliteConnection,
        active: &Active,
        seq: &mut i64,
        known_items: impl Fn(&usize) -> u32,
    ) -> Result<Fresh, Failure> {
        let told = active.told();
        let renewed = renew(db, active, &self.renewing).await?;
        let mut links = unseen(db, &self.unique).await?;
        links.extend(self.known_again(&links));
        let known;
        let links = if self.stops.is_empty() {
            known = self.unique.iter().map(identity).collect();
            links
        } else {
            // What is dropped is not known.
            known = Vec::new();
            self.stop(&mut links, known_items);
            links
        };
        let first = *seq + 1;
        *seq += links.len() as i64;
        write_new(db, &links, first, told).await?;
        let mut fresh = Fresh::count(&links, known);
        fresh.renewed = renewed.len() as u64;
        let mut wake = wake(&links, told);
        for request in renewed {
            *fresh.by_host.entry(request.host).or_default() += 1;
            wake.insert(request.host, (&request.origin, 0));
        }
        hosts(db, active.crawl, told, wake, self.seeds).await?;
        Ok(fresh)
    }
}

fn identity(link: &Link<'_>) -> (HostKey, Fingerprint) {
    (link.request.host, link.fingerprint)
}

impl Fresh {
    fn count(links: &[Link<'_>], known: Vec<(HostKey, Fingerprint)>) -> Self {
        let mut fresh = Self {
            total: links.len() as i64,
            known,
            ..Self::default()
        };
        for link in links {
            *fresh.by_host.entry(link.request.host).or_default() += 1;
            match link.parent {
                Some((at, _)) => *fresh.by_page.entry(at).or_default() += 1,
                None => fresh.seeds += 1,
            }
        }
        fresh
    }
}

/// The requests whose pages went back into the queue.
async fn renew<'batch>(
    db: &mut SqliteConnection,
    active: &Active,
    requests: &[&'batch NewRequest],
) -> Result<Vec<&'batch NewRequest>, Failure> {
    if !active.again || requests.is_empty() {
        return Ok(Vec::new());
    }
    let found = requests.iter().map(|new| again::Found {
        host: new.host,
        fingerprint: new.fingerprint,
        before: new.renews.map_or(0, Timestamp::as_millisecond),
    });
    let found: Vec<_> = found.collect();
    let renewed = again::renew(db, active, &found).await?;
    let places = renewed
        .into_iter()
        .filter_map(|at| requests.get(at).copied());
    Ok(places.collect())
}

/// The links that are not in `seen`.
async fn unseen<'batch>(
    db: &mut SqliteConnection,
    links: &[Link<'batch>],
) -> Result<Vec<Link<'batch>>, Failure> {
    let mut is_new = vec![false; links.len()];
    let mut start = 0;
    for (piece, mut statement) in UNSEEN.over(links) {
        statement = statement.bind(keys(piece)).bind(piece.len() as i64);
        for place in many::numbers(db, statement).await? {
            is_new[start + place as usize] = true;
        }
        start += piece.len();
    }
    let new = links.iter().zip(is_new).filter(|(_, is_new)| *is_new);
    Ok(new.map(|(link, _)| *link).collect())
}

/// The keys of links in `seen`, one after the other: one value to bind where each of its own would cost more than
/// the look at it.
fn keys(links: &[Link<'_>]) -> Vec<u8> {
    let keys = links
        .iter()
        .flat_map(|link| key(link.request.host, link.fingerprint));
    keys.collect()
}

/// The hosts that have something to do now, with their origins and when.
fn wake<'batch>(links: &[Link<'batch>], told: i64) -> HashMap<HostKey, (&'batch str, i64)> {
    let mut wake = HashMap::new();
    for Link { request, .. } in links {
        let due = due(request, told);
        let (_, first) = wake
            .entry(request.host)
            .or_insert((request.origin.as_str(), due));
        *first = due.min(*first);
    }
    wake
}

fn due(request: &NewRequest, told: i64) -> i64 {
    match request.request.not_before {
        Some(moment) if moment.as_millisecond() > told => moment.as_millisecond(),
        _ => 0,
    }
}

/// Writes `seen` and `queue`, numbered from `first` on.
async fn write_new(
    db: &mut SqliteConnection,
    links: &[Link<'_>],
    first: i64,
    told: i64,
) -> Result<(), Failure> {
    let mut seq = first;
    for (piece, statement) in NEW.over(links) {
        let mut statement = statement
            .bind(keys(piece))
            .bind(seq)
            .bind(piece.len() as i64);
        for link in piece {
            let NewRequest {
                host,
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
                .bind(seq)
                .bind(link.fingerprint.0)
                .bind(&*request.step.name)
                .bind(path.as_str())
                .bind(request.step.args.as_deref())
                .bind(link.parent.map(|(_, page)| page))
                .bind(spec::write(request, origin, path));
            seq += 1;
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
    for (piece, statement) in HOST.over(&rows) {
        let mut statement = statement.bind(crawl);
        for (host, origin, seed, lease_at) in piece {
            statement = statement
                .bind(host.0)
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
    let all = [&UNSEEN, &NEW, &HOST];
    all.into_iter().flat_map(|many| many.texts())
}
