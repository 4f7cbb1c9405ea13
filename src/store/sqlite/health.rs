//! A look at the file's health.

use std::path::Path;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error::Failure;
use super::reader::Reading;
use crate::store::Finding;
use crate::store::health::size;

/// A log above this is kept from being written back by somebody who reads.
const LARGE_LOG: u64 = 256 << 20;
/// Less free room than this, or than a tenth of the file, is little.
const LITTLE: u64 = 1 << 30;

/// Looks at everything that tells of the file's health. `deep` reads all of it.
pub(super) async fn examine(
    mut reading: Reading,
    path: &Path,
    deep: bool,
) -> Result<Vec<Finding>, Failure> {
    let db = &mut reading.db;
    let mut found = vec![version(db).await?];
    found.extend(file(db, path).await?);
    found.push(integrity(db, deep).await?);
    if deep {
        found.push(conservation(db).await?);
    }
    found.push(holder(path));
    found.push(runs(db).await?);
    Ok(found)
}

async fn version(db: &mut SqliteConnection) -> Result<Finding, Failure> {
    let (version, mode): (String, String) =
        sqlx::query_as("SELECT sqlite_version(), (SELECT journal_mode FROM pragma_journal_mode)")
            .fetch_one(db)
            .await?;
    let advice = (mode != "wal").then(|| {
        "crawl into a file on a local disk: a log that readers and writer share needs one"
            .to_owned()
    });
    Ok(Finding::of(
        "engine",
        format!("SQLite {version}, journal {mode}"),
        advice,
    ))
}

async fn file(db: &mut SqliteConnection, path: &Path) -> Result<Vec<Finding>, Failure> {
    let (page, free): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT page_size FROM pragma_page_size), (SELECT freelist_count FROM pragma_freelist_count)",
    )
    .fetch_one(db)
    .await?;
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let (file, log, free) = (
        bytes(path),
        bytes(Path::new(&log)),
        (page * free).unsigned_abs(),
    );
    let give_back = (free > LARGE_LOG && free > file / 4)
        .then(|| "give it back:  nephila gc   (while nobody crawls)".to_owned());
    let mut found = vec![
        Finding::of(
            "file",
            format!("{}, of which {} are free", size(file as i64), size(free as i64)),
            give_back,
        ),
        Finding::of(
            "log",
            size(log as i64),
            (log > LARGE_LOG).then(|| {
                "somebody reads an old state of the file and keeps the log from being written back: \
                 end long queries, datasette, sqlite3 sessions"
                    .to_owned()
            }),
        ),
    ];
    if let Some(room) = room(path) {
        let little = room < LITTLE || room < file / 10;
        let advice =
            little.then(|| "make room on the disk: a crawl stops when it is full".to_owned());
        found.push(Finding::of(
            "disk",
            format!("{} free", size(room as i64)),
            advice,
        ));
    }
    Ok(found)
}

/// Free bytes on the disk of a file.
#[cfg(unix)]
fn room(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn room(_: &Path) -> Option<u64> {
    None
}

async fn integrity(db: &mut SqliteConnection, deep: bool) -> Result<Finding, Failure> {
    let (check, name) = if deep {
        ("PRAGMA integrity_check(5)", "whole, all indexes read")
    } else {
        ("PRAGMA quick_check(5)", "whole")
    };
    let said: Vec<String> = sqlx::query_scalar(check).fetch_all(db).await?;
    Ok(if said == ["ok"] {
        Finding::well("integrity", name)
    } else {
        Finding::trouble(
            "integrity",
            said.join("; "),
            "the disk or another program has damaged the file: copy it away, then \
             sqlite3 FILE .recover | sqlite3 NEW",
        )
    })
}

/// What must be true after any crash.
async fn conservation(db: &mut SqliteConnection) -> Result<Finding, Failure> {
    let sql = "SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM queue), (SELECT count(*) FROM page)";
    let (seen, queue, page): (i64, i64, i64) =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_one(db).await?;
    Ok(crate::store::health::conservation(seen, queue, page))
}

/// Whether a process has the file.
fn holder(path: &Path) -> Finding {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let Ok(file) = std::fs::File::open(&lock) else {
        return Finding::well("lock", "no process has it open to write");
    };
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&lock).unwrap_or_default();
            Finding::well("lock", format!("held by process {}", holder.trim()))
        }
        _ => Finding::well("lock", "no process has it open to write"),
    }
}

async fn runs(db: &mut SqliteConnection) -> Result<Finding, Failure> {
    let (open, left): (i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT c.id), ifnull(sum(r.known + r.requeued - r.done - r.failed - r.skipped), 0)
         FROM crawl c JOIN run r ON r.crawl = c.id WHERE c.state = 'open'",
    )
    .fetch_one(db)
    .await?;
    let found = format!("{open} to go on with, {left} requests queued");
    Ok(Finding::well("crawls", found))
}
