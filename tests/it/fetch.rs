//! One exchange at a time, against servers that do anything.

use std::time::Duration;

use nephila::fetch::{FailureKind, Fetch, FetchError, HttpFetch};
use nephila::request::{Request, Response, StepRef};
use nephila::settings::Settings;

use crate::raw::{Act, Server};

fn settings() -> Settings {
    Settings {
        max_body: 64 * 1024,
        ..Settings::default()
    }
}

/// Time-outs short enough to wait for.
fn impatient() -> Settings {
    Settings {
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

fn http(fields: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
    answer.extend(body);
    answer
}

async fn check_failure(settings: &Settings, script: Vec<Act>, expected: (FailureKind, &str)) {
    let server = Server::playing(script).await;
    let error = get(settings, &server).await.expect_err(expected.1);
    assert_eq!((error.kind, error.message.as_str()), expected);
}

async fn check_body(answer: Vec<u8>, expected: &[u8]) {
    let server = Server::answering(answer).await;
    let response = get(&settings(), &server).await.expect("a response");
    assert_eq!(response.body, expected);
}

#[tokio::test]
async fn a_page() {
    let server = Server::answering(http("Content-Type: text/html\r\n", b"<h1>hi</h1>")).await;
    let response = get(&settings(), &server).await.expect("a response");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/html"));
    assert_eq!(response.body, "<h1>hi</h1>");
    assert_eq!(response.wire_bytes, 11);
    assert_eq!(response.url.as_str(), server.url("/"));
}

#[tokio::test]
async fn broken_answers() {
    use FailureKind::{Protocol, Reset};
    let cut = (Reset, "connection closed before the answer was whole");
    let table = [
        (vec![Act::Read], cut),
        (vec![Act::Read, Act::Reset], (Reset, "connection reset")),
        (
            vec![
                Act::Read,
                Act::Send(http("Content-Length: 9\r\n", b"short")),
            ],
            cut,
        ),
        (
            vec![
                Act::Read,
                Act::Send(http("Transfer-Encoding: chunked\r\n", b"5\r\nab")),
            ],
            cut,
        ),
        (
            vec![
                Act::Read,
                Act::Send(http("Transfer-Encoding: chunked\r\n", b"xyz\r\n")),
            ],
            (Protocol, "broken chunks in the body"),
        ),
    ];
    for (script, expected) in table {
        check_failure(&settings(), script, expected).await;
    }
}

#[tokio::test]
async fn silence() {
    let expected = (FailureKind::Timeout, "no byte for 100 ms");
    check_failure(&impatient(), vec![Act::Read, Act::Hang], expected).await;
    let half = Act::Send(http("Content-Length: 9\r\n", b"half"));
    check_failure(&impatient(), vec![Act::Read, half, Act::Hang], expected).await;
}

#[tokio::test]
async fn declared_and_chunked_bodies() {
    check_body(http("Content-Length: 4\r\n", b"text and more"), b"text").await;
    let chunks = b"2\r\nte\r\n2;a=b\r\nxt\r\n0\r\n\r\n";
    check_body(http("Transfer-Encoding: chunked\r\n", chunks), b"text").await;
}
