//! Opening the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlStr};

use super::error::{Failure, migration};
use crate::store::StoreError;

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this process, gone with it.
    Memory,
    /// A file and its companions `-wal`, `-shm` and `.lock`.
    File(PathBuf),
}

impl Place {
    /// `sqlite:crawl.db`, `sqlite://crawl.db`, `sqlite::memory:` or a plain path.
    pub(super) fn parse(url: &str) -> Self {
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = path.strip_prefix("//").unwrap_or(path);
        if path == ":memory:" {
            Self::Memory
        } else {
            Self::File(path.into())
        }
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Memory => ":memory:".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// Which file was opened.
///
/// A file that is deleted or replaced while it is open can be written to as if nothing were, and all of
/// that is gone when it is closed.
pub(super) struct Opened {
    path: PathBuf,
    number: Option<(u64, u64)>,
}

impl Opened {
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            number: number(path),
        }
    }

    /// A file beside it, its name with `suffix`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Whether it is still there under its name.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if number(&self.path) == self.number {
            return Ok(());
        }
        let path = self.path.display();
        Err(StoreError::Database(format!(
            "{path} was deleted or replaced while the crawl had it open: what it wrote is lost"
        )))
    }
}

/// Device and number of a file.
#[cfg(unix)]
fn number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// An open file can't be deleted here.
#[cfg(not(unix))]
fn number(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Opens the connection that writes, and brings the tables up to date.
pub(super) async fn writer(place: &Place) -> Result<SqliteConnection, StoreError> {
    let options = match place {
        Place::Memory => options(),
        // What a crash of the machine may cost with NORMAL is the last commits, whole ones: their
        // pages are fetched again. A crash of the process costs nothing.
        Place::File(path) => options()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            // 16 MiB: the pages of a batch and its neighbours are written back once, not each time.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864"),
    };
    // Otherwise a user's view on a table would forbid to replace it by one with looser columns.
    let options = options.pragma("legacy_alter_table", "ON");
    let name = place.name();
    let mut connection = connect(&options, &name).await?;
    migrator()
        .run_direct(None, &mut connection, false)
        .await
        .map_err(|error| migration(error, &name))?;
    steady(&mut connection)
        .await
        .map_err(|error| Failure::from(error).at(&name))?;
    Ok(connection)
}

/// Tells the planner what to believe.
pub(super) async fn steady(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(include_str!("statistics.sql"))
        .execute(connection)
        .await?;
    Ok(())
}

/// Opens a connection that can only read and waits for no writer.
pub(super) async fn reader(path: &Path) -> Result<SqliteConnection, StoreError> {
    connect(&reading(path), &path.display().to_string()).await
}

/// The same for a file that nobody can write, on a medium where its companions can't be made.
pub(super) async fn reader_of_archive(path: &Path) -> Result<SqliteConnection, StoreError> {
    connect(&reading(path).immutable(true), &path.display().to_string()).await
}

fn reading(path: &Path) -> SqliteConnectOptions {
    options()
        .filename(path)
        .read_only(true)
        .pragma("query_only", "ON")
}

async fn connect(
    options: &SqliteConnectOptions,
    name: &str,
) -> Result<SqliteConnection, StoreError> {
    options
        .connect()
        .await
        .map_err(|error| Failure::from(error).at(name))
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(false)
        // The system's file cache does the work; a large cache of our own only doubles it.
        .pragma("cache_size", "-8000")
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(200)
        // Rows of a whole statement fit, so that the two threads need not wait for each other.
        .row_buffer_size(512)
        .disable_statement_logging()
}

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(
            1,
            "start",
            include_str!("../../../migrations/sqlite/0001_start.sql"),
        ),
        migration(
            2,
            "seen key",
            include_str!("../../../migrations/sqlite/0002_seen_key.sql"),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |url, path: &str| assert_eq!(Place::parse(url), Place::File(path.into()));
        check("sqlite:crawl.db", "crawl.db");
        check("sqlite://a/crawl.db", "a/crawl.db");
        check("sqlite:///a/crawl.db", "/a/crawl.db");
        check("a b.db", "a b.db");
        assert_eq!(Place::parse("sqlite::memory:"), Place::Memory);
    }
}
