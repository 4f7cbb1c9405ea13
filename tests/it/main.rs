//! Tests of the whole: the real engine, store and HTTP, servers on 127.0.0.1.

mod charset_data;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod compile_fail;
#[cfg(test)]
mod costly;
mod data;
#[cfg(test)]
mod deadly;
mod fetch;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod advisories;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod item;
#[cfg(test)]
mod poison;
#[cfg(test)]
mod polite;
#[cfg(test)]
mod postgres;
mod proxy;
mod raw;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod revisit;
#[cfg(test)]
mod spider;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod store;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod asks;
#[cfg(test)]
mod crawl;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod licences;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod middleware;
#[cfg(test)]
mod pipeline;
#[cfg(test)]
mod selectors;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sitemap;
mod tls;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tutorial;
#[cfg(test)]
mod urls;

/// Says aloud that a test has nothing to test here. Not by a macro: what these print is held back in
/// tests that pass.
fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
