//! Parquet: typed columns, packed with Snappy.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::Export;
use crate::item::{Kind, Value};

/// Rows and bytes that are gathered before they are written: a row group.
const ROWS: usize = 100_000;
const BYTES: usize = 16 * 1024 * 1024;

/// A table as Parquet: an item's columns are of their own types, those of a query of the type that the first
/// rows have. All may be `NULL`; lists and maps are JSON.
pub struct Parquet<W: Write + Send> {
    to: State<W>,
    columns: Vec<String>,
    kinds: Vec<Option<Kind>>,
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

enum State<W: Write + Send> {
    /// The types are not known yet.
    New(W),
    Begun(Box<SerializedFileWriter<W>>, Vec<Kind>),
    Ended(W),
    /// Broken while it began.
    Lost,
}

impl<W: Write + Send> Parquet<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self {
            to: State::New(to),
            columns: Vec::new(),
            kinds: Vec::new(),
            rows: Vec::new(),
            bytes: 0,
        }
    }

    /// The writer, everything written.
    ///
    /// # Errors
    /// What the file says to the last bytes.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.end()?;
        match self.to {
            State::Ended(to) => Ok(to),
            _ => Err(lost()),
        }
    }

    /// Writes the gathered rows as a group.
    fn write_group(&mut self) -> io::Result<()> {
        self.begin_file()?;
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let State::Begun(writer, kinds) = &mut self.to else {
            return Err(lost());
        };
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = writer.next_row_group().map_err(io::Error::other)?;
        for (at, kind) in kinds.iter().enumerate() {
            let Some(mut column) = group.next_column().map_err(io::Error::other)? else {
                return Err(lost());
            };
            let values = rows.iter().map(|row| row.get(at).unwrap_or(&Value::Null));
            write_column(&mut column, *kind, values)
                .map_err(|why| io::Error::other(format!("column `{}`: {why}", self.columns[at])))?;
            column.close().map_err(io::Error::other)?;
        }
        group.close().map(drop).map_err(io::Error::other)
    }

    /// Begins the file, once there are rows to tell types by.
    fn begin_file(&mut self) -> io::Result<()> {
        let to = match std::mem::replace(&mut self.to, State::Lost) {
            State::New(to) => to,
            begun => {
                self.to = begun;
                return Ok(());
            }
        };
        let kinds: Vec<Kind> = (0..self.columns.len())
            .map(|at| {
                let known = self.kinds.get(at).copied().flatten();
                known.unwrap_or_else(|| kind_of(self.rows.iter().filter_map(|row| row.get(at))))
            })
            .collect();
        let schema = schema(&self.columns, &kinds).map_err(io::Error::other)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let writer = SerializedFileWriter::new(to, schema, Arc::new(properties.build()));
        self.to = State::Begun(Box::new(writer.map_err(io::Error::other)?), kinds);
        Ok(())
    }
}

impl<W: Write + Send> std::fmt::Debug for Parquet<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parquet({})", self.columns.join(","))
    }
}

impl<W: Write + Send> Export for Parquet<W> {
    fn kinds(&mut self, kinds: &[Option<Kind>]) {
        self.kinds = kinds.to_vec();
    }

    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        if self.columns == columns {
            return Ok(());
        }
        if !self.columns.is_empty() {
            return Err(io::Error::other("a Parquet file holds one table"));
        }
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.bytes += values.iter().map(size).sum::<usize>();
        self.rows.push(values.to_vec());
        if self.rows.len() >= ROWS || self.bytes >= BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if matches!(self.to, State::Ended(_)) {
            return Ok(());
        }
        self.write_group()?;
        let State::Begun(writer, _) = std::mem::replace(&mut self.to, State::Lost) else {
            return Err(lost());
        };
        let mut to = writer.into_inner().map_err(io::Error::other)?;
        to.flush()?;
        self.to = State::Ended(to);
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::other("a Parquet file that could not be begun")
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len() + 24,
        _ => 24,
    }
}

/// The kind of a query's column, by its first values.
fn kind_of<'a>(values: impl Iterator<Item = &'a Value>) -> Kind {
    let kinds = values.filter_map(|value| match value {
        Value::Null => None,
        Value::Text(_) => Some(Kind::Text),
        Value::Integer(_) => Some(Kind::Integer),
        Value::Real(_) => Some(Kind::Real),
        Value::Boolean(_) => Some(Kind::Boolean),
        Value::Json(_) => Some(Kind::Json),
    });
    let both = |one, other| match (one, other) {
        (one, other) if one == other => one,
        (Kind::Integer, Kind::Real) | (Kind::Real, Kind::Integer) => Kind::Real,
        _ => Kind::Text,
    };
    kinds.reduce(both).unwrap_or(Kind::Text)
}

fn schema(columns: &[String], kinds: &[Kind]) -> parquet::errors::Result<TypePtr> {
    let fields = columns.iter().zip(kinds).map(|(name, kind)| {
        let (physical, logical) = match kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
            Kind::Integer => (Physical::INT64, None),
            Kind::Real => (Physical::DOUBLE, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
        };
        let column = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(Arc::new(column.build()?))
    });
    let fields = fields.collect::<parquet::errors::Result<Vec<_>>>()?;
    let table = Type::group_type_builder("rows").with_fields(fields);
    Ok(Arc::new(table.build()?))
}

/// Writes a column's part of a group.
fn write_column<'a>(
    column: &mut SerializedColumnWriter<'_>,
    kind: Kind,
    values: impl Iterator<Item = &'a Value>,
) -> Result<(), String> {
    match kind {
        Kind::Text | Kind::Json => write_as::<ByteArrayType>(column, values, text),
        Kind::Integer => write_as::<Int64Type>(column, values, |value| match value {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        }),
        Kind::Real => write_as::<DoubleType>(column, values, |value| match value {
            Value::Real(real) => Some(*real),
            Value::Integer(integer) => Some(*integer as f64),
            _ => None,
        }),
        Kind::Boolean => write_as::<BoolType>(column, values, |value| match value {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Integer(integer @ (0 | 1)) => Some(*integer == 1),
            _ => None,
        }),
    }
}

fn text(value: &Value) -> Option<ByteArray> {
    let text = match value {
        Value::Text(text) | Value::Json(text) => return Some(text.as_str().into()),
        Value::Integer(integer) => integer.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Null => return None,
    };
    Some(text.into_bytes().into())
}

fn write_as<'a, T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: impl Iterator<Item = &'a Value>,
    as_type: impl Fn(&Value) -> Option<T::T>,
) -> Result<(), String> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        if matches!(value, Value::Null) {
            levels.push(0);
            continue;
        }
        levels.push(1);
        present.push(as_type(value).ok_or_else(|| {
            format!("{value:?} does not fit its type; `cast(.. as text)` in a query makes it text")
        })?);
    }
    let column = column.typed::<T>();
    let written = column.write_batch(&present, Some(&levels), None);
    written.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    fn written(
        columns: &[&str],
        kinds: &[Option<Kind>],
        rows: &[Vec<Value>],
    ) -> io::Result<Vec<u8>> {
        let mut export = Parquet::new(Vec::new());
        export.kinds(kinds);
        export.begin(
            &columns
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>(),
        )?;
        for row in rows {
            export.row(row)?;
        }
        export.into_inner()
    }

    /// The schema, and the rows, as a reader has them.
    fn read(bytes: Vec<u8>) -> (String, Vec<String>) {
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let mut schema = Vec::new();
        let fields = reader.metadata().file_metadata().schema().clone();
        parquet::schema::printer::print_schema(&mut schema, &fields);
        let rows = reader.get_row_iter(None).unwrap();
        let rows = rows.map(|row| row.unwrap().to_string()).collect();
        (String::from_utf8(schema).unwrap(), rows)
    }

    fn row(title: &str, price: Value, stars: Value) -> Vec<Value> {
        vec![
            Value::Text(title.into()),
            price,
            stars,
            Value::Boolean(true),
            Value::Json("[1]".into()),
        ]
    }

    #[test]
    fn columns_have_their_types() {
        let columns = ["title", "price", "stars", "is_new", "tags"];
        let kinds = [
            Kind::Text,
            Kind::Real,
            Kind::Integer,
            Kind::Boolean,
            Kind::Json,
        ]
        .map(Some);
        let rows = [
            row("Silk", Value::Real(1.5), Value::Null),
            row("Wool", Value::Integer(2), Value::Integer(3)),
        ];
        let (schema, read) = read(written(&columns, &kinds, &rows).unwrap());
        for column in [
            "OPTIONAL BYTE_ARRAY title (STRING)",
            "OPTIONAL DOUBLE price",
            "OPTIONAL INT64 stars",
            "OPTIONAL BOOLEAN is_new",
            "OPTIONAL BYTE_ARRAY tags (JSON)",
        ] {
            assert!(schema.contains(column), "{column}: {schema}");
        }
        assert_eq!(read.len(), 2);
        assert!(
            read[0].contains("title: \"Silk\", price: 1.5, stars: null, is_new: true"),
            "{read:?}"
        );
        assert!(read[1].contains("price: 2.0, stars: 3"), "{read:?}");
    }

    #[test]
    fn a_query_has_types_by_its_values() {
        let check = |values: &[Value], expected: &str| {
            let rows: Vec<_> = values.iter().map(|value| vec![value.clone()]).collect();
            let (schema, read) = read(written(&["x"], &[None], &rows).unwrap());
            assert!(schema.contains(&format!("{expected} x")), "{schema}");
            assert_eq!(read.len(), values.len());
        };
        check(&[Value::Null, Value::Integer(1)], "INT64");
        check(&[Value::Integer(1), Value::Real(0.5)], "DOUBLE");
        check(&[Value::Integer(1), Value::Text("a".into())], "BYTE_ARRAY");
        check(&[Value::Null], "BYTE_ARRAY");
        check(&[], "BYTE_ARRAY");
    }

    #[test]
    fn groups_follow_one_another() {
        let rows: Vec<_> = (0..ROWS as i64 + 5)
            .map(|n| vec![Value::Integer(n)])
            .collect();
        let bytes = written(&["n"], &[Some(Kind::Integer)], &rows).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        assert_eq!(
            reader.metadata().file_metadata().num_rows(),
            ROWS as i64 + 5
        );
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let rows = [vec![Value::Text("x".into())]];
        let error = written(&["n"], &[Some(Kind::Integer)], &rows).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("column `n`: Text(\"x\") does not fit"),
            "{error}"
        );
    }
}
