//! Statements over many rows.
//!
//! sqlx runs SQLite on a thread of its own: a statement costs two switches between threads, and so
//! does, at worst, every row of an answer. So a batch is sent in as few statements as can be, and
//! what is to be known of its rows comes back as one row: a list of numbers.

use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::cell;
use super::error::Failure;

/// A prepared statement with values still to bind.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// So many rows at once. A size between two of them is filled up with rows of NULL.
const SIZES: [usize; 6] = [1024, 256, 64, 16, 4, 1];
const MAX_VALUES: usize = 4096;

/// One statement for any number of rows, in a few fixed sizes, so that all of them stay prepared.
///
/// The statement must do nothing for a row of NULLs: what is not bound is NULL.
pub(super) struct Many(Vec<(usize, Arc<str>)>);

impl Many {
    /// `before`, then `row` once per row, then `after`. In `row`, `?` is a value to bind, and `#` the
    /// row's number within the statement.
    pub(super) fn new(before: &str, row: &str, after: &str) -> Self {
        let values = row.matches('?').count().max(1);
        let sizes = SIZES
            .iter()
            .filter(|&&size| size == 1 || size * values <= MAX_VALUES);
        let text = |size| {
            let mut sql = before.to_owned();
            for number in 0..size {
                let comma = if number == 0 { ' ' } else { ',' };
                let row = row.replace('#', &number.to_string());
                write!(sql, "{comma}{row}").expect("a string takes all");
            }
            format!("{sql} {after}").into()
        };
        Self(sizes.map(|&size| (size, text(size))).collect())
    }

    /// Cuts `rows` into pieces, each with its statement.
    pub(super) fn over<'a, T>(
        &'a self,
        mut rows: &'a [T],
    ) -> impl Iterator<Item = (&'a [T], Statement)> {
        std::iter::from_fn(move || {
            if rows.is_empty() {
                return None;
            }
            let fits = self.0.iter().rev().find(|(size, _)| *size >= rows.len());
            let (size, sql) = fits.or(self.0.first())?;
            let (piece, rest) = rows.split_at(rows.len().min(*size));
            rows = rest;
            // All parts are literals or checked identifiers; values are bound.
            Some((piece, sqlx::query(AssertSqlSafe(sql.clone()))))
        })
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, sql)| &**sql)
    }
}

/// Runs a statement that answers with one list of numbers, `group_concat(…)`.
pub(super) async fn numbers(
    db: &mut SqliteConnection,
    statement: Statement,
) -> Result<Vec<i64>, Failure> {
    let row = statement.fetch_one(db).await?;
    let list: Option<&str> = cell(&row, 0)?;
    list.unwrap_or_default()
        .split_terminator(',')
        .map(|number| {
            let number = number.parse::<i64>();
            number.map_err(|error| sqlx::Error::Decode(error.into()).into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_all_rows_in_order() {
        let many = Many::new("SELECT * FROM (VALUES", "(#,?,?)", ") v");
        let texts = many.texts().collect::<Vec<_>>();
        assert_eq!(texts[5], "SELECT * FROM (VALUES (0,?,?) ) v");
        assert!(texts[4].ends_with(",(2,?,?),(3,?,?) ) v"));
        for (count, statements) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (100, 1),
            (256, 1),
            (257, 1),
            (2000, 2),
        ] {
            let rows = (0..count).collect::<Vec<_>>();
            let pieces = many.over(&rows).map(|(piece, _)| piece).collect::<Vec<_>>();
            assert_eq!(pieces.len(), statements);
            assert_eq!(pieces.concat(), rows);
        }
    }

    #[test]
    fn wide_rows_make_small_statements() {
        let row = format!("({})", vec!["?"; 300].join(","));
        let many = Many::new("", &row, "");
        assert!(
            many.texts()
                .all(|sql| sql.matches('?').count() <= MAX_VALUES.max(300))
        );
        assert_eq!(many.over(&[(); 10]).count(), 3);
    }
}
