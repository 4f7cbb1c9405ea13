//! The shortest crawl: a list, its next page, and the pages that it links to; then SQL over what was found.
//!
//! ```text
//! cargo run --example books
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::Site;

/// A book on sale: a row of the table `books`.
#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.price, p.price_color", parse = nephila::parse::money)]
    price: f64,
}

#[derive(serde::Deserialize)]
struct Books {
    site: Url,
}

#[spider(name = "example_books")]
impl Books {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("article.product h3 a", Self::book)?;
        page.follow("li.next a", Self::list)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let shop = Site::start("127.0.0.1:0").await?;
    let spider = Books { site: shop.url() };
    let crawl = Crawl::new(spider).db("sqlite::memory:");
    let report = crawl
        .with(|settings| settings.max_pages = Some(100))
        .run()
        .await?;
    println!("{} books", report.statistics.items["books"].emitted);
    Ok(())
}
