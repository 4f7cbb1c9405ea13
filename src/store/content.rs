//! The hash of an item's content, by which a second sight is told from a change.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::item::{Column, Value};

/// Hashes rows of one table: the same content gives the same hash in every run and version.
///
/// A column counts with its name and only if it has a value, so neither another order of the
/// struct's fields nor a new field that is still empty makes all rows look changed.
#[derive(Debug)]
pub(super) struct Content(Vec<(usize, u64)>);

impl Content {
    pub(super) fn new(columns: &[Column]) -> Self {
        let mut order = columns.iter().enumerate().collect::<Vec<_>>();
        order.sort_by_key(|(_, column)| column.name.to_ascii_lowercase());
        Self(
            order
                .into_iter()
                .map(|(at, column)| {
                    let mut hasher = SipHasher13::new();
                    hasher.write(column.name.to_ascii_lowercase().as_bytes());
                    (at, hasher.finish())
                })
                .collect(),
        )
    }

    pub(super) fn hash(&self, values: &[Value]) -> i64 {
        let mut hasher = SipHasher13::new();
        for &(at, name) in &self.0 {
            if let Some(value) = values.get(at).filter(|value| **value != Value::Null) {
                hasher.write(&name.to_le_bytes());
                write(value, &mut hasher);
            }
        }
        hasher.finish() as i64
    }
}

/// The key of a row as bytes: equal if and only if the values are.
pub(super) fn key(values: &[Value], positions: &[usize]) -> Vec<u8> {
    let mut bytes = Bytes(Vec::new());
    for value in positions.iter().filter_map(|&at| values.get(at)) {
        write(value, &mut bytes);
    }
    bytes.0
}

fn write(value: &Value, to: &mut impl Hasher) {
    match value {
        Value::Null => to.write_u8(0),
        Value::Text(text) => write_text(1, text, to),
        Value::Integer(integer) => write_number(2, *integer as u64, to),
        // Zero has two signs and is one number.
        Value::Real(real) => write_number(3, (real + 0.0).to_bits(), to),
        Value::Boolean(boolean) => write_number(4, u64::from(*boolean), to),
        Value::Json(text) => write_text(5, text, to),
    }
}

fn write_text(kind: u8, text: &str, to: &mut impl Hasher) {
    to.write_u8(kind);
    to.write(&(text.len() as u64).to_le_bytes());
    to.write(text.as_bytes());
}

fn write_number(kind: u8, number: u64, to: &mut impl Hasher) {
    to.write_u8(kind);
    to.write(&number.to_le_bytes());
}

/// A "hasher" that only collects.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Kind;

    fn hash(cells: &[(&'static str, Value)]) -> i64 {
        let columns = cells
            .iter()
            .map(|(name, _)| Column {
                name: (*name).into(),
                kind: Kind::Text,
                nullable: true,
            })
            .collect::<Vec<_>>();
        let values = cells
            .iter()
            .map(|(_, value)| value.clone())
            .collect::<Vec<_>>();
        Content::new(&columns).hash(&values)
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        let row = [
            ("title", text("Weaving")),
            ("price", Value::Real(1.5)),
            ("n", Value::Integer(-1)),
        ];
        assert_eq!(hash(&row), -4_268_382_335_778_796_502);
    }

    #[test]
    fn what_makes_another_content() {
        let same = |a: &[_], b: &[_]| assert_eq!(hash(a), hash(b));
        same(
            &[("a", text("x")), ("b", text("y"))],
            &[("b", text("y")), ("a", text("x"))],
        );
        same(&[("a", text("x"))], &[("a", text("x")), ("b", Value::Null)]);
        same(&[("a", Value::Real(0.0))], &[("a", Value::Real(-0.0))]);
        let differ = |a: &[_], b: &[_]| assert_ne!(hash(a), hash(b));
        differ(
            &[("a", text("x")), ("b", text("y"))],
            &[("a", text("y")), ("b", text("x"))],
        );
        differ(
            &[("a", text("xy")), ("b", text(""))],
            &[("a", text("x")), ("b", text("y"))],
        );
        differ(&[("a", text("1"))], &[("a", Value::Integer(1))]);
        differ(&[("a", text("x"))], &[("b", text("x"))]);
    }

    #[test]
    fn keys_do_not_run_together() {
        let key = |a, b| key(&[text(a), text(b)], &[0, 1]);
        assert_eq!(key("a", "b"), key("a", "b"));
        assert_ne!(key("ab", ""), key("a", "b"));
    }
}
