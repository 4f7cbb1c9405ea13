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
const SIZES: [usize; 7] = [2048, 1024, 256, 64, 16, 4, 1];
const MAX_VALUES: usize = 4096;

/// One statement for any number of rows, in a few fixed sizes, so that all of them stay prepared.
///
/// The statement must do nothing for a row of NULLs, as what is not bound is NULL, nor for a number beyond the rows,
/// if a row is nothing else.
pub(super) struct Many {
    /// The largest first.
    sizes: Vec<(usize, Arc<str>)>,
    /// Values of a row in the first of two statements.
    values: usize,
}

impl Many {
    /// `before`, then `row` once per row, then `after`. In `row`, `?` is a value to bind, and `#` the
    /// row's number within the statement.
    pub(super) fn new(before: &str, row: &str, after: &str) -> Self {
        Self::in_turn(&[[before, row, after]])
    }

    /// Two statements over the same rows, sent as one: the values of the first come before all of the second.
    pub(super) fn two(first: [&str; 3], second: [&str; 3]) -> Self {
        Self::in_turn(&[first, second])
    }

    fn in_turn(statements: &[[&str; 3]]) -> Self {
        let values = |[_, row, _]: &[&str; 3]| row.matches('?').count();
        let all = statements.iter().map(values).sum::<usize>().max(1);
        let sizes = SIZES
            .iter()
            .filter(|&&size| size == 1 || size * all <= MAX_VALUES);
        let text = |size| {
            let mut sql = String::new();
            for [before, row, after] in statements {
                sql += before;
                for number in 0..size {
                    let comma = if number == 0 { ' ' } else { ',' };
                    let row = row.replace('#', &number.to_string());
                    write!(sql, "{comma}{row}").expect("a string takes all");
                }
                write!(sql, " {after};").expect("a string takes all");
            }
            sql.into()
        };
        Self {
            sizes: sizes.map(|&size| (size, text(size))).collect(),
            values: statements.first().map_or(0, values),
        }
    }

    /// Cuts `rows` into pieces, each with its statement.
    pub(super) fn over<'a, T>(
        &'a self,
        rows: &'a [T],
    ) -> impl Iterator<Item = (&'a [T], Statement)> {
        self.pieces(rows)
            .map(|(piece, _, statement)| (piece, statement))
    }

    /// The same for [two](Self::two) statements: `first` binds what the first has before its rows, `row` a row of it.
    pub(super) fn over_both<'a, T>(
        &'a self,
        rows: &'a [T],
        first: impl Fn(Statement) -> Statement,
        row: impl Fn(Statement, &T) -> Statement,
    ) -> impl Iterator<Item = (&'a [T], Statement)> {
        self.pieces(rows).map(move |(piece, size, statement)| {
            let statement = piece.iter().fold(first(statement), &row);
            let missing = (size - piece.len()) * self.values;
            let fill = |statement: Statement, _| statement.bind(None::<i64>);
            (piece, (0..missing).fold(statement, fill))
        })
    }

    fn pieces<'a, T>(
        &'a self,
        mut rows: &'a [T],
    ) -> impl Iterator<Item = (&'a [T], usize, Statement)> {
        std::iter::from_fn(move || {
            if rows.is_empty() {
                return None;
            }
            let fits = self.sizes.iter().rev();
            let mut fits = fits.filter(|(size, _)| *size >= rows.len());
            let (size, sql) = fits.next().or(self.sizes.first())?;
            let (piece, rest) = rows.split_at(rows.len().min(*size));
            rows = rest;
            // All parts are literals or checked identifiers; values are bound.
            Some((piece, *size, sqlx::query(AssertSqlSafe(sql.clone()))))
        })
    }

    /// Each statement by itself.
    #[cfg(test)]
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let all = self.sizes.iter().flat_map(|(_, sql)| sql.split(';'));
        all.filter(|sql| !sql.trim().is_empty())
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
        assert_eq!(texts[6], "SELECT * FROM (VALUES (0,?,?) ) v");
        assert!(texts[5].ends_with(",(2,?,?),(3,?,?) ) v"));
        for (count, statements) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (100, 1),
            (256, 1),
            (257, 1),
            (2000, 1),
            (2049, 2),
        ] {
            let rows = (0..count).collect::<Vec<_>>();
            let pieces = many.over(&rows).map(|(piece, _)| piece).collect::<Vec<_>>();
            assert_eq!(pieces.len(), statements);
            assert_eq!(pieces.concat(), rows);
        }
    }

    #[tokio::test]
    async fn two_statements_share_their_rows() {
        use sqlx::Connection;
        let mut db = SqliteConnection::connect(":memory:").await.unwrap();
        sqlx::raw_sql("CREATE TABLE a (of, row, value); CREATE TABLE b (row)")
            .execute(&mut db)
            .await
            .unwrap();
        let many = Many::two(
            [
                "INSERT INTO a SELECT ?, * FROM (VALUES",
                "(#,?)",
                ") WHERE column2 NOT NULL",
            ],
            [
                "INSERT INTO b SELECT * FROM (VALUES",
                "(?)",
                ") WHERE column1 NOT NULL",
            ],
        );
        let rows: Vec<i64> = (0..3_000).collect();
        let both = many.over_both(&rows, |first| first.bind(7), |row, value| row.bind(*value));
        for (piece, mut statement) in both {
            for value in piece {
                statement = statement.bind(-value);
            }
            statement.execute(&mut db).await.unwrap();
        }
        let [a, b] = [
            "SELECT value FROM a WHERE of = 7 ORDER BY value",
            "SELECT -row FROM b ORDER BY row DESC",
        ];
        for sql in [a, b] {
            let found: Vec<i64> = sqlx::query_scalar(sql).fetch_all(&mut db).await.unwrap();
            assert_eq!(found, rows, "{sql}");
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
