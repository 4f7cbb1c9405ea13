//! What stands in the rows of a list.

use std::collections::HashSet;

use super::list::names;
use super::{COLUMNS, FEWEST, is_stable, value};
use crate::cli::generate::columns::{Column, settled};
use crate::page::Element;

/// The elements within that hold a text of their own, a link, a picture or a time.
pub(super) fn leaves(row: &Element) -> Vec<Element> {
    let mut found = Vec::new();
    let mut open: Vec<Element> = row.children();
    open.reverse();
    while let Some(element) = open.pop() {
        if matches!(
            element.name(),
            "script" | "style" | "button" | "form" | "svg"
        ) {
            continue;
        }
        let has_text = element
            .get::<Option<String>>("::text")
            .is_ok_and(|text| text.is_some_and(|text| text.chars().any(char::is_alphanumeric)));
        let is_source = match element.name() {
            "a" => element.attr("href").is_some(),
            "img" => element.attr("src").is_some(),
            "time" => element.attr("datetime").is_some(),
            "meta" => element.attr("itemprop").is_some(),
            _ => element
                .attr("data-price")
                .or(element.attr("data-n"))
                .is_some(),
        };
        if has_text || is_source {
            found.push(element.clone());
        }
        let mut children = element.children();
        children.reverse();
        open.extend(children);
    }
    found
}

/// The columns of rows: what stands at the same place in most of them.
pub(super) fn of_rows(rows: &[Element]) -> Vec<Column> {
    let mut selectors: Vec<(String, String)> = Vec::new();
    let headings = headings(rows);
    let is_link = |row: &Element| row.name() == "a" && row.attr("href").is_some();
    if rows.iter().all(is_link) {
        selectors.push(("url".to_owned(), "::attr(href)".to_owned()));
    }
    for row in rows.iter().take(FEWEST) {
        let own = leaves(row);
        let own = own.iter().flat_map(|leaf| sources(row, leaf, &headings));
        for found in own.chain(of_second(row, rows)) {
            if !selectors.contains(&found) {
                selectors.push(found);
            }
        }
    }
    let columns = selectors.into_iter().filter_map(|(name, selector)| {
        let values: Vec<Option<String>> = rows.iter().map(|row| value(row, &selector)).collect();
        let present = values.iter().flatten().count();
        let distinct = values.iter().flatten().collect::<HashSet<_>>().len();
        // What is the same in every row says nothing.
        let says = present * 2 >= rows.len() && distinct > 1;
        says.then(|| Column::of(&name, selector, values))?
    });
    let mut columns = settled(columns.collect(), &[]);
    columns.truncate(COLUMNS);
    columns
}

/// What is named in the element after a row, where each thing of a list has two: a title, and what is said of it.
fn of_second(row: &Element, rows: &[Element]) -> Vec<(String, String)> {
    let children = row.parent().map(|parent| parent.children());
    let children = children.unwrap_or_default();
    let at = children.iter().position(|child| child == row);
    let second = at.and_then(|at| children.get(at + 1));
    let Some(second) =
        second.filter(|second| second.name() == row.name() && !rows.contains(second))
    else {
        return Vec::new();
    };
    let named = leaves(second).into_iter().filter_map(|leaf| {
        let class = leaf.classes().find(|class| is_stable(class))?.to_owned();
        let tag = leaf.name();
        let is_it = format!("contains(concat(' ', normalize-space(@class), ' '), ' {class} ')");
        let selector = format!("xpath:following-sibling::*[1]//{tag}[{is_it}]");
        Some((class, selector))
    });
    named.collect()
}

/// The headings over the columns of a table.
fn headings(rows: &[Element]) -> Vec<String> {
    let mut above = rows.first().and_then(Element::parent);
    while let Some(element) = above {
        if element.name() == "table" {
            let cells = element.css("tr:first-child th").unwrap_or_default();
            return cells.iter().map(Element::text).collect();
        }
        above = element.parent();
    }
    Vec::new()
}

/// Names and selectors of what an element of a row holds.
pub(super) fn sources(row: &Element, leaf: &Element, headings: &[String]) -> Vec<(String, String)> {
    let Some((name, selector)) = within(row, leaf, headings) else {
        return Vec::new();
    };
    let with = |attribute: &str| format!("{selector}::attr({attribute})");
    let has_text = !leaf.text().is_empty();
    let mut all = Vec::new();
    match leaf.name() {
        "a" => {
            if has_text {
                all.push((name, selector.clone()));
            }
            all.push(("url".to_owned(), with("href")));
        }
        "img" => all.push(("image".to_owned(), with("src"))),
        "time" if leaf.attr("datetime").is_some() => all.push((name, with("datetime"))),
        "meta" => all.push((name, with("content"))),
        _ => {
            if let Some(attribute) = ["data-price", "data-n"]
                .into_iter()
                .find(|attribute| leaf.attr(attribute).is_some())
            {
                all.push((name.clone(), with(attribute)));
            }
            if has_text && all.is_empty() {
                all.push((name, selector));
            }
        }
    }
    all
}

/// A selector that finds an element first within a row, and what it may be called.
pub(super) fn within(
    row: &Element,
    leaf: &Element,
    headings: &[String],
) -> Option<(String, String)> {
    let finds = |selector: &str| {
        row.css(selector)
            .is_ok_and(|found| found.first() == Some(leaf))
    };
    let tag = leaf.name();
    let heading = cell_of(row, leaf).and_then(|at| headings.get(at));
    let heading = heading.and_then(|heading| heading_name(heading));
    if let Some(property) = leaf.attr("itemprop").filter(|name| is_stable(name)) {
        let selector = format!("[itemprop={property}]");
        if finds(&selector) {
            return Some((property.to_owned(), selector));
        }
    }
    if matches!(tag, "td" | "th") {
        let at = cell_of(row, leaf)?;
        let by_class = leaf.classes().find(|class| is_stable(class));
        let name = heading.or_else(|| by_class.map(str::to_owned));
        let name = name.unwrap_or_else(|| format!("column_{}", at + 1));
        if let Some(class) = by_class.map(|class| format!("{tag}.{class}"))
            && finds(&class)
        {
            return Some((name, class));
        }
        let selector = format!("{tag}:nth-child({})", at + 1);
        return finds(&selector).then_some((name, selector));
    }
    for class in leaf.classes().filter(|class| is_stable(class)) {
        let selector = format!("{tag}.{class}");
        // Words that say how it is made, and not what it is.
        if !matches!(class, "url" | "link" | "href" | "fn" | "n") && finds(&selector) {
            return Some((class.to_owned(), selector));
        }
    }
    let is_of_cell = heading.is_some();
    let name = heading.unwrap_or_else(|| called(tag).to_owned());
    if finds(tag) {
        return Some((name, tag.to_owned()));
    }
    let parent = leaf.parent().filter(|parent| parent != row)?;
    if is_of_cell && let Some(at) = cell_of(row, leaf) {
        let selector = format!("td:nth-child({}) {tag}", at + 1);
        if finds(&selector) {
            return Some((name, selector));
        }
    }
    for above in names(&parent) {
        let selector = format!("{above} > {tag}");
        if finds(&selector) {
            let class = parent.classes().find(|class| is_stable(class));
            return Some((class.map_or(name, str::to_owned), selector));
        }
    }
    None
}

/// What the text of a tag mostly is.
fn called(tag: &str) -> &str {
    match tag {
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "a" | "strong" | "b" => "title",
        "time" => "date",
        "dt" => "term",
        "dd" => "meaning",
        "p" => "text",
        tag => tag,
    }
}

/// In which cell of a row of a table something stands.
pub(super) fn cell_of(row: &Element, leaf: &Element) -> Option<usize> {
    if row.name() != "tr" {
        return None;
    }
    let cells = row.children();
    let mut within = Some(leaf.clone());
    while let Some(element) = within {
        if let Some(at) = cells.iter().position(|cell| *cell == element) {
            return Some(at);
        }
        within = element.parent();
    }
    None
}

/// What a heading calls its column; none if that is no word.
fn heading_name(heading: &str) -> Option<String> {
    match heading.trim() {
        "#" | "№" => Some("number".to_owned()),
        heading => heading
            .contains(char::is_alphabetic)
            .then(|| heading.to_owned()),
    }
}
