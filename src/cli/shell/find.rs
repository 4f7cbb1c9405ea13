//! `find TEXT`: selectors of what has a text.

use std::collections::HashSet;

use serde_json::Value;

use crate::page::{Element, Page};

/// A selector that finds the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) selector: String,
    /// How many it finds in all.
    pub(super) matches: usize,
    /// The text of the first that has it.
    pub(super) sample: String,
}

/// Places that selectors are made for.
const PLACES: usize = 8;
/// Proposals that are shown.
const MOST: usize = 12;
/// Characters of a sample.
const SAMPLE: usize = 60;

/// Selectors of what has the text, those that find it alone first.
pub(super) fn proposals(page: &Page, text: &str) -> Vec<Proposal> {
    let mut all = Vec::new();
    if let Ok(value) = page.json::<Value>() {
        paths(&value, text, &mut "json:$".to_owned(), &mut all);
    } else {
        for element in holders(page, text) {
            for selector in selectors(&element, text) {
                all.push(selector);
            }
        }
        for (kind, thing) in described(page) {
            let mut found = Vec::new();
            paths(&thing, text, &mut "json:$".to_owned(), &mut found);
            all.extend(found.into_iter().map(|path| format!("ld:{kind} >> {path}")));
        }
    }
    let mut known = HashSet::new();
    all.retain(|selector| known.insert(selector.clone()));
    let mut proposals: Vec<Proposal> = all
        .into_iter()
        .filter_map(|selector| proposal(page, selector, text))
        .collect();
    let rank = |proposal: &Proposal| {
        let selector = &proposal.selector;
        // A tag alone finds it today; a place in a list finds the first of many.
        let is_bare = !selector.contains(['.', '#', '[', '"']) && selector != "h1";
        let is_place = !selector.contains("[*]");
        let has_more = proposal.sample.len() > 2 * text.len();
        (
            proposal.matches,
            is_bare,
            has_more,
            selector.len(),
            is_place,
        )
    };
    proposals.sort_by_key(rank);
    proposals.truncate(MOST);
    proposals
}

/// A selector with what it finds, if the text is among that.
fn proposal(page: &Page, selector: String, text: &str) -> Option<Proposal> {
    let found: Vec<String> = page.get(&selector).ok()?;
    let sample = found.iter().find(|found| found.contains(text))?;
    let sample: String = sample.chars().take(SAMPLE).collect();
    Some(Proposal {
        selector,
        matches: found.len(),
        sample,
    })
}

/// The innermost elements that have the text, within or in an attribute.
fn holders(page: &Page, text: &str) -> Vec<Element> {
    let mut found = Vec::new();
    let mut open = vec![page.root()];
    while let Some(element) = open.pop() {
        if matches!(element.name(), "script" | "style") {
            continue;
        }
        let children = element.children();
        let is_within = children.iter().any(|child| child.text().contains(text));
        let has_attribute = element.attrs().any(|(_, value)| value.contains(text));
        if has_attribute || !is_within && element.text().contains(text) {
            found.push(element.clone());
            if found.len() >= PLACES {
                break;
            }
        }
        open.extend(children.into_iter().rev());
    }
    found
}

/// Ways to say which element is meant, and what of it.
fn selectors(element: &Element, text: &str) -> Vec<String> {
    let mut takes: Vec<String> = element
        .attrs()
        .filter(|(name, value)| value.contains(text) && !matches!(*name, "class" | "id" | "style"))
        .map(|(name, _)| format!("::attr({name})"))
        .collect();
    if element.text().contains(text) {
        takes.push(String::new());
    }
    let mut own = names(element);
    own.extend(by_neighbour(element));
    let mut above = element.parent();
    let mut nested = Vec::new();
    for _ in 0..3 {
        let Some(parent) = above else { break };
        for outer in names(&parent)
            .into_iter()
            .filter(|name| name.contains(['.', '#']) && parent.name() != "body")
        {
            for own in names(element) {
                nested.push(format!("{outer} {own}"));
            }
        }
        above = parent.parent();
    }
    own.extend(nested);
    let with = |own: &String| {
        takes
            .iter()
            .map(|take| format!("{own}{take}"))
            .collect::<Vec<_>>()
    };
    own.iter().flat_map(with).collect()
}

/// An element by its id, property, classes and tag.
fn names(element: &Element) -> Vec<String> {
    let tag = element.name();
    let plain = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let id = element.attr("id").filter(plain).map(|id| format!("#{id}"));
    let property = element.attr("itemprop").filter(plain);
    let property = property.map(|name| format!("[itemprop={name}]"));
    let classes = element.classes().filter(plain);
    let classes: Vec<String> = classes.map(|class| format!("{tag}.{class}")).collect();
    let mut all: Vec<String> = id.into_iter().chain(property).chain(classes).collect();
    all.push(tag.to_owned());
    all
}

/// A cell by the heading before it.
fn by_neighbour(element: &Element) -> Option<String> {
    let head = match element.name() {
        "td" => "th",
        "dd" => "dt",
        _ => return None,
    };
    let siblings = element.parent()?.children();
    let at = siblings.iter().position(|sibling| sibling == element)?;
    let before = siblings.get(at.checked_sub(1)?)?;
    let text = before.text();
    let fits = before.name() == head && !text.is_empty() && !text.contains(['"', '\\']);
    fits.then(|| format!("{head}:contains(\"{text}\") + {}", element.name()))
}

/// Paths to values that have the text: as they are, and with `*` for places in lists.
fn paths(value: &Value, text: &str, path: &mut String, found: &mut Vec<String>) {
    if found.len() >= PLACES {
        return;
    }
    let length = path.len();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let plain = !key.is_empty()
                    && key
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                    && !key.starts_with(|c: char| c.is_ascii_digit());
                if plain {
                    path.extend([".", key]);
                } else {
                    path.extend(["[", &Value::from(key.as_str()).to_string(), "]"]);
                }
                paths(value, text, path, found);
                path.truncate(length);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                path.extend(["[", &at.to_string(), "]"]);
                paths(value, text, path, found);
                path.truncate(length);
            }
        }
        Value::String(string) if string.contains(text) => add(path, found),
        Value::Number(number) if number.to_string() == text => add(path, found),
        _ => {}
    }
}

fn add(path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    let mut general = String::new();
    for part in path.split_inclusive(']') {
        match part.rsplit_once('[') {
            Some((before, index))
                if index
                    .trim_end_matches(']')
                    .bytes()
                    .all(|b| b.is_ascii_digit()) =>
            {
                general.extend([before, "[*]"]);
            }
            _ => general.push_str(part),
        }
    }
    found.push(general);
}

/// Things that the page's JSON-LD describes, with their types.
pub(super) fn described(page: &Page) -> Vec<(String, Value)> {
    let scripts: Vec<String> = page
        .get("script[type='application/ld+json']::text")
        .unwrap_or_default();
    let mut kinds = Vec::new();
    for script in &scripts {
        for part in script.split("\"@type\"").skip(1) {
            let kind = part.split('"').nth(1).unwrap_or_default();
            let is_name = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_name && !kinds.iter().any(|known| known == kind) {
                kinds.push(kind.to_owned());
            }
        }
    }
    let things = kinds.into_iter().flat_map(|kind| {
        let things: Vec<Value> = page.json_ld(&kind).unwrap_or_default();
        things
            .into_iter()
            .take(1)
            .map(move |thing| (kind.clone(), thing))
            .collect::<Vec<_>>()
    });
    things.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &Page, text: &str, expected: &[(&str, usize)]) {
        let found = proposals(page, text);
        let found: Vec<(&str, usize)> = found
            .iter()
            .map(|proposal| (proposal.selector.as_str(), proposal.matches))
            .take(expected.len().max(1))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn in_html() {
        let html = r#"<div id=top><p class=price>£51.77</p><p class=old>£60</p></div>
            <table><tr><th>UPC</th><td>a1</td></tr><tr><th>Tax</th><td>£2</td></tr></table>
            <p class=stars data-n=4>four</p><a class=next href="/page/2">more</a>
            <script type="application/ld+json">{"@type": "Product", "sku": "x77", "offers": {"price": "51.77"}}</script>"#;
        let page = Page::from_html("http://e.x/", html).unwrap();
        check(
            &page,
            "51.77",
            &[
                ("p.price", 1),
                ("#top p.price", 1),
                ("ld:Product >> json:$.offers.price", 1),
            ],
        );
        check(&page, "a1", &[("th:contains(\"UPC\") + td", 1), ("td", 2)]);
        check(&page, "4", &[("p.stars::attr(data-n)", 1)]);
        let html = "<body class=page><title>Silk | Shop</title><ul><li class=active>Silk</ul><h1>Silk</h1>";
        let page_of_one = Page::from_html("http://e.x/", html).unwrap();
        check(
            &page_of_one,
            "Silk",
            &[("h1", 1), ("li.active", 1), ("li", 1)],
        );
        check(
            &page,
            "/page/2",
            &[("a.next::attr(href)", 1), ("a::attr(href)", 1)],
        );
        check(&page, "x77", &[("ld:Product >> json:$.sku", 1)]);
        check(&page, "nowhere", &[]);
    }

    #[test]
    fn in_json() {
        let json = serde_json::json!({"books": [{"title": "Silk"}, {"title": "Weaving", "pages": 77}], "a b": "x"});
        let page = Page::from_json("http://e.x/", &json).unwrap();
        check(
            &page,
            "Weav",
            &[("json:$.books[1].title", 1), ("json:$.books[*].title", 2)],
        );
        check(
            &page,
            "77",
            &[("json:$.books[*].pages", 1), ("json:$.books[1].pages", 1)],
        );
        check(&page, "x", &[("json:$[\"a b\"]", 1)]);
    }
}
