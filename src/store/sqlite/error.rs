//! From what SQLite says to what the user is told.

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::store::StoreError;

/// An error inside the module; its place (the file) is added at the edge.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    pub(super) fn at(self, path: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => sql(&error, path),
        }
    }
}

fn sql(error: &sqlx::Error, path: &str) -> StoreError {
    let open = |reason: &str| StoreError::Open {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    // The low byte is the primary result code: https://www.sqlite.org/rescode.html
    let code = error
        .as_database_error()
        .and_then(DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(3) => open("permission denied"),
        Some(8) => open("it can't be written"),
        Some(13) => StoreError::Full {
            path: path.to_owned(),
        },
        Some(14) => open("it can't be opened: is it a file, in a folder that is there?"),
        Some(26) => open("it is no SQLite database"),
        Some(5 | 6) => StoreError::Busy(format!(
            "{path} is kept locked, by a tool with an open transaction?"
        )),
        Some(11) => StoreError::Database(format!("{path} is damaged: {}", message(error))),
        _ => StoreError::Database(message(error)),
    }
}

fn message(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Why the tables can't be made or brought up to date.
pub(super) fn migration(error: MigrateError, path: &str) -> StoreError {
    let reason = match error {
        MigrateError::VersionMissing(_) => "a newer Nephila has made it: update this one".into(),
        MigrateError::VersionMismatch(_) => {
            "a development version of Nephila has made it: move it away".into()
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            match sql(&error, path) {
                StoreError::Database(reason) => reason,
                other => return other,
            }
        }
        other => other.to_string(),
    };
    StoreError::Open {
        path: path.to_owned(),
        reason,
    }
}
