//! Which elements of a page are its list.

use std::collections::{BTreeMap, HashSet};

use super::fields::leaves;
use super::{FEWEST, LOOKED_AT, ROWS, is_stable};
use crate::page::{Element, Page};

/// Groups of alike elements that are tried, the best first.
const TRIED: usize = 8;
/// Tags that say nothing about what stands in them.
const PLAIN: [&str; 6] = ["div", "li", "section", "span", "dt", "a"];

/// Alike elements side by side.
pub(super) struct List {
    pub(super) selector: String,
    pub(super) rows: Vec<Element>,
}

pub(super) fn find(page: &Page) -> Option<List> {
    let mut groups: Vec<(f64, Vec<Element>)> = Vec::new();
    let mut open = page.css("body").ok()?;
    let mut looked_at = 0;
    while let Some(element) = open.pop() {
        looked_at += 1;
        if looked_at > LOOKED_AT {
            break;
        }
        let children = element.children();
        let scored = alike(&children)
            .into_iter()
            .map(|rows| (score(&rows), rows));
        groups.extend(scored.filter(|(score, _)| *score > 0.0));
        open.extend(children);
    }
    groups.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let best = groups.first()?.0;
    // Those of which no selector tells all are passed over, as long as the next best is not another thing.
    groups
        .into_iter()
        .take(TRIED)
        .filter(|(score, _)| *score * 10.0 > best)
        .find_map(|(_, rows)| {
            let selector = selector_of(page, &rows)?;
            let rows = page.css(&selector).ok()?;
            Some(List { selector, rows })
        })
}

/// Children of one kind, if there are enough: of the same classes, or that share one.
fn alike(children: &[Element]) -> Vec<Vec<Element>> {
    let mut groups: BTreeMap<String, Vec<Element>> = BTreeMap::new();
    for child in children {
        let name = child.name();
        if matches!(
            name,
            "script" | "style" | "br" | "hr" | "option" | "link" | "meta" | "path" | "p"
        ) {
            continue;
        }
        // A heading of a table is no row.
        if name == "tr" && child.css("td").is_ok_and(|cells| cells.is_empty()) {
            continue;
        }
        let mut classes: Vec<&str> = child.classes().filter(|class| is_stable(class)).collect();
        classes.sort_unstable();
        let mut add = |key| {
            let group: &mut Vec<Element> = groups.entry(key).or_default();
            group.push(child.clone());
        };
        add(format!("{name}.{}", classes.join(".")));
        if classes.len() > 1 {
            for class in &classes {
                add(format!("{name}.{class}"));
            }
        }
    }
    groups
        .into_values()
        .filter(|rows| rows.len() >= FEWEST)
        .collect()
}

/// How much of a list it is: much text that differs, in rows that have an inside.
fn score(rows: &[Element]) -> f64 {
    let sample: Vec<&Element> = rows.iter().take(ROWS).collect();
    let texts: Vec<String> = sample.iter().map(|row| row.text()).collect();
    let distinct = texts.iter().collect::<HashSet<_>>().len() as f64 / texts.len() as f64;
    let length: usize = texts.iter().map(|text| text.chars().count().min(200)).sum();
    let inside: usize = sample.iter().map(|row| leaves(row).len().min(8)).sum();
    let inside = inside as f64 / sample.len() as f64;
    if inside < 1.0 || length < rows.len() {
        return 0.0;
    }
    let is_less = rows.first().is_some_and(is_aside) || are_lists(&sample);
    let weight = if is_less { 0.05 } else { 1.0 };
    length as f64 * distinct * inside * weight
}

/// Whether something is of what stands around a page's own things.
fn is_aside(element: &Element) -> bool {
    let mut above = element.parent();
    while let Some(element) = above {
        let has_word = |class: &str| {
            let class = class.to_ascii_lowercase();
            ["nav", "menu", "sidebar", "footer", "breadcrumb", "pag"]
                .iter()
                .any(|word| class.contains(word))
        };
        if ["nav", "header", "footer", "aside"].contains(&element.name())
            || element.classes().any(has_word)
        {
            return true;
        }
        above = element.parent();
    }
    false
}

/// Whether rows are lists themselves, each of other length: of sections, say.
fn are_lists(rows: &[&Element]) -> bool {
    let lengths = rows.iter().map(|row| {
        let children = row.children();
        let first = children.first().filter(|first| first.name() != "td");
        let is_alike = first.is_some_and(|first| {
            let mut others = children.iter();
            others.all(|other| other.name() == first.name())
        });
        if is_alike { children.len() } else { 0 }
    });
    let lengths: Vec<usize> = lengths.collect();
    let (least, most) = (lengths.iter().min(), lengths.iter().max());
    let are_alike = lengths.iter().filter(|length| **length > 0).count() * 5 >= rows.len() * 4;
    are_alike && most >= Some(&FEWEST) && least != most
}

/// A selector of these elements, and of others at most that are alike.
pub(super) fn selector_of(page: &Page, rows: &[Element]) -> Option<String> {
    let first = rows.first()?;
    let mut own: Vec<String> = first
        .classes()
        .filter(|class| is_stable(class))
        .map(|class| format!("{}.{class}", first.name()))
        .collect();
    own.push(first.name().to_owned());
    if first.name() == "tr" {
        own = own
            .into_iter()
            .map(|own| format!("{own}:has(td)"))
            .collect();
    }
    let is_plain = |own: &&String| PLAIN.contains(&own.as_str());
    let mut candidates: Vec<String> = own.iter().filter(|own| !is_plain(own)).cloned().collect();
    let mut above = first.parent();
    let mut path = String::new();
    while let Some(element) = above {
        for name in names(&element) {
            candidates.extend(own.iter().map(|own| format!("{name}{path} > {own}")));
        }
        path = format!(" > {}{path}", element.name());
        above = element.parent();
    }
    candidates.extend(own.into_iter().filter(|own| is_plain(&own)));
    let parent = first.parent()?;
    let is_alike = |found: &Element| {
        let is_like = |other: Element| {
            other.name() == parent.name() && other.attr("class") == parent.attr("class")
        };
        let is_own = found.parent().as_ref() == Some(&parent);
        if is_own {
            rows.contains(found)
        } else {
            found.parent().is_some_and(is_like) && !is_aside(found)
        }
    };
    // Alike rows of a second list are no harm; to miss some would be, and so would be other things.
    let mut alike = None;
    for candidate in candidates {
        let found = page.css(&candidate).ok()?;
        if found == rows {
            return Some(candidate);
        }
        let has_all = || rows.iter().take(ROWS).all(|row| found.contains(row));
        if alike.is_none() && found.len() > rows.len() && found.iter().all(is_alike) && has_all() {
            alike = Some(candidate);
        }
    }
    alike
}

/// How an element may be called: by its id, its classes, its tag.
pub(super) fn names(element: &Element) -> Vec<String> {
    let tag = element.name();
    let id = element.attr("id").filter(|id| is_stable(id));
    let id = id.map(|id| format!("{tag}#{id}"));
    let classes = element.classes().filter(|class| is_stable(class));
    let classes = classes.map(|class| format!("{tag}.{class}"));
    id.into_iter()
        .chain(classes)
        .chain([tag.to_owned()])
        .collect()
}
