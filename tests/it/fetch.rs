//! One exchange at a time, against servers that do anything.

mod bodies;
mod cookies;
mod failures;
mod guard;
mod proxies;
mod requests;
mod tls;

use std::time::Duration;

use nephila::fetch::{Fetch, FetchError, HttpFetch};
use nephila::request::{Request, Response, StepRef};
use nephila::settings::Settings;

use crate::raw::Server;

/// Small bodies, and this machine allowed.
fn settings() -> Settings {
    Settings {
        max_body: 64 * 1024,
        hosts: vec!["127.0.0.1".into(), "localhost".into()],
        ..Settings::default()
    }
}

/// Time-outs short enough to wait for.
fn impatient() -> Settings {
    Settings {
        first_byte_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(100),
        ..settings()
    }
}

fn request(url: &str) -> Request {
    Request::new(url.parse().expect("a URL"), StepRef::named("page"))
}

async fn fetch(settings: &Settings, request: &Request) -> Result<Response, FetchError> {
    let fetch = HttpFetch::new(settings).expect("a fetch");
    fetch.fetch(request).await
}

async fn get(settings: &Settings, server: &Server) -> Result<Response, FetchError> {
    fetch(settings, &request(&server.url("/"))).await
}

/// An answer with status 200.
fn http(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", fields, body)
}

fn answer(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes();
    answer.extend(body.as_ref());
    answer
}

/// An empty answer whose connection stays open.
fn empty(fields: &str) -> Vec<u8> {
    http(&format!("Content-Length: 0\r\n{fields}"), b"")
}
