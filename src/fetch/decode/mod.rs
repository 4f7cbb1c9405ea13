//! Undoing Content-Encoding while the body arrives, within bounds.
//!
//! A body that was encoded more than once passes a chain of [`Layer`]s, each with one codec and one
//! small buffer. What leaves any layer is counted, so a bomb ends at the limit whatever it is wrapped
//! in, and nothing is ever held but the codecs' windows (32 KiB for gzip and deflate, at most 8 MiB
//! for zstd and 16 MiB for br) and the result.

mod codec;
mod gzip;

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::budget::Share;
use super::failure::bytes_as_text;
use super::files::Part;
use super::{FailureKind, FetchError};
use codec::{Codec, Step};

/// The longest chain of encodings.
const MAX_LAYERS: usize = 5;
/// What a codec writes at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// A declared length is believed up to here, before any of it has arrived.
const MAX_RESERVED_BYTES: usize = 256 * 1024;

/// Turns the bytes on the wire into the body, piece by piece.
pub(super) struct Decoder<'a> {
    /// The outermost encoding comes first.
    layers: Vec<Layer>,
    body: Body<'a>,
}

/// What came out so far.
struct Body<'a> {
    sink: Sink<'a>,
    len: usize,
    limit: usize,
    /// Codecs that hold what they wrote, to copy from it.
    windows: usize,
}

/// Where it goes.
enum Sink<'a> {
    Memory { bytes: Vec<u8>, share: Share<'a> },
    File(Part),
}

impl<'a> Decoder<'a> {
    /// For an answer with these headers, whose body may have up to `limit` bytes, as far as its
    /// `share` lets it.
    pub(super) fn new(
        headers: &HeaderMap,
        limit: usize,
        share: Share<'a>,
    ) -> Result<Self, FetchError> {
        let bytes = Vec::new();
        Self::into_sink(headers, limit, Sink::Memory { bytes, share })
    }

    /// The same for a body that goes into a file as it comes.
    pub(super) fn into_file(
        headers: &HeaderMap,
        limit: usize,
        part: Part,
    ) -> Result<Self, FetchError> {
        Self::into_sink(headers, limit, Sink::File(part))
    }

    fn into_sink(headers: &HeaderMap, limit: usize, sink: Sink<'a>) -> Result<Self, FetchError> {
        let names = encodings(headers);
        // Before there is a decoder for each, which takes 50 KB.
        if names.len() > MAX_LAYERS {
            let message = format!("{} content encodings, one in another", names.len());
            return Err(FetchError::new(FailureKind::Encoding, message));
        }
        let mut layers = Vec::new();
        for name in names {
            let codec = codec::named(&name).ok_or_else(|| unknown(&name))?;
            layers.push(Layer::new(codec));
        }
        let has_window = |layer: &&Layer| layer.codec.has_large_window();
        let windows = layers.iter().filter(has_window).count();
        // The last one named was applied last.
        layers.reverse();
        Ok(Self {
            layers,
            body: Body {
                sink,
                len: 0,
                limit,
                windows,
            },
        })
    }

    /// Makes room for a body of `declared` bytes on the wire.
    pub(super) fn reserve(&mut self, declared: u64) {
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        let declared = declared.min(self.body.limit).min(MAX_RESERVED_BYTES);
        if let Sink::Memory { bytes, .. } = &mut self.body.sink {
            bytes.reserve_exact(declared);
        }
    }

    /// Takes the next bytes from the wire. Waits while the crawl holds too many bytes; the little that
    /// a codec writes at once is all that is held beyond what was granted.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        push(&mut self.layers, bytes, &mut self.body).await
    }

    /// The beginning of a body of which no more is wanted.
    pub(super) fn cut(self) -> Bytes {
        match self.body.sink {
            Sink::Memory { bytes, share } => share.keep(bytes),
            Sink::File(_) => Bytes::new(),
        }
    }

    /// The whole body, once nothing more comes. What went into a file is there, and not here.
    pub(super) fn finish(self) -> Result<Bytes, FetchError> {
        match self.whole()? {
            Sink::Memory { bytes, share } => Ok(share.keep(bytes)),
            Sink::File(_) => Ok(Bytes::new()),
        }
    }

    /// The whole file, once nothing more comes.
    pub(super) fn finish_file(self) -> Result<Part, FetchError> {
        match self.whole()? {
            Sink::File(part) => Ok(part),
            Sink::Memory { .. } => Err(FetchError::new(FailureKind::Other, "no file")),
        }
    }

    fn whole(self) -> Result<Sink<'a>, FetchError> {
        match self.layers.iter().find(|layer| !layer.is_whole()) {
            Some(layer) => Err(FetchError::new(
                FailureKind::Encoding,
                format!("truncated {} body", layer.codec.name()),
            )),
            None => Ok(self.body.sink),
        }
    }
}

/// The encodings in the order they were applied, `identity` left out.
fn encodings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONTENT_ENCODING)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect()
}

fn unknown(name: &str) -> FetchError {
    let mut message = String::from("unknown content encoding `");
    for shown in name.chars().take(40) {
        // Writing to a String can't fail.
        let _ = write!(message, "{}", shown.escape_debug());
    }
    message.push('`');
    FetchError::new(FailureKind::Encoding, message)
}

pub(super) fn too_large(limit: usize) -> FetchError {
    let message = format!("body over {}", bytes_as_text(limit));
    FetchError::new(FailureKind::TooLarge, message)
}

/// One encoding: what comes in is decoded and pushed on.
struct Layer {
    codec: Codec,
    buffer: Box<[u8]>,
    written: usize,
    is_fed: bool,
}

impl Layer {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            buffer: vec![0; BUFFER_BYTES].into(),
            written: 0,
            is_fed: false,
        }
    }

    /// Whether nothing is missing. Servers send no bytes at all under an encoding, with redirects
    /// for one.
    fn is_whole(&self) -> bool {
        !self.is_fed || self.codec.is_complete()
    }
}

impl Body<'_> {
    async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let all = self.len + bytes.len();
        if all > self.limit {
            if let Sink::Memory { bytes: held, .. } = &mut self.sink {
                let room = self.limit - self.len;
                held.extend_from_slice(bytes.get(..room).unwrap_or_default());
                self.len = self.limit;
            }
            return Err(too_large(self.limit));
        }
        match &mut self.sink {
            Sink::Memory { bytes: held, share } => {
                share.grow(all * (1 + self.windows)).await;
                held.extend_from_slice(bytes);
            }
            Sink::File(part) => part.push(bytes).await?,
        }
        self.len = all;
        Ok(())
    }
}

async fn push(
    layers: &mut [Layer],
    mut bytes: &[u8],
    body: &mut Body<'_>,
) -> Result<(), FetchError> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        return body.push(bytes).await;
    };
    layer.is_fed |= !bytes.is_empty();
    loop {
        let Step { read, wrote } = layer
            .codec
            .step(bytes, &mut layer.buffer)
            .map_err(|error| {
                let message = format!("broken {} body", layer.codec.name());
                FetchError {
                    source: error.source,
                    ..FetchError::new(FailureKind::Encoding, message)
                }
            })?;
        // A bomb must not hold up the other tasks of its thread.
        tokio::task::coop::consume_budget().await;
        bytes = bytes.get(read..).unwrap_or_default();
        layer.written += wrote;
        if layer.written > body.limit {
            return Err(too_large(body.limit));
        }
        let decoded = layer.buffer.get(..wrote).unwrap_or_default();
        if inner.is_empty() {
            body.push(decoded).await?;
        } else {
            Box::pin(push(inner, decoded, body)).await?;
        }
        // A full buffer may hide more; otherwise a step without progress has eaten all it can.
        if wrote < layer.buffer.len() && (bytes.is_empty() || read == 0 && wrote == 0) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
