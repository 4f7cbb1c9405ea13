//! Lists in HTML pages, and the fields of their rows and of the pages they link to.

mod details;
mod fields;
mod list;
mod onward;
mod terms;
mod things;

pub(super) use details::details;

use super::draft::Draft;
use crate::page::{Element, Page};

/// Elements that are looked at.
const LOOKED_AT: usize = 20_000;
/// Rows whose fields are compared.
const ROWS: usize = 60;
/// Columns that are made at the most.
const COLUMNS: usize = 16;
/// Rows that make a list.
const FEWEST: usize = 3;

/// The page's main list: alike elements, else what it says to search engines, or terms and what they mean.
pub(super) fn look(page: &Page) -> Option<Draft> {
    let elements = of_elements(page);
    let things = things::look(page);
    let says_more = |things: &Draft| {
        elements.as_ref().is_none_or(|found| {
            found.details.is_none() && found.columns.len() < things.columns.len()
        })
    };
    things
        .filter(says_more)
        .or(elements)
        .or_else(|| terms::look(page))
}

fn of_elements(page: &Page) -> Option<Draft> {
    let list = list::find(page)?;
    let rows: Vec<Element> = list.rows.iter().take(ROWS).cloned().collect();
    let columns = fields::of_rows(&rows);
    let details = onward::links(page, &list);
    (!columns.is_empty() || details.is_some()).then(|| Draft {
        count: list.rows.len(),
        next: onward::next(page, &list.rows),
        each: list.selector,
        columns,
        details,
    })
}

/// Whether a class says what something is, rather than how it is now or what number it has.
fn is_stable(class: &str) -> bool {
    let states = [
        "active", "first", "last", "odd", "even", "selected", "current", "hidden", "open",
    ];
    let is_name = class.starts_with(|c: char| c.is_ascii_alphabetic())
        && class
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    // `card-7` and `col-4` are numbers in a row or of a layout.
    let is_numbered = class.ends_with(|c: char| c.is_ascii_digit());
    let last = class.rsplit(['-', '_']).next().unwrap_or_default();
    is_name && !is_numbered && !states.contains(&last)
}

fn value(within: &Element, selector: &str) -> Option<String> {
    let value = within.get::<Option<String>>(selector).ok().flatten();
    value.filter(|value| !value.is_empty())
}
