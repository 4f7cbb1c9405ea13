//! A server as the source or the target of a copy.

use std::fmt::Write as _;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::mpsc;

use super::compose::{clean, clean_json};
use super::connect::{self, Server};
use super::error::{self, Failure};
use super::fold;
use super::report::item_tables;
use super::skew::NOW;
use super::table::{self, quote};
use crate::item::Schema;
use crate::store::StoreError;
use crate::store::copy::{Cell, Column, Kind, PIECE, Row, Source, Table, Target};

/// A connection in a transaction that takes its time.
async fn transaction(server: &Server, begin: &'static str) -> Result<PgConnection, StoreError> {
    let opened = async {
        let mut db = server.connect().await?;
        connect::migrate(&mut db, &server.name).await?;
        drop(db);
        let mut db = server.connect_reader().await?;
        for statement in [
            begin,
            "SET LOCAL statement_timeout = 0",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
            "SET LOCAL timezone = 'UTC'",
            "SET LOCAL extra_float_digits = 1",
        ] {
            sqlx::raw_sql(statement).execute(&mut db).await?;
        }
        refuse_company(&mut db, server).await?;
        Ok(db)
    };
    opened
        .await
        .map_err(|failure: Failure| error::open(failure, &server.name))
}

/// What somebody works on is not whole.
async fn refuse_company(db: &mut PgConnection, server: &Server) -> Result<(), Failure> {
    let living: Option<(i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT id, pid FROM run WHERE ended IS NULL AND beat + lease > {NOW} ORDER BY id LIMIT 1"
    )))
    .fetch_optional(db)
    .await?;
    match living {
        None => Ok(()),
        Some((run, pid)) => Err(Failure::Store(StoreError::Locked {
            path: server.name.clone(),
            holder: format!("{pid} (run {run} works on a crawl in it)"),
        })),
    }
}

/// A database that is read, in one state.
pub(in crate::store) struct CopySource {
    db: PgConnection,
    name: String,
}

impl CopySource {
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let server = Server::parse(url)?;
        // Before its tables are brought up to date: they must be there.
        super::PostgresReader::open(url).await?;
        let mut db = transaction(&server, "BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        let ready = async {
            fold::parts(&mut db).await?;
            let only = sqlx::raw_sql("SET TRANSACTION READ ONLY");
            only.execute(&mut db).await?;
            Ok(())
        };
        let ready: Result<(), Failure> = ready.await;
        ready.map_err(|failure| failure.at(&server.name))?;
        Ok(Self {
            db,
            name: server.name,
        })
    }
}

impl Source for CopySource {
    fn item_tables(&mut self) -> BoxFuture<'_, Result<Vec<(String, String)>, StoreError>> {
        Box::pin(async move {
            let tables = item_tables(&mut self.db).await;
            tables.map_err(|failure| failure.at(&self.name))
        })
    }

    fn read<'a>(
        &'a mut self,
        table: &'a Table,
        to: mpsc::Sender<Vec<Row>>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let read = send(&mut self.db, table, to).await;
            read.map_err(|failure| failure.at(&self.name))
        })
    }
}

/// How a column is read as text.
fn expression(column: &Column) -> String {
    let name = match column.from_postgres {
        Some(expression) => expression.to_owned(),
        None => quote(&column.name),
    };
    match column.kind {
        Kind::Boolean => format!("({name})::int"),
        Kind::Time => {
            format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        }
        _ => name,
    }
}

async fn send(
    db: &mut PgConnection,
    table: &Table,
    to: mpsc::Sender<Vec<Row>>,
) -> Result<(), Failure> {
    let expressions = table.columns.iter().map(expression);
    let sql = format!(
        "COPY (SELECT {} FROM {} t {}) TO STDOUT",
        expressions.collect::<Vec<_>>().join(", "),
        quote(&table.name),
        table.from_postgres
    );
    let mut stream = db.copy_out_raw(&sql).await?;
    let (mut rest, mut piece) = (Vec::new(), Vec::with_capacity(PIECE));
    while let Some(bytes) = stream.try_next().await? {
        rest.extend_from_slice(&bytes);
        let mut start = 0;
        // A line is a row: what is in a text is escaped.
        while let Some(length) = memchr::memchr(b'\n', &rest[start..]) {
            piece.push(read_line(&rest[start..start + length], table)?);
            start += length + 1;
            if piece.len() == PIECE && to.send(std::mem::take(&mut piece)).await.is_err() {
                // The target has failed, and says why.
                return Ok(());
            }
        }
        rest.drain(..start);
    }
    let _ = to.send(piece).await;
    Ok(())
}

fn read_line(line: &[u8], table: &Table) -> Result<Row, Failure> {
    let line = String::from_utf8_lossy(line);
    let cells = line.split('\t').zip(&table.columns);
    cells
        .map(|(text, column)| read_cell(text, column.kind))
        .collect()
}

/// A cell as `COPY` writes it.
fn read_cell(text: &str, kind: Kind) -> Result<Cell, Failure> {
    if text == "\\N" {
        return Ok(Cell::Null);
    }
    let wrong = || -> Failure { sqlx::Error::Decode(format!("can't read {text}").into()).into() };
    Ok(match kind {
        Kind::Integer | Kind::Boolean => Cell::Integer(text.parse().map_err(|_| wrong())?),
        Kind::Real => Cell::Real(text.parse().map_err(|_| wrong())?),
        Kind::Bytes => {
            let hex = text.strip_prefix("\\\\x").ok_or_else(wrong)?;
            let pairs = hex.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
            Cell::Bytes(pairs.map(byte).collect::<Option<_>>().ok_or_else(wrong)?)
        }
        Kind::Json => Cell::Text(compact(&unescape(text))),
        Kind::Text | Kind::Time | Kind::List => Cell::Text(unescape(text)),
    })
}

fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let (mut whole, mut letters) = (String::with_capacity(text.len()), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => whole.push(match letters.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(other) => other,
                None => '\\',
            }),
            other => whole.push(other),
        }
    }
    whole
}

/// JSON without the blanks that JSONB writes between its parts.
fn compact(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let is_kept = |letter: &char| {
        match letter {
            '"' if !is_escaped => is_text = !is_text,
            ' ' if !is_text => return false,
            _ => {}
        }
        is_escaped = *letter == '\\' && !is_escaped;
        true
    };
    json.chars().filter(is_kept).collect()
}

/// An empty database, filled in one transaction.
pub(in crate::store) struct CopyTarget {
    db: PgConnection,
    name: String,
}

impl CopyTarget {
    pub(in crate::store) async fn open(url: &str) -> Result<Self, StoreError> {
        let server = Server::parse(url)?;
        let mut db = transaction(&server, "BEGIN").await?;
        let used: Result<bool, sqlx::Error> = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM crawl) OR EXISTS (SELECT 1 FROM item_table)",
        )
        .fetch_one(&mut db)
        .await;
        let used = used.map_err(|error| Failure::from(error).at(&server.name))?;
        if used {
            return Err(StoreError::Open {
                path: server.name,
                reason: "there are crawls or items in it already; name an empty database"
                    .to_owned(),
            });
        }
        Ok(Self {
            db,
            name: server.name,
        })
    }
}

impl Target for CopyTarget {
    fn make<'a>(&'a mut self, schema: &'a Schema) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let made = table::make_locked(&mut self.db, schema).await;
            made.map_err(|failure| failure.at(&self.name))
        })
    }

    fn write<'a>(
        &'a mut self,
        table: &'a Table,
        from: mpsc::Receiver<Vec<Row>>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let written = take(&mut self.db, table, from).await;
            written.map_err(|failure| failure.at(&self.name))
        })
    }

    fn count<'a>(&'a mut self, table: &'a Table) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let sql = format!("SELECT count(*) FROM {}", quote(&table.name));
            let count = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut self.db)
                .await;
            let count: i64 = count.map_err(|error| Failure::from(error).at(&self.name))?;
            // Numbers go on after those that came.
            let id = match &*table.name {
                "crawl" | "run" => "id",
                _ if table.is_item => "_id",
                _ => return Ok(count.unsigned_abs()),
            };
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence($1, '{id}'), max({id})) FROM {}",
                quote(&table.name)
            );
            let set = sqlx::query(AssertSqlSafe(sql)).bind(quote(&table.name));
            let set = set.execute(&mut self.db).await;
            set.map_err(|error| Failure::from(error).at(&self.name))?;
            Ok(count.unsigned_abs())
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async move {
            let finished = async {
                sqlx::query(
                    "SELECT setval('request_number', coalesce(max(seq), 0) + 1, false) FROM seen",
                )
                .execute(&mut self.db)
                .await?;
                sqlx::raw_sql("COMMIT; ANALYZE")
                    .execute(&mut self.db)
                    .await?;
                Ok::<_, Failure>(())
            };
            finished.await.map_err(|failure| failure.at(&self.name))
        })
    }
}

async fn take(
    db: &mut PgConnection,
    table: &Table,
    mut from: mpsc::Receiver<Vec<Row>>,
) -> Result<u64, Failure> {
    let kept: Vec<(usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.on_postgres)
        .collect();
    let names = kept.iter().map(|(_, column)| quote(&column.name));
    let sql = format!(
        "COPY {} ({}) FROM STDIN",
        quote(&table.name),
        names.collect::<Vec<_>>().join(", ")
    );
    let mut copy = db.copy_in_raw(&sql).await?;
    while let Some(rows) = from.recv().await {
        let mut text = String::new();
        for row in rows {
            for (number, (at, column)) in kept.iter().enumerate() {
                if number > 0 {
                    text.push('\t');
                }
                write_cell(&row[*at], column.kind, &mut text);
            }
            text.push('\n');
        }
        copy.send(text.into_bytes()).await?;
    }
    Ok(copy.finish().await?)
}

/// A cell as `COPY` reads it.
fn write_cell(cell: &Cell, kind: Kind, to: &mut String) {
    let written = match cell {
        Cell::Null => write!(to, "\\N"),
        Cell::Integer(0) if kind == Kind::Boolean => write!(to, "f"),
        Cell::Integer(_) if kind == Kind::Boolean => write!(to, "t"),
        Cell::Integer(integer) => write!(to, "{integer}"),
        Cell::Real(real) if real.is_infinite() => {
            write!(to, "{}Infinity", if *real < 0.0 { "-" } else { "" })
        }
        Cell::Real(real) => write!(to, "{real:?}"),
        Cell::Text(text) => {
            let text = match kind {
                Kind::Json => clean_json(text),
                _ => clean(text),
            };
            escape(&text, to);
            Ok(())
        }
        Cell::Bytes(bytes) => {
            to.push_str("\\\\x");
            bytes.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
        }
    };
    written.expect("a string takes all");
}

fn escape(text: &str, to: &mut String) {
    for letter in text.chars() {
        match letter {
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_without_blanks() {
        let check = |json: &str, expected: &str| assert_eq!(compact(json), expected);
        check(
            r#"{"a b": [1, "c, d", "e\\" , "\" , f"], "g": null}"#,
            r#"{"a b":[1,"c, d","e\\","\" , f"],"g":null}"#,
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let check = |cell: Cell, kind| {
            let mut text = String::new();
            write_cell(&cell, kind, &mut text);
            assert!(!text.contains(['\n', '\t']), "{text}");
            let read = match text.as_str() {
                "t" => Cell::Integer(1),
                "f" => Cell::Integer(0),
                text => read_cell(text, kind).unwrap(),
            };
            assert_eq!(read, cell);
        };
        check(Cell::Null, Kind::Text);
        check(Cell::Integer(i64::MIN), Kind::Integer);
        check(Cell::Integer(1), Kind::Boolean);
        check(Cell::Integer(0), Kind::Boolean);
        for real in [0.1, -1e300, 5e-324, 12.0] {
            check(Cell::Real(real), Kind::Real);
        }
        for text in [
            "",
            "a\tb\nc\\d\re",
            "\\N",
            "ä \u{8}\u{b}\u{c}",
            "\\.",
            "'\"{}",
        ] {
            check(Cell::Text(text.into()), Kind::Text);
        }
        check(Cell::Bytes(vec![0, 1, 255, b'\\']), Kind::Bytes);
        assert_eq!(
            read_cell("a\\b\\v\\\\n", Kind::Text).unwrap(),
            Cell::Text("a\u{8}\u{b}\\n".into())
        );
    }
}
