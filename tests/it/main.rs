//! Tests.

mod charset_data;
