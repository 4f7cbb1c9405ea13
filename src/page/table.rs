//! Tables as rows of text.

use std::rc::Rc;

use scraper::ElementRef;
use serde_json::Value;

use super::effort::Effort;
use super::{AsSelector, Element, Page, dom};
use crate::request::Result;

/// Cells that one cell may stand for, as browsers have it.
const MOST: usize = 1_000;
/// Cells of a row that are kept.
const WIDEST: usize = 10_000;

impl Page {
    /// The rows of the first table that matches, each as the texts of its cells; a cell with a
    /// `colspan` stands in each of its columns. Tables within its cells are part of their text.
    ///
    /// ```
    /// # use nephila::page::Page;
    /// let html = "<table><tr><th>UPC<td>7</tr><tr><th>Pages<td>300</table>";
    /// let page = Page::from_html("http://shop.example/", html)?;
    /// assert_eq!(page.rows("table")?, [["UPC", "7"], ["Pages", "300"]]);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// # Errors
    /// If the selector does not parse. A page without such a table has no rows.
    pub fn rows(&self, selector: impl AsSelector) -> Result<Vec<Vec<String>>> {
        self.root().rows(selector)
    }
}

impl Element {
    /// The rows of the table that it is.
    pub(super) fn rows_within(&self) -> Vec<Vec<String>> {
        let effort = self.page().effort();
        let rows = rows_of(self.node())
            .into_iter()
            .map(|row| cells(row, effort));
        rows.filter(|row| !row.is_empty()).collect()
    }

    /// The rows of the first table within that matches: see [`Page::rows`].
    ///
    /// # Errors
    /// If the selector does not parse.
    pub fn rows(&self, selector: impl AsSelector) -> Result<Vec<Vec<String>>> {
        let selector = selector.as_selector()?;
        let Some(table) = self.css(Rc::clone(&selector))?.into_iter().next() else {
            return Ok(Vec::new());
        };
        let effort = self.page().effort();
        let rows = rows_of(table.node()).into_iter();
        let rows = rows.map(|row| cells(row, effort));
        let rows = rows.filter(|row| !row.is_empty()).collect();
        self.page().check(rows, &selector)
    }
}

/// The rows of a table as objects, by the headings of their columns: the first row, if all of it is
/// headings or it stands in a `<thead>`. A table whose rows begin with a heading each (`<th>UPC<td>7`) is one
/// object. Else columns are called `1`, `2`….
pub(super) fn records(page: &Page, table: ElementRef<'_>) -> Vec<Value> {
    let effort = page.effort();
    let rows = rows_of(table);
    let is_heading = |row: &ElementRef<'_>| {
        let mut cells = row.child_elements().map(|cell| cell.value().name());
        let in_head = row.parent().and_then(ElementRef::wrap);
        let in_head = in_head.is_some_and(|parent| parent.value().name() == "thead");
        in_head || row.child_elements().next().is_some() && cells.all(|name| name == "th")
    };
    let names: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.child_elements().map(|cell| cell.value().name()))
        .collect();
    let is_list = !rows.is_empty()
        && names.chunks(2).all(|pair| pair == ["th", "td"])
        && names.len() == rows.len() * 2;
    if is_list {
        let pairs = rows.iter().filter_map(|row| {
            let [name, value] = <[String; 2]>::try_from(cells(*row, effort)).ok()?;
            Some((name, text_or_null(value)))
        });
        return vec![Value::Object(pairs.collect())];
    }
    let heads = rows.iter().take_while(|row| is_heading(row)).count();
    let names = match heads {
        0 => Vec::new(),
        heads => cells(rows[heads - 1], effort),
    };
    let object = |row: &ElementRef<'_>| {
        let cells = cells(*row, effort);
        let cells = cells.into_iter().enumerate().map(|(at, text)| {
            let name = names.get(at).filter(|name| !name.is_empty()).cloned();
            let name = name.unwrap_or_else(|| (at + 1).to_string());
            (name, text_or_null(text))
        });
        Value::Object(cells.collect())
    };
    let rows = rows.iter().skip(heads).map(object);
    rows.filter(|row| row.as_object().is_some_and(|row| !row.is_empty()))
        .collect()
}

fn text_or_null(text: String) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

/// Its own rows, in the order of the document.
fn rows_of(table: ElementRef<'_>) -> Vec<ElementRef<'_>> {
    let is_row = |element: &ElementRef<'_>| element.value().name() == "tr";
    let mut rows = Vec::new();
    for child in table.child_elements() {
        match child.value().name() {
            "tr" => rows.push(child),
            "thead" | "tbody" | "tfoot" => rows.extend(child.child_elements().filter(is_row)),
            _ => {}
        }
    }
    rows
}

fn cells(row: ElementRef<'_>, effort: &Effort) -> Vec<String> {
    let mut cells = Vec::new();
    for cell in row.child_elements() {
        if !matches!(cell.value().name(), "td" | "th") {
            continue;
        }
        let span = cell
            .attr("colspan")
            .and_then(|span| span.trim().parse().ok());
        let span = span.unwrap_or(1).clamp(1, MOST);
        let room = WIDEST.saturating_sub(cells.len());
        let (text, span) = (dom::text(cell, effort).into_owned(), span.min(room));
        let copies = (text.len() + size_of::<String>()) * span;
        if !effort.take(copies) {
            break;
        }
        cells.extend(std::iter::repeat_n(text, span));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        let page = Page::from_html("http://e.x/", html).unwrap();
        let rows = page.rows("table").unwrap();
        let rows: Vec<_> = rows.iter().map(|row| row.join("|")).collect();
        assert_eq!(rows.join("\n"), expected, "{html}");
    }

    #[test]
    fn tables() {
        check(
            "<table><tr><th>a<td> b\n c<tr><td><td>d</table>",
            "a|b c\n|d",
        );
        check(
            "<table><thead><tr><th>a<tbody><tr><td>b<tfoot><tr><td>c</table>",
            "a\nb\nc",
        );
        check(
            "<table><tr><td colspan=2>a<td>b<tr><td colspan=x>c<tr></table>",
            "a|a|b\nc",
        );
        check(
            "<table><tr><td>a<table><tr><td>x<td>y</table><td>b</table><table><tr><td>z</table>",
            "a x y|b",
        );
        check("<p>none", "");
        check("<table></table>", "");
    }

    #[test]
    fn rows_by_their_headings() {
        let check = |html: &str, expected: &str| {
            let page = Page::from_html("http://e.x/", html).unwrap();
            let rows: Vec<String> = page.get("table:table").unwrap();
            assert_eq!(rows.join("\n"), expected, "{html}");
        };
        check(
            "<table><tr><th>Name<th>Price<tr><td>Silk<td>5<tr><td>Wool<td></table>",
            "{\"Name\":\"Silk\",\"Price\":\"5\"}\n{\"Name\":\"Wool\",\"Price\":null}",
        );
        check(
            "<table><thead><tr><td>A<td>B<tbody><tr><th>x<td>y</table>",
            r#"{"A":"x","B":"y"}"#,
        );
        check(
            "<table><tr><th>UPC<td>7<tr><th>Tax<td>2</table>",
            r#"{"UPC":"7","Tax":"2"}"#,
        );
        check("<table><tr><td>a<td>b</table>", r#"{"1":"a","2":"b"}"#);
        check("<table></table>", "");
    }

    #[test]
    fn a_row_is_only_so_wide() {
        let html = format!("<table><tr>{}</table>", "<td colspan=99999>a".repeat(200));
        let page = Page::from_html("http://e.x/", html).unwrap();
        assert_eq!(page.rows("table").unwrap()[0].len(), WIDEST);
    }
}
