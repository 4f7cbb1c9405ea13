//! A crawl that is run again by several processes at once: one round, and each page once in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nephila::engine::Report;
use nephila::prelude::*;
use nephila::{Crawl, store};

use crate::cli::server::serve_with;
use crate::postgres;

const PAGES: usize = 60;

#[derive(Item)]
#[item(table = "notes", key = "url")]
struct Note {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Clone, serde::Deserialize)]
struct Notes {
    sites: Vec<String>,
}

#[spider(name = "fleet_notes")]
impl Notes {
    async fn start(&self, seeds: Seeds) -> Result {
        for site in &self.sites {
            seeds.push(format!("{site}/"), Self::list).await?;
        }
        Ok(())
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("a", Self::note)?;
        Ok(())
    }

    #[step(revisit = "always")]
    async fn note(&self, page: Page) -> Result<Note> {
        page.item()
    }
}

/// A list of pages, of which the second half is missing from the second round on.
fn serve(round: &Arc<AtomicUsize>) -> String {
    let round = Arc::clone(round);
    let address = serve_with(move |path, _| {
        let round = round.load(Ordering::Relaxed);
        match path.trim_start_matches('/').parse::<usize>() {
            Ok(number) if number >= PAGES / 2 && round > 1 => (404, String::new()),
            Ok(number) => (200, format!("<h1>{number} {round}</h1>")),
            Err(_) if path == "/" => {
                let links = (0..PAGES).map(|n| format!("<a href=/{n}>{n}</a>"));
                (200, links.collect::<Vec<_>>().concat())
            }
            Err(_) => (404, String::new()),
        }
    });
    format!("http://{address}")
}

async fn crawl(spider: &Notes, db: &str) -> Report {
    let crawl = Crawl::new(spider.clone()).db(db).with(|settings| {
        settings.delay = Some(Duration::from_millis(5));
        settings.concurrency_per_host = 1;
        settings.commit_pages = 10;
        settings.lease = Duration::from_secs(2);
    });
    crawl.run().await.unwrap()
}

async fn rows(db: &str, sql: &str) -> Vec<Vec<String>> {
    let reader = store::open_reader(db).await.unwrap();
    let (_, rows) = store::collect(&*reader, sql).await.unwrap();
    let cells = |row: &Vec<nephila::item::Value>| {
        let cells = row.iter().map(|cell| cell.to_json().to_string());
        cells.collect()
    };
    rows.iter().map(cells).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_begin_a_round_together_begin_one() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let round = Arc::new(AtomicUsize::new(1));
    let sites: Vec<_> = (0..4).map(|_| serve(&round)).collect();
    let hosts = sites.len() as u64;
    let spider = Notes { sites };
    for number in 1..=3 {
        round.store(number, Ordering::Relaxed);
        let (one, two) = tokio::join!(crawl(&spider, &db), crawl(&spider, &db));
        for report in [&one, &two] {
            let all = &report.statistics;
            assert_eq!(report.exit_code(), 0, "{report:?}");
            assert_eq!(all.workers.len(), 2, "round {number}: {all:?}");
            let there = if number == 1 { PAGES } else { PAGES / 2 };
            assert_eq!(all.pages, hosts * (1 + there as u64), "round {number}");
            assert_eq!(all.failed, hosts * (PAGES - there) as u64, "round {number}");
        }
        // Both say the same.
        let json = |report| serde_json::to_string::<Report>(report).unwrap();
        assert_eq!(json(&one), json(&two));
    }
    let counts = "SELECT count(*), count(_gone), count(DISTINCT url) FROM notes";
    assert_eq!(rows(&db, counts).await, [["240", "120", "240"]]);
    let left = "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM page) - (SELECT count(*) FROM queue),
      (SELECT round FROM crawl), (SELECT sum(known + requeued - forgotten - done - failed - skipped) FROM run)";
    assert_eq!(rows(&db, left).await, [["0", "3", "0"]]);
}
