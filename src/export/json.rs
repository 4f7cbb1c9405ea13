//! JSON Lines and JSON.

use std::io::{self, Write};

use super::Export;
use crate::item::Value;

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
            Value::Text(text) => serde_json::to_writer(&mut *to, text)?,
            Value::Integer(integer) => write!(to, "{integer}")?,
            Value::Boolean(boolean) => write!(to, "{boolean}")?,
            other => serde_json::to_writer(&mut *to, &other.to_json())?,
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
