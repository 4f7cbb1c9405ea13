//! Which database a command works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::{Failure, NO_CRAWL};
use super::flags::quoted;
use super::output;
use super::project::Project;
use crate::store::{self, Reader, RunRow, StoreError};

/// Where no one says otherwise.
const DEFAULT: &str = "crawl.db";

/// A database as commands name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Database {
    /// For the store.
    pub(super) url: String,
    /// For people: without secrets.
    pub(super) shown: String,
    /// What to add to a suggested command so that it finds the database.
    pub(super) flag: String,
    /// How a command names it: without a password.
    named: String,
    path: Option<PathBuf>,
}

impl Database {
    /// By flag, `NEPHILA_DB`, `DATABASE_URL`, `nephila.toml`, the user's file, or `crawl.db` beside
    /// `nephila.toml`.
    pub(super) fn find(flag: Option<&str>, project: &Project) -> Self {
        let set = |name| output::variable(name).filter(|value| !value.is_empty());
        if let Some(flag) = flag {
            let database = Self::parse(flag, Path::new(""));
            let flag = format!(" --db {}", quoted(&database.named));
            return Self { flag, ..database };
        }
        if let Some(named) = set("NEPHILA_DB").or_else(|| set("DATABASE_URL")) {
            return Self::parse(&named, Path::new(""));
        }
        if let Some(named) = project.file.as_ref().and_then(|file| file.db.as_ref()) {
            return Self::parse(named, &project.folder);
        }
        match project.user.as_ref().and_then(|file| file.db.as_ref()) {
            Some(named) => Self::parse(named, Path::new("")),
            None => Self::parse(DEFAULT, &project.folder),
        }
    }

    fn parse(named: &str, folder: &Path) -> Self {
        if let Some((scheme, rest)) = named.split_once("://")
            && scheme != "sqlite"
        {
            // What stands before an @ may be a password.
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            let host = host.split('?').next().unwrap_or_default();
            return Self {
                url: named.to_owned(),
                shown: format!("{scheme}://{host}"),
                flag: String::new(),
                named: without_password(named),
                path: None,
            };
        }
        let path = named.strip_prefix("sqlite:").unwrap_or(named);
        let path = path.strip_prefix("//").unwrap_or(path);
        if path == ":memory:" {
            return Self {
                url: "sqlite::memory:".to_owned(),
                shown: ":memory:".to_owned(),
                flag: String::new(),
                named: ":memory:".to_owned(),
                path: None,
            };
        }
        let path = folder.join(path);
        Self {
            url: format!("sqlite:{}", path.display()),
            shown: path.display().to_string(),
            flag: String::new(),
            named: path.display().to_string(),
            path: Some(path),
        }
    }

    /// Opens it for reading.
    pub(super) async fn reader(&self) -> Result<Arc<dyn Reader>, Failure> {
        if let Some(path) = &self.path
            && !path.exists()
        {
            let failure = Failure::usage(format!("there is no database {}", self.shown));
            return Err(failure
                .more("crawl something first:  nephila crawl SPIDER   (nephila list shows them)")
                .more("or say where it is:  --db FILE"));
        }
        Ok(store::open_reader(&self.url).await?)
    }

    /// Its runs; there were none yet if nothing was crawled into it.
    pub(super) async fn runs(&self) -> Result<Vec<RunRow>, Failure> {
        if self.path.as_ref().is_some_and(|path| !path.exists()) {
            return Ok(Vec::new());
        }
        match store::open_reader(&self.url).await {
            Ok(reader) => Ok(reader.runs().await?),
            Err(StoreError::Open { reason, .. }) if reason == NO_CRAWL => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Its size on disk, what waits in its log included.
    pub(super) fn bytes(&self) -> Option<u64> {
        let path = self.path.as_ref()?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        Some(size(path) + size(Path::new(&log)))
    }
}

/// A server's URL as it may stand in a command that is shown: the password is left to `PGPASSWORD`, or to
/// the password file.
fn without_password(named: &str) -> String {
    let Some((scheme, rest)) = named.split_once("://") else {
        return named.to_owned();
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Whatever stands before the last @ may belong to a password.
    let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
    let user = user.split([':', '/']).next().unwrap_or_default();
    let at = if user.is_empty() { "" } else { "@" };
    let is_public =
        |part: &&str| !part.starts_with("password=") && !part.starts_with("sslpassword=");
    let query: Vec<&str> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .filter(is_public)
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{at}{host}{mark}{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |named: &str, url: &str, shown: &str| {
            let database = Database::parse(named, Path::new(""));
            assert_eq!((&*database.url, &*database.shown), (url, shown));
        };
        check("crawl.db", "sqlite:crawl.db", "crawl.db");
        check("sqlite:a b.db", "sqlite:a b.db", "a b.db");
        check("sqlite:///x/y.db", "sqlite:/x/y.db", "/x/y.db");
        check("sqlite::memory:", "sqlite::memory:", ":memory:");
        check(
            "postgres://ann:secret@db.example/x?password=y",
            "postgres://ann:secret@db.example/x?password=y",
            "postgres://db.example/x",
        );
        let flag = |named| without_password(named);
        assert_eq!(
            flag("postgres://ann:secret@db.example/x?password=y&sslmode=require"),
            "postgres://ann@db.example/x?sslmode=require"
        );
        assert_eq!(flag("postgres:///x?host=/run"), "postgres:///x?host=/run");
        assert_eq!(flag("postgres://a:b/c@d@e,f:1/x"), "postgres://a@e,f:1/x");
        let above = Database::parse("crawl.db", Path::new("/shop"));
        assert_eq!(above.url, "sqlite:/shop/crawl.db");
    }
}
