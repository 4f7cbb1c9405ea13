//! A history of prices: an item that is a row per day, and a crawl that is done again.
//!
//! ```text
//! cargo run --example price_history
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering};

use nephila::Crawl;
use nephila::prelude::*;
use nephila::testing::Pages;

/// What something cost on a day. The day is part of the key, so another day is another row, and a second look
/// on the same day updates it.
#[derive(Item)]
#[item(table = "prices", key = ["url", "day"])]
struct Observed {
    #[url]
    url: Url,
    #[default(day())]
    day: String,
    #[css("p.price", parse = nephila::parse::money)]
    price: f64,
}

/// Days go fast in an example.
static DAY: AtomicU32 = AtomicU32::new(1);

fn day() -> String {
    format!("2026-11-{:02}", DAY.load(Ordering::Relaxed))
}

#[derive(Default)]
struct Prices;

#[spider(
    name = "example_prices",
    start = "http://shop.example/silk",
    delay = "0s"
)]
impl Prices {
    // Asked for again in each later run.
    #[step(revisit = "always")]
    async fn product(&self, page: Page) -> Result<Observed> {
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let folder = std::env::temp_dir().join(format!("nephila-prices-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let db = format!("sqlite:{}", folder.join("prices.db").display());
    for price in ["£5.00", "£5.00", "£4.50"] {
        let html = format!("<h1>Silk</h1><p class=price>{price}</p>");
        let pages = Pages::new().html("http://shop.example/silk", html);
        let report = Crawl::new(Prices).db(&db).fetch(pages).run().await?;
        println!(
            "{}: {price}, {} row",
            day(),
            report.statistics.items["prices"].emitted
        );
        DAY.fetch_add(1, Ordering::Relaxed);
    }
    // nephila query "SELECT url, day, price - lag(price) OVER (PARTITION BY url ORDER BY day) AS change FROM prices"
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
