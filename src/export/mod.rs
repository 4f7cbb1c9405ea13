//! Rows as files: JSON Lines, JSON, CSV, XML, and Parquet with the feature `parquet`.
//!
//! A writer gets the columns once and then row by row, so that a result of any size passes through
//! without being held. [`WholeFile`] makes the file appear at its name only when it is complete; with the feature
//! `s3`, `Upload` does so with an object of an S3-compatible store.
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
#[cfg(feature = "s3")]
mod object;
mod packed;
#[cfg(feature = "parquet")]
mod parquet;
mod xml;

pub use csv::Csv;
pub use file::WholeFile;
pub use json::{JsonArray, JsonLines, write_json};
#[cfg(feature = "s3")]
pub use object::Upload;
pub use packed::{Packed, Packing};
#[cfg(feature = "parquet")]
pub use parquet::Parquet;
pub use xml::Xml;

use std::io;

use crate::item::{Kind, Value};

/// Writes rows in a format.
///
/// Called in this order: [`kinds`](Export::kinds) if they are known, [`begin`](Export::begin), [`row`](Export::row) for every row,
/// [`end`](Export::end). Formats that can say so may be begun again with other columns.
pub trait Export {
    /// What the columns to come hold, where that is known; most formats have no use for it.
    fn kinds(&mut self, kinds: &[Option<Kind>]) {
        let _ = kinds;
    }

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

/// Something in the making that is there once it is published, and not at all if it is dropped before.
pub trait Whole: io::Write + Send {
    /// Nothing more is written: frees what writing needs.
    ///
    /// # Errors
    /// What the file says to the last bytes.
    fn seal(&mut self) -> io::Result<()>;

    /// Makes it appear.
    ///
    /// # Errors
    /// What the disk or the store says; then nothing has changed.
    fn publish(&mut self) -> io::Result<()>;

    /// Puts back what stood in its place before it was published, if that can be done.
    fn take_back(&mut self) {}
}

/// Makes all of them appear, or none, as far as what they are written to can take something back.
///
/// # Errors
/// What the first of them says that can't be published.
pub fn publish_all(mut wholes: Vec<Box<dyn Whole>>) -> io::Result<()> {
    for at in 0..wholes.len() {
        if let Err(error) = wholes[at].publish() {
            for published in &mut wholes[..at] {
                published.take_back();
            }
            return Err(error);
        }
    }
    Ok(())
}
