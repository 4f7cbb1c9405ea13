//! What can go wrong.

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process crawls into this database.
    #[error("database {path} is locked by process {holder}")]
    Locked {
        /// The file.
        path: String,
        /// Who holds it: "8123 (crawl books, since 10:31)".
        holder: String,
    },
    /// The database can't be opened or made.
    #[error("can't open the database {path}: {reason}")]
    Open {
        /// File or URL, without secrets.
        path: String,
        /// Why.
        reason: String,
    },
    /// The server can't be reached now; that may change by itself.
    #[error("can't reach the database {path}: {reason}")]
    Away {
        /// Its URL, without secrets.
        path: String,
        /// Why.
        reason: String,
    },
    /// A struct's table exists with other columns.
    #[error("table `{table}` does not fit the item: {reason}")]
    Schema {
        /// The table.
        table: String,
        /// The difference.
        reason: String,
    },
    /// The disk is full.
    #[error("disk full while writing {path}")]
    Full {
        /// The file.
        path: String,
    },
    /// Somebody else holds the database; it may be free again soon.
    #[error("database is busy: {0}")]
    Busy(String),
    /// A question that a [`Reader`](super::Reader) does not answer.
    #[error("{0}")]
    Query(String),
    /// Anything else the database says.
    #[error("database: {0}")]
    Database(String),
}
