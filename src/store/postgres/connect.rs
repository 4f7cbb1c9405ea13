//! Connections to the server.
//!
//! A process has two: one writes, one reads what to fetch next. Each is made when it is needed and
//! thrown away when it breaks; who waits for a call waits with the time-outs below.

mod addresses;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// A database on a server, which may be at one of several addresses.
#[derive(Clone, Debug)]
pub(super) struct Server {
    addresses: Vec<PgConnectOptions>,
    /// Which of them answered last.
    last: Arc<AtomicUsize>,
    /// How long its transactions may stand still, in ms.
    idle: Arc<AtomicU64>,
    /// Whether also those who read want one that can be written.
    only_primary: bool,
    /// For messages: without user and password.
    pub(super) name: String,
}

impl Server {
    /// `postgres://user@host/database`, or with several hosts, of which the one that can be written counts:
    /// `postgres://user@one:5432,two:5432/database`. What the URL leaves out is taken from libpq's variables
    /// (`PGUSER`, `PGPASSWORD`, `PGSSLMODE`…) and its password file.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let open = |reason: String| StoreError::Open {
            path: "postgres://…".to_owned(),
            reason,
        };
        let (urls, attrs) = addresses::split(url).map_err(open)?;
        let mut addresses = Vec::with_capacity(urls.len());
        for url in &urls {
            // The message of a URL's parser does not repeat the URL.
            let options =
                PgConnectOptions::from_str(url).map_err(|error| open(error::message(&error)))?;
            let options = match options.get_application_name() {
                Some(_) => options,
                None => options.application_name("nephila"),
            };
            addresses.push(options.disable_statement_logging());
        }
        Ok(Self {
            name: name_of(&addresses),
            addresses,
            last: Arc::default(),
            idle: Arc::new(AtomicU64::new(IDLE_IN_TRANSACTION.as_millis() as u64)),
            only_primary: attrs.is_some_and(|attrs| matches!(&*attrs, "read-write" | "primary")),
        })
    }

    /// Has transactions that stand still end before leases of this length do; whether connections that there
    /// are must be made anew for that.
    pub(super) fn keep_below(&self, lease: Duration) -> bool {
        let idle = IDLE_IN_TRANSACTION.min(lease * 3 / 4).as_millis() as u64;
        self.idle.swap(idle, Ordering::Relaxed) != idle
    }

    /// A connection as a crawl uses it.
    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        let milliseconds = |time: Duration| time.as_millis().to_string();
        let set = [
            ("statement_timeout", milliseconds(STATEMENT)),
            (
                "idle_in_transaction_session_timeout",
                self.idle.load(Ordering::Relaxed).to_string(),
            ),
            // Plans are made when tables are empty and kept when they are large: every row is to be
            // found by an index from the first page on, whatever the planner believes.
            ("enable_seqscan", "off".to_owned()),
            ("enable_hashjoin", "off".to_owned()),
            ("enable_mergejoin", "off".to_owned()),
            ("jit", "off".to_owned()),
            // The plan does not depend on the values, and a commit's takes longer to make than to carry out.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
        ];
        self.first(true, |options| options.options(set.clone()))
            .await
    }

    /// A connection for people's questions, as they have set it up.
    pub(super) async fn connect_reader(&self) -> Result<PgConnection, Failure> {
        self.first(self.only_primary, |options| options).await
    }

    /// A connection to the first address that answers, beginning with the one that did so last. Only a
    /// primary can be written; where there is but one address, that is found out soon enough.
    async fn first(
        &self,
        is_written: bool,
        set: impl Fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Result<PgConnection, Failure> {
        let (count, last) = (self.addresses.len(), self.last.load(Ordering::Relaxed));
        let mut failure = None;
        for at in (0..count).map(|number| (last + number) % count) {
            match connect(&set(self.addresses[at].clone())).await {
                Ok(mut db) => {
                    if count > 1 && is_written && is_standby(&mut db).await? {
                        let standby = format!("{} is a standby", self.name);
                        failure.get_or_insert(StoreError::Busy(standby).into());
                        continue;
                    }
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(db);
                }
                Err(other) => failure = Some(failure.unwrap_or(other)),
            }
        }
        Err(failure.unwrap_or(Failure::Late))
    }

    /// Whether the URL says something of time-outs itself.
    pub(super) fn has_statement_timeout(&self) -> bool {
        let mut options = self
            .addresses
            .iter()
            .filter_map(PgConnectOptions::get_options);
        options.any(|options| options.contains("statement_timeout"))
    }
}

async fn is_standby(db: &mut PgConnection) -> Result<bool, Failure> {
    let is_standby = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(db);
    Ok(is_standby.await?)
}

/// The addresses for messages.
fn name_of(addresses: &[PgConnectOptions]) -> String {
    let Some(first) = addresses.first() else {
        return "postgres://".to_owned();
    };
    let database = first.get_database().unwrap_or(first.get_username());
    if let Some(socket) = first.get_socket() {
        return format!("postgres://{}/{database}", socket.display());
    }
    let hosts = addresses
        .iter()
        .map(|options| format!("{}:{}", options.get_host(), options.get_port()));
    format!(
        "postgres://{}/{database}",
        hosts.collect::<Vec<_>>().join(",")
    )
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
    /// How often it was made.
    made: u64,
}

impl Link {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            connection: None,
            made: 0,
        }
    }

    /// Another number for each connection, from 0 on.
    pub(super) fn generation(&self) -> u64 {
        self.made.saturating_sub(1)
    }

    /// The connection, made if need be.
    pub(super) async fn ready(&mut self) -> Result<&mut PgConnection, Failure> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let connection = self.server.connect().await?;
            self.made += 1;
            connection
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
    let migration = |version, name: &'static str, sql: &'static str| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![
        migration(
            1,
            "start",
            include_str!("../../../migrations/postgres/0001_start.sql"),
        ),
        migration(
            2,
            "shares",
            include_str!("../../../migrations/postgres/0002_shares.sql"),
        ),
    ])
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
        check(
            "postgres://ann:secret@one,two:6000,[::1]/x?target_session_attrs=any",
            "postgres://one:5432,two:6000,[::1]:5432/x",
        );
        let error = Server::parse("postgres://ann:secret@db.example:port/x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
