//! A request as the pages see it.

use std::net::SocketAddr;

use http::request::Parts;
use hyper::body::Bytes;
use hyper::{HeaderMap, Method};
use url::form_urlencoded;

#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) host: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// The bound address stands in for the `Host` that HTTP/1.0 may leave out.
    pub(super) fn new(parts: Parts, address: SocketAddr) -> Self {
        let named = parts
            .headers
            .get("host")
            .and_then(|host| host.to_str().ok());
        let host = match (parts.uri.authority(), named) {
            (Some(authority), _) => authority.to_string(),
            (None, Some(named)) => named.to_owned(),
            (None, None) => address.to_string(),
        };
        Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            host,
            headers: parts.headers,
            body: Bytes::new(),
        }
    }

    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Scheme and host, for absolute URLs.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.header("cookie")?.split(';');
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(n, _)| *n == name)
            .map(|p| p.1)
    }

    /// A parameter of the query.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        find(self.query.as_deref()?.as_bytes(), name)
    }

    /// A parameter of the query that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.param(name)?.parse().ok()
    }

    /// A field of the form in the body.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        find(&self.body, name)
    }
}

fn find(form: &[u8], name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(form);
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
