//! Rows of separated values.

use csv::{ReaderBuilder, StringRecord, StringRecordsIntoIter};
use serde_json::{Map, Value};

use crate::page::Page;
use crate::page::json;
use crate::request::Result;

/// The rows of a text with separated values: see [`Page::csv_rows`].
pub struct CsvRows<'a> {
    page: &'a Page,
    names: StringRecord,
    rows: StringRecordsIntoIter<&'a [u8]>,
}

impl<'a> CsvRows<'a> {
    pub(super) fn new(page: &'a Page) -> std::result::Result<Self, String> {
        let text = page.text().trim_start_matches('\u{feff}');
        let separator = separator(text);
        let mut reader = ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .from_reader(text.as_bytes());
        let names = reader.headers();
        let names = names
            .map_err(|error| format!("the page is no CSV: {error}"))?
            .clone();
        if names.iter().all(|name| name.trim().is_empty()) {
            return Err("the page is no CSV: it has no first row with names".to_owned());
        }
        Ok(Self {
            page,
            names,
            rows: reader.into_records(),
        })
    }
}

/// What stands most often in the first line, outside of quotes.
fn separator(text: &str) -> u8 {
    let line = text.lines().find(|line| !line.trim().is_empty());
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut is_quoted = false;
    for byte in line.unwrap_or_default().bytes() {
        if byte == b'"' {
            is_quoted = !is_quoted;
        } else if !is_quoted
            && let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == byte)
        {
            *count += 1;
        }
    }
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(separator, _)| *separator)
}

impl Iterator for CsvRows<'_> {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Result<Value>> {
        let row = match self.rows.next()? {
            Ok(row) => row,
            Err(error) => return Some(Err(format!("a row can't be read: {error}").into())),
        };
        if !self.page.effort().take(row.as_slice().len()) {
            return None;
        }
        let mut object = Map::new();
        for (at, cell) in row.iter().enumerate() {
            let name = self
                .names
                .get(at)
                .map(str::trim)
                .filter(|name| !name.is_empty());
            let name = name.map_or_else(|| (at + 1).to_string(), str::to_owned);
            let cell = cell.trim();
            let value = if cell.is_empty() {
                Value::Null
            } else {
                cell.into()
            };
            object.insert(name, value);
        }
        Some(Ok(object.into()))
    }
}

impl std::fmt::Debug for CsvRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CsvRows({})", self.page.url())
    }
}

/// All rows, as long as they are not too many.
pub(in crate::page) fn rows(page: &Page) -> std::result::Result<Vec<Value>, String> {
    let mut all = Vec::new();
    let mut count = 0;
    for row in CsvRows::new(page)? {
        let row = row.map_err(|error| error.to_string())?;
        count += 1 + row.as_object().map_or(0, Map::len);
        json::limit(count, page.effort().limits(), "the page")?;
        all.push(row);
    }
    let count = page.effort().keep_json(count);
    json::limit(count, page.effort().limits(), "the page")?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_the_names_in_the_first() {
        let check = |text: &str, expected: &str| {
            let page = Page::from_html("http://e.x/", text).unwrap();
            let rows: Vec<String> = page.get("csv:").unwrap();
            assert_eq!(rows.join(" "), expected, "{text}");
        };
        check("a,b\n1,\"x, y\"\n", r#"{"a":"1","b":"x, y"}"#);
        check(
            "\u{feff}a;b\r\n1;2\r\n3;\r\n",
            r#"{"a":"1","b":"2"} {"a":"3","b":null}"#,
        );
        check("a\tb\n1\t2\t3", r#"{"a":"1","b":"2","3":"3"}"#);
        check(
            "a , b\n 1 ,\t2\n  , x",
            r#"{"a":"1","b":"2"} {"a":null,"b":"x"}"#,
        );
        check("a,b\n", "");
        let page = Page::from_html("http://e.x/", "").unwrap();
        let error = page.get::<Vec<String>>("csv:").unwrap_err().to_string();
        assert_eq!(error, "the page is no CSV: it has no first row with names");
    }
}
