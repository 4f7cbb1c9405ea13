//! Pages as web archives: WARC 1.1 (ISO 28500), records of the kind `response`.
//!
//! What is written is an answer as it was read: content encodings undone, headers that would lie about that left
//! out. What is read may come from others: records packed one by one or not at all, bodies in chunks or packed.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use url::Url;

use crate::request::Response;

/// The longest line of a record's or an answer's head.
const MAX_LINE: u64 = 64 * 1024;
/// Lines of a head.
const MAX_LINES: usize = 1_000;

/// Fields of our own: readers pass over those that they do not know.
const STEP: &str = "Nephila-Step";
const ARGS: &str = "Nephila-Args";

/// Writes answers as records, each packed by itself where it is asked for.
#[derive(Debug)]
pub struct WarcWriter<W> {
    to: W,
    packed: bool,
}

impl<W: Write> WarcWriter<W> {
    /// Begins an archive.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(to: W, packed: bool, at: Timestamp) -> io::Result<Self> {
        let mut writer = Self { to, packed };
        let software = concat!("nephila/", env!("CARGO_PKG_VERSION"));
        let info = format!("software: {software}\r\nformat: WARC File Format 1.1\r\n");
        let head = [
            ("WARC-Type", "warcinfo".to_owned()),
            ("WARC-Date", date(at)),
            ("Content-Type", "application/warc-fields".to_owned()),
        ];
        writer.record(&head, info.as_bytes())?;
        Ok(writer)
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// Those of the file.
    pub fn add(&mut self, response: &Response, at: Timestamp) -> io::Result<()> {
        self.add_with(response, at, &[])
    }

    /// Adds the answer to a request of a step, with the step's argument as JSON: who reads the archive again need not
    /// guess them.
    ///
    /// # Errors
    /// Those of the file.
    pub fn add_of(
        &mut self,
        response: &Response,
        at: Timestamp,
        step: &str,
        args: Option<&str>,
    ) -> io::Result<()> {
        let args = args.map(|args| (ARGS, args.to_owned()));
        let fields: Vec<_> = [(STEP, step.to_owned())].into_iter().chain(args).collect();
        self.add_with(response, at, &fields)
    }

    fn add_with(
        &mut self,
        response: &Response,
        at: Timestamp,
        fields: &[(&str, String)],
    ) -> io::Result<()> {
        let mut block = format!(
            "HTTP/1.1 {} {}\r\n",
            response.status.as_str(),
            response.status.canonical_reason().unwrap_or_default()
        )
        .into_bytes();
        let kept = |name: &HeaderName| {
            *name != header::CONTENT_ENCODING
                && *name != header::TRANSFER_ENCODING
                && *name != header::CONTENT_LENGTH
                && *name != header::SET_COOKIE
        };
        for (name, value) in response.headers.iter().filter(|(name, _)| kept(name)) {
            block.extend_from_slice(name.as_str().as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(value.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        let length = response.body.len();
        block.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
        block.extend_from_slice(&response.body);
        let digest = Sha256::digest(&response.body);
        let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut url = response.url.clone();
        url.set_fragment(None);
        let head = [
            ("WARC-Type", "response".to_owned()),
            ("WARC-Target-URI", url.into()),
            ("WARC-Date", date(at)),
            ("WARC-Payload-Digest", format!("sha256:{}", digest.concat())),
            (
                "Content-Type",
                "application/http;msgtype=response".to_owned(),
            ),
        ];
        self.record(&[&head[..], fields].concat(), &block)
    }

    fn record(&mut self, head: &[(&str, String)], block: &[u8]) -> io::Result<()> {
        let mut text = "WARC/1.1\r\n".to_owned();
        for (name, value) in head {
            text.extend([name, ": ", value, "\r\n"]);
        }
        let id = format!("WARC-Record-ID: <urn:uuid:{}>\r\n", uuid());
        let length = format!("Content-Length: {}\r\n\r\n", block.len());
        text.extend([id, length]);
        if self.packed {
            let mut packed = GzEncoder::new(&mut self.to, Compression::default());
            for part in [text.as_bytes(), block, b"\r\n\r\n"] {
                packed.write_all(part)?;
            }
            packed.finish()?;
        } else {
            for part in [text.as_bytes(), block, b"\r\n\r\n"] {
                self.to.write_all(part)?;
            }
        }
        Ok(())
    }

    /// The file, all of it written.
    ///
    /// # Errors
    /// Those of the file.
    pub fn end(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random one, version 4.
fn uuid() -> String {
    let random = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{random:032x}");
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    parts.join("-")
}

/// An answer of an archive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WarcPage {
    /// The answer.
    pub response: Response,
    /// When it was fetched.
    pub at: Option<Timestamp>,
    /// The step that it was fetched for, if nephila wrote the archive.
    pub step: Option<String>,
    /// The step's argument, as JSON.
    pub args: Option<String>,
}

/// Reads the answers of an archive one by one; other records are passed over.
pub struct WarcReader<'a> {
    from: Box<dyn BufRead + 'a>,
    max_body: usize,
    is_over: bool,
}

impl<'a> WarcReader<'a> {
    /// Of an archive, packed or not. Bodies beyond `max_body` are passed over.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(from: impl Read + 'a, max_body: usize) -> io::Result<Self> {
        let mut from = BufReader::new(from);
        let is_packed = from.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let from: Box<dyn BufRead + 'a> = if is_packed {
            Box::new(BufReader::new(MultiGzDecoder::new(from)))
        } else {
            Box::new(from)
        };
        Ok(Self {
            from,
            max_body,
            is_over: false,
        })
    }

    fn read(&mut self) -> io::Result<Option<WarcPage>> {
        loop {
            let Some(first) = self.first_line()? else {
                return Ok(None);
            };
            if !first.starts_with("WARC/") {
                return Err(broken(&format!("`{first:.40}` begins no record")));
            }
            let head = head(&mut self.from)?;
            let text = |name: &str| {
                let value = head.get(name)?;
                std::str::from_utf8(value.as_bytes()).ok()
            };
            let length: u64 = text("content-length")
                .and_then(|length| length.trim().parse().ok())
                .ok_or_else(|| broken("a record without a length"))?;
            let is_answer = text("warc-type") == Some("response")
                && text("content-type").is_some_and(|kind| kind.starts_with("application/http"));
            let url = text("warc-target-uri").map(|url| url.trim_matches(['<', '>']));
            let url = url.and_then(|url| Url::parse(url).ok());
            let at = text("warc-date").and_then(|at| at.parse().ok());
            let is_small = length <= self.max_body as u64 + MAX_LINE;
            match url {
                Some(url) if is_answer && is_small => {
                    let mut block = vec![0; length as usize];
                    self.from.read_exact(&mut block)?;
                    if let Some(response) = answer(url, &block, self.max_body) {
                        let own = |name: &str| text(name).map(str::to_owned);
                        return Ok(Some(WarcPage {
                            response,
                            at,
                            step: own(STEP),
                            args: own(ARGS),
                        }));
                    }
                }
                _ => {
                    let passed = io::copy(&mut (&mut self.from).take(length), &mut io::sink())?;
                    if passed < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }

    /// The first line of the next record; none at the end.
    fn first_line(&mut self) -> io::Result<Option<String>> {
        for _ in 0..MAX_LINES {
            match line(&mut self.from)? {
                None => return Ok(None),
                Some(line) if line.is_empty() => {}
                Some(line) => return Ok(Some(line)),
            }
        }
        Err(broken("nothing but empty lines"))
    }
}

impl Iterator for WarcReader<'_> {
    type Item = io::Result<WarcPage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let read = self.read().transpose();
        self.is_over = !matches!(read, Some(Ok(_)));
        read
    }
}

impl std::fmt::Debug for WarcReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WarcReader").finish_non_exhaustive()
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no WARC: {why}"))
}

/// A line without its end; none at the end of the file.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(None);
    }
    if !bytes.ends_with(b"\n") && read as u64 == MAX_LINE {
        return Err(broken("a line is too long"));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Fields up to an empty line; those that are none are left out.
fn head(from: &mut impl BufRead) -> io::Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    for _ in 0..MAX_LINES {
        let Some(line) = line(from)?.filter(|line| !line.is_empty()) else {
            return Ok(fields);
        };
        if let Some((name, value)) = line.split_once(':')
            && let Ok(name) = HeaderName::try_from(name.trim())
            && let Ok(value) = HeaderValue::try_from(value.trim())
        {
            fields.append(name, value);
        }
    }
    Err(broken("a head is too long"))
}

/// The answer in a record's block, if it can be read.
fn answer(url: Url, block: &[u8], max_body: usize) -> Option<Response> {
    let mut rest = block;
    let first = line(&mut rest).ok()??;
    let status = first
        .strip_prefix("HTTP/")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    let mut headers = head(&mut rest).ok()?;
    let mut body = rest.to_vec();
    let is_chunked = headers.get(header::TRANSFER_ENCODING);
    if is_chunked.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        // Some archives say so of bodies that are whole already.
        body = dechunked(&body).unwrap_or(body);
    }
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        match encoding.as_bytes() {
            b"gzip" | b"x-gzip" if body.starts_with(&[0x1f, 0x8b]) => {
                let mut whole = Vec::new();
                let decoder = MultiGzDecoder::new(&body[..]);
                decoder
                    .take(max_body as u64 + 1)
                    .read_to_end(&mut whole)
                    .ok()?;
                body = whole;
            }
            b"gzip" | b"x-gzip" | b"identity" | b"" => {}
            _ => return None,
        }
    }
    if body.len() > max_body {
        return None;
    }
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONTENT_ENCODING);
    Some(Response {
        status: StatusCode::from_u16(status).ok()?,
        headers,
        ..Response::new(url, body)
    })
}

/// A body without its chunks; none if it has none.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut rest).ok()??;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?;
        line(&mut rest).ok()??;
    }
}

#[cfg(test)]
mod tests;
