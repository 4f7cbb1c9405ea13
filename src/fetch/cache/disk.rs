//! Entries and bodies as files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::entry::Entry;
use super::{Key, hex};

/// Text compresses well at this level, at 300 MB/s.
const LEVEL: i32 = 3;
/// An entry is a URL and headers: more is none.
const MAX_ENTRY_BYTES: u64 = 4 * 1024 * 1024;
/// Once the folder is too large, it is emptied to this part of what it may have.
const KEPT: f64 = 0.8;
/// Files that were left half-written are removed when they are this old.
const STALE_SECONDS: u64 = 3_600;

/// A folder of entries and bodies.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    max_bytes: u64,
    /// What was not used for so long is removed.
    max_age: Option<Duration>,
    size: Mutex<Size>,
}

/// Bytes in the folder, as far as is known: other processes write, too.
#[derive(Debug, Default)]
struct Size {
    bytes: u64,
    /// What this process has written since it looked.
    unseen: u64,
    is_known: bool,
}

impl Disk {
    pub(super) fn new(folder: PathBuf, max_bytes: u64, max_age: Option<Duration>) -> Self {
        Self {
            folder,
            max_bytes,
            max_age,
            size: Mutex::default(),
        }
    }

    /// An entry with its body, if both are there and whole.
    pub(super) fn load(&self, key: &Key, max_body: usize) -> Option<(Entry, Vec<u8>)> {
        let path = self.entry_path(key);
        let entry = entry_at(&path)?;
        let body = self.body(&entry, max_body);
        let at = self.body_path(&entry.body);
        let now = SystemTime::from(crate::clock::now());
        for path in [&path, &at] {
            // Only so that what is used is kept for longer.
            let _ = File::options()
                .append(true)
                .open(path)
                .and_then(|file| file.set_modified(now));
        }
        Some((entry, body?))
    }

    /// The body of an entry, if it is there and whole.
    pub(super) fn body(&self, entry: &Entry, max_body: usize) -> Option<Vec<u8>> {
        if entry.body_bytes > max_body {
            return None;
        }
        let at = self.body_path(&entry.body);
        let limit = zstd::zstd_safe::compress_bound(entry.body_bytes) as u64;
        let packed = read(&at, limit)?;
        let body = zstd::bulk::decompress(&packed, entry.body_bytes).ok();
        let body = body.filter(|body| hex(&Sha256::digest(body)) == entry.body);
        if body.is_none() {
            // It can't be of use to anyone; a power cut leaves such.
            let _ = fs::remove_file(&at);
        }
        body
    }

    /// All entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        let folders = children(&self.folder.join("page")).into_iter();
        folders
            .flat_map(|folder| children(&folder))
            .filter_map(|path| entry_at(&path))
    }

    /// Stores an entry with its body.
    pub(super) fn store(&self, key: &Key, mut entry: Entry, body: &[u8]) -> io::Result<()> {
        entry.body = hex(&Sha256::digest(body));
        let at = self.body_path(&entry.body);
        if !at.exists() {
            let packed = zstd::bulk::compress(body, LEVEL)?;
            self.write(&at, &packed)?;
        }
        self.store_entry(key, &entry)
    }

    /// Stores an entry whose body is there.
    pub(super) fn store_entry(&self, key: &Key, entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_vec(entry)?;
        self.write(&self.entry_path(key), &text)
    }

    fn entry_path(&self, key: &Key) -> PathBuf {
        self.path("page", &key.0)
    }

    fn body_path(&self, hash: &str) -> PathBuf {
        self.path("body", hash)
    }

    fn path(&self, kind: &str, name: &str) -> PathBuf {
        let (first, rest) = name.split_at(2);
        self.folder.join(kind).join(first).join(rest)
    }

    /// Writes a file so that it is there whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        create_private(folder)?;
        let aside = self.folder.join("new");
        create_private(&aside)?;
        let aside = aside.join(format!("{}-{:016x}", std::process::id(), fastrand::u64(..)));
        let written = File::create_new(&aside).and_then(|mut file| file.write_all(bytes));
        let outcome = written.and_then(|()| fs::rename(&aside, path));
        if outcome.is_err() {
            let _ = fs::remove_file(&aside);
        }
        outcome?;
        self.grew(bytes.len() as u64);
        Ok(())
    }

    /// Counts what was written, and makes room if it is too much.
    fn grew(&self, bytes: u64) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        size.bytes += bytes;
        size.unseen += bytes;
        // Others may have written as much as we have.
        let is_due = size.bytes > self.max_bytes || size.unseen > self.max_bytes / 8;
        if is_due || !size.is_known {
            *size = Size {
                bytes: self.make_room(),
                unseen: 0,
                is_known: true,
            };
        }
    }

    /// Removes what was not used for longest, if there is too much; what is left.
    fn make_room(&self) -> u64 {
        let mut files = Vec::new();
        for kind in ["page", "body"] {
            for folder in children(&self.folder.join(kind)) {
                for file in children(&folder) {
                    files.extend(stat(file));
                }
            }
        }
        self.sweep();
        if let Some(age) = self.max_age {
            let now = SystemTime::from(crate::clock::now());
            files.retain(|(time, _, path)| {
                let is_old = now.duration_since(*time).is_ok_and(|since| since > age);
                !(is_old && fs::remove_file(path).is_ok())
            });
        }
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        if total <= self.max_bytes {
            return total;
        }
        files.sort_unstable();
        let kept = (self.max_bytes as f64 * KEPT) as u64;
        for (_, bytes, path) in files {
            if total <= kept {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= bytes;
            }
        }
        total
    }

    /// Removes what processes that were killed have left half-written.
    fn sweep(&self) {
        let now = SystemTime::from(crate::clock::now());
        for path in children(&self.folder.join("new")) {
            let is_old = stat(path.clone()).is_some_and(|(time, ..)| {
                now.duration_since(time)
                    .is_ok_and(|age| age.as_secs() > STALE_SECONDS)
            });
            if is_old {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// An entry that can be read, and whose body's name is one.
fn entry_at(path: &Path) -> Option<Entry> {
    let text = read(path, MAX_ENTRY_BYTES)?;
    let entry: Entry = serde_json::from_slice(&text).ok()?;
    (entry.is_readable() && is_name(&entry.body)).then_some(entry)
}

/// Pages of one's sessions are nobody else's to read.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn stat(path: PathBuf) -> Option<(SystemTime, u64, PathBuf)> {
    let data = fs::symlink_metadata(&path).ok()?;
    let is_file = data.is_file();
    is_file.then_some((data.modified().ok()?, data.len(), path))
}

/// A file's bytes, if there are not more than `limit`.
fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}

/// Whether it is a hash, and so no path.
fn is_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
