//! Tables as rows of text.

use std::rc::Rc;

use scraper::ElementRef;

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
        let (text, span) = (dom::text(cell, effort), span.min(room));
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
    fn a_row_is_only_so_wide() {
        let html = format!("<table><tr>{}</table>", "<td colspan=99999>a".repeat(200));
        let page = Page::from_html("http://e.x/", html).unwrap();
        assert_eq!(page.rows("table").unwrap()[0].len(), WIDEST);
    }
}
