//! JSON on a page: the page itself, or what stands in scripts, attributes and texts. Each is read once.

use std::cell::OnceCell;
use std::hash::{DefaultHasher, Hash, Hasher};

use scraper::ElementRef;
use serde_json::Value;

use super::structured::bare;
use super::{Page, records};

/// JSON values that were read from a page, by what they were read from. They stay where they are, so
/// they can be lent out while more are added: a binary trie over the hash of what they were read from.
#[derive(Default)]
pub(super) struct Documents(OnceCell<Box<Slot>>);

struct Slot {
    key: u64,
    value: Option<Value>,
    sides: [OnceCell<Box<Slot>>; 2],
}

impl Documents {
    fn get(&self, key: &impl Hash, read: impl Fn() -> Option<Value>) -> Option<&Value> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = hasher.finish();
        let (mut cell, mut bits) = (&self.0, key);
        loop {
            let slot = cell.get_or_init(|| {
                let (value, sides) = (read(), Default::default());
                Box::new(Slot { key, value, sides })
            });
            if slot.key == key {
                return slot.value.as_ref();
            }
            cell = &slot.sides[(bits & 1) as usize];
            bits >>= 1;
        }
    }
}

/// The page's body; what is wrong with it is left on the page.
pub(super) fn of_page(page: &Page) -> Option<&Value> {
    page.documents().get(&"page", || {
        if !page.may_keep_json(page.text()) {
            return None;
        }
        let read = serde_json::from_str(page.text());
        read.map_err(|error| page.complain(format!("the page is no JSON: {error}")))
            .ok()
    })
}

/// The JSON in an element's text.
pub(super) fn of_element<'a>(page: &'a Page, element: ElementRef<'a>) -> Option<&'a Value> {
    page.documents().get(&element.id(), || {
        let text: String = element.text().collect();
        page.may_keep_json(&text).then(|| largest(&text))?
    })
}

/// The JSON in a text.
pub(super) fn of_text<'a>(page: &'a Page, text: &str) -> Option<&'a Value> {
    page.documents().get(&("text", text), || {
        page.may_keep_json(text).then(|| largest(text))?
    })
}

/// Things of a type in the page's JSON-LD.
pub(super) fn json_ld<'a>(page: &'a Page, kind: &str) -> &'a [Value] {
    let things = page
        .documents()
        .get(&("ld", kind), || Some(page.things(kind).0.into()));
    things
        .and_then(Value::as_array)
        .map_or(&[], |things| things)
}

/// Things of a type in the page's microdata.
pub(super) fn micro<'a>(page: &'a Page, kind: &str) -> &'a [Value] {
    listed(page, &("micro", kind), || {
        Ok(records::micro::things(page, kind))
    })
}

/// The entries of a feed.
pub(super) fn feed(page: &Page) -> &[Value] {
    listed(page, &"feed", || records::feed::entries(page))
}

/// Elements of a name in XML.
pub(super) fn xml<'a>(page: &'a Page, name: &str) -> &'a [Value] {
    listed(page, &("xml", name), || records::xml::all(page, name))
}

/// The rows of a text with separated values.
pub(super) fn csv(page: &Page) -> &[Value] {
    listed(page, &"csv", || records::csv::rows(page))
}

/// The rows of a table.
pub(super) fn table<'a>(page: &'a Page, table: ElementRef<'a>) -> &'a [Value] {
    listed(page, &("table", table.id()), || {
        Ok(super::table::records(page, table))
    })
}

/// Values that are read once; what is wrong with them is left on the page.
fn listed<'a>(
    page: &'a Page,
    key: &impl Hash,
    read: impl Fn() -> Result<Vec<Value>, String>,
) -> &'a [Value] {
    let values = page.documents().get(key, || match read() {
        Ok(values) => Some(values.into()),
        Err(why) => {
            page.complain(why);
            None
        }
    });
    values
        .and_then(Value::as_array)
        .map_or(&[], |values| values)
}

/// Beginnings of lists and objects in a script that turned out to be none.
const FALSE_STARTS: u32 = 16;

/// A text that is JSON, or the longest list or object that stands in it: of `window.data = {..};` what
/// is assigned. The work is a small multiple of the text's length.
fn largest(text: &str) -> Option<Value> {
    let text = bare(text);
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let (mut best, mut longest, mut wrong, mut at) = (None, 2, 0, 0);
    while wrong < FALSE_STARTS
        && let Some(start) = memchr::memchr2(b'{', b'[', &text.as_bytes()[at..])
    {
        at += start;
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        if let Some(Ok(value)) = values.next() {
            let length = values.byte_offset();
            if length > longest {
                (best, longest) = (Some(value), length);
            }
            at += length;
        } else {
            wrong += 1;
            at += 1;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_scripts() {
        let check = |text: &str, expected: Option<&str>| {
            let value = largest(text).map(|value| value.to_string());
            assert_eq!(value.as_deref(), expected, "{text}");
        };
        check(r#"{"a":1}"#, Some(r#"{"a":1}"#));
        check("<!--\n[1]\n-->", Some("[1]"));
        check(
            r#"var x = [], y = {"a":[1,2]}; f({});"#,
            Some(r#"{"a":[1,2]}"#),
        );
        check(
            r#"if (a[0]) { b = {c: 1}; } d = {"e": "}"};"#,
            Some(r#"{"e":"}"}"#),
        );
        check("function () { return 1 }", None);
        check("", None);
        let hostile = "[".repeat(1_000_000);
        check(&hostile, None);
    }

    #[test]
    fn each_is_read_once() {
        let documents = Documents::default();
        let reads = std::cell::Cell::new(0);
        for _ in 0..2 {
            for number in 0..100_u64 {
                let value = documents.get(&number, || {
                    reads.set(reads.get() + 1);
                    (number % 2 == 0).then(|| number.into())
                });
                assert_eq!(
                    value.and_then(Value::as_u64),
                    (number % 2 == 0).then_some(number)
                );
            }
        }
        assert_eq!(reads.get(), 100);
    }
}
