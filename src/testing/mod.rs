//! What tests of spiders need: pages without a network, faults on purpose, and pages that were kept
//! with what came of them.
//!
//! A step is a method and a page can be made from a string ([`Page::from_html`]) or a file
//! ([`page`](fn@page)), so most tests need nothing else. For more there are
//!
//! * [`step`]: one step with its pipeline, by name, as the engine runs it;
//! * [`Pages`]: a site in memory, for whole crawls offline;
//! * [`in_virtual_time`]: a whole crawl without waiting, delays and retries of hours included;
//! * [`Faults`]: latency, failures and bad statuses, the same for the same seed;
//! * [`check_fixtures`]: pages that `nephila snap` kept are read again, and compared;
//! * [`site`](crate::site): a bundled shop with about everything that a site can do, over HTTP.
//!
//! ```
//! use nephila::Crawl;
//! use nephila::prelude::*;
//! use nephila::testing::{Faults, Pages};
//!
//! #[derive(Item)]
//! #[item(table = "books", key = "url")]
//! struct Book {
//!     #[url]
//!     url: Url,
//!     #[css("h1")]
//!     title: String,
//! }
//!
//! #[derive(Default)]
//! struct Books;
//!
//! #[spider(start = "http://shop.example/", delay = "0s", retry_delay = "1ms", retries = 20)]
//! impl Books {
//!     async fn list(&self, page: Page) -> Result {
//!         page.follow("a", Self::book)?;
//!         Ok(())
//!     }
//!
//!     async fn book(&self, page: Page) -> Result<Book> {
//!         page.item()
//!     }
//! }
//!
//! # #[tokio::main] async fn main() -> Result {
//! let pages = Pages::new()
//!     .html("http://shop.example/", "<a href=/7>Weaving</a> <a href=/8>Silk</a>")
//!     .html("http://shop.example/7", "<h1>Weaving</h1>")
//!     .html("http://shop.example/8", "<h1>Silk</h1>");
//! // A third of all answers are 503: the crawl asks again.
//! let faults = Faults::new(1).status(503, 0.33);
//! let crawl = Crawl::new(Books).db("sqlite::memory:").fetch(pages).middleware(faults);
//! let report = crawl.with(|settings| settings.max_host_errors = 1000).run().await?;
//! assert_eq!(report.statistics.items["books"].emitted, 2);
//! assert_eq!(report.exit_code(), 0);
//! # Ok(())
//! # }
//! ```

mod faults;
mod fixture;
mod pages;

pub use faults::Faults;
pub use fixture::{Fixture, Given, check_fixtures, fixtures};
pub use pages::Pages;

use std::path::Path;

use url::Url;

use crate::engine::{Crawl, CrawlError, Report, Tried, try_step};
use crate::page::{Context, Page};
use crate::request::{Response, Result};
use crate::settings::Settings;
use crate::spider::Spider;

/// Runs a crawl in virtual time: `delay`, `Retry-After`, back-off and daily quotas take no time, and everything is as
/// if they had; what waits for longer than the setting `max_wait` stops the crawl, as it would. For a test whose runtime's time is paused, with its fetch in memory ([`Pages`]): what comes over a
/// network takes real time, which virtual time does not wait for.
///
/// The test needs tokio with its feature `test-util`:
/// `cargo add --dev tokio --features macros,rt,test-util`.
///
/// ```
/// use nephila::Crawl;
/// use nephila::prelude::*;
/// use nephila::testing::{Pages, in_virtual_time};
///
/// #[derive(Default)]
/// struct Slow;
///
/// #[spider(start = "http://shop.example/", delay = "1m", autothrottle = false)]
/// impl Slow {
///     async fn page(&self, page: Page) -> Result {
///         page.follow("a", Self::page)?;
///         Ok(())
///     }
/// }
///
/// # /*
/// #[tokio::test(start_paused = true)]
/// # */
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() -> Result {
///     let pages = Pages::new()
///         .html("http://shop.example/", "<a href=/1>1</a> <a href=/2>2</a>")
///         .html("http://shop.example/1", "")
///         .html("http://shop.example/2", "");
///     let began = tokio::time::Instant::now();
///     let crawl = Crawl::new(Slow).db("sqlite::memory:").fetch(pages);
///     let report = in_virtual_time(crawl).await?;
///     assert_eq!(report.statistics.pages, 3);
///     assert!(began.elapsed().as_secs() >= 2 * 60);
///     Ok(())
/// }
/// ```
///
/// # Errors
/// What [`Crawl::run`] says.
///
/// # Panics
/// If the runtime has several threads, whose time can't be paused.
pub async fn in_virtual_time(crawl: Crawl) -> std::result::Result<Report, CrawlError> {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    assert_eq!(
        flavor,
        tokio::runtime::RuntimeFlavor::CurrentThread,
        "virtual time needs a runtime of one thread: #[tokio::test(start_paused = true)]"
    );
    Box::pin(crawl.run_in_virtual_time()).await
}

/// A page whose body stands in a file, as if fetched from `url`; its type is by the file's ending.
///
/// # Errors
/// If the file can't be read, or `url` is not absolute.
pub fn page(url: &str, file: impl AsRef<Path>) -> Result<Page> {
    Ok(Page::new(response(url, file)?, Context::default()))
}

/// As [`page`](fn@page), as a response.
///
/// # Errors
/// If the file can't be read, or `url` is not absolute.
pub fn response(url: &str, file: impl AsRef<Path>) -> Result<Response> {
    let file = file.as_ref();
    let body = std::fs::read(file);
    let body = body.map_err(|error| format!("can't read {}: {error}", file.display()))?;
    let mut response = Response::new(Url::parse(url)?, body);
    let kind = match file.extension().and_then(|end| end.to_str()) {
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("txt" | "csv") => "text/plain",
        _ => "text/html",
    };
    let kind = http::HeaderValue::from_static(kind);
    response.headers.insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Runs one step of a spider on a response, and its pipeline after it, as the engine does: with the
/// spider's settings, limits and time-out, and panics caught. Nothing is stored.
///
/// It runs where it is called, on one thread, so it keeps tokio's time when that is paused.
///
/// ```
/// # use nephila::prelude::*;
/// # #[derive(Default)] struct Books;
/// # #[spider(start = "http://shop.example/")]
/// # impl Books { async fn list(&self, page: Page) -> Result { page.follow("a", Self::list)?; Ok(()) } }
/// use nephila::request::Response;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result {
/// let response = Response::new("http://shop.example/".parse()?, "<a href=/7>7</a>");
/// let tried = nephila::testing::step(&Books, "list", None, response).await?;
/// assert_eq!(tried.emitted.requests[0].url.path(), "/7");
/// assert_eq!(tried.failure, None);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the spider has no such step, or its settings can't be used. What goes wrong in the step is in the
/// result.
pub async fn step(
    spider: &dyn Spider,
    step: &str,
    args: Option<&str>,
    response: Response,
) -> Result<Tried> {
    let settings = Settings::for_spider(spider.settings())?;
    let tried = try_step(spider, &settings, step, args, response).await;
    Ok(tried.ok_or_else(|| format!("spider `{}` has no step `{step}`", spider.name()))?)
}
