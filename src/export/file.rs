//! A file that is there whole, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Whole;

/// A file in the making: what is written stands beside its final name until
/// [`publish`](WholeFile::publish); dropped before that, it is removed.
#[derive(Debug)]
pub struct WholeFile {
    to: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl WholeFile {
    /// Begins a file that will be called `path`; one of this name stays until it is replaced.
    ///
    /// # Errors
    /// If the folder does not exist or can't be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other(format!("{} is no file name", path.display())))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let to = Some(BufWriter::new(File::create(&temporary)?));
        Ok(Self {
            to,
            temporary,
            path: path.to_owned(),
        })
    }

    /// Makes the file appear, once all of it is on disk.
    ///
    /// # Errors
    /// What the disk says; then the file did not change.
    pub fn publish(mut self) -> io::Result<()> {
        self.seal()?;
        fs::rename(&self.temporary, &self.path)
    }
}

impl Whole for WholeFile {
    fn seal(&mut self) -> io::Result<()> {
        let Some(to) = self.to.take() else {
            return Ok(());
        };
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }

    fn publish(self: Box<Self>) -> io::Result<()> {
        WholeFile::publish(*self)
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            Some(to) => to.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // After a successful rename there is nothing of this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let write = |text: &str| {
            let mut file = WholeFile::create(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        drop(write("half"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let file = write("first");
        assert!(!path.exists());
        file.publish().unwrap();
        drop(write("half"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        write("second").publish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
