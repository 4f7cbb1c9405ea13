//! Crawls that begin at a robots.txt or a sitemap.

use jiff::Timestamp;
use nephila::Crawl;
use nephila::engine::Stop;
use nephila::prelude::*;
use nephila::site::{Options, Site};
use serde::Deserialize;

#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Deserialize)]
struct Mapped {
    start: Url,
    since: Option<Timestamp>,
}

#[spider]
impl Mapped {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::map).await
    }

    async fn map(&self, page: Page) -> Result {
        let map = page.sitemap()?.only("/book/*")?.since(self.since);
        map.follow(Self::map, Self::book)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

async fn shop() -> Site {
    let options = Options {
        products: 450,
        ..Options::default()
    };
    Site::start_with("127.0.0.1:0", options).await.unwrap()
}

fn crawl(site: &Site, start: &str, since: Option<&str>) -> Crawl {
    let start = site.page(start);
    let since = since.map(|moment| moment.parse().unwrap());
    Crawl::new(Mapped { start, since }).db("sqlite::memory:")
}

#[tokio::test]
async fn from_robots_txt_to_every_book_and_to_nothing_else() {
    let site = shop().await;
    let report = crawl(&site, "/robots.txt", None).run().await.unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.items["books"].emitted, 450, "{report:?}");
    // robots.txt, the index, the lists, and two maps of books of which one is packed.
    assert_eq!(report.statistics.pages, 450 + 5);
    assert_eq!(report.exit_code(), 0, "{:?}", report.problems);
}

#[tokio::test]
async fn a_map_that_has_not_changed_is_not_fetched() {
    let site = shop().await;
    let report = crawl(&site, "/sitemap.xml", Some("2026-11-02T00:00:00Z"));
    let report = report.run().await.unwrap();
    assert_eq!(report.statistics.pages, 1, "{report:?}");
    let all = crawl(&site, "/sitemap-2.xml", Some("2000-01-01T00:00:00Z"));
    assert_eq!(all.run().await.unwrap().statistics.pages, 401);
}

#[tokio::test]
async fn an_interrupted_crawl_goes_on_amid_the_maps() {
    let site = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let start = || crawl(&site, "/robots.txt", None).db(&db);
    let limited = start().with(|settings| settings.max_pages = Some(3));
    assert_eq!(limited.run().await.unwrap().stop, Stop::Limit("max_pages"));
    let report = start().run().await.unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.pages, 450 + 5 - 3);
    let log = site.log();
    let maps = log.iter().filter(|hit| hit.path.contains("sitemap"));
    assert_eq!(maps.count(), 4, "each map once");
}

#[tokio::test]
async fn links_beyond_max_links_are_counted() {
    let site = shop().await;
    let crawl = crawl(&site, "/sitemap-2.xml", None).with(|settings| settings.max_links = 10);
    let report = crawl.run().await.unwrap();
    assert_eq!(report.statistics.pages, 11);
    let refused = &report.statistics.refused;
    assert!(format!("{refused:?}").contains("390"), "{refused:?}");
}
