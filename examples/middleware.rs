//! Stages around the fetch: one that signs requests, one that refuses some, one that counts; and a
//! block page that does not become an item.
//!
//! ```text
//! cargo run --example middleware
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nephila::Crawl;
use nephila::fetch::{FetchError, Middleware, Next};
use nephila::prelude::*;
use nephila::request::Response;
use nephila::site::{Options, Site};

/// Counts what goes out. Clones share the count.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

impl Middleware for Count {
    async fn handle(
        &self,
        request: &Request,
        next: Next,
    ) -> std::result::Result<Response, FetchError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        next.fetch(request).await
    }
}

#[derive(Item)]
#[item(table = "titles", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("title")]
    title: String,
}

#[derive(serde::Deserialize)]
struct Titles {
    site: Url,
}

// A book plays the part of a block page here.
#[spider(blocked = ["title: The Hidden Weaver"], retries = 0, max_errors = 1)]
impl Titles {
    fn middleware(&self) -> Middlewares {
        let sign = |mut request: Request, next: Next| async move {
            let signature = request.url.path().len();
            request.headers.insert("x-signature", signature.into());
            next.fetch(&request).await
        };
        let refuse = |request: Request, next: Next| async move {
            if request.url.path().contains("/book/7") {
                return Err(FetchError::refused("of no interest"));
            }
            next.fetch(&request).await
        };
        Middlewares::new().with(sign).with(refuse)
    }

    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::page).await
    }

    async fn page(&self, page: Page) -> Result<Title> {
        page.follow("article.product h3 a, li.next a", Self::page)?;
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let options = Options {
        products: 40,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await?;
    let asked = Count::default();
    let spider = Titles { site: site.url() };
    let crawl = Crawl::new(spider)
        .db("sqlite::memory:")
        .middleware(asked.clone());
    let report = crawl.run().await?;
    let statistics = &report.statistics;
    println!("{} pages, {} refused", statistics.pages, statistics.skipped);
    println!(
        "{} requests went into the stages",
        asked.0.load(Ordering::Relaxed)
    );
    println!("{} reached the server", site.log().len());
    for error in &statistics.errors {
        println!("{} x {}", error.count, error.message);
    }
    if statistics.failed != 1 {
        return Err("the block page was taken for a page".into());
    }
    Ok(())
}
