//! Items: what a spider extracts, typed from the struct to the SQL column.
//!
//! A struct that derives [`Item`] is a table: its fields are columns, `NOT NULL` unless they are
//! `Option`; `key` names the columns that identify a row, so that a second sight updates instead of
//! doubling. An item is checked and turned into a [`Record`] at the moment it is emitted, so that
//! what can't be stored fails in the step that made it, and is written with its page's commit.
//!
//! ```
//! use nephila::item::{Item, Value};
//! use nephila::prelude::*;
//!
//! #[derive(Item)]
//! #[item(table = "books", key = "title")]
//! struct Book {
//!     #[css("h1")]
//!     title: String,
//!     stars: Option<u8>,
//! }
//!
//! let record = Book { title: "Weaving".into(), stars: None }.into_record()?;
//! assert_eq!(record.schema().table(), "books");
//! assert_eq!(record.values(), [Value::Text("Weaving".into()), Value::Null]);
//! # Ok::<(), nephila::item::ItemError>(())
//! ```

mod field;
mod schema;

pub use field::{Field, Json};
pub use schema::{Column, Kind, Schema, SchemaError};

use std::sync::Arc;

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing; only in a nullable column.
    Null,
    /// UTF-8 text.
    Text(String),
    /// A signed 64-bit integer.
    Integer(i64),
    /// A finite number.
    Real(f64),
    /// Stored as 0 or 1 by SQLite.
    Boolean(bool),
    /// JSON text: lists, maps and nested items.
    Json(String),
}

impl Value {
    /// The value as JSON, for exports, streams and nested items.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::Integer(integer) => (*integer).into(),
            Self::Real(real) => (*real).into(),
            Self::Boolean(boolean) => (*boolean).into(),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        }
    }
}

/// Something a spider extracts and the store keeps: a row of a table.
///
/// Derive it: `#[derive(Item)]`. The engine calls [`schema`](Item::schema) once per table and
/// [`into_record`](Item::into_record) once per emitted item, on the step's own thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an item",
    label = "a step returns `()`, an item, `Option<item>` or `Vec<item>`",
    note = "add `#[derive(Item)]` above the struct"
)]
pub trait Item: Sized + 'static {
    /// Table, columns and key.
    fn schema() -> Arc<Schema>;

    /// The row, checked against the schema.
    ///
    /// # Errors
    /// The field that can't be stored, and why.
    fn into_record(self) -> Result<Record, ItemError>;
}

/// A checked row on its way to its table.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    schema: Arc<Schema>,
    values: Vec<Value>,
}

impl Record {
    /// Pairs a row with its schema.
    ///
    /// # Errors
    /// If the number of values differs, a `NOT NULL` column gets nothing, or a value has another
    /// kind than its column.
    pub fn new(schema: Arc<Schema>, values: Vec<Value>) -> Result<Self, ItemError> {
        schema.check(&values)?;
        Ok(Self { schema, values })
    }

    /// Table, columns and key.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// One value per column, in the schema's order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of a column; none if there is no such column.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.values.get(self.position(column)?)
    }

    /// The text of a column, if it has one.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.get(column)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a column, whole or not, if it has one.
    pub fn number(&self, column: &str) -> Option<f64> {
        match self.get(column)? {
            Value::Integer(integer) => Some(*integer as f64),
            Value::Real(real) => Some(*real),
            _ => None,
        }
    }

    /// Gives a column another value.
    ///
    /// # Errors
    /// If there is no such column, or the value does not fit it.
    pub fn set(&mut self, column: &str, value: impl Field) -> Result<(), ItemError> {
        let unfit = |reason: String| ItemError::Field {
            table: self.schema.table().to_owned(),
            field: column.to_owned(),
            reason,
        };
        let at = self
            .position(column)
            .ok_or_else(|| unfit("there is no such column".to_owned()))?;
        let value = value.into_value().map_err(unfit)?;
        self.schema.check_value(at, &value)?;
        self.values[at] = value;
        Ok(())
    }

    fn position(&self, column: &str) -> Option<usize> {
        let mut columns = self.schema.columns().iter();
        columns.position(|known| known.name == column)
    }

    /// The row as a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        self.schema
            .columns()
            .iter()
            .zip(&self.values)
            .map(|(column, value)| (column.name.to_string(), value.to_json()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// An item that can't be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// A field's value does not fit its column.
    #[error("field `{field}` of `{table}`: {reason}")]
    Field {
        /// The item's table.
        table: String,
        /// The field's name.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The item's own check refused it.
    #[error("item of `{table}` refused: {reason}")]
    Refused {
        /// The item's table.
        table: String,
        /// What the check said.
        reason: String,
    },
}
