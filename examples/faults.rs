//! A spider under bad weather: a site in memory, behind a network that is slow and breaks.
//!
//! ```text
//! cargo run --example faults
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::testing::{Faults, Pages};

#[derive(Item)]
#[item(table = "titles", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Default)]
struct Titles;

#[spider(
    name = "example_titles",
    start = "http://shop.example/0",
    delay = "0s",
    retry_delay = "1ms",
    max_retry_delay = "2ms",
    retries = 50,
    max_host_errors = 1000
)]
impl Titles {
    async fn page(&self, page: Page) -> Result<Title> {
        page.follow("a", Self::page)?;
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let mut pages = Pages::new();
    for number in 0..30 {
        let html = format!("<h1>Page {number}</h1><a href=/{}>next</a>", number + 1);
        pages = pages.html(&format!("http://shop.example/{number}"), html);
    }
    let faults = Faults::new(7)
        .latency(Duration::ZERO, Duration::from_millis(5))
        .failing(0.1)
        .status(503, 0.1);
    let crawl = Crawl::new(Titles)
        .db("sqlite::memory:")
        .fetch(pages)
        .middleware(faults);
    let report = crawl.run().await?;
    let statistics = &report.statistics;
    println!(
        "{} pages after {} retries",
        statistics.items["titles"].emitted, statistics.retries
    );
    Ok(())
}
