//! A file that is there whole, or not at all.

use std::ffi::{OsStr, OsString};
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
    /// A second name of the file that it has taken the place of.
    before: Option<PathBuf>,
    is_published: bool,
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
        let temporary = hidden(path, name, "part");
        let to = Some(BufWriter::new(File::create(&temporary)?));
        Ok(Self {
            to,
            temporary,
            path: path.to_owned(),
            before: None,
            is_published: false,
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

/// A name beside that of a file, for as long as this process works on it.
fn hidden(path: &Path, name: &OsStr, what: &str) -> PathBuf {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{what}", std::process::id()));
    path.with_file_name(hidden)
}

impl Whole for WholeFile {
    fn seal(&mut self) -> io::Result<()> {
        let Some(to) = self.to.take() else {
            return Ok(());
        };
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }

    fn publish(&mut self) -> io::Result<()> {
        self.seal()?;
        if let Some(name) = self.path.file_name() {
            let before = hidden(&self.path, name, "before");
            self.before = fs::hard_link(&self.path, &before).is_ok().then_some(before);
        }
        fs::rename(&self.temporary, &self.path)?;
        self.is_published = true;
        Ok(())
    }

    fn take_back(&mut self) {
        if self.is_published {
            let _ = match self.before.take() {
                Some(before) => fs::rename(before, &self.path),
                None => fs::remove_file(&self.path),
            };
        }
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
        if let Some(before) = &self.before {
            let _ = fs::remove_file(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::publish_all;

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

    #[test]
    fn all_of_them_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        };
        let whole = |name: &str| -> Box<dyn Whole> {
            let mut file = WholeFile::create(&path(name)).unwrap();
            file.write_all(b"new").unwrap();
            Box::new(file)
        };
        fs::write(path("a"), "old").unwrap();
        fs::create_dir_all(path("c/full")).unwrap();
        assert!(publish_all(vec![whole("a"), whole("b"), whole("c"), whole("d")]).is_err());
        assert_eq!(names(), ["a", "c"]);
        assert_eq!(fs::read_to_string(path("a")).unwrap(), "old");
        publish_all(vec![whole("a"), whole("b")]).unwrap();
        assert_eq!(names(), ["a", "b", "c"]);
        assert_eq!(fs::read_to_string(path("a")).unwrap(), "new");
    }
}
