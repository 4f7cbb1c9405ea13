//! The nearest thing on a page to a selector that matches nothing: a name that is spelt otherwise, an
//! attribute or a key that is there instead, or a part of the selector that does match.

use std::collections::BTreeSet;

use nephila_notation::{Css, plain_css};
use scraper::ElementRef;
use serde_json::Value;

use super::Selector;
use super::found::{Found, Place, Scope};
use super::matching::Matches;
use crate::settings::closest;

/// Names that are listed where none is near.
const LISTED: usize = 6;

/// What is nearest, in words.
pub(super) fn nearest(scope: Scope<'_>, source: &str) -> Option<String> {
    if let Some(said) = key(scope, source) {
        return Some(said);
    }
    let css = plain_css(source)?;
    let within = scope.element()?;
    let count = |form: &str| {
        let css = Css::parse(form).ok()?;
        let count = Matches::new(within, &css, scope.page.effort()).count();
        (count > 0).then_some(count)
    };
    if count(css).is_some() {
        return attribute(scope, css);
    }
    let respelt = respelt(scope, within, css);
    let of_respelt = respelt.as_deref().map(weaker).unwrap_or_default();
    let forms = respelt.iter().cloned().chain(of_respelt).chain(weaker(css));
    let mut found = forms.filter_map(|form| Some((count(&form)?, form)));
    found
        .next()
        .map(|(count, form)| format!("`{form}` matches {count}"))
}

/// The attributes of an element that lacks the one which is wanted.
fn attribute(scope: Scope<'_>, css: &str) -> Option<String> {
    let parsed = Css::parse(css).ok()?;
    let element = Matches::new(scope.element()?, &parsed, scope.page.effort()).next()?;
    let names: Vec<&str> = element
        .value()
        .attrs()
        .map(|(name, _)| name)
        .take(LISTED)
        .collect();
    let has = if names.is_empty() {
        "no attribute".to_owned()
    } else {
        names.join(", ")
    };
    Some(format!("`{css}` has {has}"))
}

/// A selector of JSON: the keys that are there in place of the last.
fn key(scope: Scope<'_>, source: &str) -> Option<String> {
    let (before, path) = source.rsplit_once("json:")?;
    let path = path.trim();
    let (parent, name) = path.rsplit_once('.').unwrap_or(("$", path));
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(is_plain) {
        return None;
    }
    let parent = Selector::parse(&format!("{before}json:{parent}")).ok()?;
    let place = Found::new(scope, &parent).places().next()?;
    let Place::Json(Value::Object(object)) = place else {
        return None;
    };
    let keys = object.keys().map(String::as_str);
    match closest(name, keys.clone()) {
        // It is there, and null.
        Some(key) if key == name => None,
        Some(key) => Some(format!("there is `{key}`")),
        None => {
            let keys: Vec<&str> = keys.take(LISTED).collect();
            (!keys.is_empty()).then(|| format!("there are {}", keys.join(", ")))
        }
    }
}

/// Names of classes, ids and elements within an element.
#[derive(Default)]
struct Names<'a> {
    classes: BTreeSet<&'a str>,
    ids: BTreeSet<&'a str>,
    tags: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn within(scope: Scope<'_>, within: ElementRef<'a>) -> Self {
        let mut names = Self::default();
        let elements = within.descendants().filter_map(ElementRef::wrap);
        for element in elements.take_while(|_| scope.page.effort().look(1)) {
            names.classes.extend(element.value().classes());
            names.ids.extend(element.value().id());
            names.tags.insert(element.value().name());
        }
        names
    }
}

/// The selector with names of the page in place of those that it does not have.
fn respelt(scope: Scope<'_>, within: ElementRef<'_>, css: &str) -> Option<String> {
    if css.contains(['"', '\'']) {
        return None;
    }
    let names = Names::within(scope, within);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let (mut form, mut rest, mut before) = (String::new(), css, ' ');
    let mut in_brackets = 0_u32;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            match c {
                '[' | '(' => in_brackets += 1,
                ']' | ')' => in_brackets = in_brackets.saturating_sub(1),
                _ => {}
            }
            form.push(c);
            rest = &rest[c.len_utf8()..];
            before = c;
            continue;
        }
        let name = &rest[..end];
        let known = match before {
            _ if in_brackets > 0 => None,
            '.' => Some(&names.classes),
            '#' => Some(&names.ids),
            ':' => None,
            _ => Some(&names.tags),
        };
        let near = known
            // Of one letter every other is near.
            .filter(|known| name.len() > 1 && !known.contains(name))
            .and_then(|known| closest(name, known.iter().copied()));
        form.push_str(near.unwrap_or(name));
        rest = &rest[end..];
        before = ' ';
    }
    (form != css).then_some(form)
}

/// Weaker forms of CSS, nearest first.
fn weaker(css: &str) -> Vec<String> {
    let cuts = css
        .char_indices()
        .filter(|&(at, c)| at > 0 && matches!(c, '.' | '#' | '[' | ':'));
    let mut forms: Vec<_> = cuts
        .map(|(at, _)| css[..at].trim_end().to_owned())
        .collect();
    forms.reverse();
    if let Some((_, last)) = css.rsplit_once([' ', '>']) {
        forms.push(last.to_owned());
    }
    forms.retain(|form| !form.is_empty() && form != css && !form.ends_with(['>', '+', '~', ',']));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Page;

    #[test]
    fn in_html() {
        let html = "<div id=main class=a><h1>x</h1><p class='price price_color' data-n=3>£1</p><b>y</b></div>";
        let page = Page::from_html("http://e.x/", html).unwrap();
        let check = |selector: &str, expected: Option<&str>| {
            let found = nearest(Scope::page(&page), selector);
            assert_eq!(found.as_deref(), expected, "{selector}");
        };
        check("p.prise", Some("`p.price` matches 1"));
        check("p.color::text", Some("`p.price_color` matches 1"));
        check("#mian .prices", Some("`#main .price` matches 1"));
        check("div > hl.top", Some("`div > h1` matches 1"));
        check("h1.titel", Some("`h1` matches 1"));
        check("p.price::attr(data-m)", Some("`p.price` has class, data-n"));
        check("b::attr(title)", Some("`b` has no attribute"));
        check("p:not(.price)", Some("`p` matches 1"));
        check("article", None);
        check("u", None);
        check("xpath://p.a", None);
    }

    #[test]
    fn in_json() {
        let json = serde_json::json!({"books": [{"title": "Silk", "price": null, "id": 1}]});
        let page = Page::from_json("http://e.x/", &json).unwrap();
        let check = |selector: &str, expected: Option<&str>| {
            let found = nearest(Scope::page(&page), selector);
            assert_eq!(found.as_deref(), expected, "{selector}");
        };
        check("json:bokks", Some("there is `books`"));
        check("json:$.books[*].titel", Some("there is `title`"));
        check("json:$.books[0].author", Some("there are title, price, id"));
        check("json:$.books[0].price", None);
        check("json:$.nothing.at", None);
    }

    #[test]
    fn weaker_forms() {
        assert_eq!(weaker("div.a p.b"), ["div.a p", "div", "p.b"]);
        assert_eq!(weaker("h1"), Vec::<String>::new());
    }
}
