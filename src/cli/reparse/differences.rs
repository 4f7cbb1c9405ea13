//! Rows as they are stored, against the items that steps give now.

use std::collections::{HashMap, HashSet};

use crate::cli::failure::Failure;
use crate::export::Export;
use crate::item::{Kind, Record, Schema, Value};
use crate::store::{Reader, collect};

/// Values by column.
pub(super) type Row = HashMap<String, Value>;

pub(super) fn row(item: &Record) -> Row {
    let columns = item.schema().columns().iter();
    let columns = columns.map(|column| column.name.to_string());
    columns.zip(item.values().iter().cloned()).collect()
}

/// The rows of a table that come from these pages.
pub(super) async fn stored(
    reader: &dyn Reader,
    schema: &Schema,
    columns: &[String],
    urls: &HashSet<String>,
) -> Result<Vec<Row>, Failure> {
    let quoted: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let table = schema.table();
    let sql = format!(
        "SELECT {}, \"_url\" FROM \"{table}\" ORDER BY \"_id\"",
        quoted.join(", ")
    );
    let (_, rows) = collect(reader, &sql).await?;
    let kind = |name: &String| {
        let column = schema.columns().iter().find(|column| column.name == *name);
        column.map(|column| column.kind)
    };
    let kinds: Vec<Option<Kind>> = columns.iter().map(kind).collect();
    let of_pages = |values: Vec<Value>| {
        let is_read = matches!(values.last(), Some(Value::Text(url)) if urls.contains(url));
        let values = values
            .into_iter()
            .zip(&kinds)
            .map(|(value, kind)| typed(value, *kind));
        is_read.then(|| columns.iter().cloned().zip(values).collect())
    };
    Ok(rows.into_iter().filter_map(of_pages).collect())
}

/// A value of the database as an item has it.
fn typed(value: Value, kind: Option<Kind>) -> Value {
    match (value, kind) {
        (Value::Text(text), Some(Kind::Json)) => Value::Json(text),
        (Value::Integer(flag), Some(Kind::Boolean)) => Value::Boolean(flag != 0),
        (Value::Integer(number), Some(Kind::Real)) => Value::Real(number as f64),
        (value, _) => value,
    }
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) same: u64,
    pub(super) changed: u64,
    pub(super) lost: u64,
    pub(super) new: u64,
}

/// What identifies a row, for people, too.
pub(super) fn key(schema: &Schema, row: &Row) -> String {
    let mut names: Vec<&str> = schema.key().map(|column| &*column.name).collect();
    if names.is_empty() {
        names = schema
            .columns()
            .iter()
            .map(|column| &*column.name)
            .collect();
    }
    let text = |name: &str| row.get(name).map_or(String::new(), shown);
    names.into_iter().map(text).collect::<Vec<_>>().join(" ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => value.to_json().to_string(),
    }
}

pub(super) fn compare(
    schema: &Schema,
    stored: &[Row],
    now: &[Row],
    counts: &mut Counts,
    export: &mut dyn Export,
) -> Result<(), Failure> {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut left: HashMap<String, Vec<&Row>> = HashMap::new();
    for row in stored {
        left.entry(key(schema, row)).or_default().push(row);
    }
    // A key that stands twice among the items is one row, whose last value counts.
    let mut last: HashMap<String, usize> = HashMap::new();
    let is_keyed = schema.key().next().is_some();
    for (at, row) in now.iter().enumerate().filter(|_| is_keyed) {
        last.insert(key(schema, row), at);
    }
    for (at, row) in now.iter().enumerate() {
        let key = key(schema, row);
        if last.get(&key).is_some_and(|last| *last != at) {
            continue;
        }
        let before = left.get_mut(&key).and_then(Vec::pop);
        let Some(before) = before else {
            counts.new += 1;
            export.row(&[
                text("new"),
                text(schema.table()),
                text(&key),
                Value::Null,
                Value::Null,
                Value::Null,
            ])?;
            continue;
        };
        let mut is_same = true;
        for column in schema.columns() {
            let (was, is) = (before.get(&*column.name), row.get(&*column.name));
            let (was, is) = (was.unwrap_or(&Value::Null), is.unwrap_or(&Value::Null));
            if was.to_json() != is.to_json() {
                is_same = false;
                export.row(&[
                    text("changed"),
                    text(schema.table()),
                    text(&key),
                    text(&column.name),
                    was.clone(),
                    is.clone(),
                ])?;
            }
        }
        counts.same += u64::from(is_same);
        counts.changed += u64::from(!is_same);
    }
    let mut not_found: Vec<String> = left
        .into_iter()
        .flat_map(|(key, rows)| rows.into_iter().map(move |_| key.clone()))
        .collect();
    not_found.sort();
    for key in not_found {
        counts.lost += 1;
        export.row(&[
            text("lost"),
            text(schema.table()),
            text(&key),
            Value::Null,
            Value::Null,
            Value::Null,
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::JsonLines;
    use crate::item::Column;

    /// What is told of rows of a key and a value.
    fn told(stored: &[(&str, i64)], now: &[(&str, i64)]) -> (String, [u64; 4]) {
        let column = |name: &'static str, kind| Column {
            name: name.into(),
            kind,
            nullable: false,
        };
        let columns = vec![column("id", Kind::Text), column("n", Kind::Integer)];
        let schema = Schema::new("t", columns, &["id"]).unwrap();
        let rows = |rows: &[(&str, i64)]| -> Vec<Row> {
            let row = |&(id, n): &(&str, i64)| {
                Row::from([
                    ("id".to_owned(), Value::Text(id.to_owned())),
                    ("n".to_owned(), Value::Integer(n)),
                ])
            };
            rows.iter().map(row).collect()
        };
        let mut counts = Counts {
            same: 0,
            changed: 0,
            lost: 0,
            new: 0,
        };
        let mut text = Vec::new();
        let mut export = JsonLines::new(&mut text);
        let names = ["change", "table", "key", "column", "was", "is"].map(str::to_owned);
        export.begin(&names).unwrap();
        let done = compare(&schema, &rows(stored), &rows(now), &mut counts, &mut export);
        assert!(done.is_ok());
        let text = String::from_utf8(text).unwrap();
        let kinds = text
            .lines()
            .map(|line| line.split('"').nth(3).unwrap_or_default());
        let kinds = kinds.collect::<Vec<_>>().join(" ");
        (
            kinds,
            [counts.same, counts.changed, counts.lost, counts.new],
        )
    }

    #[test]
    fn rows_are_compared_by_their_key() {
        let stored = [("a", 1), ("b", 2)];
        assert_eq!(told(&stored, &stored), (String::new(), [2, 0, 0, 0]));
        let now = [("a", 3), ("c", 4)];
        assert_eq!(
            told(&stored, &now),
            ("changed new lost".to_owned(), [0, 1, 1, 1])
        );
        // The last of two rows of one key is the one that is stored.
        let twice = [("a", 9), ("b", 2), ("a", 1)];
        assert_eq!(told(&stored, &twice), (String::new(), [2, 0, 0, 0]));
    }
}
