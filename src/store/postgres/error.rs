//! From what PostgreSQL says to what the user is told, and to what can be tried again.

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::store::StoreError;

/// An error inside the module; its place (the server) is added at the edge.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(sqlx::Error),
    Store(StoreError),
    /// The server did not answer in time.
    Late,
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

/// What kind of trouble an error tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No connection, or one that is lost: a new one may do.
    Away,
    /// The statement was undone for the sake of others: the next try may do.
    Again,
    Full,
    /// Values that no table takes.
    Data,
    Other,
}

impl Failure {
    /// Whether the connection is of no use any more.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Sql(error) => kind(error) == Kind::Away,
            Self::Store(_) => false,
        }
    }

    /// Whether the server is there, and says that it has no room or has not started yet.
    pub(super) fn is_not_now(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        let code = error.as_database_error().and_then(DatabaseError::code);
        matches!(code.as_deref(), Some("53300" | "57P03"))
    }

    /// Whether the values are at fault: their type, their size.
    pub(super) fn is_of_data(&self) -> bool {
        matches!(self, Self::Sql(error) if kind(error) == Kind::Data)
    }

    /// What the database said, without its place.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Sql(error) => message(error),
            Self::Store(error) => error.to_string(),
            Self::Late => "no answer in time".to_owned(),
        }
    }

    pub(super) fn at(self, place: &str) -> StoreError {
        let busy = |reason: String| StoreError::Busy(format!("{place}: {reason}"));
        match self {
            Self::Store(error) => error,
            Self::Late => busy(self.message()),
            Self::Sql(error) => match kind(&error) {
                Kind::Away | Kind::Again => busy(message(&error)),
                Kind::Full => StoreError::Full {
                    path: place.to_owned(),
                },
                Kind::Data | Kind::Other => StoreError::Database(message(&error)),
            },
        }
    }
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn kind(error: &sqlx::Error) -> Kind {
    let code = error.as_database_error().and_then(DatabaseError::code);
    let Some(code) = code.as_deref() else {
        return match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Kind::Away,
            _ => Kind::Other,
        };
    };
    match code {
        // Shut down, crashed, not started yet, too many connections; 25006: it only reads any more, as
        // after a fail-over.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" | "25006" => Kind::Away,
        // Serialisation, deadlock, lock not available, statement time-out, memory.
        "40001" | "40P01" | "55P03" | "57014" | "53200" | "53000" => Kind::Again,
        "53100" => Kind::Full,
        // Not null, check.
        "23502" | "23514" => Kind::Data,
        // Connection; values; limits of the server.
        _ => match &code[..2] {
            "08" => Kind::Away,
            "22" | "54" => Kind::Data,
            _ => Kind::Other,
        },
    }
}

pub(super) fn message(error: &sqlx::Error) -> String {
    let Some(said) = error.as_database_error() else {
        return match error {
            sqlx::Error::Io(error) => error.to_string(),
            sqlx::Error::Configuration(error) => error
                .to_string()
                .trim_start_matches("error with configuration: ")
                .to_owned(),
            error => error.to_string(),
        };
    };
    let message = said.message().to_owned();
    match said.code().as_deref() {
        // A prepared statement that another client of a pooler has made, or that this one has made elsewhere.
        Some("42P05" | "26000") => format!(
            "{message} (a pooler in transaction mode? it must keep prepared statements: PgBouncer 1.21 with \
             max_prepared_statements, or pool_mode = session)"
        ),
        Some("08P01") if message.contains("startup parameter") => format!(
            "{message} (a pooler? PgBouncer lets it pass with ignore_startup_parameters = options, extra_float_digits)"
        ),
        Some("28P01") => {
            format!("{message} (it is taken from PGPASSWORD, PGPASSFILE or ~/.pgpass)")
        }
        Some("3D000") => format!("{message} (`createdb` makes one)"),
        _ => message,
    }
}

/// Why a database can't be used at all; that a server is away or full may change.
pub(super) fn open(failure: Failure, place: &str) -> StoreError {
    // What can't be agreed on with a server that answers does not change by itself.
    let answers = match &failure {
        Failure::Sql(sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => true,
        // A certificate, for one.
        Failure::Sql(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    };
    match failure.at(place) {
        StoreError::Busy(reason) => {
            let path = place.to_owned();
            let own = reason.strip_prefix(&format!("{place}: "));
            let reason = own.unwrap_or(&reason).to_owned();
            if answers {
                StoreError::Open { path, reason }
            } else {
                StoreError::Away { path, reason }
            }
        }
        StoreError::Database(reason) => StoreError::Open {
            path: place.to_owned(),
            reason,
        },
        other => other,
    }
}

/// Why the tables can't be made or brought up to date.
pub(super) fn migration(error: MigrateError) -> Failure {
    let reason = match error {
        MigrateError::VersionMissing(_) => "a newer Nephila has made it: update this one".into(),
        MigrateError::VersionMismatch(_) => {
            "a development version of Nephila has made it: use another database".into()
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            return Failure::Sql(error);
        }
        other => other.to_string(),
    };
    Failure::Store(StoreError::Database(reason))
}
