//! The shop by spider-rs: every page of it, and a row per book as CSV. It finds links by itself; fields are read
//! with scraper, as it has no selectors.

use scraper::{Html, Selector};
use spider::page::Page;
use spider::tokio;
use spider::website::Website;

struct Fields {
    title: Selector,
    price: Selector,
    stars: Selector,
}

impl Fields {
    fn new() -> Self {
        let css = |text| Selector::parse(text).expect("a selector");
        Self {
            title: css("h1"),
            price: css("p.price"),
            stars: css("p.stars"),
        }
    }

    fn row(&self, page: &Page) -> [String; 4] {
        let html = Html::parse_document(&page.get_html());
        let text = |css| html.select(css).next().map(|found| found.text().collect::<String>()).unwrap_or_default();
        let stars = html.select(&self.stars).next();
        [
            page.get_url().to_owned(),
            text(&self.title).trim().to_owned(),
            text(&self.price).chars().filter(|c| c.is_ascii_digit() || *c == '.').collect(),
            stars.and_then(|stars| stars.attr("data-n")).unwrap_or_default().to_owned(),
        ]
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut website = Website::new(&args[1]);
    website.with_respect_robots_txt(true).with_concurrency_limit(Some(32)).with_delay(0);
    let mut pages = website.subscribe(4_096);
    let mut rows = csv::Writer::from_path(&args[2]).expect("a file to write");
    let reader = tokio::spawn(async move {
        rows.write_record(["url", "title", "price", "stars"]).expect("a disk with room");
        let fields = Fields::new();
        while let Ok(page) = pages.recv().await {
            if page.get_url().contains("/book/") {
                rows.write_record(fields.row(&page)).expect("a disk with room");
            }
        }
        rows.flush().expect("a disk with room");
    });
    website.crawl().await;
    website.unsubscribe();
    drop(website);
    reader.await.expect("no panic");
}
