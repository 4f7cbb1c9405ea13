//! Statements over many rows.

use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};

/// A prepared statement with values still to bind.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

const SIZES: [usize; 5] = [256, 64, 16, 4, 1];
const MAX_VALUES: usize = 1024;

/// One statement for any number of rows, in a few fixed sizes: a statement per row costs three times
/// as much, and one of every size would sweep the cache of prepared statements.
pub(super) struct Many(Vec<(usize, Arc<str>)>);

impl Many {
    /// `before`, then `row` once per row, then `after`. `row` is a tuple with `values` times `?`.
    pub(super) fn new(before: &str, row: &str, after: &str) -> Self {
        let values = row.matches('?').count().max(1);
        let sizes = SIZES
            .iter()
            .filter(|&&size| size == 1 || size * values <= MAX_VALUES);
        Self(
            sizes
                .map(|&size| {
                    let mut sql = format!("{before} {row}");
                    for _ in 1..size {
                        write!(sql, ",{row}").expect("a string takes all");
                    }
                    write!(sql, " {after}").expect("a string takes all");
                    (size, sql.into())
                })
                .collect(),
        )
    }

    /// Cuts `rows` into pieces, each with its statement.
    pub(super) fn over<'a, T>(
        &'a self,
        mut rows: &'a [T],
    ) -> impl Iterator<Item = (&'a [T], Statement)> {
        std::iter::from_fn(move || {
            let (size, sql) = self.0.iter().find(|(size, _)| *size <= rows.len())?;
            let (piece, rest) = rows.split_at(*size);
            rows = rest;
            // All parts are literals or quoted identifiers; values are bound.
            Some((piece, sqlx::query(AssertSqlSafe(sql.clone()))))
        })
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, sql)| &**sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_all_rows_in_order() {
        let many = Many::new("INSERT INTO t VALUES", "(?,?)", "RETURNING a");
        assert_eq!(
            many.texts().last(),
            Some("INSERT INTO t VALUES (?,?) RETURNING a")
        );
        for count in [0, 1, 5, 100, 1000] {
            let rows = (0..count).collect::<Vec<_>>();
            let pieces = many
                .over(&rows)
                .map(|(piece, _)| piece.to_vec())
                .collect::<Vec<_>>();
            assert_eq!(pieces.concat(), rows);
            assert!(pieces.len() <= count / 256 + 12);
        }
    }

    #[test]
    fn wide_rows_make_small_statements() {
        let row = format!("({})", vec!["?"; 300].join(","));
        let many = Many::new("", &row, "");
        assert!(many.texts().all(|sql| sql.matches('?').count() <= 1024));
    }
}
