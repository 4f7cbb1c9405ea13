//! JSON within bounds.
//!
//! A million of `0,` is 2 MB of text and 72 MB of values. What a text may hold at the most can be seen
//! without reading it: a value has a comma, a bracket or a brace before it.

use memchr::{memchr_iter, memchr2_iter};

use super::ReadLimits;

/// Values that a text has at the most.
pub(super) fn at_most(text: &str) -> usize {
    let text = text.as_bytes();
    1 + memchr_iter(b',', text).count() + memchr2_iter(b'[', b'{', text).count()
}

/// Whether `count` values are too many of `whose`.
pub(super) fn limit(count: usize, limits: &ReadLimits, whose: &str) -> Result<(), String> {
    let max = limits.json_values;
    if count <= max {
        return Ok(());
    }
    Err(format!(
        "{whose} has more than {max} values of JSON, up to {count}: raise `max_json_values` to read them"
    ))
}

/// Whether `text`, which is of `whose`, has too many values. A short one is not even looked at.
pub(super) fn check(text: &str, limits: &ReadLimits, whose: &str) -> Result<(), String> {
    if text.len() <= limits.json_values {
        return Ok(());
    }
    limit(at_most(text), limits, whose)
}
