//! Rows on their way from the store into an export.

use std::io;
use std::ops::ControlFlow;

use super::failure::Failure;
use crate::export::Export;
use crate::item::{Column, Kind, Value};
use crate::store::{Reader, Rows, StoreError};

/// Writes rows as they come; the first fault of the file ends the query.
pub(super) struct Written<'a> {
    to: &'a mut (dyn Export + Send),
    table: Option<String>,
    known: Vec<(String, Kind)>,
    kinds: Vec<Option<Kind>>,
    rows: u64,
    outcome: io::Result<()>,
}

impl<'a> Written<'a> {
    pub(super) fn new(to: &'a mut (dyn Export + Send)) -> Self {
        Self {
            to,
            table: None,
            known: Vec::new(),
            kinds: Vec::new(),
            rows: 0,
            outcome: Ok(()),
        }
    }

    /// Every row says first that it is of this table.
    pub(super) fn of_table(mut self, table: Option<String>) -> Self {
        self.table = table;
        self
    }

    /// Columns of these names hold these kinds of values: the database knows text where an item
    /// knows JSON. A name that stands for several kinds says none.
    pub(super) fn typed<'c>(mut self, columns: impl IntoIterator<Item = &'c Column>) -> Self {
        let columns = columns.into_iter();
        self.known = columns
            .map(|column| (column.name.to_string(), column.kind))
            .collect();
        self
    }

    /// Asks, and writes the answer; how many rows it has. A query that is refused writes nothing.
    pub(super) async fn ask(mut self, reader: &dyn Reader, sql: &str) -> Result<u64, Asked> {
        let asked = reader.query(sql, &mut self).await;
        self.outcome?;
        asked?;
        Ok(self.rows)
    }
}

/// What kept an answer from being written.
pub(super) enum Asked {
    Store(StoreError),
    File(io::Error),
}

impl From<StoreError> for Asked {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Asked {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Asked> for Failure {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Store(error) => error.into(),
            Asked::File(error) => error.into(),
        }
    }
}

impl Rows for Written<'_> {
    fn columns(&mut self, mut names: Vec<String>) {
        let kind = |name: &String| {
            let mut known = self.known.iter().filter(|(known, _)| known == name);
            let (_, kind) = known.next()?;
            known.all(|(_, other)| other == kind).then_some(*kind)
        };
        self.kinds = names.iter().map(kind).collect();
        if self.table.is_some() {
            // No item has a column of this name: those with `_` are the store's.
            names.insert(0, "_table".to_owned());
        }
        let mut kinds = self.kinds.clone();
        if self.table.is_some() {
            kinds.insert(0, Some(Kind::Text));
        }
        self.to.kinds(&kinds);
        self.outcome = self.to.begin(&names);
    }

    fn row(&mut self, mut values: Vec<Value>) -> ControlFlow<()> {
        for (value, kind) in values.iter_mut().zip(&self.kinds) {
            match (&mut *value, kind) {
                (Value::Text(text), Some(Kind::Json)) => *value = Value::Json(std::mem::take(text)),
                (Value::Integer(flag), Some(Kind::Boolean)) => *value = Value::Boolean(*flag != 0),
                _ => {}
            }
        }
        if let Some(table) = &self.table {
            values.insert(0, Value::Text(table.clone()));
        }
        if self.outcome.is_ok() {
            self.outcome = self.to.row(&values);
            self.rows += 1;
        }
        match self.outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
