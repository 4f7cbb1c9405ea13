//! An answer, also the kinds that no honest server gives.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, Response, StatusCode};

use super::html::{Html, Text};
use super::words::Dice;

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) delay: Duration,
    headers: HeaderMap,
    payload: Payload,
}

impl Reply {
    pub(super) fn new(kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self {
            status: StatusCode::OK,
            delay: Duration::ZERO,
            headers,
            payload: Payload::Whole(bytes.into()),
        }
    }

    pub(super) fn html(html: Html) -> Self {
        Self::new("text/html; charset=utf-8", html.into_bytes())
    }

    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self::new("application/json", value.to_string())
    }

    /// A page that says no more than its status.
    pub(super) fn status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Unnamed status");
        let mut html = Html::small(title);
        let code = status.as_u16();
        writeln!(
            html,
            "<h1>{}</h1>\n<p class=\"status\">{code}</p>",
            Text(title)
        );
        Self::html(html.end()).with_status(status)
    }

    pub(super) fn not_found() -> Self {
        let mut html = Html::small("Page not found");
        html.push(
            "<h1>Page not found</h1>\n<p>There is no such page. <a href=\"/\">Home</a></p>\n",
        );
        Self::html(html.end()).with_status(StatusCode::NOT_FOUND)
    }

    pub(super) fn read_only() -> Self {
        Self::status(StatusCode::METHOD_NOT_ALLOWED).with(ALLOW, "GET, HEAD")
    }

    pub(super) fn redirect(status: StatusCode, location: &str) -> Self {
        Self::status(status).with(LOCATION, location)
    }

    /// The connection is reset instead of an answer.
    pub(super) fn reset() -> Self {
        Self {
            payload: Payload::Reset,
            ..Self::new("text/html", "")
        }
    }

    /// `bytes` of a body that says to be `length` long (or is chunked), then the connection ends.
    pub(super) fn cut(bytes: impl Into<Bytes>, length: Option<u64>) -> Self {
        let payload = Payload::Cut {
            bytes: Some(bytes.into()),
            length,
            flushed: false,
        };
        Self {
            payload,
            ..Self::new("text/html; charset=utf-8", "")
        }
    }

    /// Paragraphs until the reader has enough.
    pub(super) fn endless() -> Self {
        Self {
            payload: Payload::Endless(Dice::new(1)),
            ..Self::new("text/html", "")
        }
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Adds a header, unless the value cannot be one.
    pub(super) fn with(self, name: HeaderName, value: &str) -> Self {
        self.with_bytes(name, value.as_bytes())
    }

    pub(super) fn with_bytes(mut self, name: HeaderName, value: &[u8]) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(super) fn without(mut self, name: &HeaderName) -> Self {
        self.headers.remove(name);
        self
    }

    /// The content type, where only the page knows it.
    pub(super) fn with_type(self, kind: &str) -> Self {
        self.without(&CONTENT_TYPE).with(CONTENT_TYPE, kind)
    }

    /// The same head without a body.
    pub(super) fn empty(mut self) -> Self {
        self.payload = Payload::Whole(Bytes::new());
        self.without(&CONTENT_TYPE)
    }

    pub(super) fn into_response(self) -> Result<Response<Payload>, Broken> {
        if matches!(self.payload, Payload::Reset) {
            return Err(Broken::BeforeHead);
        }
        let mut response = Response::new(self.payload);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Ok(response)
    }

    pub(super) fn is_reset(&self) -> bool {
        matches!(self.payload, Payload::Reset)
    }
}

/// Where the site breaks a connection on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    BeforeHead,
    InBody,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the site breaks this connection")
    }
}

impl std::error::Error for Broken {}

pub(super) enum Payload {
    Whole(Bytes),
    Cut {
        bytes: Option<Bytes>,
        length: Option<u64>,
        flushed: bool,
    },
    Endless(Dice),
    Reset,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Cut { bytes, flushed, .. } => {
                if let Some(bytes) = bytes.take() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                // hyper writes what it holds when a body makes it wait, and drops it on an error.
                if !std::mem::replace(flushed, true) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(Broken::InBody)))
            }
            Self::Endless(dice) => {
                let mut html = Html::with_capacity(16 * 1024);
                while html.len() < 15 * 1024 {
                    html.push("<p>");
                    dice.sentence(&mut html);
                    html.push("</p>\n");
                }
                Poll::Ready(Some(Ok(Frame::data(html.into_bytes()))))
            }
            Self::Reset => Poll::Ready(Some(Err(Broken::BeforeHead))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Cut {
                length: Some(length),
                ..
            } => SizeHint::with_exact(*length),
            _ => SizeHint::default(),
        }
    }
}
