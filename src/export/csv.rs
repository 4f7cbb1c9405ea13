//! CSV (RFC 4180, lines end with LF).

use std::io::{self, Write};

use super::Export;
use crate::item::Value;

/// Comma-separated values with a header line. Nothing (`NULL`) is an empty cell; lists and maps are
/// JSON.
pub struct Csv<W: Write> {
    to: csv::Writer<W>,
    columns: Vec<String>,
}

impl<W: Write> Csv<W> {
    /// Writes to `to`, through a buffer of its own.
    pub fn new(to: W) -> Self {
        Self {
            to: csv::Writer::from_writer(to),
            columns: Vec::new(),
        }
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
        Ok(self.to.write_record(columns)?)
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        for value in values {
            match value {
                Value::Null => self.to.write_field("")?,
                Value::Text(text) | Value::Json(text) => self.to.write_field(text)?,
                Value::Integer(integer) => self.to.write_field(integer.to_string())?,
                Value::Real(real) => self.to.write_field(real.to_string())?,
                Value::Boolean(boolean) => self.to.write_field(boolean.to_string())?,
            }
        }
        Ok(self.to.write_record(None::<&[u8]>)?)
    }

    fn end(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
