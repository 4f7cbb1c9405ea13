//! What a database file says, read without Nephila.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

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
        "SELECT (SELECT count(*) FROM seen)
              - (SELECT count(*) FROM queue) - (SELECT count(*) FROM page)",
    ),
    (
        "difference of pages to the runs' counters",
        "SELECT (SELECT count(*) FROM page) - (SELECT ifnull(sum(done + failed + skipped), 0) FROM run)",
    ),
    (
        "difference of seen to the runs' counters",
        "SELECT (SELECT count(*) FROM seen) - (SELECT ifnull(sum(known), 0) FROM run)",
    ),
    (
        "queued requests that no host is leased for",
        "SELECT count(*) FROM queue q JOIN host h ON h.id = q.host
         WHERE h.run IS NULL AND h.lease_at IS NULL",
    ),
];

/// The same of what the steps have stored.
const ITEM_LAWS: &[(&str, &str)] = &[
    (
        "difference of visits to pages",
        "SELECT (SELECT count(*) FROM visits)
              - (SELECT count(*) FROM page WHERE step = 'node' AND state = 'done' AND reason IS NULL)",
    ),
    (
        "difference of nodes to visits",
        "SELECT (SELECT count(*) FROM nodes) - (SELECT count(*) FROM visits)",
    ),
];

/// What crawls of the same site have in common.
const OUTCOME: &[&str] = &[
    "SELECT 'page ' || path || ' ' || step || ' ' || state || ' ' || ifnull(reason, '') || ' ' || status
     FROM page",
    "SELECT 'queued ' || path FROM queue",
    "SELECT 'node ' || substr(url, instr(url, '/graph/')) || ' ' || title || ' ' || value FROM nodes",
    "SELECT 'visit ' || title FROM visits",
    "SELECT 'order ' || number FROM orders",
    "SELECT 'crawl ' || state || ' ' || seeded FROM crawl",
];

/// Checks the laws on a copy of the file as it lies there, so that the next run finds it untouched.
pub(super) async fn check(db: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let Some(copy) = copy(db, folder.path()) else {
        return;
    };
    let mut file = open(&copy).await;
    let integrity = column(&mut file, "PRAGMA integrity_check").await;
    assert_eq!(integrity, ["ok"]);
    for (laws, needs) in [(LAWS, SCHEMA), (ITEM_LAWS, ITEMS)] {
        if column(&mut file, needs).await.is_empty() {
            continue;
        }
        for (law, query) in laws {
            assert_eq!(column(&mut file, query).await, ["0"], "{law}");
        }
    }
}

/// Finds something once the schema is whole. A process that dies before leaves the schema of an older version, and
/// has crawled nothing.
const SCHEMA: &str = "SELECT name FROM pragma_table_info('seen') WHERE name = 'key'";
/// The same for the tables of items.
const ITEMS: &str = "SELECT name FROM sqlite_schema WHERE name = 'nodes'";

/// All rows that matter, sorted.
pub(super) async fn outcome(db: &Path) -> Vec<String> {
    check(db).await;
    let mut file = open(db).await;
    let mut rows = Vec::new();
    for query in OUTCOME {
        rows.extend(column(&mut file, query).await);
    }
    rows.sort();
    rows
}

/// Whether the crawl has ended, so that another run would begin anew.
pub(super) async fn is_finished(db: &Path) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let Some(copy) = copy(db, folder.path()) else {
        return false;
    };
    let mut file = open(&copy).await;
    let tables = "SELECT name FROM sqlite_schema WHERE name = 'crawl'";
    if column(&mut file, tables).await.is_empty() {
        return false;
    }
    let finished = "SELECT count(*) FROM crawl WHERE state = 'finished'";
    column(&mut file, finished).await == ["1"]
}

/// Copies the file and its log into a folder, if there is a file.
pub(super) fn copy(db: &Path, folder: &Path) -> Option<std::path::PathBuf> {
    let to = folder.join("crawl.db");
    std::fs::copy(db, &to).ok()?;
    let (log, log_to) = (with_suffix(db, "-wal"), with_suffix(&to, "-wal"));
    if log.exists() {
        std::fs::copy(log, log_to).unwrap();
    }
    Some(to)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

async fn open(db: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(db)
        .connect()
        .await
        .unwrap()
}

async fn column(file: &mut SqliteConnection, query: &str) -> Vec<String> {
    let text = if query.starts_with("PRAGMA") {
        query.to_owned()
    } else {
        format!("WITH t (x) AS ({query}) SELECT CAST(x AS TEXT) FROM t")
    };
    sqlx::query_scalar(AssertSqlSafe(text))
        .fetch_all(file)
        .await
        .unwrap()
}
