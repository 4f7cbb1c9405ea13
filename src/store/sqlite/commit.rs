//! The commit: one transaction for a batch of pages.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sqlx::SqliteConnection;

use super::error::Failure;
use super::items::{self, ByPage, Counts};
use super::links::{Fresh, Links};
use super::many::{Many, Statement};
use super::pages::Verdicts;
use super::tickets::Written;
use super::writer::Writer;
use super::{Active, Inner, pages, table, tickets, visits};
use crate::clock;
use crate::store::{Batch, Cookie, PageReceipt, Receipt, Refused};

/// So many different subjects of refused links are told apart per crawl.
const MAX_SUBJECTS: usize = 1000;
const OTHERS: &str = "(others)";

/// What the writer may believe once the transaction is committed.
struct Learnt {
    seq: i64,
    receipt: Receipt,
    fresh: Fresh,
    refused: Vec<(String, String)>,
}

/// Writes a batch, whole or not at all.
pub(super) async fn commit(inner: Arc<Inner>, batch: Arc<Batch>) -> Result<Receipt, Failure> {
    let active = inner.active()?;
    inner.is_kept()?;
    let mut writer = inner.writer.lock().await;
    table::ready(&mut writer, &batch).await?;
    writer.begin().await?;
    let written = write(&mut writer, &active, &batch).await;
    let learnt = writer.finish_by(written).await?;
    writer.seq = learnt.seq;
    for (host, fingerprint) in learnt.fresh.known {
        writer.recent.remember(host, fingerprint);
    }
    writer.refused.extend(learnt.refused);
    Ok(Receipt {
        fresh: learnt.fresh.by_host,
        ..learnt.receipt
    })
}

/// All but the last statement.
async fn write(
    writer: &mut Writer,
    active: &Active,
    batch: &Batch,
) -> Result<(Learnt, Statement), Failure> {
    let now = clock::now();
    let size = batch.pages.len();
    let pages = tickets::present(writer.connection(), &batch.pages).await?;
    let links = Links::gather(&pages, &batch.seeds, &writer.recent);
    let refused = fold_refused(writer, &pages);
    let rows = items::gather(writer, &pages);
    let mut seq = writer.seq;
    let db = writer.connection();
    let verdicts = pages::write(db, active, &pages, now.as_millisecond()).await?;
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let items = items::write(db, active, rows, &stamp).await?;
    if active.again {
        visits::settle(db, active, &pages, &stamp).await?;
    }
    visits::write(db, &pages).await?;
    let known = |at: &usize| {
        items
            .get(at)
            .map_or(0, |counts| counts.changed + counts.same)
    };
    let fresh = links.write(db, active, &mut seq, known).await?;
    pages::hosts(db, &batch.hosts).await?;
    visits::spend(db, active, &batch.spent).await?;
    cookies(db, active, &batch.cookies).await?;
    write_refused(db, active, &refused).await?;
    if batch.seeded {
        seeded(db, active).await?;
    }
    let last = count(active, &verdicts, &fresh, &items, seq);
    let learnt = Learnt {
        seq,
        receipt: receipt(size, &pages, &items, &fresh),
        fresh,
        refused: refused.into_keys().collect(),
    };
    Ok((learnt, last))
}

fn receipt(size: usize, pages: &[Written<'_>], items: &ByPage, fresh: &Fresh) -> Receipt {
    let mut receipts = vec![PageReceipt::default(); size];
    for written in pages {
        let counts = items.get(&written.at).copied().unwrap_or_default();
        receipts[written.at] = PageReceipt {
            written: true,
            fresh: fresh.by_page.get(&written.at).copied().unwrap_or(0),
            items_new: counts.new,
            items_changed: counts.changed,
            items_same: counts.same,
        };
    }
    Receipt {
        pages: receipts,
        fresh: HashMap::new(),
        fresh_seeds: fresh.seeds,
        renewed: fresh.renewed,
    }
}

/// Counts what was written, and commits it.
fn count(
    active: &Active,
    verdicts: &Verdicts,
    fresh: &Fresh,
    items: &ByPage,
    seq: i64,
) -> Statement {
    let sum = |part: fn(&Counts) -> u32| items.values().map(|c| i64::from(part(c))).sum::<i64>();
    let (new, changed, same) = (sum(|c| c.new), sum(|c| c.changed), sum(|c| c.same));
    sqlx::query(
        "UPDATE run SET beat = ?, seq = ?, done = done + ?, failed = failed + ?,
           skipped = skipped + ?, redirects = redirects + ?, retries = retries + ?,
           unchanged = unchanged + ?,
           known = known + ?, items = items + ?, new = new + ?, changed = changed + ?,
           bytes = bytes + ?
         WHERE id = ?;
         COMMIT",
    )
    .bind(clock::now_ms())
    .bind(seq)
    .bind(verdicts.done)
    .bind(verdicts.failed)
    .bind(verdicts.skipped)
    .bind(verdicts.redirects)
    .bind(verdicts.retries)
    .bind(verdicts.unchanged)
    .bind(fresh.total)
    .bind(new + changed + same)
    .bind(new)
    .bind(changed)
    .bind(verdicts.bytes)
    .bind(active.run)
}

async fn seeded(db: &mut SqliteConnection, active: &Active) -> Result<(), Failure> {
    sqlx::query("UPDATE crawl SET seeded = 1 WHERE id = ?")
        .bind(active.crawl)
        .execute(db)
        .await?;
    Ok(())
}

async fn cookies(
    db: &mut SqliteConnection,
    active: &Active,
    cookies: &[Cookie],
) -> Result<(), Failure> {
    for cookie in cookies {
        let statement = if cookie.json.is_some() {
            "INSERT OR REPLACE INTO cookie (crawl, session, key, json) VALUES (?1, ?2, ?3, ?4)"
        } else {
            "DELETE FROM cookie WHERE crawl = ?1 AND session = ?2 AND key = ?3"
        };
        sqlx::query(statement)
            .bind(active.crawl)
            .bind(&*cookie.session)
            .bind(&*cookie.key)
            .bind(cookie.json.as_deref())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

static REFUSED: LazyLock<Many> = LazyLock::new(|| {
    Many::new(
        "INSERT INTO refused (crawl, reason, subject, count, sample) SELECT ?, * FROM (VALUES",
        "(?,?,?,?)",
        ") WHERE column1 NOT NULL
         ON CONFLICT (crawl, reason, subject) DO UPDATE SET count = count + excluded.count",
    )
});

/// Sums up what was refused, by reason and subject; subjects beyond the limit become one.
fn fold_refused(
    writer: &Writer,
    pages: &[Written<'_>],
) -> HashMap<(String, String), (i64, String)> {
    let mut folded = HashMap::<(String, String), (i64, String)>::new();
    let mut fresh = 0;
    for Refused {
        reason,
        subject,
        count,
        sample,
    } in pages
        .iter()
        .filter(|p| p.ends())
        .flat_map(|p| &p.page.refused)
    {
        let mut key = ((*reason).to_owned(), subject.clone());
        if !writer.refused.contains(&key) && !folded.contains_key(&key) {
            if writer.refused.len() + fresh < MAX_SUBJECTS {
                fresh += 1;
            } else {
                OTHERS.clone_into(&mut key.1);
            }
        }
        let (sum, _) = folded.entry(key).or_insert_with(|| (0, sample.clone()));
        *sum += *count as i64;
    }
    folded
}

async fn write_refused(
    db: &mut SqliteConnection,
    active: &Active,
    refused: &HashMap<(String, String), (i64, String)>,
) -> Result<(), Failure> {
    let rows = refused.iter().collect::<Vec<_>>();
    for (piece, statement) in REFUSED.over(&rows) {
        let mut statement = statement.bind(active.crawl);
        for ((reason, subject), (count, sample)) in piece {
            statement = statement
                .bind(&**reason)
                .bind(&**subject)
                .bind(*count)
                .bind(&**sample);
        }
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// The statements whose plans are promised.
#[cfg(test)]
pub(super) fn hot() -> impl Iterator<Item = &'static str> {
    REFUSED.texts()
}
