//! What must hold of a database, and of what the web saw.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::plan::{Fate, Plan, host_name};
use super::web::Hit;
use crate::engine::still::Elsewhere;
use crate::item::Value;
use crate::settings::{PolitenessBy, RobotsMode};
use crate::store;

/// What must hold at every moment: each query counts offences.
const LAWS: &[(&str, &str)] = &[
    (
        "requests that are not in exactly one of queue and page",
        "SELECT count(*) FROM (SELECT s.key FROM seen s LEFT JOIN
           (SELECT seq, host, fp FROM queue UNION ALL SELECT id, host, fp FROM page) r
           ON r.seq = s.seq AND s.key = unhex(substr(printf('%016llX', r.host), 1, 4)
             || printf('%016llX', (r.host | r.fp) - (r.host & r.fp)))
         GROUP BY s.key HAVING count(r.seq) <> 1)",
    ),
    (
        "difference of seen to queue + page",
        "SELECT abs((SELECT count(*) FROM seen)
              - (SELECT count(*) FROM queue) - (SELECT count(*) FROM page))",
    ),
    (
        "difference of pages to the runs' counters",
        "SELECT abs((SELECT count(*) FROM page) - (SELECT ifnull(sum(done + failed + skipped), 0) FROM run))",
    ),
    (
        "queued requests that no host is leased for",
        "SELECT count(*) FROM queue q JOIN host h ON h.id = q.host
         WHERE h.run IS NULL AND h.lease_at IS NULL",
    ),
];

/// The same once there are items.
const ITEM_LAW: (&str, &str) = (
    "difference of items to pages that were read",
    "SELECT abs((SELECT count(*) FROM visits)
        - (SELECT count(*) FROM page WHERE state = 'done' AND reason IS NULL))",
);

/// What a database says.
pub(super) struct Found {
    pub(super) queued: i64,
    pub(super) finished: bool,
    /// State and reason of each page, by its URL.
    pages: Vec<(String, String)>,
    items: Vec<String>,
}

/// Reads a database, and says which law it breaks.
pub(super) fn read(elsewhere: &Elsewhere, path: &str) -> Result<Found, String> {
    let path = path.to_owned();
    let read = elsewhere.run(move |runtime| {
        runtime.block_on(async move {
            let reader = store::open_reader(&path).await.map_err(|e| e.to_string())?;
            let ask = async |sql: &str| {
                let rows = store::collect(&*reader, sql).await;
                rows.map(|(_, rows)| rows)
                    .map_err(|error| format!("{error}: {sql}"))
            };
            let number = async |sql: &str| match ask(sql).await?.first().and_then(|row| row.first())
            {
                Some(Value::Integer(number)) => Ok::<_, String>(*number),
                other => Err(format!("{other:?}: {sql}")),
            };
            let has_items =
                number("SELECT count(*) FROM sqlite_schema WHERE name = 'visits'").await? > 0;
            for (law, sql) in LAWS.iter().chain(has_items.then_some(&ITEM_LAW)) {
                let offences = number(sql).await?;
                if offences != 0 {
                    return Err(format!("{offences} {law}"));
                }
            }
            let texts = |rows: Vec<Vec<Value>>| {
                let text = |value: Option<Value>| match value {
                    Some(Value::Text(text)) => text.clone(),
                    other => format!("{other:?}"),
                };
                rows.into_iter()
                    .map(|row| {
                        let mut row = row.into_iter();
                        (text(row.next()), text(row.next()))
                    })
                    .collect::<Vec<_>>()
            };
            let pages = "SELECT url, state || ' ' || ifnull(reason, '') FROM url
                         WHERE state <> 'queued' ORDER BY url";
            let items = if has_items {
                ask("SELECT url, '' FROM visits ORDER BY url").await?
            } else {
                Vec::new()
            };
            Ok(Found {
                queued: number("SELECT count(*) FROM queue").await?,
                finished: number("SELECT count(*) FROM crawl WHERE state = 'finished'").await? > 0,
                pages: texts(ask(pages).await?),
                items: texts(items).into_iter().map(|(url, _)| url).collect(),
            })
        })
    });
    read.unwrap()
}

/// What a crawl of a plan comes to, whatever befalls it: state and reason by URL.
fn truth(plan: &Plan) -> BTreeMap<String, String> {
    let mut truth = BTreeMap::new();
    let mut known: BTreeSet<usize> = (0..plan.seeds).collect();
    let mut next: VecDeque<usize> = known.iter().copied().collect();
    while let Some(number) = next.pop_front() {
        let page = &plan.pages[number];
        let forbidden = plan.settings.robots == RobotsMode::Obey
            && plan.hosts[page.host].forbidden.contains(&number);
        let (state, links) = match &page.fate {
            _ if forbidden => ("skipped robots", Vec::new()),
            Fate::Gone => ("failed status", Vec::new()),
            Fate::To(target) => ("done redirect", vec![*target]),
            Fate::Here(links) => ("done ", links.clone()),
        };
        truth.insert(super::plan::url(&plan.pages, number), state.to_owned());
        for link in links {
            if known.insert(link) {
                next.push_back(link);
            }
        }
    }
    truth
}

/// Compares the end of a crawl with the truth.
pub(super) fn compare(plan: &Plan, found: &Found) -> Result<(), String> {
    let truth: Vec<_> = truth(plan).into_iter().collect();
    if found.pages != truth {
        let lost: Vec<_> = truth
            .iter()
            .filter(|row| !found.pages.contains(row))
            .collect();
        let odd: Vec<_> = found
            .pages
            .iter()
            .filter(|row| !truth.contains(row))
            .collect();
        return Err(format!(
            "{} pages, {} expected; lost {lost:?}, odd {odd:?}",
            found.pages.len(),
            truth.len()
        ));
    }
    let read = truth.iter().filter(|(_, state)| state == "done ");
    let expected: Vec<_> = read.map(|(url, _)| url.clone()).collect();
    if found.items != expected {
        return Err(format!("items {:?}, expected {expected:?}", found.items));
    }
    Ok(())
}

/// Whether the web was asked politely, and for nothing twice.
pub(super) fn polite(plan: &Plan, hits: &[Hit]) -> Result<(), String> {
    let settings = &plan.settings;
    for hit in hits {
        let (to_host, to_all) = hit.flying;
        if to_host > settings.concurrency_per_host {
            return Err(format!("{to_host} at once to a host: {hit:?}"));
        }
        if to_all > settings.concurrency {
            return Err(format!("{to_all} at once: {hit:?}"));
        }
    }
    pace(plan, hits)?;
    retry_after(hits)?;
    twice(hits)
}

fn signed(duration: Duration) -> SignedDuration {
    duration.try_into().unwrap()
}

/// From the start of one request to a host to the start of the next.
fn pace(plan: &Plan, hits: &[Hit]) -> Result<(), String> {
    let settings = &plan.settings;
    let by_domain = settings.politeness == PolitenessBy::Domain;
    let mut latest: HashMap<&str, &Hit> = HashMap::new();
    for hit in hits {
        let who = if by_domain {
            hit.host.split_once('.').unwrap().1
        } else {
            &hit.host
        };
        if let Some(before) = latest.insert(who, hit) {
            let gap = hit.at.duration_since(before.at);
            let least = settings.delay.unwrap_or_default();
            if gap < signed(least) {
                return Err(format!("{gap:?} apart, not {least:?}: {before:?}, {hit:?}"));
            }
        }
    }
    if settings.robots == RobotsMode::Ignore {
        return Ok(());
    }
    for (number, robots) in plan.hosts.iter().enumerate() {
        let Some(delay) = robots.crawl_delay else {
            continue;
        };
        let name = host_name(number);
        let own = hits.iter().filter(|hit| hit.host == name);
        // As soon as the rules are known.
        let pages: Vec<_> = own.filter(|hit| hit.path != "/robots.txt").collect();
        for pair in pages.windows(2) {
            let gap = pair[1].at.duration_since(pair[0].at);
            if gap < signed(delay) {
                return Err(format!("{gap:?} apart, Crawl-delay is {delay:?}: {pair:?}"));
            }
        }
    }
    Ok(())
}

/// Nobody is asked again before the moment that he named.
fn retry_after(hits: &[Hit]) -> Result<(), String> {
    let mut until: HashMap<&str, (usize, Timestamp, Timestamp)> = HashMap::new();
    let mut events: Vec<(Timestamp, bool, &Hit)> = Vec::new();
    for hit in hits {
        events.push((hit.at, false, hit));
        if let (Some((at, _)), Some(_)) = (hit.answer, hit.retry_after) {
            events.push((at, true, hit));
        }
    }
    events.sort_by_key(|(at, is_answer, _)| (*at, *is_answer));
    for (at, is_answer, hit) in events {
        if is_answer {
            let asked = hit.retry_after.map(signed).unwrap_or_default();
            until.insert(&hit.host, (hit.life, at, at + asked));
        } else if let Some((life, from, end)) = until.get(&*hit.host)
            && *life == hit.life
            && *from < at
            && at < *end
        {
            return Err(format!("asked at {at}, Retry-After until {end}: {hit:?}"));
        }
    }
    Ok(())
}

/// What was answered well is not asked for again in the same life of the crawl.
fn twice(hits: &[Hit]) -> Result<(), String> {
    let mut had: HashMap<(usize, &str, &str), &Hit> = HashMap::new();
    let pages = hits.iter().filter(|hit| hit.path != "/robots.txt");
    for hit in pages {
        let is_over = |answer: Option<(Timestamp, u16)>| {
            answer.is_some_and(|(_, status)| matches!(status, 200 | 302 | 404))
        };
        let key = (hit.life, &*hit.host, &*hit.path);
        if let Some(before) = had.get(&key) {
            return Err(format!("fetched twice: {before:?}, {hit:?}"));
        }
        if is_over(hit.answer) {
            had.insert(key, hit);
        }
    }
    Ok(())
}
