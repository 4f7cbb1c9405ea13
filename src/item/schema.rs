//! Table, columns and key of an item.

use std::borrow::Cow;

use super::{ItemError, Value};

/// The kind of value that a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A signed 64-bit integer.
    Integer,
    /// A double-precision number.
    Real,
    /// True or false.
    Boolean,
    /// A list, map or nested item.
    Json,
}

/// A column of an item's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as in the struct.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may hold nothing.
    pub nullable: bool,
}

/// Table, columns and key of an item: what the derive macro writes down once per struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    table: Cow<'static, str>,
    columns: Vec<Column>,
    key: Vec<usize>,
}

impl Schema {
    /// A table with `columns`; `key` names those that identify a row (empty: every row is new).
    ///
    /// Names are SQL identifiers: a letter, then up to 62 letters, digits or `_`. Names that start
    /// with `_` are the store's own (provenance).
    ///
    /// # Errors
    /// A name that is no identifier, stands twice, or a key that is no column.
    pub fn new(
        table: impl Into<Cow<'static, str>>,
        columns: Vec<Column>,
        key: &[&str],
    ) -> Result<Self, SchemaError> {
        let table = table.into();
        check_name(&table)?;
        if Self::is_reserved(&table) {
            return Err(SchemaError::Reserved(table.into_owned()));
        }
        for (position, column) in columns.iter().enumerate() {
            check_name(&column.name)?;
            if columns[..position]
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&column.name))
            {
                return Err(SchemaError::Twice(column.name.to_string()));
            }
        }
        let key = key
            .iter()
            .map(|name| {
                columns
                    .iter()
                    .position(|column| column.name == *name)
                    .filter(|&at| !columns[at].nullable)
                    .ok_or_else(|| SchemaError::Key((*name).to_owned()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            table,
            columns,
            key,
        })
    }

    /// Whether a table of this name is the store's own, or SQLite's.
    pub const fn is_reserved(table: &str) -> bool {
        if let Some((prefix, _)) = table.as_bytes().split_at_checked(b"sqlite_".len())
            && prefix.eq_ignore_ascii_case(b"sqlite_")
        {
            return true;
        }
        let mut at = 0;
        while at < RESERVED_TABLES.len() {
            if table.eq_ignore_ascii_case(RESERVED_TABLES[at]) {
                return true;
            }
            at += 1;
        }
        false
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The columns, in the struct's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns that identify a row; none: every row is new.
    pub fn key(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|&at| &self.columns[at])
    }

    /// Positions of the key's columns.
    pub fn key_positions(&self) -> &[usize] {
        &self.key
    }

    pub(super) fn check(&self, values: &[Value]) -> Result<(), ItemError> {
        if values.len() != self.columns.len() {
            return Err(ItemError::Refused {
                table: self.table.to_string(),
                reason: format!("{} values for {} columns", values.len(), self.columns.len()),
            });
        }
        (0..values.len()).try_for_each(|at| self.check_value(at, &values[at]))
    }

    /// Whether a value fits the column at this position.
    pub(super) fn check_value(&self, at: usize, value: &Value) -> Result<(), ItemError> {
        let column = &self.columns[at];
        let reason = match (value, column.kind) {
            (Value::Null, _) if !column.nullable => "nothing, but the column needs a value",
            (Value::Real(real), _) if !real.is_finite() => "not a finite number",
            (Value::Null, _)
            | (Value::Text(_), Kind::Text)
            | (Value::Integer(_), Kind::Integer)
            | (Value::Real(_), Kind::Real)
            | (Value::Boolean(_), Kind::Boolean)
            | (Value::Json(_), Kind::Json) => return Ok(()),
            _ => "another kind of value than the column's",
        };
        Err(ItemError::Field {
            table: self.table.to_string(),
            field: column.name.to_string(),
            reason: reason.to_owned(),
        })
    }
}

/// Tables of the store itself (`migrations/`).
const RESERVED_TABLES: [&str; 15] = [
    "crawl",
    "run",
    "host",
    "seen",
    "queue",
    "page",
    "url",
    "robots",
    "visit",
    "spent",
    "attempt",
    "cookie",
    "refused",
    "item_table",
    "worker",
];

fn check_name(name: &str) -> Result<(), SchemaError> {
    let mut bytes = name.bytes();
    let starts = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic());
    let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if starts && goes_on && name.len() <= 63 {
        Ok(())
    } else {
        Err(SchemaError::Name(name.to_owned()))
    }
}

/// A schema that can't be a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Not an SQL identifier.
    #[error("`{0}` is no name for a table or column: a letter, then letters, digits or `_`")]
    Name(String),
    /// Two columns of one name.
    #[error("column `{0}` stands twice")]
    Twice(String),
    /// A key that is no column, or one that may be NULL.
    #[error("key `{0}` is not a column that always has a value")]
    Key(String),
    /// The store's own table, or the database's.
    #[error("table `{0}` is the store's or the database's own; choose another name")]
    Reserved(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &'static str, nullable: bool) -> Column {
        Column {
            name: name.into(),
            kind: Kind::Text,
            nullable,
        }
    }

    #[test]
    fn names_and_keys_are_checked() {
        let check = |table: &'static str, columns: &[(&'static str, bool)], key: &[&str]| {
            let columns = columns
                .iter()
                .map(|&(name, null)| column(name, null))
                .collect();
            Schema::new(table, columns, key).map(|_| ())
        };
        assert_eq!(
            check("books", &[("url", false), ("stars", true)], &["url"]),
            Ok(())
        );
        assert_eq!(
            check("books", &[], &["url"]),
            Err(SchemaError::Key("url".into()))
        );
        assert_eq!(
            check("books", &[("u", true)], &["u"]),
            Err(SchemaError::Key("u".into()))
        );
        assert_eq!(
            check("books; drop", &[], &[]),
            Err(SchemaError::Name("books; drop".into()))
        );
        assert_eq!(
            check("books", &[("_run", false)], &[]),
            Err(SchemaError::Name("_run".into()))
        );
        assert_eq!(
            check("books", &[("a", false), ("A", false)], &[]),
            Err(SchemaError::Twice("A".into()))
        );
        assert_eq!(
            check("Queue", &[], &[]),
            Err(SchemaError::Reserved("Queue".into()))
        );
        assert_eq!(
            check("SQLite_x", &[], &[]),
            Err(SchemaError::Reserved("SQLite_x".into()))
        );
    }

    #[test]
    fn values_must_fit() {
        let schema = Schema::new("t", vec![column("a", false), column("b", true)], &[]).unwrap();
        let check = |values: &[Value]| schema.check(values).map_err(|error| error.to_string());
        assert_eq!(check(&[Value::Text("x".into()), Value::Null]), Ok(()));
        assert_eq!(
            check(&[Value::Null, Value::Null]),
            Err("field `a` of `t`: nothing, but the column needs a value".into())
        );
        assert_eq!(
            check(&[Value::Integer(1), Value::Null]),
            Err("field `a` of `t`: another kind of value than the column's".into())
        );
        assert!(check(&[Value::Null]).is_err());
    }
}
