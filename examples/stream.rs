//! A crawl as a stream of typed items: the ten cheapest books of the bundled shop.
//!
//! ```text
//! cargo run --example stream
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_util::StreamExt;
use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::{Options, Site};
use serde::Deserialize;

/// A book on sale. `Deserialize` is what the stream needs beyond `Item`.
#[derive(Item, Deserialize)]
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
struct Books {
    site: Url,
}

#[spider]
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
    let options = Options {
        products: 200,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await?;
    let spider = Books { site: site.url() };
    // In memory, because nothing is to be resumed; a file would keep the items.
    let mut books = Crawl::new(spider).db("sqlite::memory:").stream::<Book>();
    let mut all = Vec::new();
    while let Some(book) = books.next().await {
        all.push(book?);
    }
    let report = books.report().await?;
    all.sort_by(|a, b| a.price.total_cmp(&b.price));
    for book in all.iter().take(10) {
        println!("{:>7.2}  {}  {}", book.price, book.title, book.url.path());
    }
    let (pages, seconds) = (report.statistics.pages, report.elapsed.as_secs_f64());
    println!("{} books on {pages} pages in {seconds:.1} s", all.len());
    if report.exit_code() == 0 {
        Ok(())
    } else {
        Err(format!("{:?}", report.problems).into())
    }
}
