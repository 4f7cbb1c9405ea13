//! The one connection that writes, and what it remembers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;

use super::error::Failure;
use super::many::Statement;
use super::table::Table;
use crate::store::recent::Recent;

/// The writing connection. Everything here is true of the committed database.
pub(super) struct Writer {
    connection: SqliteConnection,
    /// Whether a transaction may be open: its task panicked.
    open: bool,
    /// The last number given to a request.
    pub(super) seq: i64,
    pub(super) recent: Recent,
    /// Tables of items that fit, by name in lower case: one for each struct that writes them.
    pub(super) tables: HashMap<String, Vec<Arc<Table>>>,
    /// Reasons and subjects in `refused`.
    pub(super) refused: HashSet<(String, String)>,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            open: false,
            seq: 0,
            recent: Recent::new(),
            tables: HashMap::new(),
            refused: HashSet::new(),
        }
    }

    /// The connection outside of a transaction.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Begins a transaction that may write.
    ///
    /// Not sqlx's own, because that does not survive the rollback which SQLite does by itself when
    /// the disk is full.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        if self.open {
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        }
        self.open = true;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Ends the transaction: commits what went well, undoes the rest.
    pub(super) async fn finish<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        self.finish_by(outcome.map(|value| (value, sqlx::query("COMMIT"))))
            .await
    }

    /// The same where the last statement of the transaction commits it, too.
    pub(super) async fn finish_by<T>(
        &mut self,
        outcome: Result<(T, Statement), Failure>,
    ) -> Result<T, Failure> {
        let outcome = match outcome {
            Ok((value, last)) => last
                .execute(&mut self.connection)
                .await
                .map(|_| value)
                .map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if outcome.is_err() {
            let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        }
        self.open = false;
        outcome
    }
}
