//! What may happen to the file that a crawl writes to: it waits, or it says so and ends. It never ends
//! well with something lost.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::{Event, Report, Stop};
use nephila::prelude::*;
use nephila::site::Site;
use nephila::store;
use serde::Deserialize;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

const PAGES: usize = 120;

#[derive(Item)]
#[item(table = "visits")]
struct Visit {
    #[css("h1")]
    title: String,
}

#[derive(Deserialize)]
struct Graph {
    start: Url,
}

#[spider]
impl Graph {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::node).await
    }

    async fn node(&self, page: Page) -> Result<Visit> {
        page.follow("a", Self::node)?;
        page.item()
    }
}

struct Trial {
    site: Site,
    folder: TempDir,
}

impl Trial {
    async fn new() -> Self {
        Self {
            site: Site::start("127.0.0.1:0").await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("crawl.db")
    }

    fn crawl(&self) -> Crawl {
        let start = self.site.page(&format!("/graph/0?of={PAGES}"));
        Crawl::new(Graph { start })
            .db(self.db().display().to_string())
            .with(|settings| settings.commit_pages = 5)
    }

    /// Crawls, and does something when the first page is stored.
    async fn run(&self, fault: impl FnOnce() + Send + 'static) -> Report {
        let mut fault = Some(fault);
        let crawl = self.crawl().on_event(move |event| {
            if matches!(event, Event::Page(_))
                && let Some(fault) = fault.take()
            {
                fault();
            }
        });
        crawl.run().await.unwrap()
    }

    /// Every page is there, and once.
    async fn check(&self) {
        let reader = store::open_reader(&self.db().display().to_string()).await;
        let sql = "SELECT count(*), count(DISTINCT title) FROM visits";
        let (_, rows) = store::collect(&*reader.unwrap(), sql).await.unwrap();
        let count = nephila::item::Value::Integer(PAGES as i64);
        assert_eq!(rows, [[count.clone(), count]]);
    }
}

/// `NEPHILA_LOCKED=60 cargo test --test it storage::` locks it for a minute, and 90 for longer than a commit
/// waits: then the crawl says so and ends, and the next run loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_others_lock_is_waited_for() {
    static LOCKED: AtomicBool = AtomicBool::new(false);
    let seconds = std::env::var("NEPHILA_LOCKED").ok();
    let seconds = seconds.map_or(1, |text| text.parse().unwrap());
    let trial = Trial::new().await;
    let db = trial.db();
    let report = trial
        .run(move || {
            tokio::spawn(async move {
                let mut other = other(&db).await;
                sqlx::query("BEGIN IMMEDIATE")
                    .execute(&mut other)
                    .await
                    .unwrap();
                LOCKED.store(true, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
            });
        })
        .await;
    assert!(LOCKED.load(Ordering::SeqCst));
    if seconds > 60 {
        let Stop::Broken(why) = &report.stop else {
            panic!("{:?}", report.stop);
        };
        assert!(
            why.contains("is kept locked, by a tool with an open transaction?"),
            "{why}"
        );
        assert_eq!(report.exit_code(), 70);
        tokio::time::sleep(Duration::from_secs(seconds - 60)).await;
        let report = trial.crawl().run().await.unwrap();
        assert_eq!((&report.stop, report.exit_code()), (&Stop::Finished, 0));
    } else {
        assert_eq!((&report.stop, report.exit_code()), (&Stop::Finished, 0));
    }
    trial.check().await;
}

async fn other(db: &std::path::Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new()
        .filename(db)
        .connect()
        .await
        .unwrap()
}

/// What is written to a deleted file is gone with the process: that must not look like success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(unix)]
async fn a_database_that_is_deleted_breaks_the_crawl() {
    let trial = Trial::new().await;
    let db = trial.db();
    let report = trial.run(move || std::fs::remove_file(db).unwrap()).await;
    let Stop::Broken(why) = &report.stop else {
        panic!("{:?}", report.stop);
    };
    assert!(why.contains("was deleted or replaced"), "{why}");
    assert_eq!(report.exit_code(), 70);
    // What is left of it is in nobody's way.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(trial.folder.path().join(format!("crawl.db{suffix}")));
    }
    let report = trial.crawl().run().await.unwrap();
    assert_eq!((&report.stop, report.exit_code()), (&Stop::Finished, 0));
    trial.check().await;
}

/// A file that is moved away while it is open is put back: the crawl goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(unix)]
async fn a_database_that_was_moved_away_goes_on_when_it_is_back() {
    let trial = Trial::new().await;
    let (db, aside) = (trial.db(), trial.folder.path().join("aside.db"));
    let (from, to) = (db.clone(), aside.clone());
    let report = trial.run(move || std::fs::rename(from, to).unwrap()).await;
    assert_eq!(report.exit_code(), 70);
    std::fs::rename(aside, db).unwrap();
    let report = trial.crawl().run().await.unwrap();
    assert_eq!((&report.stop, report.exit_code()), (&Stop::Finished, 0));
    trial.check().await;
}
