//! What was being read when a process died.
//!
//! A step that overflows its stack or takes all memory ends its process, and no code of that process can
//! tell. So each thread that runs steps keeps a note of whose step it is at in a file beside the
//! database, which outlives the process (not the machine: nothing is synced). The next run reads the
//! notes: a page in whose step processes have died [`MOST`] times is not read again. It has failed, and
//! the crawl goes on.
//!
//! One death tells nothing: whoever is killed is killed in some step. On a machine so busy that a process
//! was killed before it had read its first pages, one page was met three times of five by chance; six
//! times is not likely enough to care.
//!
//! The file: [`SUSPECTS`] pairs of a request's number and its deaths, then a request's number for each
//! thread, 0 for none; all of them 8 bytes, little endian.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Deaths that are no accident any more.
pub(super) const MOST: u64 = 6;
/// Requests whose deaths are kept: those that had most.
const SUSPECTS: usize = 64;
const NUMBER: usize = size_of::<i64>();

/// The notes of one run, and what those of the runs before have told.
#[derive(Debug)]
pub(super) struct Deaths {
    path: PathBuf,
    file: File,
    counts: HashMap<i64, u64>,
}

impl Deaths {
    /// Begins the notes at `path`; what is there is of a run that had no end, and counts if `is_resumed`.
    pub(super) fn open(path: PathBuf, is_resumed: bool) -> io::Result<Self> {
        let counts = if is_resumed {
            read(&path)?
        } else {
            HashMap::new()
        };
        let mut suspects: Vec<_> = counts.iter().collect();
        suspects.sort_unstable_by_key(|(_, deaths)| std::cmp::Reverse(**deaths));
        let mut head = Vec::with_capacity(SUSPECTS * 2 * NUMBER);
        for (seq, deaths) in suspects.into_iter().take(SUSPECTS) {
            head.extend(seq.to_le_bytes());
            head.extend(deaths.to_le_bytes());
        }
        head.resize(SUSPECTS * 2 * NUMBER, 0);
        let mut file = File::create(&path)?;
        file.write_all(&head)?;
        Ok(Self { path, file, counts })
    }

    /// How often a process has died in the step that reads this request.
    pub(super) fn of(&self, seq: i64) -> u64 {
        self.counts.get(&seq).copied().unwrap_or_default()
    }

    /// Notes whose step a thread is at; 0: nobody's.
    pub(super) fn note(&self, thread: usize, seq: i64) {
        let at = (SUSPECTS * 2 + thread) * NUMBER;
        // A note that is not taken is one death that is not counted.
        let _ = put(&self.file, &seq.to_le_bytes(), at as u64);
    }

    /// The run has an end: what is noted has killed nobody.
    pub(super) fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What a file of notes says, the deaths of its own run counted in.
fn read(path: &Path) -> io::Result<HashMap<i64, u64>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        bytes => bytes?,
    };
    let numbers: Vec<_> = bytes
        .as_chunks::<NUMBER>()
        .0
        .iter()
        .map(|number| i64::from_le_bytes(*number))
        .collect();
    let (head, threads) = numbers.split_at(numbers.len().min(SUSPECTS * 2));
    let mut counts: HashMap<_, _> = head
        .as_chunks::<2>()
        .0
        .iter()
        .filter(|[seq, _]| *seq != 0)
        .map(|[seq, deaths]| (*seq, deaths.unsigned_abs()))
        .collect();
    for seq in threads.iter().filter(|seq| **seq != 0) {
        *counts.entry(*seq).or_default() += 1;
    }
    Ok(counts)
}

#[cfg(unix)]
fn put(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn put(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::Seek;
    // Threads share the position: a note may go astray, and is one death that is not counted.
    file.seek(io::SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_are_counted_from_run_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crawl.db-steps");
        let open = |is_resumed| Deaths::open(path.clone(), is_resumed).unwrap();
        for run in 0..4 {
            let deaths = open(true);
            assert_eq!(
                [deaths.of(7), deaths.of(8), deaths.of(9)],
                [run, 0, run.min(1)]
            );
            deaths.note(1, 8);
            deaths.note(1, 0);
            deaths.note(5, 7);
            if run == 0 {
                deaths.note(0, 9);
            }
        }
        assert_eq!(open(false).of(7), 0, "another crawl");
        open(true).note(0, 7);
        open(true).forget();
        assert!(!path.exists());
        assert_eq!(open(true).of(7), 0);
    }

    #[test]
    fn who_had_most_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crawl.db-steps");
        for run in 0..60 {
            let deaths = Deaths::open(path.clone(), true).unwrap();
            assert_eq!(deaths.of(7), run);
            deaths.note(0, 7);
            for thread in 1..8 {
                deaths.note(thread, 1_000 + (run as i64) * 8 + thread as i64);
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crawl.db-steps");
        for length in [0, 3, 8, 9, 16, 1_000, 1_024, 1_025, 1_040] {
            fs::write(&path, vec![1; length]).unwrap();
            Deaths::open(path.clone(), true).unwrap();
        }
    }
}
