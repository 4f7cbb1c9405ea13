//! What pages that a list links to have in common.

use std::collections::HashSet;

use serde_json::Value;

use super::fields::{leaves, sources, within};
use super::{COLUMNS, is_stable, value};
use crate::cli::generate::columns::{Column, settled};
use crate::page::{Element, Page};

/// What a few pages of one kind have in common; none if that is next to nothing.
pub(in crate::cli::generate) fn details(pages: &[Page]) -> Option<Vec<Column>> {
    let first = pages.first()?;
    let mut selectors = vec![("title".to_owned(), "h1".to_owned())];
    selectors.extend(described(first));
    selectors.extend(facts(first));
    selectors.extend(main_parts(first));
    let mut known = HashSet::new();
    selectors.retain(|(_, selector)| known.insert(selector.clone()));
    let mut columns = Vec::new();
    for (name, selector) in selectors {
        let read =
            |page: &Page| value(&page.root(), &selector).or_else(|| page_value(page, &selector));
        let values: Vec<Option<String>> = pages.iter().map(read).collect();
        let present = values.iter().flatten().count();
        let is_short = values
            .iter()
            .flatten()
            .all(|value| value.chars().count() <= 2_000);
        if present * 2 > pages.len()
            && is_short
            && let Some(column) = Column::of(&name, selector, values)
        {
            // Three pages are not all: others may lack it.
            let optional = column.optional || column.name != "title";
            columns.push(Column { optional, ..column });
        }
    }
    let mut columns = settled(columns, &["url"]);
    columns.truncate(COLUMNS);
    Some(columns)
}

/// Of the whole page, as a step reads it: JSON-LD has no element.
fn page_value(page: &Page, selector: &str) -> Option<String> {
    let value = page.get::<Option<String>>(selector).ok().flatten();
    value.filter(|value| !value.is_empty())
}

/// Kinds of things that pages describe for search engines.
pub(super) const KINDS: [&str; 12] = [
    "Product",
    "Book",
    "Article",
    "NewsArticle",
    "BlogPosting",
    "Recipe",
    "Event",
    "JobPosting",
    "Movie",
    "Person",
    "Organization",
    "Place",
];

fn described(page: &Page) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for kind in KINDS {
        let Ok(things) = page.json_ld::<Value>(kind) else {
            continue;
        };
        let Some(thing) = things.first().and_then(Value::as_object) else {
            continue;
        };
        for (key, value) in thing
            .iter()
            .filter(|(key, _)| is_stable(key) && *key != "url")
        {
            if value.is_string() || value.is_number() {
                let name = if key == "name" { "title" } else { key };
                all.push((name.to_owned(), format!("ld:{kind} >> json:{key}")));
            }
        }
        for (key, inner) in [
            ("offers", "price"),
            ("offers", "priceCurrency"),
            ("author", "name"),
            ("brand", "name"),
            ("aggregateRating", "ratingValue"),
        ] {
            if thing
                .get(key)
                .is_some_and(|value| value.get(inner).is_some())
            {
                let name = if inner == "name" { key } else { inner };
                all.push((
                    name.to_owned(),
                    format!("ld:{kind} >> json:$.{key}.{inner}"),
                ));
            }
        }
    }
    all
}

/// Rows of two cells, and lists of terms: `<th>UPC<td>a1`.
fn facts(page: &Page) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (head, body) in [("th", "td"), ("dt", "dd")] {
        let heads = page
            .css(format!("{head}:has(+ {body})"))
            .unwrap_or_default();
        for cell in heads {
            let text = cell.text();
            let is_plain = !text.contains(['"', '\\']) && (1..=40).contains(&text.chars().count());
            let alone = cell
                .parent()
                .is_some_and(|row| head == "dt" || row.children().len() == 2);
            if is_plain && alone {
                let name = text.trim_end_matches(':').to_owned();
                all.push((name, format!("{head}:contains(\"{text}\") + {body}")));
            }
        }
    }
    all
}

/// Parts with a class or property of their own, outside of what frames the page.
fn main_parts(page: &Page) -> Vec<(String, String)> {
    let root = page.root();
    let body = page.css("main, article, [role=main]").unwrap_or_default();
    let body = body.into_iter().next().unwrap_or_else(|| root.clone());
    let framing = ["nav", "header", "footer", "aside", "table", "dl"];
    let is_framed = |leaf: &Element| {
        let mut above = leaf.parent();
        while let Some(element) = above {
            if framing.contains(&element.name()) {
                return true;
            }
            above = element.parent();
        }
        false
    };
    let mut all = Vec::new();
    for leaf in leaves(&body).iter().take(200) {
        let has_name = leaf.attr("itemprop").is_some()
            || leaf.classes().any(is_stable)
            || leaf.name() == "time";
        // Several of a kind are a list of something else.
        if !has_name || is_framed(leaf) || matches!(leaf.name(), "a" | "img") {
            continue;
        }
        if let Some((name, selector)) = within(&root, leaf, &[])
            && page.css(&selector).is_ok_and(|found| found.len() == 1)
        {
            for (other, selector) in sources(&root, leaf, &[]) {
                let name = if other == "url" { other } else { name.clone() };
                all.push((name, selector));
            }
            let _ = selector;
        }
    }
    all
}
