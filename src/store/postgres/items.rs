//! Items on their way into their tables, and what became of each: new, changed or the same.

use std::sync::Arc;

use super::Writer;
use super::compose::{Composed, clean, clean_json};
use super::error::Failure;
use super::table::{self, Table, quote};
use crate::item::{Kind, Value};
use crate::store::{PageCommit, Receipt, StoreError, Verdict};

/// An item of the batch.
struct Row<'batch> {
    /// Its page's place in the batch, and its number.
    at: usize,
    page: i64,
    values: &'batch [Value],
    hash: i64,
}

/// The items of one table, in order of emission.
pub(super) struct Rows<'batch> {
    table: Arc<Table>,
    rows: Vec<Row<'batch>>,
}

/// Takes the items out of the pages that end, by table; tables in the order of their names, because all
/// commits keep one order.
pub(super) fn gather<'batch>(
    writer: &Writer,
    pages: &[(usize, &'batch PageCommit)],
) -> Vec<Rows<'batch>> {
    let mut in_batch = pages.to_vec();
    in_batch.sort_by_key(|(at, _)| *at);
    let mut tables = Vec::<Rows<'_>>::new();
    for (at, page) in in_batch {
        if !matches!(page.verdict, Verdict::Page(_)) {
            continue;
        }
        for record in &page.records {
            let Some(table) = table::find_ready(writer, record) else {
                continue;
            };
            let place = tables
                .iter()
                .position(|rows| Arc::ptr_eq(&rows.table, &table))
                .unwrap_or_else(|| {
                    tables.push(Rows {
                        table,
                        rows: Vec::new(),
                    });
                    tables.len() - 1
                });
            let hash = tables[place].table.content.hash(record.values());
            tables[place].rows.push(Row {
                at,
                page: page.key.seq,
                values: record.values(),
                hash,
            });
        }
    }
    tables.sort_by_key(|rows| table::name(&rows.table.schema));
    tables
}

/// What became of an item, as the statement says it.
const NEW: i64 = 0;
const SAME: i64 = 1;

impl Rows<'_> {
    pub(super) fn table(&self) -> &str {
        self.table.schema.table()
    }

    fn columns(&self) -> Vec<String> {
        let columns = self.table.schema.columns().iter();
        columns.map(|column| quote(&column.name)).collect()
    }

    /// The columns of its key.
    pub(super) fn key(&self) -> Vec<String> {
        let schema = &self.table.schema;
        let name = |&at: &usize| quote(&schema.columns()[at].name);
        schema.key_positions().iter().map(name).collect()
    }

    /// Adds `_f<number>`: the rows, and what became of each.
    ///
    /// A key that comes again in the batch is written once, as it was last; each sight is compared with
    /// the one before it, and the first with what is stored.
    pub(super) fn find(&self, to: &mut Composed, number: usize) -> Result<(), Failure> {
        let schema = &self.table.schema;
        let name = quote(schema.table());
        let (columns, key) = (self.columns(), self.key());
        let mut places = vec![
            to.bind(self.rows.iter().map(|row| row.page).collect::<Vec<_>>())?,
            to.bind((0..self.rows.len() as i64).collect::<Vec<_>>())?,
            to.bind(self.rows.iter().map(|row| row.hash).collect::<Vec<_>>())?,
        ];
        let mut selected = Vec::new();
        for (at, column) in schema.columns().iter().enumerate() {
            places.push(bind(to, self, at, column.kind)?);
            let cast = if column.kind == Kind::Json {
                "::jsonb"
            } else {
                ""
            };
            selected.push(format!("v.{0}{cast} AS {0}", columns[at]));
        }
        let (before, last, stored) = if key.is_empty() {
            ("NULL::bigint", "true", "")
        } else {
            (
                "lag(v._hash) OVER _by_key",
                "lead(v._pos) OVER _by_key IS NULL",
                "LEFT JOIN LATERAL",
            )
        };
        let (stored, stored_hash, window) = if key.is_empty() {
            (String::new(), "NULL::bigint", String::new())
        } else {
            let same_key = key
                .iter()
                .zip(schema.key_positions())
                .map(|(name, &at)| {
                    let is_json = schema.columns()[at].kind == Kind::Json;
                    let cast = if is_json { "::jsonb" } else { "" };
                    format!("x.{name} = v.{name}{cast}")
                })
                .collect::<Vec<_>>()
                .join(" AND ");
            let by = key
                .iter()
                .map(|name| format!("v.{name}"))
                .collect::<Vec<_>>();
            (
                format!(
                    "{stored} (SELECT x._hash FROM {name} x WHERE {same_key} LIMIT 1) o ON true"
                ),
                "o._hash",
                format!(
                    "WINDOW _by_key AS (PARTITION BY {} ORDER BY v._pos)",
                    by.join(", ")
                ),
            )
        };
        let all = columns.join(", ");
        to.with(format!(
            "_f{number} AS MATERIALIZED (SELECT v._page, v._pos, v._hash, h.origin || t.path AS _url,
               {before} AS _before, {last} AS _last, {stored_hash} AS _stored, {}
             FROM unnest({}) AS v (_page, _pos, _hash, {all})
             JOIN _t t ON t.seq = v._page AND t.state IS NOT NULL
             CROSS JOIN LATERAL (SELECT h.origin FROM host h WHERE h.id = t.host LIMIT 1) h
             {stored} {window})",
            selected.join(", "),
            places.join(", "),
        ));
        Ok(())
    }

    /// Adds what writes the rows of `_f<number>`, after the parts `after`.
    pub(super) fn write(
        &self,
        to: &mut Composed,
        number: usize,
        after: &str,
        (run, now): (&str, &str),
    ) {
        let schema = &self.table.schema;
        let name = quote(schema.table());
        let (columns, key) = (self.columns(), self.key());
        let all = columns.join(", ");
        let (order, conflict) = if key.is_empty() {
            ("_pos".to_owned(), String::new())
        } else {
            (
                key.join(", "),
                on_conflict(&columns, schema.key_positions()),
            )
        };
        to.with(format!(
            "_i{number} AS (INSERT INTO {name} AS t
               ({all}, _page, _run, _url, _first_seen, _last_seen, _hash)
             SELECT {all}, _page, {run}, _url, s._at, s._at, _hash
             FROM _f{number}, (SELECT date_trunc('second', to_timestamp({now} / 1000.0)) AS _at) s
             WHERE _last AND {after} ORDER BY {order} {conflict} RETURNING 1)"
        ));
    }

    /// The expression for what became of each row: its place, and its fate.
    pub(super) fn fates(number: usize) -> String {
        format!(
            "(SELECT array_agg(_pos * 4 + CASE
               WHEN coalesce(_before, _stored) IS NULL THEN {NEW}
               WHEN coalesce(_before, _stored) = _hash THEN {SAME} ELSE 2 END) FROM _f{number})"
        )
    }

    /// The expression for the number of rows that count as `new` or `changed`.
    pub(super) fn counts(number: usize) -> String {
        format!(
            "SELECT count(*) AS items,
               count(*) FILTER (WHERE coalesce(_before, _stored) IS NULL) AS new,
               count(*) FILTER (WHERE coalesce(_before, _stored) <> _hash) AS changed FROM _f{number}"
        )
    }

    /// Tells what became of the rows.
    pub(super) fn settle(&self, fates: &[i64], receipt: &mut Receipt) -> Result<(), Failure> {
        for fate in fates {
            let row = self.rows.get((fate / 4) as usize).ok_or_else(|| {
                StoreError::Database(format!("an answer for a row that was not sent: {fate}"))
            })?;
            let page = &mut receipt.pages[row.at];
            match fate % 4 {
                NEW => page.items_new += 1,
                SAME => page.items_same += 1,
                _ => page.items_changed += 1,
            }
        }
        Ok(())
    }
}

/// A second sight updates the row, and says so if the content differs.
fn on_conflict(columns: &[String], key: &[usize]) -> String {
    let content = columns
        .iter()
        .enumerate()
        .filter(|(at, _)| !key.contains(at));
    let content = content.map(|(_, name)| format!("{name} = excluded.{name}, "));
    let key = key
        .iter()
        .map(|&at| columns[at].as_str())
        .collect::<Vec<_>>();
    format!(
        "ON CONFLICT ({}) DO UPDATE SET {}
           _changed = CASE WHEN t._hash = excluded._hash THEN t._changed ELSE excluded._last_seen END,
           _page = excluded._page, _run = excluded._run, _url = excluded._url,
           _last_seen = excluded._last_seen, _hash = excluded._hash, _gone = NULL",
        key.join(", "),
        content.collect::<String>()
    )
}

/// Binds a column of the rows.
fn bind(to: &mut Composed, rows: &Rows<'_>, at: usize, kind: Kind) -> Result<String, Failure> {
    let values = rows.rows.iter().map(|row| row.values.get(at));
    match kind {
        Kind::Text => to.bind(
            values
                .map(|value| match value {
                    Some(Value::Text(text)) => Some(clean(text)),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
        Kind::Json => to.bind(
            values
                .map(|value| match value {
                    Some(Value::Json(json)) => Some(clean_json(json)),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
        Kind::Integer => to.bind(
            values
                .map(|value| match value {
                    Some(Value::Integer(integer)) => Some(*integer),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
        Kind::Real => to.bind(
            values
                .map(|value| match value {
                    Some(Value::Real(real)) => Some(*real),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
        Kind::Boolean => to.bind(
            values
                .map(|value| match value {
                    Some(Value::Boolean(flag)) => Some(*flag),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
    }
}
