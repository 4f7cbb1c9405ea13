//! Tests.

mod charset_data;
mod fetch;
mod raw;
