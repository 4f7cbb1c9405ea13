//! Tables for people.

use std::io::{self, Write};

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, ContentLineStyle, LineStyle,
    TableStyle,
};

use super::output;
use crate::export::Export;
use crate::item::Value;
use crate::ui::{Style, clean, count, shorten};

/// A table needs all of its rows to know its widths; beyond these they are only counted.
const MAX_ROWS: u64 = 10_000;
/// Longer texts are cut: who wants all of one asks for another format.
const MAX_CELL: usize = 200;

const LINES: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .content_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// A table with lines around it, no wider than the terminal.
pub(super) struct Table<W> {
    to: W,
    style: Style,
    lines: comfy_table::Table,
    rows: u64,
    null: &'static str,
}

impl<W: Write> Table<W> {
    pub(super) fn new(to: W, style: Style) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(LINES)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if style.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        Self {
            to,
            style,
            lines: table,
            rows: 0,
            null: "NULL",
        }
    }

    /// Shows no value as nothing.
    pub(super) fn without_nulls(self) -> Self {
        Self { null: "", ..self }
    }

    fn cell(&self, value: &Value) -> Cell {
        let right = |text: String| Cell::new_owned(text).set_alignment(CellAlignment::Right);
        match value {
            Value::Null if self.style.color => Cell::new(self.null).fg(Color::DarkGrey),
            Value::Null => Cell::new(self.null),
            Value::Text(text) | Value::Json(text) => Cell::new_owned(shorten(text, MAX_CELL)),
            Value::Integer(integer) => right(integer.to_string()),
            Value::Real(real) => right(real.to_string()),
            Value::Boolean(boolean) => Cell::new(boolean),
        }
    }
}

impl<W: Write> Export for Table<W> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        let bold = self.style.color;
        let header = columns.iter().map(|name| {
            let cell = Cell::new(clean(name));
            if bold {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        });
        self.lines.set_header(header.collect::<Vec<_>>());
        Ok(())
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.rows += 1;
        if self.rows <= MAX_ROWS {
            let cells: Vec<Cell> = values.iter().map(|value| self.cell(value)).collect();
            self.lines.add_row(cells);
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if !output::stdout_is_terminal() {
            self.lines
                .set_content_arrangement(ContentArrangement::Disabled);
        }
        for line in self.lines.lines() {
            writeln!(self.to, "{}", line.trim_end())?;
        }
        self.to.flush()?;
        if self.rows > MAX_ROWS {
            output::say(&format!(
                "the first {} of {} rows; all of them: --format jsonl",
                count(MAX_ROWS),
                count(self.rows)
            ));
        }
        Ok(())
    }
}

/// A table in Markdown (GitHub's).
pub(super) struct Markdown<W> {
    to: W,
}

impl<W: Write> Markdown<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to }
    }
}

/// Text that stays in its cell.
fn escaped(text: &str) -> String {
    clean(&text.replace('\n', " "))
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}

impl<W: Write> Export for Markdown<W> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        let names: Vec<String> = columns.iter().map(|name| escaped(name)).collect();
        writeln!(self.to, "| {} |", names.join(" | "))?;
        writeln!(self.to, "|{}", " --- |".repeat(columns.len()))
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        let cells: Vec<String> = values
            .iter()
            .map(|value| match value {
                Value::Null => String::new(),
                Value::Text(text) | Value::Json(text) => escaped(text),
                other => other.to_json().to_string(),
            })
            .collect();
        writeln!(self.to, "| {} |", cells.join(" | "))
    }

    fn end(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Another format whose texts go to a terminal: they can't command it.
pub(super) struct Cleaned<E>(pub(super) E);

impl<E: Export> Export for Cleaned<E> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        self.0.begin(columns)
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        let clean = |value: &Value| match value {
            Value::Text(text) => Value::Text(clean(text).into_owned()),
            other => other.clone(),
        };
        self.0.row(&values.iter().map(clean).collect::<Vec<_>>())
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<'a>(make: impl FnOnce(&'a mut Vec<u8>) -> Box<dyn Export + 'a>, to: &'a mut Vec<u8>) {
        let mut export = make(to);
        export.begin(&["title".into(), "n".into()]).unwrap();
        let row = [Value::Text("a|b \x1b[31m\n<i>".into()), Value::Integer(10)];
        export.row(&row).unwrap();
        export.row(&[Value::Null, Value::Real(0.5)]).unwrap();
        export.end().unwrap();
    }

    #[test]
    fn tables() {
        let mut text = Vec::new();
        check(|to| Box::new(Table::new(to, Style::PLAIN)), &mut text);
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
        ┌─────────────────────┬─────┐
        │ title               │ n   │
        ├─────────────────────┼─────┤
        │ a|b \u{1b}[31m\n<i> │  10 │
        │ NULL                │ 0.5 │
        └─────────────────────┴─────┘
        ");
    }

    #[test]
    fn markdown() {
        let mut text = Vec::new();
        check(|to| Box::new(Markdown::new(to)), &mut text);
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
        | title | n |
        | --- | --- |
        | a\|b \\u{1b}[31m &lt;i> | 10 |
        |  | 0.5 |
        ");
    }

    #[test]
    fn cleaned() {
        let mut text = Vec::new();
        check(
            |to| Box::new(Cleaned(crate::export::Csv::new(to))),
            &mut text,
        );
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "title,n\na|b \\u{1b}[31m\\n<i>,10\n,0.5\n"
        );
    }
}
