//! The commit: one statement for a batch of pages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection};

use super::compose::{Composed, clean};
use super::error::Failure;
use super::items::{self, Rows};
use super::links::{self, Links};
use super::skew::NOW;
use super::{Active, Cells, Inner, Writer, again, pages, table, visits};
use crate::clock;
use crate::request::HostKey;
use crate::store::{
    Batch, Cookie, PageCommit, PageReceipt, Receipt, Refused, Spent, StoreError, Verdict,
};

/// So many different subjects of refused links are told apart per run.
const MAX_SUBJECTS: usize = 1000;
const OTHERS: &str = "(others)";

/// Writes a batch, whole or not at all.
///
/// Pages and what they found are one statement. What belongs to no page (hosts, cookies) is written
/// before, as are pages that go back into the queue: it may be written twice.
pub(super) async fn commit(inner: Arc<Inner>, batch: Arc<Batch>) -> Result<Receipt, Failure> {
    let active = inner.active()?;
    let mut guard = inner.writer.lock().await;
    let writer = &mut *guard;
    writer.wake().await?;
    table::ready(writer, &batch).await?;
    let db = writer.link.ready().await?;
    pages::hosts(db, &active, &inner.skew, &batch.hosts).await?;
    cookies(db, &active, &batch.cookies).await?;
    let renewed = renew(writer, &active, &batch).await?;
    let mut receipt = if batch.pages.is_empty() && batch.seeds.is_empty() && batch.spent.is_empty()
    {
        Receipt::default()
    } else {
        write(&inner, writer, &active, &batch).await?
    };
    receipt.renewed = renewed.values().map(|count| u64::from(*count)).sum();
    for (host, count) in renewed {
        *receipt.fresh.entry(host).or_default() += count;
    }
    if batch.seeded {
        sqlx::query("UPDATE crawl SET seeded = true WHERE id = $1")
            .bind(active.crawl)
            .execute(writer.link.ready().await?)
            .await?;
    }
    Ok(receipt)
}

/// Queues pages of earlier rounds that the batch's pages say have changed; how many of each host.
async fn renew(
    writer: &mut Writer,
    active: &Active,
    batch: &Batch,
) -> Result<HashMap<HostKey, u32>, Failure> {
    let ended = batch.pages.iter();
    let ended = ended.filter(|page| matches!(page.verdict, Verdict::Page(_)));
    let found = ended.flat_map(|page| &page.requests).chain(&batch.seeds);
    let found: Vec<_> = found.filter(|new| new.renews.is_some()).collect();
    if !active.is_again() || found.is_empty() {
        return Ok(HashMap::new());
    }
    again::renew(writer.link.ready().await?, active, &found).await
}

async fn write(
    inner: &Inner,
    writer: &mut Writer,
    active: &Active,
    batch: &Batch,
) -> Result<Receipt, Failure> {
    let ordered = pages::in_order(&batch.pages);
    let mut links = Links::gather(batch, &ordered, writer);
    let tables = items::gather(writer, &ordered);
    let refused = fold_refused(writer, &ordered);
    let count = links.len();
    let numbers = {
        let Writer { link, numbers, .. } = &mut *writer;
        links::numbers(link.ready().await?, numbers, count).await?
    };
    links.number(numbers.into_iter());
    let settled = visits::tables(writer, active).await?;

    let parts = Parts {
        pages: &ordered,
        links: &links,
        tables: &tables,
        settled: &settled,
        refused: &refused,
        spent: &batch.spent,
    };
    let (statement, select) = compose(inner, active, &parts)?;
    let row = statement
        .fetch(&select, writer.link.ready().await?)
        .await
        .map_err(|failure| blame(failure, &tables))?;
    let mut cells = Cells::of(&row);
    let written: Vec<i64> = cells.next::<Option<_>>()?.unwrap_or_default();
    let fresh: Vec<i64> = cells.next::<Option<_>>()?.unwrap_or_default();
    let mut receipt = begun(batch, &ordered, &written);
    links.settle(&fresh, &mut receipt, writer);
    for rows in &tables {
        let fates: Vec<i64> = cells.next::<Option<_>>()?.unwrap_or_default();
        rows.settle(&fates, &mut receipt)?;
    }
    for (at, reason, subject, ..) in refused {
        if receipt.pages[at].written {
            writer.refused.insert((reason, subject));
        }
    }
    Ok(receipt)
}

/// What a statement is made of.
struct Parts<'a> {
    pages: &'a [(usize, &'a PageCommit)],
    links: &'a Links<'a>,
    tables: &'a [Rows<'a>],
    /// Tables of items that a later round keeps true.
    settled: &'a [String],
    refused: &'a [Folded],
    spent: &'a [Spent],
}

/// The whole statement, and what it answers.
fn compose(
    inner: &Inner,
    active: &Active,
    parts: &Parts<'_>,
) -> Result<(Composed, String), Failure> {
    let Parts { pages, tables, .. } = *parts;
    let mut statement = Composed::default();
    let now = inner.skew.theirs(clock::now());
    let (run, crawl) = (statement.bind(active.run)?, statement.bind(active.crawl)?);
    let now = statement.bind(now)?;
    let has_pages = !pages.is_empty();
    if has_pages {
        pages::write(&mut statement, pages, (inner, active), (&run, &now))?;
        visits::write(&mut statement, pages)?;
    }
    for (number, rows) in tables.iter().enumerate() {
        rows.find(&mut statement, number)?;
    }
    let has_links = !parts.links.is_empty();
    if has_links {
        let told = active.told();
        let to = &mut statement;
        parts.links.write(
            to,
            (inner, active),
            (&crawl, told),
            (has_pages, tables.len()),
        )?;
    }
    // Each part begins when the one before it has its locks.
    let after = if has_links {
        "(SELECT count(*) FROM _w) >= 0"
    } else {
        "true"
    };
    write_items(&mut statement, parts, after, (&run, &now));
    if !parts.refused.is_empty() {
        write_refused(&mut statement, parts.refused, (&crawl, &run))?;
    }
    visits::spend(&mut statement, parts.spent, has_pages, (&crawl, &run))?;
    count_up(&mut statement, (has_pages, has_links), tables.len(), &run);
    let select = answer(has_pages, has_links, tables.len());
    Ok((statement, select))
}

/// Adds what becomes of the items, table by table, in the order of their names.
fn write_items(to: &mut Composed, parts: &Parts<'_>, after: &str, place: (&str, &str)) {
    let mut after = after.to_owned();
    let mut all = BTreeMap::<String, (Vec<usize>, Option<usize>)>::new();
    if !parts.pages.is_empty() {
        for (at, name) in parts.settled.iter().enumerate() {
            all.entry(name.to_ascii_lowercase()).or_default().1 = Some(at);
        }
    }
    for (at, rows) in parts.tables.iter().enumerate() {
        let name = rows.table().to_ascii_lowercase();
        all.entry(name).or_default().0.push(at);
    }
    for (name, (written, settled)) in all {
        for &at in &written {
            parts.tables[at].write(to, at, &after, place);
            after = format!("(SELECT count(*) FROM _i{at}) >= 0");
        }
        if let Some(number) = settled {
            let written: Vec<_> = written.iter().map(|&at| (at, &parts.tables[at])).collect();
            visits::settle(to, (number, &name), &written, &after, place);
            after = format!("(SELECT count(*) FROM _g{number}) >= 0");
        }
    }
}

/// Values that no table takes cost their page, not the crawl.
fn blame(failure: Failure, tables: &[Rows<'_>]) -> Failure {
    match tables.first() {
        Some(rows) if failure.is_of_data() => Failure::Store(StoreError::Schema {
            table: rows.table().to_owned(),
            reason: failure.message(),
        }),
        _ => failure,
    }
}

/// The receipt with what is known of tickets.
fn begun(batch: &Batch, ordered: &[(usize, &PageCommit)], written: &[i64]) -> Receipt {
    let mut receipt = Receipt {
        pages: vec![PageReceipt::default(); batch.pages.len()],
        ..Receipt::default()
    };
    let places = ordered.iter().map(|(at, page)| (page.key.seq, *at));
    let places = places.collect::<HashMap<_, _>>();
    for at in written.iter().filter_map(|seq| places.get(seq)) {
        receipt.pages[*at].written = true;
    }
    receipt
}

/// What the statement answers: written tickets, new requests, and what became of the items.
fn answer(has_pages: bool, has_links: bool, tables: usize) -> String {
    let list = |is: bool, name: &str| {
        if is {
            format!("(SELECT array_agg(seq) FROM {name})")
        } else {
            "NULL::bigint[]".to_owned()
        }
    };
    let mut cells = vec![list(has_pages, "_t"), list(has_links, "_n")];
    cells.extend((0..tables).map(Rows::fates));
    format!("SELECT {}", cells.join(", "))
}

/// Adds the batch to the run's counters.
fn count_up(to: &mut Composed, (has_pages, has_links): (bool, bool), tables: usize, run: &str) {
    let pages = if has_pages {
        "SELECT count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'skipped') AS skipped,
           count(*) FILTER (WHERE reason = 'redirect') AS redirects,
           count(*) FILTER (WHERE state = 'done' AND reason = 'unchanged') AS unchanged,
           count(*) FILTER (WHERE state IS NULL) AS retries,
           coalesce(sum(bytes), 0)::bigint AS bytes FROM _t"
    } else {
        "SELECT 0 AS done, 0 AS failed, 0 AS skipped, 0 AS redirects, 0 AS unchanged, 0 AS retries,
           0 AS bytes"
    };
    let known = if has_links {
        "SELECT count(*) AS known FROM _n"
    } else {
        "SELECT 0 AS known"
    };
    let items = (0..tables).map(Rows::counts).collect::<Vec<_>>();
    let items = if items.is_empty() {
        "SELECT 0 AS items, 0 AS new, 0 AS changed".to_owned()
    } else {
        format!(
            "SELECT sum(items)::bigint AS items, sum(new)::bigint AS new, sum(changed)::bigint AS changed
             FROM ({}) each",
            items.join(" UNION ALL ")
        )
    };
    to.with(format!(
        "_u AS (UPDATE run SET beat = greatest(run.beat, {NOW}), done = run.done + p.done,
           failed = run.failed + p.failed, skipped = run.skipped + p.skipped,
           redirects = run.redirects + p.redirects, unchanged = run.unchanged + p.unchanged, retries = run.retries + p.retries,
           known = run.known + l.known, items = run.items + i.items, new = run.new + i.new,
           changed = run.changed + i.changed, bytes = run.bytes + p.bytes
         FROM ({pages}) p, ({known}) l, ({items}) i WHERE run.id = {run})"
    ));
}

/// Writes cookies; one that is gone leaves a row that says so, for the other processes.
async fn cookies(
    db: &mut PgConnection,
    active: &Active,
    cookies: &[Cookie],
) -> Result<(), Failure> {
    if cookies.is_empty() {
        return Ok(());
    }
    let last = cookies
        .iter()
        .map(|cookie| {
            (
                (clean(&cookie.session), clean(&cookie.key)),
                cookie.json.as_deref(),
            )
        })
        .collect::<BTreeMap<_, _>>();
    let json = last.values().map(|json| json.map(clean));
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO cookie (crawl, session, key, json, run, at)
         SELECT $1, v.session, v.key, v.json, $2, {NOW}
         FROM unnest($3::text[], $4::text[], $5::text[]) AS v (session, key, json)
         ORDER BY v.session, v.key
         ON CONFLICT (crawl, session, key)
         DO UPDATE SET json = excluded.json, run = excluded.run, at = excluded.at"
    )))
    .bind(active.crawl)
    .bind(active.run)
    .bind(
        last.keys()
            .map(|(session, _)| session.clone())
            .collect::<Vec<_>>(),
    )
    .bind(last.keys().map(|(_, key)| key.clone()).collect::<Vec<_>>())
    .bind(json.collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Links that were refused: their page's place and number, reason, subject, how many, one of them.
type Folded = (usize, String, String, i64, i64, String);

/// Sums up what each page refused, by reason and subject; subjects beyond the limit become one.
fn fold_refused(writer: &Writer, pages: &[(usize, &PageCommit)]) -> Vec<Folded> {
    let mut folded = HashMap::<(usize, String, String), (i64, i64, String)>::new();
    let mut fresh = std::collections::HashSet::new();
    for (at, page) in pages {
        if !matches!(page.verdict, Verdict::Page(_)) {
            continue;
        }
        for Refused {
            reason,
            subject,
            count,
            sample,
        } in &page.refused
        {
            let mut key = ((*reason).to_owned(), clean(subject));
            if !writer.refused.contains(&key) && !fresh.contains(&key) {
                if writer.refused.len() + fresh.len() < MAX_SUBJECTS {
                    fresh.insert(key.clone());
                } else {
                    OTHERS.clone_into(&mut key.1);
                }
            }
            let (reason, subject) = key;
            let (_, sum, _) = folded
                .entry((*at, reason, subject))
                .or_insert_with(|| (page.key.seq, 0, clean(sample)));
            *sum += *count as i64;
        }
    }
    let row =
        |((at, reason, subject), (page, count, sample))| (at, reason, subject, page, count, sample);
    folded.into_iter().map(row).collect()
}

fn write_refused(
    to: &mut Composed,
    refused: &[Folded],
    (crawl, run): (&str, &str),
) -> Result<(), Failure> {
    let places = [
        to.bind(refused.iter().map(|row| row.3).collect::<Vec<_>>())?,
        to.bind(refused.iter().map(|row| row.1.clone()).collect::<Vec<_>>())?,
        to.bind(refused.iter().map(|row| row.2.clone()).collect::<Vec<_>>())?,
        to.bind(refused.iter().map(|row| row.4).collect::<Vec<_>>())?,
        to.bind(refused.iter().map(|row| row.5.clone()).collect::<Vec<_>>())?,
    ];
    to.with(format!(
        "_x AS (INSERT INTO refused AS t (crawl, run, reason, subject, count, sample)
         SELECT {crawl}, {run}, r.reason, r.subject, sum(r.count)::bigint, min(r.sample)
         FROM unnest({}) AS r (page, reason, subject, count, sample)
         JOIN _t t ON t.seq = r.page AND t.state IS NOT NULL
         GROUP BY r.reason, r.subject
         ON CONFLICT (crawl, run, reason, subject) DO UPDATE SET count = t.count + excluded.count)",
        places.join(", ")
    ));
    Ok(())
}

/// The text of a commit with all of its parts.
#[cfg(test)]
pub(super) async fn sample(inner: &Inner) -> String {
    use crate::item::{Column, Record, Schema, Value};
    use crate::request::{Fingerprint, HostKey, Request, StepRef};
    use crate::store::{NewRequest, PageRow, PageState, TicketKey};

    let column = |name: &'static str| Column {
        name: name.into(),
        kind: crate::item::Kind::Text,
        nullable: false,
    };
    let columns = vec![column("title"), column("price")];
    let schema = Arc::new(Schema::new("books", columns, &["title"]).unwrap());
    let values = vec![Value::Text("a".into()), Value::Text("b".into())];
    let request = NewRequest {
        host: HostKey(1),
        fingerprint: Fingerprint(1),
        again: None,
        renews: None,
        origin: "http://a.example".into(),
        path: "/".into(),
        seed: true,
        request: Request::new("http://a.example/".parse().unwrap(), StepRef::named("list")),
    };
    let row = PageRow {
        state: PageState::Done,
        reason: None,
        message: None,
        status: 200,
        took_ms: 1,
        bytes: 1,
    };
    let visit = crate::store::Visit {
        at: clock::now(),
        changed: clock::now(),
        every: None,
        etag: None,
        modified: None,
        hash: None,
    };
    let page = |seq, verdict| PageCommit {
        visit: Some(Box::new(visit.clone())),
        stop_when_known: Some(crate::store::StopWhenKnown {
            step: "list".into(),
            known: 3,
        }),
        key: TicketKey {
            host: HostKey(1),
            order: 0,
            depth: 0,
            seq,
        },
        fingerprint: Fingerprint(2),
        verdict,
        records: vec![Record::new(schema.clone(), values.clone()).unwrap()],
        requests: vec![request.clone()],
        refused: vec![Refused {
            reason: "scope",
            subject: "b".into(),
            count: 1,
            sample: "b".into(),
        }],
    };
    let retry = Verdict::Retry {
        due: clock::now(),
        message: String::new(),
        counts: true,
    };
    let batch = Batch {
        pages: vec![page(1, Verdict::Page(row)), page(2, retry)],
        spent: vec![Spent {
            budget: "day".into(),
            day: 1,
            pages: 1,
        }],
        ..Batch::default()
    };
    let active = inner.active().unwrap();
    let mut writer = inner.writer.lock().await;
    table::ready(&mut writer, &batch).await.unwrap();
    active
        .again
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let settled = visits::tables(&mut writer, &active).await.unwrap();
    let ordered = pages::in_order(&batch.pages);
    let links = Links::gather(&batch, &ordered, &writer);
    let parts = Parts {
        pages: &ordered,
        links: &links,
        tables: &items::gather(&writer, &ordered),
        settled: &settled,
        refused: &fold_refused(&writer, &ordered),
        spent: &batch.spent,
    };
    let (statement, select) = compose(inner, &active, &parts).unwrap();
    statement.text(&select)
}
