//! What a crawl may use up, and hours in which it is quiet.

use nephila::engine::{Report, Stop};
use nephila::prelude::*;
use nephila::settings::Settings;
use nephila::{Crawl, store};

use crate::cli::server::serve_with;

#[derive(Item)]
#[item(table = "pages", key = "url")]
struct Read {
    #[url]
    url: Url,
}

/// Thirty pages in each of the parts `/a/` and `/b/`; those of `/b/` fail, those of `/c/` are missing.
#[derive(serde::Deserialize)]
struct Parts {
    site: String,
}

#[spider(name = "budget_parts")]
impl Parts {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(format!("{}/", self.site), Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("a", Self::leaf)?;
        Ok(())
    }

    async fn leaf(&self, page: Page) -> Result<Read> {
        page.item()
    }
}

struct Bed {
    site: String,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new(parts: &'static [&'static str]) -> Self {
        let address = serve_with(move |path, _| match path {
            "/" => {
                let links = (0..30).flat_map(|n| {
                    parts
                        .iter()
                        .map(move |part| format!("<a href={part}{n}>x</a>"))
                });
                (200, links.collect())
            }
            path if path.starts_with("/a/") => (200, "x".repeat(1000)),
            path if path.starts_with("/b/") => (500, String::new()),
            _ => (404, String::new()),
        });
        Self {
            site: format!("http://{address}"),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn crawl(&self, change: impl FnOnce(&mut Settings)) -> Report {
        let site = self.site.clone();
        let db = format!("sqlite:{}", self.folder.path().join("crawl.db").display());
        Crawl::new(Parts { site })
            .db(db)
            .with(|settings| {
                (
                    settings.concurrency,
                    settings.commit_pages,
                    settings.retries,
                ) = (2, 2, 0);
            })
            .with(change)
            .run()
            .await
            .unwrap()
    }

    async fn count(&self, condition: &str) -> u64 {
        let db = format!("sqlite:{}", self.folder.path().join("crawl.db").display());
        let reader = store::open_reader(&db).await.unwrap();
        let sql = format!("SELECT count(*) FROM url WHERE {condition}");
        let (_, rows) = store::collect(&*reader, &sql).await.unwrap();
        rows[0][0].to_json().as_u64().unwrap()
    }
}

/// A run that a limit ends soon after it was reached, and one that does the rest.
async fn stops_at(
    parts: &'static [&'static str],
    name: &'static str,
    change: fn(&mut Settings),
) -> Report {
    let bed = Bed::new(parts);
    let report = bed.crawl(change).await;
    assert_eq!(report.stop, Stop::Limit(name));
    assert!(
        report.statistics.left() > 10,
        "{name}: {:?}",
        report.statistics
    );
    let rest = bed
        .crawl(|settings| settings.max_errors = ErrorBudget::Share(1.0))
        .await;
    assert_eq!(rest.stop, Stop::Finished);
    assert_eq!(
        bed.count("state <> 'queued'").await,
        1 + 30 * parts.len() as u64
    );
    report
}

use nephila::settings::ErrorBudget;

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_run() {
    let report = stops_at(&["/a/"], "max_items", |settings| {
        settings.max_items = Some(5);
    })
    .await;
    assert_eq!(report.exit_code(), 3);
    assert!((5..=12).contains(&report.statistics.item_count()));
    let report = stops_at(&["/a/"], "max_bytes", |settings| {
        settings.max_bytes = Some(6_000);
    })
    .await;
    assert!(
        (6_000..=14_000).contains(&report.statistics.bytes),
        "{:?}",
        report.statistics
    );
    let report = stops_at(&["/b/"], "max_failed", |settings| {
        settings.max_failed = Some(5);
    })
    .await;
    assert!((5..=12).contains(&report.statistics.failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_pages_are_no_failures() {
    let bed = Bed::new(&["/a/", "/c/"]);
    let report = bed.crawl(|settings| settings.max_failed = Some(1)).await;
    assert_eq!(
        (report.stop, report.statistics.missing),
        (Stop::Finished, 30)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_so_many_pages() {
    let bed = Bed::new(&["/a/"]);
    let day = |settings: &mut Settings| settings.max_pages_per_day = Some(10);
    let first = bed.crawl(day).await;
    assert_eq!(first.stop, Stop::Limit("max_pages_per_day"));
    assert_eq!(first.statistics.pages, 10);
    // The day is used up for the next run, too.
    let second = bed.crawl(day).await;
    assert_eq!((second.exit_code(), second.statistics.pages), (3, 0));
    let more = bed
        .crawl(|settings| settings.max_pages_per_day = Some(12))
        .await;
    assert_eq!(more.statistics.pages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_site_has_its_budget() {
    let bed = Bed::new(&["/a/", "/a/deep/"]);
    let budgets = |settings: &mut Settings| {
        settings.budgets = vec!["/a/deep/ 7".to_owned(), "/elsewhere/ 1".to_owned()];
    };
    let first = bed
        .crawl(|settings| {
            budgets(settings);
            settings.max_pages = Some(9);
        })
        .await;
    assert_eq!(first.stop, Stop::Limit("max_pages"));
    let second = bed.crawl(budgets).await;
    assert_eq!(second.stop, Stop::Finished);
    let deep = "url LIKE '%/a/deep/%'";
    assert_eq!(bed.count(&format!("state = 'done' AND {deep}")).await, 7);
    let skipped = format!("state = 'skipped' AND reason = 'budget' AND {deep}");
    assert_eq!(bed.count(&skipped).await, 23);
    let rest = format!("state = 'done' AND NOT {deep}");
    assert_eq!(bed.count(&rest).await, 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_hours_are_kept() {
    let bed = Bed::new(&["/a/"]);
    let minute = nephila::clock::now().as_second() / 60 % (24 * 60);
    let time = |minute: i64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    // An hour from now on, and some time ago.
    let now = format!("{}-{}", time(minute), time(minute + 60));
    let quiet = bed.crawl(|settings| settings.quiet_hours = Some(now)).await;
    assert_eq!(
        (quiet.stop, quiet.statistics.bytes),
        (Stop::Limit("quiet_hours"), 0)
    );
    let before = format!("{}-{}", time(minute + 120), time(minute + 180));
    let loud = bed
        .crawl(|settings| settings.quiet_hours = Some(before))
        .await;
    assert_eq!(loud.stop, Stop::Finished);
}
