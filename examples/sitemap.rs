//! A crawl from robots.txt over the sitemaps to the books that they name, of the bundled shop.
//!
//! ```text
//! cargo run --example sitemap
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::Site;
use serde::Deserialize;

/// A book on sale.
#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.price")]
    #[re(r"([\d.]+)")]
    price: f64,
}

#[derive(Deserialize)]
struct Mapped {
    robots: Url,
}

#[spider]
impl Mapped {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.robots, Self::map).await
    }

    /// robots.txt, the index that it names, and the sitemaps that the index names.
    async fn map(&self, page: Page) -> Result {
        let map = page.sitemap()?.only("/book/*")?;
        let followed = map.follow(Self::map, Self::book)?;
        let (maps, pages) = (followed.maps, followed.pages);
        println!("{}: {maps} maps, {pages} books", page.url().path());
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let shop = Site::start("127.0.0.1:0").await?;
    let robots = shop.page("/robots.txt");
    let crawl = Crawl::new(Mapped { robots }).db("sqlite::memory:");
    let report = crawl.run().await?;
    println!("{} books", report.statistics.items["books"].emitted);
    Ok(())
}
