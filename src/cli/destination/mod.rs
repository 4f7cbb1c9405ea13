//! Files of rows: their name says the format, and how they are packed.

mod opened;

use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::export::{Packing, WholeFile};
use crate::settings::parse_bytes;

pub(super) use opened::Opened;

/// Where rows go, and how they are written.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// None is standard output.
    path: Option<PathBuf>,
    kind: Kind,
    packing: Packing,
    /// Bytes after which the next file begins.
    split: Option<u64>,
}

/// The flags that say how a file is written.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct FileFlags {
    /// In a .csv, texts that a spreadsheet would take for formulas get a ' before them
    #[arg(long, requires = "output", help_heading = "Output")]
    escape_formulas: bool,
    /// Begin another file after so many bytes, like 100MB: books-0001.csv, books-0002.csv… All appear together at
    /// the end, in place of those of an earlier export, or none does
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "output", help_heading = "Output")]
    split: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    JsonLines,
    Json,
    /// And whether formulas are escaped.
    Csv(bool),
    Xml,
    Parquet,
}

const OBJECT: &str = "s3://";

fn size(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err("a file has at least one byte".to_owned()),
        bytes => Ok(bytes as u64),
    }
}

impl Destination {
    /// What was typed as `-o`.
    pub(super) fn parse(path: &Path, flags: FileFlags) -> Result<Self, Failure> {
        if path == Path::new("-") {
            if flags.split.is_some() {
                return Err(Failure::usage(
                    "--split makes files: name them with -o FILE",
                ));
            }
            return Ok(Self {
                path: None,
                kind: Kind::JsonLines,
                packing: Packing::None,
                split: None,
            });
        }
        let (packing, name) = Packing::of(path);
        let extension = name.extension().and_then(|extension| extension.to_str());
        let kind = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson") => Kind::JsonLines,
            Some("json") => Kind::Json,
            Some("csv") => Kind::Csv(flags.escape_formulas),
            Some("xml") => Kind::Xml,
            Some("parquet") => Kind::Parquet,
            _ => {
                let failure = format!("-o {}: its name says no format", path.display());
                return Err(Failure::usage(failure).more(
                    "write .jsonl, .csv, .json, .xml or .parquet, perhaps with .gz or .zst after it; or - for \
                     JSON Lines on standard output",
                ));
            }
        };
        if kind == Kind::Parquet && packing != Packing::None {
            let failure = format!("-o {}: Parquet is packed within", path.display());
            return Err(Failure::usage(failure).more("name it .parquet, without .gz or .zst"));
        }
        let it = Self {
            path: Some(path.to_owned()),
            kind,
            packing,
            split: flags.split,
        };
        it.is_built_in()?;
        Ok(it)
    }

    /// Whether this program was built with what it takes.
    fn is_built_in(&self) -> Result<(), Failure> {
        let without = |what: &str, feature: &str| {
            Failure::usage(format!("this nephila was built without {what}")).more(format!(
                "build it with the feature:  cargo install nephila --features {feature}, or in Cargo.toml \
                 nephila = {{ .., features = [\"{feature}\"] }}"
            ))
        };
        if self.kind == Kind::Parquet && !cfg!(feature = "parquet") {
            return Err(without("Parquet", "parquet"));
        }
        if self.object().is_some() && !cfg!(feature = "s3") {
            return Err(without("S3-compatible stores", "s3"));
        }
        Ok(())
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its URL, if it is an object in a store.
    fn object(&self) -> Option<&str> {
        let url = self.path()?.to_str()?;
        url.starts_with(OBJECT).then_some(url)
    }

    /// Whether it holds rows of one table only.
    pub(super) fn is_one_table(&self) -> bool {
        matches!(self.kind, Kind::Csv(_) | Kind::Parquet)
    }

    /// Refuses before the work what could not be written after it: the folder is there and takes files.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        let checked = match self.object() {
            Some(url) => opened::check_object(url),
            None => WholeFile::create(path).map(drop),
        };
        checked.map_err(|error| cannot(path, &error))
    }

    /// A file in the making, or several.
    pub(super) fn open(&self) -> Opened {
        Opened::new(self.clone())
    }

    /// The name of a part, which is that of the whole where there is one only.
    fn name_of(&self, part: usize) -> PathBuf {
        let path = self.path.clone().unwrap_or_default();
        if self.split.is_none() {
            return path;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (_, unpacked) = Packing::of(&path);
        let stem = unpacked.file_stem().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix(&*stem).unwrap_or_default();
        // A URL is no path: its slashes are kept as they are.
        let whole = path.to_string_lossy();
        let folder = whole.strip_suffix(&*name).unwrap_or_default();
        PathBuf::from(format!("{folder}{stem}-{part:04}{rest}"))
    }
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("can't write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        let flags = FileFlags {
            split: Some(1),
            ..FileFlags::default()
        };
        let check = |path: &str, expected: &str| {
            let destination = Destination {
                path: Some(path.into()),
                ..Destination::parse(Path::new("x.csv"), flags).unwrap()
            };
            assert_eq!(destination.name_of(2), Path::new(expected));
        };
        check("books.csv", "books-0002.csv");
        check("a.b/books.jsonl.gz", "a.b/books-0002.jsonl.gz");
        check("/x/y.z.xml", "/x/y.z-0002.xml");
        check(
            "s3://bucket/a/books.csv.zst",
            "s3://bucket/a/books-0002.csv.zst",
        );
    }
}
