//! Lists that a page describes for search engines, and perhaps shows by a script only.

use serde_json::Value;

use super::details::KINDS;
use super::{FEWEST, onward};
use crate::cli::generate::draft::Draft;
use crate::cli::generate::json;
use crate::page::Page;

/// The kind of things that there are most of.
pub(super) fn look(page: &Page) -> Option<Draft> {
    let of_kind = |kind: &'static str| {
        let rows = page.json_ld::<Value>(kind).ok()?;
        (rows.len() >= FEWEST).then_some((kind, rows))
    };
    let (kind, mut rows) = KINDS
        .into_iter()
        .filter_map(of_kind)
        .max_by_key(|(_, rows)| rows.len())?;
    for row in &mut rows {
        without_types(row, 2);
    }
    let columns = json::columns(&rows, false);
    (columns.len() >= 2).then(|| Draft {
        count: rows.len(),
        each: format!("ld:{kind}"),
        columns,
        next: onward::next(page, &[]),
        details: None,
    })
}

/// What `@type` and the like say is the same of each.
fn without_types(value: &mut Value, depth: u8) {
    if let Value::Object(object) = value
        && depth > 0
    {
        object.retain(|key, _| !key.starts_with('@'));
        for inner in object.values_mut() {
            without_types(inner, depth - 1);
        }
    }
}
