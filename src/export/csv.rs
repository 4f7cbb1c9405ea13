//! CSV (RFC 4180, lines end with LF).

use std::io::{self, Write};

use super::Export;
use crate::item::Value;

/// Comma-separated values with a header line. Nothing (`NULL`) is an empty cell; lists and maps are
/// JSON.
pub struct Csv<W: Write> {
    to: csv::Writer<W>,
    columns: Vec<String>,
    escape_formulas: bool,
    row_by_row: bool,
}

impl<W: Write> Csv<W> {
    /// Writes to `to`, through a buffer of its own.
    pub fn new(to: W) -> Self {
        Self {
            to: csv::Writer::from_writer(to),
            columns: Vec::new(),
            escape_formulas: false,
            row_by_row: false,
        }
    }

    /// Whether texts that a spreadsheet would take for formulas get a `'` before them: a page may
    /// have put them there. What is read by programs is better left as it is.
    #[must_use]
    pub fn escape_formulas(mut self, escape: bool) -> Self {
        self.escape_formulas = escape;
        self
    }

    /// Whether every row is handed on, and flushed, at once: for a writer that counts, or one that people
    /// look at.
    #[must_use]
    pub fn row_by_row(mut self, each: bool) -> Self {
        self.row_by_row = each;
        self
    }

    /// The writer, everything written.
    ///
    /// # Errors
    /// What the file says to the last bytes.
    pub fn into_inner(self) -> io::Result<W> {
        self.to
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }
}

impl<W: Write> std::fmt::Debug for Csv<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Csv({})", self.columns.join(","))
    }
}

impl<W: Write> Export for Csv<W> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        if self.columns == columns {
            return Ok(());
        }
        if !self.columns.is_empty() {
            return Err(io::Error::other("a CSV file holds one table"));
        }
        self.columns = columns.to_vec();
        let shown = |name: &String| {
            let escape = self.escape_formulas && is_formula(name);
            if escape {
                format!("'{name}")
            } else {
                name.clone()
            }
        };
        Ok(self.to.write_record(columns.iter().map(shown))?)
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        for value in values {
            match value {
                Value::Null => self.to.write_field("")?,
                Value::Text(text) if self.escape_formulas && is_formula(text) => {
                    self.to.write_field(format!("'{text}"))?;
                }
                Value::Text(text) | Value::Json(text) => self.to.write_field(text)?,
                Value::Integer(integer) => self.to.write_field(integer.to_string())?,
                Value::Real(real) => self.to.write_field(real.to_string())?,
                Value::Boolean(boolean) => self.to.write_field(boolean.to_string())?,
            }
        }
        self.to.write_record(None::<&[u8]>)?;
        if self.row_by_row {
            self.to.flush()?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether a spreadsheet would compute something of `text`; spaces before it do not keep it from that.
fn is_formula(text: &str) -> bool {
    let first = text
        .trim_start_matches([' ', '\u{a0}', '\u{3000}'])
        .chars()
        .next();
    matches!(
        first,
        Some(
            '=' | '+'
                | '-'
                | '@'
                | '\t'
                | '\r'
                | '\n'
                | '|'
                | '\u{ff1d}'
                | '\u{ff0b}'
                | '\u{ff0d}'
                | '\u{ff20}'
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_if_wanted() {
        let texts = [
            "=HYPERLINK(\"http://e.x\")",
            " =1+1",
            "+1",
            "-1",
            "@a",
            "\t=1",
            "\u{ff1d}1",
        ];
        for escape in [true, false] {
            let mut export = Csv::new(Vec::new()).escape_formulas(escape);
            export.begin(&["=a".to_owned(), "b".to_owned()]).unwrap();
            for text in texts {
                export
                    .row(&[Value::Text(text.into()), Value::Integer(-1)])
                    .unwrap();
            }
            export
                .row(&[Value::Text("a=b".into()), Value::Real(-0.5)])
                .unwrap();
            let bytes = export.into_inner().unwrap();
            let mut rows = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&bytes[..]);
            let cells: Vec<_> = rows
                .records()
                .map(|row| row.unwrap()[0].to_owned())
                .collect();
            let mark = if escape { "'" } else { "" };
            let expected = ["=a"]
                .into_iter()
                .chain(texts)
                .map(|text| format!("{mark}{text}"));
            assert_eq!(
                cells,
                expected.chain(["a=b".to_owned()]).collect::<Vec<_>>()
            );
            assert!(String::from_utf8(bytes).unwrap().ends_with("a=b,-0.5\n"));
        }
    }

    #[test]
    fn quoted_where_needed() {
        let mut export = Csv::new(Vec::new());
        let columns = ["a".to_owned(), "b".to_owned()];
        export.begin(&columns).unwrap();
        export
            .row(&[Value::Text("x, \"y\"\n".into()), Value::Null])
            .unwrap();
        export
            .row(&[Value::Real(0.5), Value::Json("[1,2]".into())])
            .unwrap();
        export.begin(&columns).unwrap();
        assert!(export.begin(&columns[..1]).is_err());
        let text = String::from_utf8(export.into_inner().unwrap()).unwrap();
        assert_eq!(text, "a,b\n\"x, \"\"y\"\"\n\",\n0.5,\"[1,2]\"\n");
    }
}
