//! Tests.

mod charset_data;
#[cfg(test)]
mod compile_fail;
mod data;
mod fetch;
#[cfg(test)]
mod item;
mod raw;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod spider;
#[cfg(test)]
mod store;
mod architecture;
mod crawl;
