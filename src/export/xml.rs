//! XML.

use std::io::{self, Write};

use super::Export;
use crate::item::Value;

/// One `<rows>` of a `<row>` each, whose elements are called as its columns. Nothing (`NULL`) is no
/// element; lists and maps are JSON.
///
/// ```
/// use nephila::export::{Export, Xml};
/// use nephila::item::Value;
///
/// let mut text = Vec::new();
/// let mut xml = Xml::new(&mut text);
/// xml.begin(&["title".into(), "stars".into()])?;
/// xml.row(&[Value::Text("Warp & Weft".into()), Value::Null])?;
/// xml.end()?;
/// let text = String::from_utf8(text)?;
/// assert!(text.contains("<row><title>Warp &amp; Weft</title></row>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Xml<W> {
    to: W,
    columns: Vec<Tag>,
    is_begun: bool,
}

/// How an element begins and ends.
#[derive(Debug)]
struct Tag {
    open: String,
    close: String,
}

impl<W: Write> Xml<W> {
    /// Writes to `to`; give it a buffered writer.
    pub fn new(to: W) -> Self {
        Self {
            to,
            columns: Vec::new(),
            is_begun: false,
        }
    }

    /// The writer, everything written.
    pub fn into_inner(self) -> W {
        self.to
    }

    fn begin_file(&mut self) -> io::Result<()> {
        if self.is_begun {
            return Ok(());
        }
        self.is_begun = true;
        self.to
            .write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rows>\n")
    }
}

impl<W: Write> Export for Xml<W> {
    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        self.columns = columns.iter().map(|name| tag(name)).collect();
        self.begin_file()
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.to.write_all(b"<row>")?;
        for (tag, value) in self.columns.iter().zip(values) {
            let text = match value {
                Value::Null => continue,
                Value::Text(text) | Value::Json(text) => escaped(text),
                Value::Integer(integer) => integer.to_string(),
                Value::Real(real) => real.to_string(),
                Value::Boolean(boolean) => boolean.to_string(),
            };
            write!(self.to, "{}{text}{}", tag.open, tag.close)?;
        }
        self.to.write_all(b"</row>\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.begin_file()?;
        self.to.write_all(b"</rows>\n")?;
        self.to.flush()
    }
}

/// The element of a column. A query's columns may have names that no element can have.
fn tag(column: &str) -> Tag {
    let starts = column.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if starts && column.chars().all(is_name) {
        return Tag {
            open: format!("<{column}>"),
            close: format!("</{column}>"),
        };
    }
    Tag {
        open: format!("<column name=\"{}\">", escaped(column)),
        close: "</column>".to_owned(),
    }
}

/// Text as XML has it; what XML 1.0 can't hold becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would make a line feed of it.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let mut text = Vec::new();
        let mut xml = Xml::new(&mut text);
        xml.begin(&["a".into(), "count(*)".into(), "_url".into()])
            .unwrap();
        let row = [
            Value::Text("<b> & \"c\"\r\n\u{1}".into()),
            Value::Integer(3),
            Value::Null,
        ];
        xml.row(&row).unwrap();
        xml.begin(&["b".into()]).unwrap();
        xml.row(&[Value::Json("[1]".into())]).unwrap();
        xml.end().unwrap();
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rows>\n\
            <row><a>&lt;b&gt; &amp; &quot;c&quot;&#13;\n\u{fffd}</a><column name=\"count(*)\">3</column></row>\n\
            <row><b>[1]</b></row>\n</rows>\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn no_rows_are_a_file_too() {
        let mut text = Vec::new();
        Xml::new(&mut text).end().unwrap();
        assert!(text.ends_with(b"<rows>\n</rows>\n"));
    }
}
