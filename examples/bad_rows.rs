//! One bad row keeps the good ones, and a crawl says what it expects to find.
//!
//! ```text
//! cargo run --example bad_rows
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::prelude::*;
use nephila::testing::Pages;

#[derive(Item)]
#[item(table = "rows", key = "name")]
struct Row {
    #[css("b")]
    name: String,
    #[css("i", parse = nephila::parse::money)]
    price: f64,
}

#[derive(Default)]
struct Rows;

#[spider(
    name = "example_rows",
    start = "http://shop.example/",
    max_bad_rows = "40%",
    expect = ["rows >= 3", "list: items >= 1", "bad_rows <= 0"]
)]
impl Rows {
    async fn list(&self, page: Page) -> Result<Vec<Row>> {
        page.items("li")
    }
}

#[tokio::main]
async fn main() -> Result {
    let html = "<li><b>Silk</b><i>£5</i><li><b>Wool</b><i>Call us</i><li><b>Jute</b><i>£1</i>";
    let pages = Pages::new().html("http://shop.example/", html);
    let report = Crawl::new(Rows)
        .db("sqlite::memory:")
        .fetch(pages)
        .run()
        .await?;
    for rows in report.statistics.bad_rows.values() {
        println!("{} left out: {}", rows.count, rows.message);
    }
    for unmet in &report.unmet {
        println!("expected {}, found {}", unmet.expected, unmet.found);
    }
    println!("exit code {}", report.exit_code());
    Ok(())
}
