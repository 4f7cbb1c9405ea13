//! A test without waiting: a spider that asks a host once a minute, crawled in virtual time.
//!
//! ```text
//! cargo run --example virtual_time
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::testing::{Faults, Pages, in_virtual_time};
use tokio::time::Instant;

#[derive(Default)]
struct Patient;

#[spider(
    name = "example_patient",
    start = "http://shop.example/0",
    delay = "1m",
    autothrottle = false,
    retries = 5
)]
impl Patient {
    async fn page(&self, page: Page) -> Result {
        page.follow("a", Self::page)?;
        Ok(())
    }
}

// In a test: #[tokio::test(start_paused = true)]
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    let mut pages = Pages::new();
    for number in 0..100 {
        let html = format!("<a href=/{}>next</a>", number + 1);
        pages = pages.html(&format!("http://shop.example/{number}"), html);
    }
    let slow = Faults::new(1).latency(Duration::from_secs(1), Duration::from_secs(3));
    let began = Instant::now();
    let crawl = Crawl::new(Patient)
        .db("sqlite::memory:")
        .fetch(pages)
        .middleware(slow);
    let report = in_virtual_time(crawl).await?;
    let minutes = began.elapsed().as_secs() / 60;
    println!(
        "{} pages in {minutes} minutes that nobody waited for",
        report.statistics.pages
    );
    assert_eq!(report.statistics.pages, 100);
    assert!((99..120).contains(&minutes));
    Ok(())
}
