//! Microdata: `itemscope`, `itemtype` and `itemprop`, as objects.

use scraper::ElementRef;
use serde_json::{Map, Value};

use crate::page::{Page, dom};

/// How deeply things may be nested in things.
const MAX_DEPTH: usize = 32;

/// The things of a type, wherever they stand, in document order; those that are properties of others too.
pub(in crate::page) fn things(page: &Page, kind: &str) -> Vec<Value> {
    let nodes = page.html().tree.root().descendants();
    let elements = nodes.filter_map(ElementRef::wrap);
    let wanted = elements.filter(|element| {
        page.effort().look(1);
        is_thing(*element) && is_kind(*element, kind)
    });
    wanted.map(|element| thing(page, element, 0)).collect()
}

fn is_thing(element: ElementRef<'_>) -> bool {
    element.attr("itemscope").is_some()
}

fn is_kind(element: ElementRef<'_>, kind: &str) -> bool {
    let kinds = element.attr("itemtype").unwrap_or_default();
    let mut kinds = kinds.split_ascii_whitespace();
    kinds.any(|own| own.trim_end_matches('/').rsplit(['/', '#', ':']).next() == Some(kind))
}

fn thing(page: &Page, element: ElementRef<'_>, depth: usize) -> Value {
    let mut fields = Map::new();
    if let Some(kind) = element.attr("itemtype") {
        fields.insert("@type".to_owned(), kind.trim().into());
    }
    if let Some(id) = element.attr("itemid") {
        fields.insert("@id".to_owned(), absolute(page, id).into());
    }
    if depth < MAX_DEPTH {
        properties(page, element, depth, &mut fields);
    }
    fields.into()
}

/// The properties that stand within an element, those of things within it left out.
fn properties(page: &Page, within: ElementRef<'_>, depth: usize, fields: &mut Map<String, Value>) {
    let mut open: Vec<ElementRef<'_>> = within.child_elements().collect();
    open.reverse();
    while let Some(element) = open.pop() {
        if !page.effort().look(1) {
            return;
        }
        if let Some(names) = element.attr("itemprop") {
            let value = if is_thing(element) {
                thing(page, element, depth + 1)
            } else {
                value(page, element)
            };
            for name in names.split_ascii_whitespace() {
                add(fields, name, value.clone());
            }
        }
        if !is_thing(element) {
            let mut children: Vec<ElementRef<'_>> = element.child_elements().collect();
            children.reverse();
            open.extend(children);
        }
    }
}

fn add(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match fields.get_mut(name) {
        None => {
            fields.insert(name.to_owned(), value);
        }
        Some(Value::Array(all)) => all.push(value),
        Some(first) => {
            let all = vec![first.take(), value];
            *first = Value::Array(all);
        }
    }
}

/// A property's value, as the HTML standard has it.
fn value(page: &Page, element: ElementRef<'_>) -> Value {
    let attribute = |name: &str| element.attr(name).unwrap_or_default().trim().to_owned();
    let text = match element.value().name() {
        "meta" => attribute("content"),
        "audio" | "embed" | "iframe" | "img" | "source" | "track" | "video" => {
            absolute(page, &attribute("src"))
        }
        "a" | "area" | "link" => absolute(page, &attribute("href")),
        "object" => absolute(page, &attribute("data")),
        "data" | "meter" => attribute("value"),
        "time" if element.attr("datetime").is_some() => attribute("datetime"),
        // Not of the standard, but on many pages.
        _ if element.attr("content").is_some() => attribute("content"),
        _ => dom::text(element, page.effort()).into_owned(),
    };
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

fn absolute(page: &Page, link: &str) -> String {
    if link.is_empty() {
        return String::new();
    }
    page.resolve(link)
        .map_or_else(|_| link.to_owned(), String::from)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[derive(Item)]
    struct Product {
        #[json("name")]
        name: String,
        #[json("offers.price")]
        price: f64,
        #[json("image[*]")]
        images: Vec<Url>,
    }

    #[test]
    fn things_are_objects() {
        let html = r#"<div itemscope itemtype="https://schema.org/Product"><h1 itemprop="name">Silk</h1>
            <img itemprop=image src=/a.png><a itemprop=image href=/b.png>b</a>
            <div itemprop=offers itemscope itemtype="http://schema.org/Offer"><meta itemprop=price content=5.5>
            <span itemprop=name>not the product's</span></div>
            <time itemprop="released date" datetime=2020-01-01>then</time></div>
            <div itemscope itemtype="https://schema.org/ProductGroup"><b itemprop=name>x</b></div>"#;
        let page = Page::from_html("http://e.x/", html).unwrap();
        let products: Vec<Product> = page.items("micro:Product").unwrap();
        assert_eq!(products.len(), 1);
        assert_eq!(
            (products[0].name.as_str(), products[0].price),
            ("Silk", 5.5)
        );
        assert_eq!(products[0].images[1].as_str(), "http://e.x/b.png");
        assert_eq!(
            page.get::<String>("micro:Product >> json:date").unwrap(),
            "2020-01-01"
        );
        assert_eq!(
            page.get::<Vec<f64>>("micro:Offer >> json:price").unwrap(),
            [5.5]
        );
        assert!(page.get::<Vec<String>>("micro:Person").unwrap().is_empty());
    }
}
