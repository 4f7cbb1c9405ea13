//! Nephila: an async web scraper framework. Spiders in, SQL out, nothing lost.

extern crate self as nephila;

pub mod clock;
pub mod request;
pub mod item;
pub mod settings;
pub mod policy;
pub mod page;
pub mod spider;
pub mod fetch;
pub mod frontier;
pub mod store;
pub mod export;
pub mod engine;
pub mod site;
pub mod ui;
pub mod cli;
#[doc(hidden)]
pub mod private;

pub use engine::Crawl;
pub use nephila_macros::{Item, css, spider, spiders};
pub use request::Result;

/// What a spider needs: `use nephila::prelude::*;`.
pub mod prelude {
    pub use crate::Result;
    pub use crate::item::Item;
    pub use crate::page::{Element, Page};
    pub use crate::request::Request;
    pub use crate::spider::{Failure, Seeds, Spider};
    pub use nephila_macros::{Item, css, spider};
    pub use url::Url;
}
