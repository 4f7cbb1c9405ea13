//! JSON Lines and JSON.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::Export;
use crate::item::Value;

/// Writes a value as JSON on one line, so that a terminal may show it: what JSON leaves as it is
/// but a terminal obeys (C1 controls, marks that turn the direction of writing) is escaped.
///
/// # Errors
/// What the file says.
pub fn write_json(to: impl Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(to, Safe))?)
}

/// Compact JSON that commands no terminal.
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_unsafe) {
            let (before, from) = rest.split_at(at);
            to.write_all(before.as_bytes())?;
            let c = from.chars().next().unwrap_or_default();
            write!(to, "\\u{:04x}", u32::from(c))?;
            rest = &from[c.len_utf8()..];
        }
        to.write_all(rest.as_bytes())
    }
}

/// All of them have four hexadecimal digits.
fn is_unsafe(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One JSON object per line.
#[derive(Debug)]
pub struct JsonLines<W> {
    to: W,
    names: Vec<String>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `to`; give it a buffered writer.
    pub fn new(to: W) -> Self {
        Self {
            to,
            names: Vec::new(),
        }
    }

    /// The writer, everything written.
    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Export for JsonLines<W> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        self.names = quoted(columns)?;
        Ok(())
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        object(&mut self.to, &self.names, values)?;
        self.to.write_all(b"\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// One JSON array of objects, an object per line.
#[derive(Debug)]
pub struct JsonArray<W> {
    to: W,
    names: Vec<String>,
    separator: &'static str,
}

impl<W: Write> JsonArray<W> {
    /// Writes to `to`; give it a buffered writer.
    pub fn new(to: W) -> Self {
        Self {
            to,
            names: Vec::new(),
            separator: "[\n",
        }
    }

    /// The writer, everything written.
    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Export for JsonArray<W> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        self.names = quoted(columns)?;
        Ok(())
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.to.write_all(self.separator.as_bytes())?;
        self.separator = ",\n";
        object(&mut self.to, &self.names, values)
    }

    fn end(&mut self) -> io::Result<()> {
        let end: &[u8] = if self.separator == ",\n" {
            b"\n]\n"
        } else {
            b"[]\n"
        };
        self.to.write_all(end)?;
        self.to.flush()
    }
}

/// The columns' names as JSON, each with its colon. Two columns of one name (as in
/// `select a.url, b.url`) are told apart by a number.
fn quoted(columns: &[String]) -> io::Result<Vec<String>> {
    let mut names = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let before = columns[..at].iter().filter(|name| *name == column).count();
        let name = match before {
            0 => serde_json::to_string(column)?,
            again => serde_json::to_string(&format!("{column}_{}", again + 1))?,
        };
        names.push(format!("{name}:"));
    }
    Ok(names)
}

fn object(to: &mut impl Write, names: &[String], values: &[Value]) -> io::Result<()> {
    let mut separator = "{";
    if names.is_empty() {
        to.write_all(separator.as_bytes())?;
    }
    for (name, value) in names.iter().zip(values) {
        write!(to, "{separator}{name}")?;
        separator = ",";
        match value {
            Value::Null => to.write_all(b"null")?,
            Value::Text(text) => write_json(&mut *to, text)?,
            Value::Integer(integer) => write!(to, "{integer}")?,
            Value::Boolean(boolean) => write!(to, "{boolean}")?,
            other => write_json(&mut *to, &other.to_json())?,
        }
    }
    to.write_all(b"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Vec<Value>; 2] {
        [
            vec![
                Value::Text("a\u{1b}\"b\n".into()),
                Value::Real(1.5),
                Value::Boolean(true),
            ],
            vec![
                Value::Null,
                Value::Json(r#"{"b": [1]}"#.into()),
                Value::Integer(-1),
            ],
        ]
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn lines() {
        let mut text = Vec::new();
        let mut export = JsonLines::new(&mut text);
        export.begin(&columns(&["x", "y", "x"])).unwrap();
        for row in rows() {
            export.row(&row).unwrap();
        }
        export.end().unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"x\":\"a\\u001b\\\"b\\n\",\"y\":1.5,\"x_2\":true}\n\
             {\"x\":null,\"y\":{\"b\":[1]},\"x_2\":-1}\n"
        );
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let check = |text: &str, expected: &str| {
            let mut json = Vec::new();
            write_json(&mut json, text).unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), expected);
            assert_eq!(serde_json::from_str::<String>(expected).unwrap(), text);
        };
        check("ä £ 日本 \"q\"", r#""ä £ 日本 \"q\"""#);
        check("\u{9b}31m\u{7f}", r#""\u009b31m\u007f""#);
        check("\u{1b}[31m", r#""\u001b[31m""#);
        check("a\u{202e}b\u{2069}", r#""a\u202eb\u2069""#);
    }

    #[test]
    fn arrays() {
        let check = |rows: &[Vec<Value>], expected: &str| {
            let mut text = Vec::new();
            let mut export = JsonArray::new(&mut text);
            export.begin(&columns(&["n"])).unwrap();
            for row in rows {
                export.row(row).unwrap();
            }
            export.end().unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        };
        check(&[], "[]\n");
        check(
            &[vec![Value::Integer(1)], vec![Value::Integer(2)]],
            "[\n{\"n\":1},\n{\"n\":2}\n]\n",
        );
    }
}
