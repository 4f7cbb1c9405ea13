//! Rows on their way into files.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Destination, Kind};
use crate::cli::output;
use crate::export::{
    Csv, Export, JsonArray, JsonLines, Packed, Packing, Whole, WholeFile, Xml, publish_all,
};
use crate::item::{self, Value};

pub(super) use object::check as check_object;

/// Files that are there once they are published.
pub(in crate::cli) struct Opened {
    destination: Destination,
    /// Bytes of the part in hand.
    written: Arc<AtomicU64>,
    done: Vec<Box<dyn Whole>>,
    part: Option<Box<dyn Part>>,
    columns: Vec<String>,
    kinds: Vec<Option<item::Kind>>,
}

impl Opened {
    pub(super) fn new(destination: Destination) -> Self {
        Self {
            destination,
            written: Arc::default(),
            done: Vec::new(),
            part: None,
            columns: Vec::new(),
            kinds: Vec::new(),
        }
    }

    /// The part in hand; a new one knows its columns.
    fn in_hand(&mut self) -> io::Result<&mut (dyn Part + 'static)> {
        if self.part.is_none() {
            let number = self.done.len() + 1;
            let mut part = self.destination.part(number, &self.written)?;
            if !self.columns.is_empty() {
                part.kinds(&self.kinds);
                part.begin(&self.columns)?;
            }
            self.part = Some(part);
        }
        let part = self.part.as_deref_mut();
        part.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn close_part(&mut self) -> io::Result<()> {
        if let Some(part) = self.part.take() {
            let mut to = part.close()?.finish()?.to;
            to.seal()?;
            self.done.push(to);
        }
        Ok(())
    }

    /// Makes the files appear; what they are called, in words.
    pub(in crate::cli) fn publish(mut self) -> io::Result<String> {
        self.close_part()?;
        let count = self.done.len();
        publish_all(self.done)?;
        self.destination.remove_parts_after(count)?;
        let first = self.destination.name_of(1).display().to_string();
        Ok(if count > 1 {
            let last = self.destination.name_of(count);
            format!("{count} files, {first} to {}", last.display())
        } else {
            first
        })
    }
}

impl Export for Opened {
    fn kinds(&mut self, kinds: &[Option<item::Kind>]) {
        self.kinds = kinds.to_vec();
        if let Some(part) = &mut self.part {
            part.kinds(kinds);
        }
    }

    fn begin(&mut self, columns: &[String]) -> io::Result<()> {
        let is_new = self.part.is_none();
        self.columns = columns.to_vec();
        let part = self.in_hand()?;
        if is_new { Ok(()) } else { part.begin(columns) }
    }

    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        let limit = self.destination.split;
        if limit.is_some_and(|limit| self.written.load(Ordering::Relaxed) >= limit) {
            if let Some(part) = &mut self.part {
                part.end()?;
            }
            self.close_part()?;
        }
        self.in_hand()?.row(values)
    }

    fn end(&mut self) -> io::Result<()> {
        self.in_hand()?.end()
    }
}

impl Destination {
    /// Parts that an earlier export of more rows has left: they would be taken for parts of this one.
    fn remove_parts_after(&self, count: usize) -> io::Result<()> {
        if self.split.is_none() || self.object().is_some() {
            return Ok(());
        }
        for number in count + 1.. {
            match std::fs::remove_file(self.name_of(number)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Begins a part.
    fn part(&self, number: usize, written: &Arc<AtomicU64>) -> io::Result<Box<dyn Part>> {
        let path = self.name_of(number);
        let to: Box<dyn Whole> = match (&self.path, self.object()) {
            (None, _) => Box::new(Stdout(output::stdout())),
            (_, Some(_)) => object::create(&path.to_string_lossy())?,
            _ => Box::new(WholeFile::create(&path)?),
        };
        written.store(0, Ordering::Relaxed);
        let written = Arc::clone(written);
        let is_split = self.split.is_some();
        let to = Packed::new(
            Counted {
                to,
                written,
                is_split,
            },
            self.packing,
        )?;
        // What is packed comes in blocks anyway.
        let row_by_row = is_split && self.packing == Packing::None;
        self.kind.export(to, row_by_row)
    }
}

/// Standard output, of which nothing is to be made.
struct Stdout(io::BufWriter<io::Stdout>);

impl io::Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Whole for Stdout {
    fn seal(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn publish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written to, and how much was.
struct Counted {
    to: Box<dyn Whole>,
    written: Arc<AtomicU64>,
    /// Then rows come one by one to be counted, and are still written many at a time.
    is_split: bool,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_split {
            Ok(())
        } else {
            self.to.flush()
        }
    }
}

/// Rows in a format, and what they are written to.
trait Part: Export + Send {
    fn close(self: Box<Self>) -> io::Result<Packed<Counted>>;
}

impl Part for JsonLines<Packed<Counted>> {
    fn close(self: Box<Self>) -> io::Result<Packed<Counted>> {
        Ok(self.into_inner())
    }
}

impl Part for JsonArray<Packed<Counted>> {
    fn close(self: Box<Self>) -> io::Result<Packed<Counted>> {
        Ok(self.into_inner())
    }
}

impl Part for Csv<Packed<Counted>> {
    fn close(self: Box<Self>) -> io::Result<Packed<Counted>> {
        self.into_inner()
    }
}

impl Part for Xml<Packed<Counted>> {
    fn close(self: Box<Self>) -> io::Result<Packed<Counted>> {
        Ok(self.into_inner())
    }
}

#[cfg(feature = "parquet")]
impl Part for crate::export::Parquet<Packed<Counted>> {
    fn close(self: Box<Self>) -> io::Result<Packed<Counted>> {
        self.into_inner()
    }
}

impl Kind {
    fn export(self, to: Packed<Counted>, row_by_row: bool) -> io::Result<Box<dyn Part>> {
        Ok(match self {
            Self::JsonLines => Box::new(JsonLines::new(to)),
            Self::Json => Box::new(JsonArray::new(to)),
            Self::Csv(escape) => {
                Box::new(Csv::new(to).escape_formulas(escape).row_by_row(row_by_row))
            }
            Self::Xml => Box::new(Xml::new(to)),
            Self::Parquet => parquet(to)?,
        })
    }
}

#[cfg(feature = "parquet")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "without the feature there is none"
)]
fn parquet(to: Packed<Counted>) -> io::Result<Box<dyn Part>> {
    Ok(Box::new(crate::export::Parquet::new(to)))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: Packed<Counted>) -> io::Result<Box<dyn Part>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Objects in a store, if this program has any to do with them.
#[cfg(feature = "s3")]
mod object {
    use std::io;

    use crate::export::{Upload, Whole};
    use crate::fetch::install_tls;

    pub(in crate::cli::destination) fn check(url: &str) -> io::Result<()> {
        install_tls();
        Upload::check(url)
    }

    pub(super) fn create(url: &str) -> io::Result<Box<dyn Whole>> {
        install_tls();
        Ok(Box::new(Upload::create(url)?))
    }
}

#[cfg(not(feature = "s3"))]
mod object {
    use std::io;

    use crate::export::Whole;

    pub(in crate::cli::destination) fn check(_: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn create(_: &str) -> io::Result<Box<dyn Whole>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
