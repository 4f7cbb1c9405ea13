//! Tests.

mod charset_data;
mod data;
mod fetch;
mod raw;
#[cfg(test)]
mod store;
mod architecture;
mod crawl;
