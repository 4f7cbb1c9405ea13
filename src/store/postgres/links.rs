//! Requests on their way into the queue: what is new, and which hosts it wakes.

use std::collections::{HashMap, HashSet};
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use sqlx::PgConnection;

use super::compose::{Composed, clean};
use super::error::Failure;
use super::skew::Skew;
use super::{Active, Inner, Writer};
use crate::request::{Fingerprint, HostKey};
use crate::store::{Batch, NewRequest, PageCommit, Receipt, Verdict, spec};

/// Whether a link of `_l` is new, so written that the numbers are looked up in a hash table, not joined.
const IS_NEW: &str = "CASE WHEN l.seq IN (SELECT seq FROM _n) THEN true ELSE false END";

/// Size of a block of numbers: the sequence's increment.
const BLOCK: i64 = 1000;

/// A request of the batch: the first of its identity on its page.
struct Link<'batch> {
    /// Its number, if it is new.
    seq: i64,
    /// The page it was found on: its place in the batch, and its number. None: a seed.
    parent: Option<(usize, i64)>,
    request: &'batch NewRequest,
    /// Its identity: its own, or the one for what is known.
    fingerprint: Fingerprint,
}

/// A page that may have led far enough: its number, its step, and how much more it must have led to of
/// what is known.
struct Stop<'batch> {
    page: i64,
    step: &'batch str,
    enough: i64,
}

impl Link<'_> {
    /// Its other identity, if it has one that it does not go by yet.
    fn again(&self) -> Option<i64> {
        let again = self.request.again?;
        (again != self.fingerprint).then_some(again.0)
    }
}

/// The requests of a batch.
#[derive(Default)]
pub(super) struct Links<'batch> {
    links: Vec<Link<'batch>>,
    stops: Vec<Stop<'batch>>,
}

impl<'batch> Links<'batch> {
    /// Gathers the requests of the seeds and of the pages that end. Whether a page's ticket is there, only
    /// the server knows: so what two pages have found is sent for each.
    pub(super) fn gather(
        batch: &'batch Batch,
        pages: &[(usize, &'batch PageCommit)],
        writer: &Writer,
    ) -> Self {
        let mut in_batch = pages.to_vec();
        in_batch.sort_by_key(|(at, _)| *at);
        let ended = in_batch
            .into_iter()
            .filter(|(_, page)| matches!(page.verdict, Verdict::Page(_)));
        let found = ended.flat_map(|(at, page)| {
            let parent = Some((at, page.key.seq));
            page.requests.iter().map(move |request| (parent, request))
        });
        let seeds = batch.seeds.iter().map(|request| (None, request));
        let mut gathered = Self {
            stops: stops(pages, writer),
            links: Vec::new(),
        };
        let (mut first, mut targets) = (HashSet::new(), HashSet::new());
        for (parent, request) in seeds.chain(found) {
            let page = parent.map(|(at, _)| at);
            let (host, own) = (request.host, request.fingerprint);
            let is_known = writer.recent.has(host, own);
            let fingerprint = match request.again {
                Some(again) if is_known || !targets.insert((host, own)) => again,
                _ => own,
            };
            // A seed may be known and still say something new of its host.
            let is_news = request.seed || request.again.is_some() || !is_known;
            if is_news && first.insert((page, host, fingerprint)) {
                gathered.links.push(Link {
                    seq: 0,
                    parent,
                    request,
                    fingerprint,
                });
            }
        }
        gathered
    }

    /// How many numbers they need.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is nothing to write for them.
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Gives every request a number, in order of discovery; those of known ones are lost.
    pub(super) fn number(&mut self, numbers: impl Iterator<Item = i64>) {
        for (link, seq) in self.links.iter_mut().zip(numbers) {
            link.seq = seq;
        }
    }

    /// Adds `_n`, the numbers of what is new, and writes `seen`, `queue` and `host` for it.
    pub(super) fn write(
        &self,
        to: &mut Composed,
        (inner, active): (&Inner, &Active),
        (crawl, told): (&str, i64),
        (has_pages, tables): (bool, usize),
    ) -> Result<(), Failure> {
        let written = if has_pages {
            "(l.parent IS NULL OR l.parent IN (SELECT seq FROM _t WHERE state IS NOT NULL))"
        } else {
            "l.parent IS NULL"
        };
        self.write_links(to, (inner, active), told, written)?;
        self.write_stops(to, tables)?;
        write_queue(to);
        let told = to.bind(told)?;
        // `seen` is done with before a host is locked: all commits keep this order.
        to.with(format!(
            "_k AS MATERIALIZED (SELECT host AS id, min(origin) AS origin, bool_or(seed) AS seed,
               greatest(min(due) FILTER (WHERE is_new), {told}) AS due, bool_or(is_new) AS wakes,
               min(pace) AS pace
             FROM (SELECT l.host, l.origin, l.seed, l.due, l.pace, {IS_NEW} AS is_new FROM _l l) l
             GROUP BY host HAVING bool_or(is_new) OR bool_or(seed) ORDER BY host)"
        ));
        // Each host is looked for once, and locked only if it is to be changed.
        to.with(
            "_y AS MATERIALIZED (SELECT k.*, x.id IS NULL AS is_missing, coalesce((k.seed AND NOT x.seed)
                 OR (x.run IS NULL AND k.wakes
                     AND (x.lease_at IS NULL OR x.lease_at > greatest(x.next_at, k.due))), false) AS changes
             FROM _k k LEFT JOIN LATERAL (SELECT * FROM host x WHERE x.id = k.id LIMIT 1) x ON true
             ORDER BY k.id)"
                .to_owned(),
        );
        to.with(format!(
            "_h AS (INSERT INTO host (id, crawl, origin, seed, lease_at, pace)
             SELECT id, {crawl}, origin, seed, CASE WHEN wakes THEN due END, pace FROM _y
             WHERE is_missing ORDER BY id
             ON CONFLICT (id) DO UPDATE SET seed = host.seed OR excluded.seed,
               lease_at = CASE WHEN host.run IS NULL THEN least(host.lease_at, excluded.lease_at)
                 ELSE host.lease_at END
             RETURNING id)"
        ));
        to.with(
            "_w AS (UPDATE host SET seed = host.seed OR k.seed, pace = coalesce(host.pace, k.pace),
               lease_at = CASE WHEN host.run IS NULL AND k.wakes
                 THEN least(host.lease_at, greatest(host.next_at, k.due)) ELSE host.lease_at END
             FROM (SELECT k.* FROM (SELECT * FROM _y WHERE changes ORDER BY id) k CROSS JOIN LATERAL
               (SELECT x.id FROM host x WHERE x.id = k.id AND ((k.seed AND NOT x.seed)
                  OR (x.run IS NULL AND k.wakes
                      AND (x.lease_at IS NULL OR x.lease_at > greatest(x.next_at, k.due))))
                FOR UPDATE) x WHERE (SELECT count(*) FROM _h) >= 0) k
             WHERE host.id = k.id RETURNING host.id)"
                .to_owned(),
        );
        Ok(())
    }

    fn write_links(
        &self,
        to: &mut Composed,
        (inner, active): (&Inner, &Active),
        told: i64,
        written: &str,
    ) -> Result<(), Failure> {
        let all = &self.links;
        let requests = || all.iter().map(|link| link.request);
        let places = [
            to.bind(requests().map(|new| new.host.0).collect::<Vec<_>>())?,
            to.bind(
                all.iter()
                    .map(|link| link.fingerprint.0)
                    .collect::<Vec<_>>(),
            )?,
            to.bind(all.iter().map(|link| link.seq).collect::<Vec<_>>())?,
            to.bind(
                all.iter()
                    .map(|link| link.parent.map(|(_, seq)| seq))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(
                requests()
                    .map(|new| due(new, &inner.skew, told))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(
                requests()
                    .map(|new| -i32::from(new.request.priority))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(
                requests()
                    .map(|new| i32::from(new.request.depth))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(
                requests()
                    .map(|new| clean(&new.request.step.name))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(requests().map(|new| clean(&new.path)).collect::<Vec<_>>())?,
            to.bind(
                requests()
                    .map(|new| new.request.step.args.as_deref().map(clean))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(
                requests()
                    .map(|new| spec::write(&new.request, &new.origin, &new.path))
                    .collect::<Vec<_>>(),
            )?,
            to.bind(requests().map(|new| clean(&new.origin)).collect::<Vec<_>>())?,
            to.bind(requests().map(|new| new.seed).collect::<Vec<_>>())?,
            to.bind(paces(inner, active, requests()))?,
        ];
        let mut links = format!(
            "unnest({}) AS l (host, fp, seq, parent, due, ord, depth, step, path, args, spec, origin, seed, pace)",
            places.join(", ")
        );
        if requests().any(|new| new.again.is_some()) {
            let again = to.bind(all.iter().map(Link::again).collect::<Vec<_>>())?;
            links = format!(
                "(SELECT l.host, CASE WHEN a.again IS NOT NULL AND EXISTS
                   (SELECT FROM seen s WHERE s.host = l.host AND s.fp = l.fp) THEN a.again ELSE l.fp END AS fp,
                 l.seq, parent, due, ord, depth, step, path, args, spec, origin, seed, pace
                 FROM {links} JOIN unnest({again}, {}) AS a (again, seq) ON a.seq = l.seq) l",
                places[2]
            );
        }
        to.with(format!(
            "{} AS MATERIALIZED (SELECT DISTINCT ON (l.host, l.fp) l.* FROM {links}
             WHERE {written} ORDER BY l.host, l.fp, NOT l.seed, l.seq)",
            if self.stops.is_empty() { "_l" } else { "_m" }
        ));
        Ok(())
    }

    /// Makes `_l` of `_m`: without the requests of pages for their own step that have led to enough of
    /// what is known, links and items.
    fn write_stops(&self, to: &mut Composed, tables: usize) -> Result<(), Failure> {
        if self.stops.is_empty() {
            return Ok(());
        }
        let all = &self.stops;
        let places = [
            to.bind(all.iter().map(|stop| stop.page).collect::<Vec<_>>())?,
            to.bind(all.iter().map(|stop| clean(stop.step)).collect::<Vec<_>>())?,
            to.bind(all.iter().map(|stop| stop.enough).collect::<Vec<_>>())?,
        ];
        let items = (0..tables).map(|number| {
            format!(
                " + (SELECT count(*) FROM _f{number} f
                    WHERE f._page = o.page AND coalesce(f._before, f._stored) IS NOT NULL)"
            )
        });
        to.with(format!(
            "_o AS MATERIALIZED (SELECT o.page, o.step FROM unnest({}) AS o (page, step, enough)
             WHERE o.enough <= (SELECT count(*) FROM _m m WHERE m.parent = o.page AND m.step <> o.step
               AND (SELECT true FROM seen s WHERE s.host = m.host AND s.fp = m.fp)){})",
            places.join(", "),
            items.collect::<Vec<_>>().concat()
        ));
        to.with(
            "_l AS MATERIALIZED (SELECT m.* FROM _m m
               WHERE ((m.parent, m.step) IN (SELECT page, step FROM _o)) IS NOT TRUE)"
                .to_owned(),
        );
        Ok(())
    }

    /// Tells what was new, and remembers what is in `seen` for certain now.
    pub(super) fn settle(&self, fresh: &[i64], receipt: &mut Receipt, writer: &mut Writer) {
        let fresh = fresh.iter().copied().collect::<HashSet<_>>();
        let mut by_host = HashMap::<HostKey, u32>::new();
        for link in &self.links {
            let is_written = link.parent.is_none_or(|(at, _)| receipt.pages[at].written);
            // What a page's end has dropped is not known.
            if is_written && self.stops.is_empty() {
                let NewRequest {
                    host, fingerprint, ..
                } = *link.request;
                writer.recent.remember(host, fingerprint);
            }
            if fresh.contains(&link.seq) {
                *by_host.entry(link.request.host).or_default() += 1;
                match link.parent {
                    Some((at, _)) => receipt.pages[at].fresh += 1,
                    None => receipt.fresh_seeds += 1,
                }
            }
        }
        receipt.fresh = by_host;
    }
}

/// Adds what makes known of `_l` what is new, and queues it.
fn write_queue(to: &mut Composed) {
    to.with(
        "_n AS (INSERT INTO seen (host, fp, seq) SELECT host, fp, seq FROM _l ORDER BY host, fp
         ON CONFLICT DO NOTHING RETURNING seq)"
            .to_owned(),
    );
    to.with(format!(
        "_q AS (INSERT INTO queue (host, due, ord, depth, seq, fp, tries, step, path, args, parent, spec)
         SELECT l.host, l.due, l.ord, l.depth, l.seq, l.fp, 0, l.step, l.path, l.args, l.parent, l.spec
         FROM _l l WHERE {IS_NEW})"
    ));
}

/// The pages that end and may have led far enough. Links that are known by heart are not sent, so they
/// are counted here.
fn stops<'batch>(pages: &[(usize, &'batch PageCommit)], writer: &Writer) -> Vec<Stop<'batch>> {
    let ended = pages
        .iter()
        .filter(|(_, page)| matches!(page.verdict, Verdict::Page(_)));
    let stop = |(_, page): &(usize, &'batch PageCommit)| {
        let when = page.stop_when_known.as_ref()?;
        let is_known = |new: &&NewRequest| {
            let is_other = *new.request.step.name != *when.step;
            is_other && !new.seed && writer.recent.has(new.host, new.fingerprint)
        };
        let known = page.requests.iter().filter(is_known).count();
        Some(Stop {
            page: page.key.seq,
            step: &when.step,
            enough: i64::from(when.known) - known as i64,
        })
    };
    ended.filter_map(stop).collect()
}
/// The hash of a group of hosts by its name.
pub(super) fn pace(active: &Active, group: &str) -> i64 {
    let mut hasher = SipHasher13::new_with_keys(active.crawl.unsigned_abs(), 0);
    hasher.write(group.as_bytes());
    hasher.finish() as i64
}

/// Hashes of the groups of hosts; one for each host, as far as there are groups.
fn paces<'a>(
    inner: &Inner,
    active: &Active,
    requests: impl Iterator<Item = &'a NewRequest>,
) -> Vec<Option<i64>> {
    let group_of = inner.group_of.get();
    let pace = |origin: &str| Some(pace(active, &group_of?(origin)?));
    // Most requests of a batch are of few hosts.
    let mut known = HashMap::<&str, Option<i64>>::new();
    let paces = requests.map(|new| {
        *known
            .entry(&new.origin)
            .or_insert_with(|| pace(&new.origin))
    });
    paces.collect()
}

fn due(new: &NewRequest, skew: &Skew, told: i64) -> i64 {
    match new.request.not_before.map(|moment| skew.theirs(moment)) {
        Some(moment) if moment > told => moment,
        _ => 0,
    }
}

/// As many numbers as are asked for, from blocks that no other process has.
pub(super) async fn numbers(
    db: &mut PgConnection,
    free: &mut Vec<(i64, i64)>,
    count: usize,
) -> Result<Vec<i64>, Failure> {
    let there: i64 = free.iter().map(|(from, to)| to - from).sum();
    let lacking = count as i64 - there;
    if lacking > 0 {
        let blocks: Vec<i64> =
            sqlx::query_scalar("SELECT nextval('request_number') FROM generate_series(1, $1)")
                .bind((lacking + BLOCK - 1) / BLOCK)
                .fetch_all(db)
                .await?;
        free.extend(blocks.into_iter().map(|from| (from, from + BLOCK)));
    }
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let Some((from, to)) = free.first_mut() else {
            break;
        };
        let part = (*to - *from).min((count - numbers.len()) as i64);
        numbers.extend(*from..*from + part);
        *from += part;
        if from == to {
            free.remove(0);
        }
    }
    Ok(numbers)
}
