//! Nephila: an async web scraper framework. Spiders in, SQL out, nothing lost.

pub mod clock;
pub mod request;
pub mod item;
pub mod settings;
pub mod fetch;
pub mod store;
