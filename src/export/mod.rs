//! Rows as files: JSON Lines, JSON, CSV and XML.
//!
//! A writer gets the columns once and then row by row, so that a result of any size passes through
//! without being held. [`WholeFile`] makes the file appear at its name only when it is complete.
//!
//! ```
//! use nephila::export::{Export, JsonLines};
//! use nephila::item::Value;
//!
//! let mut text = Vec::new();
//! let mut lines = JsonLines::new(&mut text);
//! lines.begin(&["title".into(), "stars".into()])?;
//! lines.row(&[Value::Text("Weaving".into()), Value::Null])?;
//! lines.end()?;
//! assert_eq!(text, b"{\"title\":\"Weaving\",\"stars\":null}\n");
//! # Ok::<(), std::io::Error>(())
//! ```

mod csv;
mod file;
mod json;
mod packed;
mod xml;

pub use csv::Csv;
pub use file::WholeFile;
pub use json::{JsonArray, JsonLines, write_json};
pub use packed::{Packed, Packing};
pub use xml::Xml;

use std::io;

use crate::item::Value;

/// Writes rows in a format.
///
/// Called in this order: [`begin`](Export::begin), [`row`](Export::row) for every row,
/// [`end`](Export::end). Formats that can say so may be begun again with other columns.
pub trait Export {
    /// The columns of the rows to come.
    ///
    /// # Errors
    /// What the file says, or a format that cannot change its columns.
    fn begin(&mut self, columns: &[String]) -> io::Result<()>;

    /// One value per column.
    ///
    /// # Errors
    /// What the file says.
    fn row(&mut self, values: &[Value]) -> io::Result<()>;

    /// No more rows: writes what is left, and flushes.
    ///
    /// # Errors
    /// What the file says.
    fn end(&mut self) -> io::Result<()>;
}
