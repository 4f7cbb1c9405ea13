//! How a table follows its struct: a new field is a new column; what would lose or bend data is an
//! error with a way out.

use serde::{Deserialize, Serialize};

use crate::item::{Column, Kind, Schema};

/// A table's columns and key as the database remembers them (`item_table.schema`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// In the table's order.
    pub(super) columns: Vec<KnownColumn>,
    /// Names of the key's columns.
    pub(super) key: Vec<String>,
}

/// A column as the database remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
}

/// What must be done to a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The table afterwards.
    pub(super) known: Known,
    /// So many of its last columns are new.
    pub(super) added: usize,
    /// Whether a column that was `NOT NULL` may be empty from now on.
    pub(super) loosened: bool,
}

impl Known {
    /// The table of a struct that has none yet.
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            columns: schema.columns().iter().map(KnownColumn::from).collect(),
            key: schema.key().map(|column| column.name.to_string()).collect(),
        }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// What the table needs so that `wanted` can be written into it; none: nothing.
    ///
    /// A new column is nullable whatever the struct says, because the rows that are there have no
    /// value for it. A column that the struct has made optional loses its `NOT NULL`.
    ///
    /// # Errors
    /// The difference that would lose data, as a sentence.
    pub(super) fn change(&self, wanted: &Schema) -> Result<Option<Change>, String> {
        self.check_key(wanted)?;
        self.check_gone(wanted)?;
        let mut known = self.clone();
        let mut loosened = false;
        for column in wanted.columns() {
            match self.position(&column.name) {
                None => known.columns.push(KnownColumn {
                    nullable: true,
                    ..column.into()
                }),
                Some(at) => {
                    let there = &mut known.columns[at];
                    if there.kind != column.kind {
                        return Err(format!(
                            "column `{}` holds {}, the field is {}",
                            there.name,
                            word(there.kind),
                            word(column.kind)
                        ));
                    }
                    loosened |= column.nullable && !there.nullable;
                    there.nullable |= column.nullable;
                }
            }
        }
        let added = known.columns.len() - self.columns.len();
        Ok((added > 0 || loosened).then_some(Change {
            known,
            added,
            loosened,
        }))
    }

    fn check_key(&self, wanted: &Schema) -> Result<(), String> {
        let key = wanted.key().map(|column| &*column.name).collect::<Vec<_>>();
        let is_same = self.key.len() == key.len()
            && key.iter().all(|name| {
                self.key
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            });
        if is_same {
            return Ok(());
        }
        let list = |names: Vec<&str>| match names.as_slice() {
            [] => "no key".to_owned(),
            names => format!("the key ({})", names.join(", ")),
        };
        Err(format!(
            "it has {}, the item has {}",
            list(self.key.iter().map(String::as_str).collect()),
            list(key)
        ))
    }

    fn check_gone(&self, wanted: &Schema) -> Result<(), String> {
        let has = |name: &str| {
            wanted
                .columns()
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(name))
        };
        match self
            .columns
            .iter()
            .find(|column| !column.nullable && !has(&column.name))
        {
            None => Ok(()),
            Some(column) => Err(format!(
                "column `{}` needs a value and the item has no such field any more",
                column.name
            )),
        }
    }
}

impl From<&Column> for KnownColumn {
    fn from(column: &Column) -> Self {
        Self {
            name: column.name.to_string(),
            kind: column.kind,
            nullable: column.nullable,
        }
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "integers",
        Kind::Real => "real numbers",
        Kind::Boolean => "booleans",
        Kind::Json => "JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &str, key: &[&str]) -> Schema {
        let columns = columns
            .split_whitespace()
            .map(|column| {
                let (name, kind) = column.split_once(':').unwrap();
                Column {
                    name: name.to_owned().into(),
                    kind: match kind.trim_end_matches('?') {
                        "text" => Kind::Text,
                        "int" => Kind::Integer,
                        _ => Kind::Real,
                    },
                    nullable: kind.ends_with('?'),
                }
            })
            .collect();
        Schema::new("books", columns, key).unwrap()
    }

    /// The outcome as `added loosened columns`, where `?` marks the nullable ones.
    fn check(there: &str, wanted: &str, expected: &str) {
        let outcome = match Known::new(&schema(there, &[])).change(&schema(wanted, &[])) {
            Ok(None) => "fits".to_owned(),
            Ok(Some(change)) => {
                let names = change.known.columns.iter().map(|column| {
                    format!(" {}{}", column.name, if column.nullable { "?" } else { "" })
                });
                format!(
                    "{} {}{}",
                    change.added,
                    change.loosened,
                    names.collect::<String>()
                )
            }
            Err(reason) => reason,
        };
        assert_eq!(outcome, expected, "{there} -> {wanted}");
    }

    #[test]
    fn a_table_follows_its_struct() {
        check("a:text b:int?", "a:text b:int?", "fits");
        check("a:text b:int?", "b:int? A:text", "fits");
        check("a:text", "a:text b:int c:real?", "2 false a b? c?");
        check("a:text b:int?", "a:text", "fits");
        check("a:text?", "a:text", "fits");
        check("a:text b:int", "a:text? b:int c:int?", "1 true a? b c?");
    }

    #[test]
    fn what_would_lose_data_is_refused() {
        check(
            "a:text",
            "a:int",
            "column `a` holds text, the field is integers",
        );
        check(
            "a:text b:int",
            "a:text",
            "column `b` needs a value and the item has no such field any more",
        );
        let keyed = |there: &[&str], wanted: &[&str]| {
            Known::new(&schema("a:text b:text", there))
                .change(&schema("a:text b:text", wanted))
                .err()
        };
        assert_eq!(keyed(&["a", "b"], &["b", "a"]), None);
        assert_eq!(
            keyed(&["a"], &["b"]),
            Some("it has the key (a), the item has the key (b)".into())
        );
        assert_eq!(
            keyed(&["a"], &[]),
            Some("it has the key (a), the item has no key".into())
        );
    }

    #[test]
    fn it_is_remembered_as_json() {
        let known = Known::new(&schema("a:text b:int?", &["a"]));
        let json = serde_json::to_string(&known).unwrap();
        let expected = r#"{"columns":[{"name":"a","kind":"text","nullable":false},{"name":"b","kind":"integer","nullable":true}],"key":["a"]}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Known>(&json).unwrap(), known);
    }
}
