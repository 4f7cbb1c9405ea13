//! A site in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue, StatusCode, header};
use url::Url;

use crate::fetch::{Fetch, FetchError};
use crate::request::{Request, Response};

/// Pages by URL, for crawls without a network. What is not there is a 404, and there are no robots rules
/// unless a page `/robots.txt` says so. Clones are the same site.
///
/// It is a [`Fetch`], see [the module](crate::testing).
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pages: Arc<HashMap<String, Response>>,
    log: Arc<Mutex<Vec<Url>>>,
}

impl Pages {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an HTML page.
    ///
    /// # Panics
    /// If `url` is not absolute.
    #[must_use]
    pub fn html(self, url: &str, html: impl Into<String>) -> Self {
        self.with(url, "text/html; charset=utf-8", html.into())
    }

    /// Adds a JSON answer.
    ///
    /// # Panics
    /// If `url` is not absolute.
    #[must_use]
    pub fn json(self, url: &str, json: &serde_json::Value) -> Self {
        self.with(url, "application/json", json.to_string())
    }

    /// Adds an answer of any type.
    ///
    /// # Panics
    /// If `url` is not absolute, or `kind` can't be a header.
    #[must_use]
    #[expect(clippy::panic, reason = "a mistake in a test is to stop it")]
    pub fn with(self, url: &str, kind: &str, body: impl Into<bytes::Bytes>) -> Self {
        let parsed = Url::parse(url).unwrap_or_else(|error| panic!("`{url}`: {error}"));
        let kind = HeaderValue::try_from(kind).unwrap_or_else(|error| panic!("`{kind}`: {error}"));
        let mut response = Response::new(parsed, body);
        response.headers.insert(header::CONTENT_TYPE, kind);
        self.answer(response)
    }

    /// Adds an answer with a status and a header, as of a redirect:
    /// `.status("http://shop.example/old", 301, "location", "/new")`.
    ///
    /// # Panics
    /// If `url` is not absolute, or one of the others can't be sent.
    #[must_use]
    #[expect(clippy::panic, reason = "a mistake in a test is to stop it")]
    pub fn status(self, url: &str, status: u16, header: &str, value: &str) -> Self {
        let parsed = Url::parse(url).unwrap_or_else(|error| panic!("`{url}`: {error}"));
        let mut response = Response::new(parsed, "");
        response.status =
            StatusCode::from_u16(status).unwrap_or_else(|error| panic!("{status}: {error}"));
        let name = HeaderName::try_from(header);
        match (name, HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => response.headers.insert(name, value),
            _ => panic!("`{header}: {value}` is no header"),
        };
        self.answer(response)
    }

    /// Adds an answer under its own URL.
    #[must_use]
    pub fn answer(mut self, response: Response) -> Self {
        let pages = Arc::make_mut(&mut self.pages);
        pages.insert(key(&response.url), response);
        self
    }

    /// What was asked for so far, in order, robots.txt files left out.
    pub fn asked(&self) -> Vec<Url> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn key(url: &Url) -> String {
    url[..url::Position::AfterQuery].to_owned()
}

impl Fetch for Pages {
    async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        if !request.step.is_robots() {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(request.url.clone());
        }
        if let Some(response) = self.pages.get(&key(&request.url)) {
            return Ok(Response {
                url: request.url.clone(),
                ..response.clone()
            });
        }
        let mut response = Response::new(request.url.clone(), "");
        response.status = StatusCode::NOT_FOUND;
        Ok(response)
    }
}
