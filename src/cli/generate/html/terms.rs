//! Lists of terms and what they mean.

use super::list::selector_of;
use super::{FEWEST, ROWS, onward, value};
use crate::cli::generate::columns::{Column, settled};
use crate::cli::generate::draft::Draft;
use crate::page::{Element, Page};

/// The longest `<dl>` of the page.
pub(super) fn look(page: &Page) -> Option<Draft> {
    let terms_of = |list: &Element| {
        let children = list.children().into_iter();
        children.filter(|child| child.name() == "dt").collect()
    };
    let lists = page.css("dl").ok()?;
    let terms: Vec<Element> = lists.iter().map(terms_of).max_by_key(Vec::len)?;
    if terms.len() < FEWEST {
        return None;
    }
    let column = |name: &str, selector: &str| {
        let values = terms.iter().take(ROWS).map(|term| value(term, selector));
        Column::of(name, selector.to_owned(), values.collect())
    };
    let columns = [
        column("term", "xpath:."),
        column("meaning", "xpath:following-sibling::dd[1]"),
    ];
    Some(Draft {
        count: terms.len(),
        each: selector_of(page, &terms)?,
        columns: settled(columns.into_iter().flatten().collect(), &[]),
        next: onward::next(page, &[]),
        details: None,
    })
}
