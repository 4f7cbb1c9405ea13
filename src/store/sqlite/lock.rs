//! One process per database file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::clock;
use crate::store::StoreError;

/// The lock of a database: held while it lives, and freed by the system however the process ends.
///
/// The file `<database>.lock` stays; only the lock on it counts. What is in it is for the message of
/// the process that comes second.
pub(super) struct Lock(Mutex<File>);

impl Lock {
    /// Takes the lock of `database`, also against other openings in this process.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let open = |reason: std::io::Error| StoreError::Open {
            path: database.display().to_string(),
            reason: reason.to_string(),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(open)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: database.display().to_string(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(open(error)),
        }
        let lock = Self(Mutex::new(file));
        lock.say("opening it");
        Ok(lock)
    }

    /// Tells who comes second what is going on: `8123 (crawl books, since 10:31 UTC)`.
    pub(super) fn say(&self, what: &str) {
        let since = clock::now().strftime("%H:%M UTC");
        let line = format!("{} ({what}, since {since})", std::process::id());
        let Ok(mut file) = self.0.lock() else { return };
        // Only the message of a second process would be poorer without it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(line.as_bytes()));
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn holder(file: &mut File) -> String {
    let mut line = String::new();
    // Where locks are mandatory, or between a lock and its first word, nothing can be read.
    match file.take(200).read_to_string(&mut line) {
        Ok(bytes) if bytes > 0 => line,
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("crawl.db");
        let first = Lock::take(&database).unwrap();
        first.say("crawl books");
        let refused = Lock::take(&database).err().unwrap().to_string();
        let expected = format!("is locked by process {} (crawl books, ", std::process::id());
        assert!(refused.contains(&expected), "{refused}");
        drop(first);
        assert!(Lock::take(&database).is_ok());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Lock::take(Path::new("no/such/folder/crawl.db"))
            .err()
            .unwrap();
        assert!(
            matches!(error, StoreError::Open { path, .. } if path == "no/such/folder/crawl.db")
        );
    }
}
