//! Nephila: an async web scraper framework. Spiders in, SQL out, nothing lost.
//!
//! You write a **spider**: a struct whose methods, its **steps**, read pages. A step follows links to
//! other steps and returns **items**, structs that are rows of a table. [`Crawl`] does the rest: it
//! asks each host politely, resumes what was interrupted, and puts the items into SQL.
//!
//! ```
//! use nephila::Crawl;
//! use nephila::prelude::*;
//! # use nephila::site::Site;
//!
//! /// A book on sale: a row of the table `books`.
//! #[derive(Item)]
//! #[item(table = "books", key = "url")]
//! struct Book {
//!     #[url]
//!     url: Url,
//!     #[css("h1")]
//!     title: String,
//!     #[css("p.price")]
//!     #[re(r"([\d.]+)")]
//!     price: f64,
//!     #[css("p.stars::attr(data-n)")]
//!     stars: Option<u8>,
//! }
//!
//! /// `-a site=..` on the command line.
//! #[derive(serde::Deserialize)]
//! struct Books {
//!     site: Url,
//! }
//!
//! #[spider]
//! impl Books {
//!     async fn start(&self, seeds: Seeds) -> Result {
//!         seeds.push(&self.site, Self::list).await
//!     }
//!
//!     async fn list(&self, page: Page) -> Result {
//!         page.follow("article.product h3 a", Self::book)?;
//!         page.follow("li.next a", Self::list)?;
//!         Ok(())
//!     }
//!
//!     async fn book(&self, page: Page) -> Result<Book> {
//!         page.item()
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result {
//! # let shop = Site::start("127.0.0.1:0").await?;
//! let spider = Books { site: shop.url() };
//! let crawl = Crawl::new(spider).db("sqlite::memory:");
//! let report = crawl.with(|settings| settings.max_pages = Some(40)).run().await?;
//! assert_eq!(report.statistics.pages, 40);
//! assert!(report.statistics.items["books"].emitted > 20);
//! # Ok(())
//! # }
//! ```
//!
//! # The path of a page
//!
//! The modules below stand in the order in which a request meets them.
//!
//! A [`Request`](request::Request) has a canonical URL and a fingerprint, by which the store knows
//! what was seen. What a page gives is an [`item`]; what a crawl may do is in [`settings`]; what is
//! decided from them, [`policy`], does no I/O. A [`Page`](page::Page) is what a step of a
//! [`spider`](mod@spider) reads; what it makes of it passes a [`pipeline`]. [`fetch`] makes one exchange with a server, the [`frontier`] says whose
//! turn it is, and the [`store`] holds both, because **a page is a transaction**: its items, the
//! requests it found and its own completion are committed together. Kill a crawl at any instant and
//! run it again: no item is lost, none is stored twice, no URL is forgotten. The [`engine`] is the
//! one crawl loop over all of these; [`export`] writes rows to files, [`site`] is the bundled shop to
//! try things on, [`testing`] what tests of spiders need, [`ui`] and [`cli`] are what a terminal sees.
//!
//! # Where to go on
//!
//! * Writing spiders: [`spider`](mod@spider), [`item`], [`page`], and the tables of
//!   [`#[spider]`](macro@spider) and [`#[derive(Item)]`](derive@Item)
//! * Crawls in your own program: [`Crawl`], its [`stream`](Crawl::stream) and
//!   [hooks](Crawl::on_event), stages around
//!   the fetch ([`Middleware`](fetch::Middleware)), another [`Fetch`](fetch::Fetch)
//! * Between the step and the database: [`pipeline`]; tests of spiders: [`testing`]
//! * Every setting with its default: [`Settings`](settings::Settings)
//! * How it works inside: `ARCHITECTURE.md`; guides: `docs/`

extern crate self as nephila;

pub mod clock;
mod panics;
pub mod parse;
pub mod request;
pub mod item;
pub mod settings;
pub mod policy;
pub mod page;
pub mod pipeline;
pub mod spider;
pub mod declared;
pub mod fetch;
pub mod frontier;
pub mod store;
pub mod export;
pub mod engine;
pub mod site;
pub mod testing;
pub mod ui;
pub mod cli;
#[doc(hidden)]
pub mod private;

pub use engine::Crawl;
/// Dates and times of items are jiff's: a project need not depend on it to name them.
pub use jiff;
pub use nephila_macros::{Item, css, spider, spiders};
pub use request::Result;
/// JSON of items and requests is serde_json's.
pub use serde_json;

/// What a spider needs: `use nephila::prelude::*;`.
pub mod prelude {
    pub use crate::Result;
    pub use crate::fetch::Middlewares;
    pub use crate::item::Item;
    pub use crate::page::{Element, Links, Page};
    pub use crate::pipeline::{Pipelines, Processed};
    pub use crate::request::Request;
    pub use crate::spider::{Failure, LoggedOut, Login, Seeds, Spider};
    pub use nephila_macros::{Item, css, spider};
    pub use url::Url;
}

// The Rust code in the documentation is compiled and run by `cargo test`.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/spiders.md")]
    mod spiders {}
    #[doc = include_str!("../docs/sessions.md")]
    mod sessions {}
    #[doc = include_str!("../docs/library.md")]
    mod library {}
    #[doc = include_str!("../docs/cache.md")]
    mod cache {}
    #[doc = include_str!("../docs/downloads.md")]
    mod downloads {}
    #[doc = include_str!("../docs/middleware.md")]
    mod middleware {}
    #[doc = include_str!("../docs/pipelines.md")]
    mod pipelines {}
    #[doc = include_str!("../docs/database.md")]
    mod database {}
    #[doc = include_str!("../docs/settings.md")]
    mod settings {}
    #[doc = include_str!("../docs/tutorial.md")]
    mod tutorial {}
    #[doc = include_str!("../docs/howto/login.md")]
    mod login {}
    #[doc = include_str!("../docs/howto/json-api.md")]
    mod json_api {}
    #[doc = include_str!("../docs/howto/infinite-scroll.md")]
    mod infinite_scroll {}
    #[doc = include_str!("../docs/howto/sitemap.md")]
    mod sitemap {}
    #[doc = include_str!("../docs/howto/files.md")]
    mod files {}
    #[doc = include_str!("../docs/howto/proxies.md")]
    mod proxies {}
    #[doc = include_str!("../docs/howto/price-history.md")]
    mod price_history {}
    #[doc = include_str!("../docs/howto/testing.md")]
    mod testing {}
    #[doc = include_str!("../docs/howto/from-scrapy.md")]
    mod from_scrapy {}
    #[doc = include_str!("../docs/howto/from-crawlee.md")]
    mod from_crawlee {}
    #[doc = include_str!("../docs/howto/from-colly.md")]
    mod from_colly {}
    #[doc = include_str!("../docs/running.md")]
    mod running {}
}
