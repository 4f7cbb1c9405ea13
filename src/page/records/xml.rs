//! Elements of XML as values.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

use crate::page::Page;
use crate::page::json;
use crate::request::Result;

/// How deeply elements may be nested within one that is read.
const MAX_DEPTH: usize = 100;

/// Elements of XML: see [`Page::xml_elements`].
pub struct XmlElements<'a> {
    page: &'a Page,
    reader: Reader<&'a [u8]>,
    name: String,
    /// Values in all that was read so far.
    values: usize,
    is_over: bool,
}

impl<'a> XmlElements<'a> {
    pub(super) fn new(page: &'a Page, name: &str) -> Self {
        let mut reader = Reader::from_str(page.text().trim_start_matches('\u{feff}'));
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        Self {
            page,
            reader,
            name: name.to_owned(),
            values: 0,
            is_over: false,
        }
    }

    fn is_wanted(&self, start: &BytesStart<'_>) -> bool {
        let name = start.name();
        let whole = name.as_ref();
        let is_prefixed = self.name.contains(':');
        whole == self.name
            || !is_prefixed
                && whole
                    .rsplit_once(':')
                    .is_some_and(|(_, local)| local == self.name)
    }

    fn find(&mut self) -> std::result::Result<Option<Value>, String> {
        loop {
            match self.reader.read_event() {
                Ok(Event::Start(start)) if self.is_wanted(&start) => {
                    let open = Open::of(&start);
                    return self.read(open).map(Some);
                }
                Ok(Event::Empty(start)) if self.is_wanted(&start) => {
                    return Ok(Some(Open::of(&start).close()));
                }
                Ok(Event::Eof) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// Reads an element whose start was read.
    fn read(&mut self, open: Open) -> std::result::Result<Value, String> {
        let mut stack = vec![open];
        loop {
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.broken(&error)),
            };
            let Some(top) = stack.last_mut() else {
                return Ok(Value::Null);
            };
            match event {
                Event::Start(start) => {
                    if stack.len() >= MAX_DEPTH {
                        return Err(format!("elements in <{}> are nested too deeply", self.name));
                    }
                    stack.push(Open::of(&start));
                    self.values += 1;
                }
                Event::Empty(start) => {
                    let empty = Open::of(&start);
                    let name = empty.name.clone();
                    top.add(name, empty.close());
                    self.values += 1;
                }
                Event::Text(text) => top.text.push_str(&text),
                Event::CData(text) => top.text.push_str(&text),
                Event::GeneralRef(reference) => top.text.push_str(&resolved(&reference)),
                Event::End(_) | Event::Eof => {
                    let is_eof = matches!(event, Event::Eof);
                    while let Some(closed) = stack.pop() {
                        let name = closed.name.clone();
                        let value = closed.close();
                        match stack.last_mut() {
                            None => return Ok(value),
                            Some(outer) => outer.add(name, value),
                        }
                        if !is_eof {
                            break;
                        }
                    }
                }
                _ => {}
            }
            if self.values > self.page.effort().limits().json_values {
                json::limit(self.values, self.page.effort().limits(), "the page")?;
            }
        }
    }

    fn broken(&self, error: &quick_xml::Error) -> String {
        format!(
            "broken XML at byte {}: {error}",
            self.reader.error_position()
        )
    }
}

impl Iterator for XmlElements<'_> {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Result<Value>> {
        if self.is_over {
            return None;
        }
        self.values = 0;
        let begin = self.reader.buffer_position();
        let found = self.find();
        let read = self.reader.buffer_position().saturating_sub(begin);
        // What is read is paid for, whatever comes of it.
        let is_paid = self.page.effort().take(read as usize);
        match found {
            Ok(Some(value)) if is_paid => Some(Ok(value)),
            Ok(_) => {
                self.is_over = true;
                None
            }
            Err(why) => {
                self.is_over = true;
                Some(Err(why.into()))
            }
        }
    }
}

impl std::fmt::Debug for XmlElements<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "XmlElements(<{}> of {})", self.name, self.page.url())
    }
}

/// All elements of a name, as long as they are not too many.
pub(in crate::page) fn all(page: &Page, name: &str) -> std::result::Result<Vec<Value>, String> {
    let mut elements = XmlElements::new(page, name);
    let (mut all, mut count) = (Vec::new(), 0);
    while let Some(element) = elements.next() {
        let element = element.map_err(|error| error.to_string())?;
        count += 1 + elements.values;
        json::limit(count, page.effort().limits(), "the page")?;
        all.push(element);
    }
    let count = page.effort().keep_json(count);
    json::limit(count, page.effort().limits(), "the page")?;
    Ok(all)
}

/// An element that is being read.
struct Open {
    name: String,
    fields: Map<String, Value>,
    text: String,
}

impl Open {
    fn of(start: &BytesStart<'_>) -> Self {
        let mut fields = Map::new();
        for attribute in start.attributes().with_checks(false).flatten() {
            let name = attribute.key.as_ref().to_owned();
            let value = attribute.value.into_owned();
            let value = quick_xml::escape::unescape(&value)
                .map_or_else(|_| value.clone(), std::borrow::Cow::into_owned);
            fields.insert(format!("@{name}"), value.into());
        }
        Self {
            name: start.name().as_ref().to_owned(),
            fields,
            text: String::new(),
        }
    }

    fn add(&mut self, name: String, value: Value) {
        match self.fields.get_mut(&name) {
            None => {
                self.fields.insert(name, value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(first) => {
                let all = vec![first.take(), value];
                *first = Value::Array(all);
            }
        }
    }

    fn close(self) -> Value {
        let Self {
            mut fields, text, ..
        } = self;
        let text = text.trim();
        if fields.is_empty() {
            return if text.is_empty() {
                Value::Null
            } else {
                text.into()
            };
        }
        if !text.is_empty() {
            fields.insert("#text".to_owned(), text.into());
        }
        fields.into()
    }
}

/// `&amp;`, `&#228;`, and what HTML knows besides; else as it stands.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(char)) = reference.resolve_char_ref() {
        return char.to_string();
    }
    let name: &str = reference;
    let known = quick_xml::escape::resolve_predefined_entity(name);
    match known {
        Some(text) => text.to_owned(),
        None if name == "nbsp" => "\u{a0}".to_owned(),
        None => format!("&{name};"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(xml: &str, name: &str, expected: &[&str]) {
        let page = Page::from_html("http://e.x/", xml).unwrap();
        let found = page.get::<Vec<String>>(format!("xml:{name}"));
        let found = found.unwrap_or_else(|error| vec![format!("error: {error}")]);
        assert_eq!(found, expected, "{xml}");
    }

    #[test]
    fn elements_are_values() {
        check("<a><b>1</b><b>2</b></a>", "b", &["1", "2"]);
        check(
            "<a><i x='1&amp;2'><n>S&#228;&amp;</n><t>1</t><t/>own <![CDATA[<b>]]></i></a>",
            "i",
            &["{\"@x\":\"1&2\",\"n\":\"S\u{e4}&\",\"t\":[\"1\",null],\"#text\":\"own <b>\"}"],
        );
        check(
            "<r xmlns:m='u'><m:c url='x'/><c>y</c></r>",
            "c",
            &[r#"{"@url":"x"}"#, "y"],
        );
        check(
            "<r xmlns:m='u'><m:c url='x'/><c>y</c></r>",
            "m:c",
            &[r#"{"@url":"x"}"#],
        );
        check("<a><b>1<b>2</a>", "b", &[r##"{"b":"2","#text":"1"}"##]);
        check("<html><p>x", "item", &[]);
        check("", "b", &[]);
        let deep = "<b>".repeat(500);
        check(
            &deep,
            "b",
            &["error: elements in <b> are nested too deeply"],
        );
    }

    #[test]
    fn one_by_one() {
        let xml = format!("<r>{}</r>", "<i><n>x</n></i>".repeat(1_000));
        let page = Page::from_html("http://e.x/", xml).unwrap();
        let mut count = 0;
        for element in page.xml_elements("i") {
            assert_eq!(element.unwrap()["n"], "x");
            count += 1;
        }
        assert_eq!(count, 1_000);
    }
}
