//! Steps that take their process with them: a stack that overflows, memory that is not there.

use std::path::Path;
use std::process::{Command, Output};

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::Site;
use serde::Deserialize;

/// What the child crawls, and into which database.
const SITE: &str = "NEPHILA_TEST_DEADLY_SITE";
const DB: &str = "NEPHILA_TEST_DEADLY_DB";
/// Plain pages of the site beside the deadly ones.
const PAGES: u64 = 40;

#[derive(Item)]
#[item(table = "titles")]
struct Title {
    #[css("h1")]
    title: String,
}

#[derive(Deserialize)]
struct Deadly {
    site: Url,
}

#[spider(name = "deadly")]
impl Deadly {
    async fn start(&self, seeds: Seeds) -> Result {
        let url = |path: &str| self.site.join(path);
        seeds
            .push(url("/graph/0?of=1&overflows")?, Self::overflows)
            .await?;
        for number in 0..PAGES {
            let url = url(&format!("/graph/{number}?of={PAGES}"))?;
            seeds.push(url, Self::reads).await?;
        }
        seeds.push(url("/graph/0?of=1&aborts")?, Self::aborts).await
    }

    async fn reads(&self, page: Page) -> Result<Title> {
        page.item()
    }

    async fn overflows(&self, page: Page) -> Result {
        let depth = deeper(page.body(), 0);
        Err(format!("came back from {depth}").into())
    }

    /// As an allocation that fails does, or the system that kills whoever has all memory.
    async fn aborts(&self, _page: Page) -> Result {
        std::process::abort()
    }
}

/// Goes deeper as long as there is a stack.
fn deeper(body: &[u8], depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if std::hint::black_box(body.len()) == usize::MAX {
        return depth;
    }
    deeper(body, depth + 1) + here[7]
}

fn crawl(site: &str, db: &str) -> Crawl {
    let site = site.parse().unwrap();
    Crawl::new(Deadly { site }).db(db)
}

/// The crawl in a process of its own; not a test by itself.
#[test]
fn child() {
    let (Ok(site), Ok(db)) = (std::env::var(SITE), std::env::var(DB)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(crawl(&site, &db).run()).unwrap();
    println!(
        "VERDICT {:?}, exit code {}",
        report.stop,
        report.exit_code()
    );
}

fn run(site: &Site, db: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["deadly::child", "--exact", "--nocapture"])
        .env(SITE, site.url().as_str())
        .env(DB, db)
        .output()
        .unwrap()
}

/// A page that kills its process is lost, and no other: each run goes on where the last one died, and a
/// page that has killed six is not read again.
#[tokio::test(flavor = "multi_thread")]
async fn what_kills_its_process_costs_its_page() {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crawl.db");
    let db = path.to_str().unwrap();
    let site = std::sync::Arc::new(site);
    let mut deaths = 0;
    let last = loop {
        let (site, db) = (std::sync::Arc::clone(&site), db.to_owned());
        let output = tokio::task::spawn_blocking(move || run(&site, &db));
        let output = output.await.unwrap();
        if output.status.success() {
            break output;
        }
        deaths += 1;
        assert!(deaths <= 12, "{}", String::from_utf8_lossy(&output.stderr));
    };
    // Both are read at once by the two threads of a small machine, and may die together.
    assert!(deaths >= 6, "{deaths}");
    let said = String::from_utf8_lossy(&last.stdout);
    assert!(said.contains("VERDICT Finished, exit code 1"), "{said}");
    assert_eq!(number(&path, "SELECT count(*) AS n FROM titles"), PAGES);
    let crashed = "SELECT count(*) AS n FROM page WHERE state = 'failed' AND reason = 'crash'";
    assert_eq!(number(&path, crashed), 2);
    assert_eq!(number(&path, "SELECT count(*) AS n FROM page"), PAGES + 2);
    assert!(!folder.path().join("crawl.db-steps").exists());
}

fn number(path: &Path, sql: &str) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_nephila"))
        .args(["query", "--format", "jsonl", "--db"])
        .args([path.as_os_str(), sql.as_ref()])
        .output()
        .unwrap();
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    row["n"].as_u64().unwrap()
}
