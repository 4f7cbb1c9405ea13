//! A body as a stream of UTF-8: unpacked, decoded and bounded as it is read.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::bufread::MultiGzDecoder;

use super::{MAX_BYTES, MAX_PIECE};

const GZIP: &[u8] = &[0x1f, 0x8b];
/// Where a byte order mark or an XML declaration is looked for.
const HEAD: usize = 256;
const CHUNK: usize = 16 << 10;

/// What is broken in another charset is replaced, not refused.
pub(super) struct Input<'a> {
    bytes: Box<dyn BufRead + 'a>,
    decoder: Decoder,
    text: Vec<u8>,
    at: usize,
    is_finished: bool,
    /// Of the tag or text that is being read.
    piece: usize,
    total: u64,
    /// What went wrong when looking at the beginning.
    error: Option<io::Error>,
}

impl<'a> Input<'a> {
    pub(super) fn new(body: &'a [u8], content_type: Option<&str>) -> Self {
        let bytes: Box<dyn BufRead + 'a> = if body.starts_with(GZIP) {
            Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(body)))
        } else {
            Box::new(body)
        };
        Self::of(bytes, content_type)
    }

    fn of(mut bytes: Box<dyn BufRead + 'a>, content_type: Option<&str>) -> Self {
        // A broken pack may not say so twice.
        let (head, error) = match bytes.fill_buf() {
            Ok(head) => (head, None),
            Err(error) => (Default::default(), Some(error)),
        };
        let encoding = encoding(&head[..head.len().min(HEAD)], content_type);
        Self {
            bytes,
            decoder: encoding.new_decoder(),
            text: Vec::with_capacity(CHUNK),
            at: 0,
            is_finished: false,
            piece: 0,
            total: 0,
            error,
        }
    }

    /// Says that the next tag or text begins.
    pub(super) fn new_piece(&mut self) {
        self.piece = 0;
    }

    /// Skips white space, and says whether a tag comes next.
    pub(super) fn begins_with_tag(&mut self) -> io::Result<bool> {
        loop {
            let text = self.fill_buf()?;
            let blank = |byte: &u8| byte.is_ascii_whitespace();
            match text.iter().position(|byte| !blank(byte)) {
                Some(at) => {
                    let is_tag = text[at] == b'<';
                    self.consume(at);
                    return Ok(is_tag);
                }
                None if text.is_empty() => return Ok(false),
                None => {
                    let length = text.len();
                    self.consume(length);
                    self.new_piece();
                }
            }
        }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.text.resize(CHUNK, 0);
        self.at = 0;
        let mut length = 0;
        while length == 0 && !self.is_finished {
            let bytes = self.bytes.fill_buf()?;
            let is_last = bytes.is_empty();
            let (result, read, written, _) =
                self.decoder.decode_to_utf8(bytes, &mut self.text, is_last);
            self.bytes.consume(read);
            self.is_finished = is_last && result == CoderResult::InputEmpty;
            length = written;
        }
        self.text.truncate(length);
        self.total += length as u64;
        if self.total > MAX_BYTES {
            let message = format!("it is larger than {MAX_BYTES} bytes");
            return Err(io::Error::other(message));
        }
        Ok(())
    }
}

/// By byte order mark, XML declaration, header, or UTF-8: in this order, as the first two are the file's.
fn encoding(head: &[u8], content_type: Option<&str>) -> &'static Encoding {
    match head {
        [b'<', 0, ..] => return UTF_16LE,
        [0, b'<', ..] => return UTF_16BE,
        _ => {}
    }
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return encoding;
    }
    let head = String::from_utf8_lossy(head);
    let declared = head
        .trim_start()
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split("?>").next())
        .and_then(|declaration| after(declaration, "encoding="));
    let declared = declared.or_else(|| after(content_type?, "charset="));
    let named = declared.and_then(|name| Encoding::for_label(name.as_bytes()));
    // A declaration that could be read is none in UTF-16.
    named
        .filter(|encoding| ![UTF_16LE, UTF_16BE].contains(encoding))
        .unwrap_or(UTF_8)
}

/// The value that follows a key, with or without quotes.
fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, value) = text.split_once(key)?;
    let value = value.trim_start_matches(['"', '\'', ' ']);
    value.split(['"', '\'', ';', ' ']).next()
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let text = self.fill_buf()?;
        let length = text.len().min(into.len());
        into[..length].copy_from_slice(&text[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece > MAX_PIECE {
            let message = format!("a tag or text is longer than {MAX_PIECE} bytes");
            return Err(io::Error::other(message));
        }
        if self.at >= self.text.len() {
            self.decode_more()?;
        }
        Ok(self.text.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
        self.piece += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_sitemap_may_have_is_not_read() {
        let body = vec![b'a'; MAX_BYTES as usize + CHUNK];
        let mut input = Input::new(&body, None);
        let mut read = 0;
        let error = loop {
            input.new_piece();
            match input.fill_buf().map(<[u8]>::len) {
                Ok(length) => {
                    assert!(length > 0, "it ended after {read} bytes");
                    read += length;
                    input.consume(length);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(read as u64, MAX_BYTES);
        assert_eq!(error.to_string(), "it is larger than 67108864 bytes");
    }
}
