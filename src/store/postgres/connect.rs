//! Connections to the server.
//!
//! A process has two: one writes, one reads what to fetch next. Each is made when it is needed and
//! thrown away when it breaks; who waits for a call waits with the time-outs below.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, SqlStr};

use super::error::{self, Failure};
use crate::store::StoreError;

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it works on a statement of the crawl before it gives up.
const STATEMENT: Duration = Duration::from_mins(1);
/// How long it is waited for, in case it can't even say that.
pub(super) const ANSWER: Duration = Duration::from_secs(75);
/// A transaction whose process says nothing for so long is ended: it holds locks that others need.
/// Less than a lease.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// A database on a server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    options: PgConnectOptions,
    /// For messages: without user and password.
    pub(super) name: String,
}

impl Server {
    /// `postgres://user@host/database`; what the URL leaves out is taken from libpq's variables
    /// (`PGUSER`, `PGPASSWORD`, `PGSSLMODE`…) and its password file.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Open {
            path: "postgres://…".to_owned(),
            // The message of a URL's parser does not repeat the URL.
            reason: error.to_string(),
        })?;
        let database = options.get_database().unwrap_or(options.get_username());
        let name = match options.get_socket() {
            Some(socket) => format!("postgres://{}/{database}", socket.display()),
            None => format!(
                "postgres://{}:{}/{database}",
                options.get_host(),
                options.get_port()
            ),
        };
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("nephila"),
        };
        Ok(Self {
            options: options.disable_statement_logging(),
            name,
        })
    }

    /// A connection as a crawl uses it.
    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        let milliseconds = |time: Duration| time.as_millis().to_string();
        let options = self.options.clone().options([
            ("statement_timeout", milliseconds(STATEMENT)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(IDLE_IN_TRANSACTION),
            ),
            // Plans are made when tables are empty and kept when they are large: every row is to be
            // found by an index from the first page on, whatever the planner believes.
            ("enable_seqscan", "off".to_owned()),
            ("enable_hashjoin", "off".to_owned()),
            ("enable_mergejoin", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        connect(&options).await
    }

    /// A connection for people's questions, as they have set it up.
    pub(super) async fn connect_reader(&self) -> Result<PgConnection, Failure> {
        connect(&self.options).await
    }

    /// Whether the URL says something of time-outs itself.
    pub(super) fn has_statement_timeout(&self) -> bool {
        let options = self.options.get_options().unwrap_or_default();
        options.contains("statement_timeout")
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Failure> {
    match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(connection) => Ok(connection?),
        Err(_) => Err(Failure::Late),
    }
}

/// One connection that is made again when it breaks.
pub(super) struct Link {
    server: Server,
    connection: Option<PgConnection>,
}

impl Link {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            connection: None,
        }
    }

    /// The connection, made if need be.
    pub(super) async fn ready(&mut self) -> Result<&mut PgConnection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.server.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Throws the connection away.
    pub(super) fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// Ends the connection in good order.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server notices a connection that is gone, too.
            let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
        }
    }
}

/// Key of the lock under which tables are made: `nephila` as a number.
pub(super) const TABLES: i64 = 0x006e_6570_6869_6c61;

/// Makes the tables, or brings them up to date; several processes may begin at once.
pub(super) async fn migrate(db: &mut PgConnection, place: &str) -> Result<(), StoreError> {
    let migrated = async {
        let mut transaction = db.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(TABLES)
            .execute(&mut *transaction)
            .await?;
        let mut migrator = migrator();
        // Its own lock belongs to a session, which a pooler would share.
        migrator.set_locking(false);
        migrator
            .run_direct(None, &mut *transaction, false)
            .await
            .map_err(error::migration)?;
        transaction.commit().await?;
        Ok(())
    };
    migrated
        .await
        .map_err(|failure| error::open(failure, place))
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        "start".into(),
        MigrationType::Simple,
        SqlStr::from_static(include_str!("../../../migrations/postgres/0001_start.sql")),
        false,
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_no_secrets() {
        let check = |url, name| assert_eq!(Server::parse(url).unwrap().name, name);
        check(
            "postgres://ann:secret@db.example/x?application_name=y",
            "postgres://db.example:5432/x",
        );
        check(
            "postgresql://ann:secret@db.example:6000/x",
            "postgres://db.example:6000/x",
        );
        let error = Server::parse("postgres://ann:secret@db.example:port/x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
