//! Downloads: bodies that go to disk as they come, and never through memory.
//!
//! A file is written aside, hashed on the way, and renamed once it is whole. What a crawl that was
//! killed left half-written has another name, so nobody takes it for a file, and is removed later.
//! Names are made here; what servers and pages say is at most a hint for an ending, see [`name`].

mod name;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use url::Url;

use super::cache::hex;
use super::{FailureKind, FetchError};
use crate::clock;
use crate::request::SavedFile;
use crate::settings::{FileNames, Settings};

/// Where files are written before they are whole.
const ASIDE: &str = ".part";
/// What was left there by crawls that were killed is removed when it is this old.
const STALE: Duration = Duration::from_hours(1);

/// The folder of downloads.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    names: FileNames,
    max_bytes: usize,
}

impl Files {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            folder: PathBuf::from(&settings.files),
            names: settings.file_names,
            max_bytes: settings.max_file,
        }
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// A file that begins.
    pub(super) async fn begin(&self) -> Result<Part, FetchError> {
        self.begin_part().await.map_err(|error| self.cannot(&error))
    }

    async fn begin_part(&self) -> io::Result<Part> {
        let aside = self.folder.join(ASIDE);
        if !tokio::fs::try_exists(&aside).await? {
            tokio::fs::create_dir_all(&aside).await?;
        }
        sweep(&aside).await;
        let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = aside.join(name);
        let file = tokio::fs::File::create_new(&path).await?;
        Ok(Part {
            file,
            path,
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    /// Gives a whole file its name.
    pub(super) async fn keep(
        &self,
        part: Part,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<SavedFile, FetchError> {
        let kept = self.keep_part(part, url, headers).await;
        kept.map_err(|error| self.cannot(&error))
    }

    async fn keep_part(
        &self,
        mut part: Part,
        url: &Url,
        headers: &HeaderMap,
    ) -> io::Result<SavedFile> {
        part.file.flush().await?;
        // A rename that outlives its file's bytes would leave an empty file after a power cut.
        part.file.sync_all().await?;
        let sha256 = hex(&std::mem::take(&mut part.hash).finalize());
        let kind = headers.get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let names = match self.names {
            FileNames::Hash => name::of_hash(&sha256, url, kind),
            FileNames::Url => name::of_url(url, kind),
        };
        let (folder, names_of_folder) = (self.folder.clone(), names.clone());
        let from = part.path.clone();
        let moved = tokio::task::spawn_blocking(move || {
            let to = within(&folder, &names_of_folder)?;
            std::fs::rename(from, to)
        });
        moved.await.map_err(io::Error::other)??;
        Ok(SavedFile {
            path: names.join("/"),
            sha256,
            bytes: part.bytes,
        })
    }

    fn cannot(&self, error: &io::Error) -> FetchError {
        let message = format!("can't write into {}: {error}", self.folder.display());
        FetchError::new(FailureKind::Other, message)
    }
}

/// The path of a file below `folder`, whose parents are made. A link on the way would lead out.
fn within(folder: &Path, names: &[String]) -> io::Result<PathBuf> {
    let mut path = folder.to_owned();
    let (last, parents) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    for name in parents {
        path.push(name);
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !std::fs::symlink_metadata(&path)?.is_dir() {
            let message = format!("{} is no folder", path.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
        }
    }
    path.push(last);
    Ok(path)
}

/// Removes what crawls that were killed left half-written.
async fn sweep(aside: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(aside).await else {
        return;
    };
    let now = SystemTime::from(clock::now());
    while let Ok(Some(entry)) = entries.next_entry().await {
        let modified = entry.metadata().await.and_then(|data| data.modified());
        let age = modified.ok().and_then(|at| now.duration_since(at).ok());
        if age.is_some_and(|age| age > STALE) {
            let _ = tokio::fs::remove_file(entry.path()).await;
        }
    }
}

/// A file on its way; dropped before it is kept, it is removed.
#[derive(Debug)]
pub(super) struct Part {
    file: tokio::fs::File,
    path: PathBuf,
    hash: Sha256,
    bytes: u64,
}

impl Part {
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).await.map_err(|error| {
            let message = format!("can't write {}: {error}", self.path.display());
            FetchError::new(FailureKind::Other, message)
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // A kept one has another name by now.
        let _ = std::fs::remove_file(&self.path);
    }
}
