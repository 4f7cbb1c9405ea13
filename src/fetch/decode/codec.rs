//! The decoders behind one interface: some bytes in, some bytes out.
//!
//! The crates' own writers are not used, on purpose: brotli's allows windows of 1 GiB, gzip's fails
//! on padding, zstd's can't tell whether a frame is whole, and all of them write once more when they
//! are dropped.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Operation};

use super::gzip::Gzip;

/// The largest window of zstd over HTTP (RFC 9659): 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What one call did. Neither read nor written: it wants more input, or none at all any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) wrote: usize,
}

/// The bytes are not what they are said to be.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Broken {
    fn from(error: E) -> Self {
        Self {
            source: Some(Box::new(error)),
        }
    }
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A decoder and whether it is at an end where the body may end.
pub(super) enum Codec {
    Gzip(Box<Gzip>),
    Deflate(Deflate),
    Brotli { state: Box<Brotli>, ended: bool },
    Zstd(Zstd),
}

/// The codec that a Content-Encoding names.
pub(super) fn named(name: &str) -> Option<Codec> {
    match name {
        "gzip" | "x-gzip" => Some(Codec::Gzip(Box::default())),
        "deflate" => Some(Codec::Deflate(Deflate::Unknown(None))),
        "br" => {
            let allocate = StandardAlloc::default;
            Some(Codec::Brotli {
                state: Box::new(Brotli::new_strict(allocate(), allocate(), allocate())),
                ended: false,
            })
        }
        "zstd" => Zstd::new().map(Codec::Zstd),
        _ => None,
    }
}

impl Codec {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli { .. } => "br",
            Self::Zstd(_) => "zstd",
        }
    }

    /// Whether it holds megabytes of what it wrote.
    pub(super) fn has_large_window(&self) -> bool {
        matches!(self, Self::Brotli { .. } | Self::Zstd(_))
    }

    /// Whether the body may end here.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.is_complete(),
            Self::Deflate(deflate) => matches!(deflate, Deflate::Ended),
            Self::Brotli { ended, .. } => *ended,
            Self::Zstd(zstd) => zstd.is_between_frames,
        }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        match self {
            Self::Gzip(gzip) => gzip.step(input, output),
            Self::Deflate(deflate) => deflate.step(input, output),
            Self::Brotli { ended: true, .. } => Ok(Step::default()),
            Self::Brotli { state, ended } => brotli(state, ended, input, output),
            Self::Zstd(zstd) => zstd.step(input, output),
        }
    }
}

/// One step of inflating; also whether the stream ended.
pub(super) fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Step, bool), Broken> {
    let (read, wrote) = (inflater.total_in(), inflater.total_out());
    let status = inflater.decompress(input, output, FlushDecompress::None)?;
    let step = Step {
        read: (inflater.total_in() - read) as usize,
        wrote: (inflater.total_out() - wrote) as usize,
    };
    Ok((step, status == Status::StreamEnd))
}

/// `deflate` means zlib (RFC 9110), and bare deflate in the wild: the first two bytes tell.
pub(super) enum Deflate {
    Unknown(Option<u8>),
    Known(Box<Decompress>),
    Ended,
}

impl Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        match self {
            Self::Ended => Ok(Step::default()),
            Self::Known(inflater) => {
                let (step, ended) = inflate(inflater, input, output)?;
                if ended {
                    *self = Self::Ended;
                }
                Ok(step)
            }
            Self::Unknown(first) => {
                let Some((byte, _)) = input.split_first() else {
                    return Ok(Step::default());
                };
                let Some(first) = *first else {
                    *first = Some(*byte);
                    return Ok(Step { read: 1, wrote: 0 });
                };
                let is_zlib = is_zlib_header(first, *byte);
                let mut inflater = Box::new(Decompress::new(is_zlib));
                inflate(&mut inflater, &[first], output)?;
                *self = Self::Known(inflater);
                self.step(input, output)
            }
        }
    }
}

/// RFC 1950: method 8, a window of at most 32 KiB, and a multiple of 31.
fn is_zlib_header(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

fn brotli(
    state: &mut Brotli,
    ended: &mut bool,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, Broken> {
    let (mut left, mut room) = (input.len(), output.len());
    let (mut read, mut wrote, mut total) = (0, 0, 0);
    let result = BrotliDecompressStream(
        &mut left, &mut read, input, &mut room, &mut wrote, output, &mut total, state,
    );
    match result {
        BrotliResult::ResultFailure => return Err(Broken::default()),
        BrotliResult::ResultSuccess => *ended = true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
    }
    Ok(Step { read, wrote })
}

/// Frames, one after another.
pub(super) struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    is_between_frames: bool,
}

impl Zstd {
    /// `None` only if there is no memory for it.
    fn new() -> Option<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new().ok()?;
        decoder
            .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
            .ok()?;
        Some(Self {
            decoder,
            is_between_frames: false,
        })
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        if self.is_between_frames {
            if input.is_empty() {
                return Ok(Step::default());
            }
            self.decoder.reinit()?;
            self.is_between_frames = false;
        }
        let status = self.decoder.run_on_buffers(input, output)?;
        self.is_between_frames = status.remaining == 0;
        Ok(Step {
            read: status.bytes_read,
            wrote: status.bytes_written,
        })
    }
}
