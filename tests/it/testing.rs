//! What tests of spiders need, used as in a user's tests.

use nephila::Crawl;
use nephila::prelude::*;
use nephila::testing::{Faults, Fixture, Pages, check_fixtures, fixtures};

#[derive(Item)]
#[item(table = "pages", key = "url")]
struct Seen {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Default)]
struct Tested;

#[spider(
    name = "tested_here",
    start = "http://shop.example/",
    delay = "0s",
    retry_delay = "1ms",
    max_retry_delay = "2ms"
)]
impl Tested {
    async fn page(&self, page: Page) -> Result<Seen> {
        page.follow("a", Self::page)?;
        page.item()
    }
}

#[tokio::test]
async fn a_site_in_memory() {
    let pages = Pages::new()
        .html("http://shop.example/", "<h1>Home</h1><a href=/a>a</a><a href=/gone>b</a><a href=/old>c</a><a href=/private>p</a>")
        .html("http://shop.example/a", "<h1>A</h1>")
        .status("http://shop.example/old", 301, "location", "/a?new")
        .html("http://shop.example/a?new", "<h1>New</h1>")
        .with("http://shop.example/robots.txt", "text/plain", "User-agent: *\nDisallow: /private");
    let report = Crawl::new(Tested)
        .db("sqlite::memory:")
        .fetch(pages.clone())
        .run()
        .await
        .unwrap();
    let statistics = &report.statistics;
    assert_eq!(
        (statistics.pages, statistics.missing, statistics.skipped),
        (3, 1, 1)
    );
    let asked: Vec<String> = pages
        .asked()
        .iter()
        .map(|url| url.path().to_owned())
        .collect();
    assert!(
        asked.contains(&"/gone".to_owned()) && !asked.contains(&"/private".to_owned()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn faults_are_survived() {
    let mut pages = Pages::new();
    let links: Vec<String> = (0..40).map(|n| format!("<a href=/{n}>x</a>")).collect();
    let links = links.concat();
    pages = pages.html("http://shop.example/", format!("<h1>Home</h1>{links}"));
    for n in 0..40 {
        pages = pages.html(&format!("http://shop.example/{n}"), format!("<h1>{n}</h1>"));
    }
    let faults = Faults::new(3).failing(0.2).status(503, 0.2);
    let crawl = Crawl::new(Tested)
        .db("sqlite::memory:")
        .fetch(pages.clone())
        .middleware(faults);
    let crawl = crawl.with(|s| {
        s.max_host_errors = 10_000;
        s.retries = 50;
    });
    let report = crawl.run().await.unwrap();
    assert_eq!(report.statistics.items["pages"].emitted, 41);
    assert!(
        report.statistics.retries > 5,
        "{}",
        report.statistics.retries
    );
}

#[tokio::test]
async fn fixtures_in_cargo_test() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("home.html"),
        "<h1>Home</h1><a href=/a>a</a>",
    )
    .unwrap();
    let empty = check_fixtures(folder.path()).await.unwrap_err();
    assert!(empty.to_string().contains("nephila snap"), "{empty}");
    let response =
        nephila::testing::response("http://shop.example/", folder.path().join("home.html"))
            .unwrap();
    let tried = nephila::testing::step(&Tested, "page", None, response.clone())
        .await
        .unwrap();
    let path = folder.path().join("tested/page-home.json");
    let args = nephila::spider::Args::new();
    Fixture::new(&path, (&Tested, &args), ("page", None), &response, &tried)
        .write()
        .unwrap();
    check_fixtures(folder.path()).await.unwrap();
    // The page is another than the one that was kept.
    let body = path.with_file_name("page-home.html");
    std::fs::write(&body, "<h1>Away</h1>").unwrap();
    let error = check_fixtures(folder.path()).await.unwrap_err().to_string();
    assert!(
        error.contains("pages 1: title: \"Home\" -> \"Away\""),
        "{error}"
    );
    assert!(
        error.contains("- page GET http://shop.example/a"),
        "{error}"
    );
    // A file that is no fixture says so, and none leads elsewhere.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("page-home.html", "../home.html")).unwrap();
    let error = fixtures(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is no file beside it"), "{error}");
}
