//! Files that are packed as they are written.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// How a file is packed, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

impl Packing {
    /// The packing that a file's name asks for, and the name without it.
    pub fn of(path: &Path) -> (Self, &Path) {
        let ending = path.extension().and_then(|end| end.to_str());
        let packing = match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => return (Self::None, path),
        };
        let stem = path.file_stem().map_or(path, Path::new);
        (packing, stem)
    }
}

/// A writer that packs what it is given.
pub enum Packed<W: Write> {
    /// Leaves it as it is.
    None(W),
    /// gzip
    Gzip(GzEncoder<W>),
    /// Zstandard
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Packed<W> {
    /// Packs into `to`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(to: W, packing: Packing) -> io::Result<Self> {
        Ok(match packing {
            Packing::None => Self::None(to),
            Packing::Gzip => Self::Gzip(GzEncoder::new(to, Compression::default())),
            Packing::Zstd => Self::Zstd(zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?),
        })
    }

    /// Writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// What the file says.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(to) => Ok(to),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Packed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(to) => to.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(to) => to.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

impl<W: Write> std::fmt::Debug for Packed<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None(_) => "Packed(not)",
            Self::Gzip(_) => "Packed(gzip)",
            Self::Zstd(_) => "Packed(zstd)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let text = "silk ".repeat(1_000);
        let packed = |packing| {
            let mut packed = Packed::new(Vec::new(), packing).unwrap();
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        let mut read = String::new();
        let gzip = packed(Packing::Gzip);
        flate2::read::GzDecoder::new(&gzip[..])
            .read_to_string(&mut read)
            .unwrap();
        assert!(read == text && gzip.len() < 100);
        let zstd = packed(Packing::Zstd);
        assert!(zstd::decode_all(&zstd[..]).unwrap() == text.as_bytes() && zstd.len() < 100);
        assert_eq!(packed(Packing::None), text.as_bytes());
    }

    #[test]
    fn by_name() {
        let check = |name: &str, packing, rest: &str| {
            assert_eq!(Packing::of(Path::new(name)), (packing, Path::new(rest)));
        };
        check("a/books.csv", Packing::None, "a/books.csv");
        check("a/books.csv.gz", Packing::Gzip, "books.csv");
        check("books.JSONL.ZST", Packing::Zstd, "books.JSONL");
    }
}
