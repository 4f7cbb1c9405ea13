//! A JSON API: items by JSON paths, and the next page by its number.
//!
//! ```text
//! cargo run --example json_api
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::Site;

/// Something that somebody said.
#[derive(Item)]
#[item(table = "quotes", key = ["author", "text"])]
struct Quote {
    #[json("author.name")]
    author: String,
    #[json("text")]
    text: String,
    #[json("tags[*]")]
    tags: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Quotes {
    first: Url,
}

#[spider(name = "example_quotes")]
impl Quotes {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.first, (Self::page, 1)).await
    }

    async fn page(&self, page: Page, number: u32) -> Result<Vec<Quote>> {
        if page.get::<bool>("json:has_next")? {
            let next = number + 1;
            page.visit(format!("?page={next}"), (Self::page, next))?;
        }
        page.items("json:$.quotes[*]")
    }
}

#[tokio::main]
async fn main() -> Result {
    let site = Site::start("127.0.0.1:0").await?;
    let first = site.page("/api/quotes?page=1");
    let report = Crawl::new(Quotes { first })
        .db("sqlite::memory:")
        .run()
        .await?;
    println!("{} quotes", report.statistics.items["quotes"].emitted);
    Ok(())
}
