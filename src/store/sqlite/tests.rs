//! What only a file can do to a crawl.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use super::{Sqlite, SqliteReader, file, seen};
use crate::clock::now;
use crate::frontier::Ticket;
use crate::request::{Fingerprint, HostKey, Identity, Request, StepRef};
use crate::store::{
    Batch, Begin, NewRequest, PageCommit, PageRow, PageState, Reader, Rest, Store, StoreError,
    Verdict,
};

struct Bed {
    store: Sqlite,
    identity: Identity,
    folder: TempDir,
}

fn begin(spider: &str, fresh: bool) -> Begin {
    Begin {
        spider: spider.into(),
        args: "{}".into(),
        settings: "{}".into(),
        fresh,
        steps: Vec::new(),
        lease: std::time::Duration::from_secs(30),
        finished: crate::store::Finished::Replace,
    }
}

fn done(ticket: &Ticket) -> PageCommit {
    let row = PageRow {
        state: PageState::Done,
        reason: None,
        message: None,
        status: 200,
        took_ms: 1,
        bytes: 1,
    };
    PageCommit::new(ticket, Verdict::Page(row))
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crawl.db");
        let store = Sqlite::open(path.to_str().unwrap()).await.unwrap();
        let identity = Identity::new(store.begin(begin("books", false)).await.unwrap().key);
        Self {
            store,
            identity,
            folder,
        }
    }

    fn batch(&self, count: usize) -> Arc<Batch> {
        let seeds = (0..count).map(|n| {
            let path = format!("/{n:0100}");
            let origin = format!("http://h{}.example", n % 5);
            let url = format!("{origin}{path}").parse().unwrap();
            let request = Request::new(url, StepRef::named("list"));
            NewRequest {
                host: self.identity.host(&origin),
                fingerprint: self.identity.fingerprint(&request, &path, None),
                again: None,
                renews: None,
                origin,
                path,
                seed: false,
                request,
            }
        });
        Arc::new(Batch {
            seeds: seeds.collect(),
            ..Batch::default()
        })
    }

    /// Another program at the same file.
    async fn other(&self) -> SqliteConnection {
        let path = self.folder.path().join("crawl.db");
        SqliteConnection::connect(path.to_str().unwrap())
            .await
            .unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.other().await)
            .await
            .unwrap()
    }

    async fn pragma(&self, pragma: &str) {
        let mut writer = self.store.0.writer.lock().await;
        sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA {pragma}")))
            .execute(writer.connection())
            .await
            .unwrap();
    }
}

/// A batch takes several statements of several sizes, each filled up with rows of NULL: every request has its own key
/// and number, and every page takes its own row out of the queue.
#[tokio::test]
async fn large_batches_are_written_in_pieces() {
    let bed = Bed::new().await;
    let receipt = bed.store.commit(bed.batch(2_500)).await.unwrap();
    assert_eq!(receipt.fresh_seeds, 2_500);
    let db = &mut bed.other().await;
    let queue: Vec<(i64, i64, i64)> = sqlx::query_as("SELECT host, fp, seq FROM queue")
        .fetch_all(&mut *db)
        .await
        .unwrap();
    let mut keys: Vec<_> = queue
        .iter()
        .map(|&(host, fp, seq)| (seen::key(HostKey(host), Fingerprint(fp)).to_vec(), seq))
        .collect();
    keys.sort();
    let seen: Vec<(Vec<u8>, i64)> = sqlx::query_as("SELECT key, seq FROM seen ORDER BY key")
        .fetch_all(&mut *db)
        .await
        .unwrap();
    assert_eq!(seen, keys);
    let again = bed.store.commit(bed.batch(2_501)).await.unwrap();
    assert_eq!(again.fresh_seeds, 1);

    let mut pages = Vec::new();
    for host in bed.store.lease(10, now()).await.unwrap() {
        let taken = bed.store.take(host.key, 1_000, now()).await.unwrap();
        pages.extend(taken.tickets.iter().map(done));
    }
    assert_eq!(pages.len(), 2_501);
    let left = pages.split_off(2_000);
    let batch = |pages| {
        Arc::new(Batch {
            pages,
            ..Batch::default()
        })
    };
    let receipt = bed.store.commit(batch(pages.clone())).await.unwrap();
    assert!(receipt.pages.iter().all(|page| page.written));
    assert_eq!(
        (bed.count("page").await, bed.count("queue").await),
        (2_000, 501)
    );
    // Those whose row is gone write nothing, and those beside them all.
    pages.splice(300..1_000, left);
    let receipt = bed.store.commit(batch(pages)).await.unwrap();
    let written = receipt.pages.iter().filter(|page| page.written);
    assert_eq!(written.count(), 501);
    assert_eq!(
        (bed.count("page").await, bed.count("queue").await),
        (2_501, 0)
    );
}

#[tokio::test]
async fn a_full_disk_costs_nothing() {
    let bed = Bed::new().await;
    bed.store.commit(bed.batch(10)).await.unwrap();
    bed.pragma("max_page_count = 60").await;
    let error = bed.store.commit(bed.batch(2000)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(bed.count("seen").await, 10);
    assert_eq!(bed.count("queue").await, 10);
    bed.pragma("max_page_count = 100000").await;
    let receipt = bed.store.commit(bed.batch(2000)).await.unwrap();
    assert_eq!(receipt.fresh_seeds, 1990);
    assert_eq!(bed.count("queue").await, 2000);
}

#[tokio::test]
#[cfg(unix)]
async fn a_file_that_is_gone_takes_nothing_more() {
    for replaced in [false, true] {
        let bed = Bed::new().await;
        let path = bed.folder.path().join("crawl.db");
        bed.store.commit(bed.batch(1)).await.unwrap();
        let aside = bed.folder.path().join("aside.db");
        std::fs::rename(&path, &aside).unwrap();
        if replaced {
            std::fs::copy(&aside, &path).unwrap();
        }
        let end = crate::store::End {
            stop: "finished".into(),
            finished: true,
            report: "{}".into(),
        };
        let commit = bed.store.commit(bed.batch(1)).await.unwrap_err();
        for error in [commit, bed.store.end(end).await.unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("was deleted or replaced"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_foreign_transaction_is_waited_for_and_told() {
    let bed = Bed::new().await;
    bed.pragma("busy_timeout = 1").await;
    let mut other = bed.other().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let error = bed.store.commit(bed.batch(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(bed.store.commit(bed.batch(1)).await.unwrap().fresh_seeds, 1);
}

/// Neither does who reads wait for who writes, nor the other way round.
#[tokio::test]
async fn readers_and_the_writer_do_not_wait_for_each_other() {
    let bed = Bed::new().await;
    bed.store.commit(bed.batch(10)).await.unwrap();
    let mut reader = file::reader(&bed.folder.path().join("crawl.db"))
        .await
        .unwrap();
    let mut count = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM queue");
        count.fetch_one(&mut reader).await.unwrap()
    };
    let mut writer = bed.store.0.writer.lock().await;
    writer.begin().await.unwrap();
    sqlx::query("DELETE FROM queue")
        .execute(writer.connection())
        .await
        .unwrap();
    assert_eq!(count().await, 10);
    writer.finish(Ok(())).await.unwrap();
    assert_eq!(count().await, 0);
    drop(writer);
    sqlx::query("BEGIN").execute(&mut reader).await.unwrap();
    sqlx::query("SELECT * FROM queue")
        .fetch_all(&mut reader)
        .await
        .unwrap();
    bed.store.commit(bed.batch(20)).await.unwrap();
}

/// A call that is dropped has happened or not; it leaves no transaction open.
/// It goes on by itself, and whoever looks meanwhile sees nothing of it or all.
#[tokio::test]
async fn a_dropped_commit_is_whole_or_nothing() {
    let bed = Bed::new().await;
    let mut other = bed.other().await;
    for count in (100..1000).step_by(100) {
        // Polled once, so it has begun.
        let _ = bed.store.commit(bed.batch(count)).now_or_never();
        bed.store.commit(bed.batch(1)).await.unwrap();
        let until = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            let sql = "SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM queue)";
            let (known, queued): (i64, i64) =
                sqlx::query_as(sql).fetch_one(&mut other).await.unwrap();
            assert_eq!(known, queued);
            if known == count as i64 {
                break;
            }
            assert_eq!(known, (count as i64 - 100).max(1));
            assert!(
                tokio::time::Instant::now() < until,
                "it was not gone on with"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_panic_inside_a_transaction_is_undone() {
    let bed = Bed::new().await;
    {
        let mut writer = bed.store.0.writer.lock().await;
        writer.begin().await.unwrap();
        let insert = "INSERT INTO seen VALUES (x'01', 1)";
        sqlx::query(insert)
            .execute(writer.connection())
            .await
            .unwrap();
        // What a task that panicked leaves behind.
    }
    bed.store.commit(bed.batch(3)).await.unwrap();
    assert_eq!(bed.count("seen").await, 3);
}

/// Rows of a crawl that was replaced go away, whether it was alone or not; those of others stay.
#[tokio::test]
async fn what_was_replaced_goes() {
    for neighbours in [false, true] {
        let mut bed = Bed::new().await;
        if neighbours {
            bed.store.commit(bed.batch(7)).await.unwrap();
            let quotes = bed.store.begin(begin("quotes", false)).await.unwrap();
            bed.identity = Identity::new(quotes.key);
        }
        bed.store.commit(bed.batch(200)).await.unwrap();
        // Some of it is done.
        let host = bed.store.lease(1, now()).await.unwrap().remove(0);
        let taken = bed.store.take(host.key, 10, now()).await.unwrap();
        let pages = taken.tickets.iter().map(done).collect();
        let batch = Batch {
            pages,
            ..Batch::default()
        };
        bed.store.commit(Arc::new(batch)).await.unwrap();
        assert_eq!(bed.count("page").await, 10);
        let spider = if neighbours { "quotes" } else { "books" };
        bed.store.begin(begin(spider, true)).await.unwrap();
        assert_eq!(bed.store.rest().await.unwrap(), Rest::Nothing);
        let left = if neighbours { 7 } else { 0 };
        for table in ["queue", "seen"] {
            assert_eq!(bed.count(table).await, left, "{table}");
        }
        assert_eq!(bed.count("page").await, 0);
        assert_eq!(bed.count("crawl WHERE state = 'gone'").await, 1);
    }
}

/// What a file of the first schema knows is known after it was brought up to date.
#[tokio::test]
async fn a_file_of_an_older_schema_is_gone_on_with() {
    let mut bed = Bed::new().await;
    bed.store.commit(bed.batch(300)).await.unwrap();
    let sql = "CREATE TABLE old (host INTEGER NOT NULL, fp INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (host, fp)) WITHOUT ROWID;
      INSERT INTO old SELECT host, fp, seq FROM queue;
      DROP TABLE seen;
      ALTER TABLE old RENAME TO seen;
      DELETE FROM _sqlx_migrations WHERE version > 1;";
    sqlx::raw_sql(sql)
        .execute(&mut bed.other().await)
        .await
        .unwrap();
    let elsewhere = Sqlite::open("sqlite::memory:").await.unwrap();
    drop(std::mem::replace(&mut bed.store, elsewhere));
    let path = bed.folder.path().join("crawl.db");
    let path = path.to_str().unwrap();
    let reader = SqliteReader::open(path).await.unwrap();
    let url = bed.batch(1).seeds[0].request.url.clone();
    for steps in [&[][..], &["page".to_owned()]] {
        let explained = reader.explain(&url, steps).await.unwrap();
        assert_eq!(
            explained.requests.len(),
            1,
            "before it is brought up to date"
        );
    }
    bed.store = Sqlite::open(path).await.unwrap();
    let began = bed.store.begin(begin("books", false)).await.unwrap();
    assert_eq!(began.resumed.unwrap().queued, 300);
    let receipt = bed.store.commit(bed.batch(310)).await.unwrap();
    assert_eq!(receipt.fresh_seeds, 10);
    assert_eq!(bed.count("seen").await, 310);
}

#[tokio::test]
async fn what_can_t_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("text.db"), "no database ".repeat(1000)).unwrap();
    std::fs::create_dir(path("folder.db")).unwrap();
    let check = async |name: &str, expected: &str| {
        let error = Sqlite::open(&path(name)).await.err().unwrap();
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("missing/crawl.db", "No such file").await;
    check("text.db", "it is no SQLite database").await;
    check("folder.db", "can't be opened").await;
    let mut newer = SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", path("newer.db")))
        .await
        .unwrap();
    drop(Sqlite::open(&path("newer.db")).await.unwrap());
    let migration =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'later', 1, x'00', 0)";
    sqlx::query(migration).execute(&mut newer).await.unwrap();
    check("newer.db", "a newer Nephila has made it").await;
}

#[tokio::test]
async fn in_memory_it_works_too() {
    let store = Sqlite::open("sqlite::memory:").await.unwrap();
    store.begin(begin("books", false)).await.unwrap();
    assert_eq!(store.rest().await.unwrap(), Rest::Nothing);
    assert!(
        store
            .lease(5, jiff::Timestamp::MAX)
            .await
            .unwrap()
            .is_empty()
    );
}
