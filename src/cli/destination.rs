//! Files of rows: their name says the format, and how they are packed.

use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output;
use crate::export::{Csv, Export, JsonArray, JsonLines, Packed, Packing, WholeFile, Xml};

/// Where rows go, and how they are written.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// None is standard output.
    path: Option<PathBuf>,
    kind: Kind,
    packing: Packing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    JsonLines,
    Json,
    /// And whether formulas are escaped.
    Csv(bool),
    Xml,
}

impl Destination {
    /// What was typed as `-o`.
    pub(super) fn parse(path: &Path, escape_formulas: bool) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self {
                path: None,
                kind: Kind::JsonLines,
                packing: Packing::None,
            });
        }
        let (packing, name) = Packing::of(path);
        let extension = name.extension().and_then(|extension| extension.to_str());
        let kind = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson") => Kind::JsonLines,
            Some("json") => Kind::Json,
            Some("csv") => Kind::Csv(escape_formulas),
            Some("xml") => Kind::Xml,
            _ => {
                let failure = format!("-o {}: its name says no format", path.display());
                return Err(Failure::usage(failure).more(
                    "write .jsonl, .csv, .json or .xml, perhaps with .gz or .zst after it; or - for JSON \
                     Lines on standard output",
                ));
            }
        };
        Ok(Self {
            path: Some(path.to_owned()),
            kind,
            packing,
        })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether it holds rows of one table only.
    pub(super) fn is_one_table(&self) -> bool {
        matches!(self.kind, Kind::Csv(_))
    }

    /// Refuses before the work what could not be written after it: the folder is there and takes files.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        WholeFile::create(path)
            .map(drop)
            .map_err(|error| Failure::usage(format!("can't write {}: {error}", path.display())))
    }

    /// A file in the making.
    pub(super) fn open(&self) -> io::Result<Opened> {
        let to = match self.path() {
            None => To::Stdout(output::stdout()),
            Some(path) => To::File(Packed::new(WholeFile::create(path)?, self.packing)?),
        };
        Ok(Opened {
            to,
            kind: self.kind,
        })
    }
}

/// A file that is there once it is published.
pub(super) struct Opened {
    to: To,
    kind: Kind,
}

enum To {
    Stdout(io::BufWriter<io::Stdout>),
    File(Packed<WholeFile>),
}

impl Opened {
    /// What rows are given to.
    pub(super) fn export(&mut self) -> Box<dyn Export + Send + '_> {
        match &mut self.to {
            To::Stdout(to) => self.kind.export(to),
            To::File(to) => self.kind.export(to),
        }
    }

    /// Makes the file appear.
    pub(super) fn publish(self) -> io::Result<()> {
        match self.to {
            To::Stdout(_) => Ok(()),
            To::File(packed) => packed.finish()?.publish(),
        }
    }
}

impl Kind {
    fn export<'a>(self, to: &'a mut (impl io::Write + Send)) -> Box<dyn Export + Send + 'a> {
        match self {
            Self::JsonLines => Box::new(JsonLines::new(to)),
            Self::Json => Box::new(JsonArray::new(to)),
            Self::Csv(escape) => Box::new(Csv::new(to).escape_formulas(escape)),
            Self::Xml => Box::new(Xml::new(to)),
        }
    }
}
