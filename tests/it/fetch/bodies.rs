use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use http::Method;
use nephila::fetch::{FailureKind, Fetch, HttpFetch};

use super::{answer, empty, fetch, get, http, request, settings};
use crate::raw::{Act, Server};

async fn check(bytes: Vec<u8>, expected: &str) {
    let server = Server::answering(bytes).await;
    let response = get(&settings(), &server).await.expect(expected);
    assert_eq!(response.body, expected);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("bytes");
    encoder.finish().expect("bytes")
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("bytes");
    encoder.finish().expect("bytes")
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
async fn framing() {
    check(http("", b"to the end"), "to the end").await;
    check(http("Content-Length: 4\r\n", b"text and more"), "text").await;
    check(http("Content-Length: 0\r\n", b""), "").await;
    let chunks = b"2\r\nte\r\n2;a=b\r\nxt\r\n0\r\nTrailer: x\r\n\r\n";
    check(http("Transfer-Encoding: chunked\r\n", chunks), "text").await;
    // Chunks win over a length that contradicts them (RFC 9112, 6.3).
    let both = "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n";
    check(http(both, chunks), "text").await;
    check(answer("404 Not Found", "", b"nothing here"), "nothing here").await;
    check(b"HTTP/1.0 200 OK\r\n\r\nold".into(), "old").await;
}

#[tokio::test]
async fn byte_by_byte() {
    let chunks = b"2\r\nte\r\n2;a=b\r\nxt\r\n0\r\n\r\n";
    let script = vec![
        Act::Read,
        Act::Trickle(http("Transfer-Encoding: chunked\r\n", "4\r\nslow\r\n")),
        Act::Pause(Duration::from_millis(10)),
        Act::Send(chunks.to_vec()),
    ];
    let server = Server::playing(script).await;
    let response = get(&settings(), &server).await.expect("a response");
    assert_eq!(response.body, "slowtext");
}

#[tokio::test]
async fn sloppy_heads() {
    check(http("X: a\x01b\r\nContent-Length: 4\r\n", b"text"), "text").await;
    check(
        http("Not a field\r\nContent-Length: 4\r\n", b"text"),
        "text",
    )
    .await;
    check(http("Content-Length : 4\r\n", b"text and more"), "text").await;
    check(http(&"X: y\r\n".repeat(200), b"text"), "text").await;
    check(
        b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\ntext".into(),
        "text",
    )
    .await;
    let latin = [b"HTTP/1.1 200 OK\r\nX: caf\xe9\r\n\r\n".as_slice(), b"text"].concat();
    check(latin, "text").await;
}

#[tokio::test]
async fn folded_fields() {
    let server = Server::answering(empty("X: folded\r\n into two\r\n")).await;
    let response = get(&settings(), &server).await.expect("a response");
    assert_eq!(response.header("x"), Some("folded into two"));
}

#[tokio::test]
async fn wire_bytes_count_even_if_nothing_comes_of_them() {
    let nothing = gzip(b"").repeat(64 * 1024 / 20 + 1);
    let server = Server::answering(http("Content-Encoding: gzip\r\n", nothing)).await;
    let error = get(&settings(), &server).await.expect_err("too many bytes");
    assert_eq!(error.kind, FailureKind::TooLarge);
}

#[tokio::test]
async fn encodings_are_undone() {
    check(http("Content-Encoding: gzip\r\n", gzip(b"text")), "text").await;
    let two = [gzip(b"te"), gzip(b"xt")].concat();
    check(http("Content-Encoding: gzip\r\n", two), "text").await;
    check(
        http("Content-Encoding: deflate\r\n", raw_deflate(b"text")),
        "text",
    )
    .await;
    let stacked = gzip(&raw_deflate(b"text"));
    check(http("Content-Encoding: deflate, gzip\r\n", stacked), "text").await;

    let wire = gzip(&[b'x'; 10_000]);
    let server = Server::answering(http("Content-Encoding: gzip\r\n", &wire)).await;
    let response = get(&settings(), &server).await.expect("a response");
    assert_eq!(response.body.len(), 10_000);
    assert_eq!(response.wire_bytes, wire.len() as u64);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_bomb_is_too_large() {
    let bomb = gzip(&gzip(&vec![0; 16 << 20]));
    let server = Server::answering(http("Content-Encoding: gzip, gzip\r\n", bomb)).await;
    let error = get(&settings(), &server).await.expect_err("a bomb");
    assert_eq!(error.kind, FailureKind::TooLarge);
    assert_eq!(error.message, "body over 64 KiB");
}

#[tokio::test]
async fn answers_that_have_no_body() {
    let table = [
        (Method::GET, answer("204 No Content", "", b"")),
        (
            Method::GET,
            answer("304 Not Modified", "Content-Encoding: what\r\n", b""),
        ),
        (
            Method::HEAD,
            http(
                "Content-Length: 99999999\r\nContent-Encoding: what\r\n",
                b"",
            ),
        ),
    ];
    for (method, bytes) in table {
        let server = Server::playing(vec![Act::Read, Act::Send(bytes), Act::Hang]).await;
        let mut request = request(&server.url("/"));
        request.method = method;
        let response = fetch(&settings(), &request).await.expect("a response");
        assert_eq!((response.body.len(), response.wire_bytes), (0, 0));
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_are_never_an_answer() {
    let forged = http("Content-Length: 6\r\n", b"forged");
    let table = [
        (Method::GET, answer("204 No Content", "", &forged)),
        (Method::GET, answer("304 Not Modified", "", &forged)),
        (Method::HEAD, http("", &forged)),
        (
            Method::GET,
            http(
                "Content-Length: 4\r\n",
                [b"text".as_slice(), &forged].concat(),
            ),
        ),
    ];
    for (method, bytes) in table {
        let server = Server::playing(vec![Act::Read, Act::Send(bytes), Act::Hang]).await;
        let fetch = HttpFetch::new(&settings()).expect("a fetch");
        let mut request = request(&server.url("/"));
        request.method = method;
        for _ in 0..2 {
            let response = fetch.fetch(&request).await.expect("a response");
            assert_ne!(response.body, "forged");
        }
    }
}
