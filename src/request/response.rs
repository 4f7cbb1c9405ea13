//! What came back.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

/// An answer with its body, content encodings undone and charset not yet.
#[derive(Clone, Debug)]
pub struct Response {
    /// The URL that answered.
    pub url: Url,
    /// The status line's code.
    pub status: StatusCode,
    /// The header fields as they came.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Bytes,
    /// Bytes on the wire before decoding, the body only.
    pub wire_bytes: u64,
    /// From the first byte sent to the last received.
    pub took: Duration,
    /// Where it comes from.
    pub source: Source,
    /// The file that the body went into, if it did; `body` is empty then.
    pub file: Option<Box<SavedFile>>,
}

/// A file that was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// Where it is, below the folder of files, parts separated by `/`.
    pub path: String,
    /// Hash of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// Where a response comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// A server, or whatever the fetch asks.
    #[default]
    Network,
    /// The cache; the server has said that its page is still the same.
    Revalidated,
    /// The cache; no request went out.
    Cache,
}

impl Response {
    /// A response with `body`, as if fetched with status 200: for tests and other transports.
    pub fn new(url: Url, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            url,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            wire_bytes: body.len() as u64,
            body,
            took: Duration::ZERO,
            source: Source::Network,
            file: None,
        }
    }

    /// A header's value, if it is there once or more and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
