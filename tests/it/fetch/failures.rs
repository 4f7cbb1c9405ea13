use std::time::Duration;

use nephila::fetch::FailureKind::{
    Connect, Dns, Encoding, Protocol, Reset, Timeout, Tls, TooLarge,
};
use nephila::fetch::{FailureKind, Fetch, FetchError, HttpFetch};
use nephila::settings::Settings;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{answer, fetch, get, http, impatient, request, settings};
use crate::raw::{Act, Server, perform, read};

fn check(error: &FetchError, expected: (FailureKind, &str)) {
    assert_eq!((error.kind, error.message.as_str()), expected);
    if error.kind == Timeout {
        let is_silent = ["no answer", "no connection"].map(|start| expected.1.starts_with(start));
        assert_eq!(error.has_begun, !is_silent.contains(&true), "{error}");
    }
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        assert!(!error.to_string().contains("127.0.0.1"), "{error}");
        cause = error.source();
    }
}

async fn check_script(settings: &Settings, script: Vec<Act>, expected: (FailureKind, &str)) {
    let server = Server::playing(script).await;
    let error = get(settings, &server).await.expect_err(expected.1);
    check(&error, expected);
}

async fn check_answer(bytes: impl Into<Vec<u8>>, expected: (FailureKind, &str)) {
    check_script(
        &settings(),
        vec![Act::Read, Act::Send(bytes.into())],
        expected,
    )
    .await;
}

async fn check_url(settings: &Settings, url: &str, expected: (FailureKind, &str)) {
    let error = fetch(settings, &request(url)).await.expect_err(url);
    check(&error, expected);
}

const CUT: (FailureKind, &str) = (Reset, "connection closed before the answer was whole");

#[tokio::test]
async fn names_that_are_none() {
    // Too long a label: no name server is asked.
    let url = format!("http://{}.invalid/", "a".repeat(64));
    check_url(&settings(), &url, (Dns, "no such host")).await;
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let expected = (Connect, "connection refused");
    check_url(&settings(), &format!("http://127.0.0.1:{port}/"), expected).await;
    check_url(&settings(), &format!("http://localhost:{port}/"), expected).await;
    check_url(&settings(), &format!("https://127.0.0.1:{port}/"), expected).await;
}

#[tokio::test]
async fn nobody_accepts() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    // Once its queue is full, connections neither succeed nor fail.
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        waiting.push(stream.expect("a connection"));
        assert!(waiting.len() < 1000, "the queue never fills");
    }
    let settings = Settings {
        connect_timeout: Duration::from_millis(100),
        ..settings()
    };
    let expected = (Timeout, "no connection in 100 ms");
    check_url(&settings, &format!("http://{address}/"), expected).await;
}

#[tokio::test]
async fn no_tls() {
    let plain = Server::playing(vec![Act::Send(http("", b"plain")), Act::Hang]).await;
    let url = format!("https://127.0.0.1:{}/", plain.port());
    check_url(
        &settings(),
        &url,
        (Tls, "TLS: the server does not speak TLS"),
    )
    .await;

    let closed = Server::playing(vec![]).await;
    let url = format!("https://127.0.0.1:{}/", closed.port());
    let error = fetch(&settings(), &request(&url))
        .await
        .expect_err("no TLS");
    assert!(matches!(error.kind, Tls | Reset), "{error:?}");

    // A fatal alert: handshake_failure.
    let alert = Act::Send(vec![0x15, 3, 3, 0, 2, 2, 40]);
    let server = Server::playing(vec![alert, Act::Hang]).await;
    let url = format!("https://127.0.0.1:{}/", server.port());
    check_url(
        &settings(),
        &url,
        (Tls, "TLS: the server says HandshakeFailure"),
    )
    .await;
}

#[tokio::test]
async fn no_answer() {
    check_script(&settings(), vec![Act::Read], CUT).await;
    check_script(
        &settings(),
        vec![Act::Read, Act::Reset],
        (Reset, "connection reset"),
    )
    .await;
    check_answer(b"HTTP/1.1 200 OK\r\nContent-", CUT).await;
}

#[tokio::test]
async fn half_a_body() {
    check_answer(http("Content-Length: 9\r\n", b"short"), CUT).await;
    check_answer(http("Transfer-Encoding: chunked\r\n", b"5\r\nab"), CUT).await;
    check_answer(http("Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n"), CUT).await;
    let half = Act::Send(http("Content-Length: 9\r\n", b"half"));
    // Read by the client before the reset discards it, or not.
    let server = Server::playing(vec![Act::Read, half, Act::Reset]).await;
    let error = get(&settings(), &server).await.expect_err("a reset");
    assert_eq!(error.kind, Reset, "{error:?}");
}

#[tokio::test]
async fn no_http() {
    let chunks = (Protocol, "broken chunks in the body");
    check_answer(http("Transfer-Encoding: chunked\r\n", b"xyz\r\n"), chunks).await;
    check_answer(
        http("Transfer-Encoding: chunked\r\n", b"2\r\nabc\r\n0\r\n\r\n"),
        chunks,
    )
    .await;
    for garbage in [
        b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(),
        b"<html>no head at all</html>\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        &answer(
            "200 OK",
            "Content-Length: 2\r\nContent-Length: 3\r\n",
            b"abc",
        ),
        &answer("200 OK", "Content-Length: -1\r\n", b"abc"),
    ] {
        let server = Server::answering(garbage).await;
        let error = get(&settings(), &server).await.expect_err("garbage");
        let said = String::from_utf8_lossy(garbage);
        assert_eq!(error.kind, Protocol, "{said}: {error:?}");
        assert!(
            error.message.starts_with("the answer is not HTTP ("),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn too_much() {
    let body = (TooLarge, "body over 64 KiB");
    let endless = Act::Flood(vec![b'x'; 4096]);
    let head = Act::Send(http("", b""));
    check_script(&settings(), vec![Act::Read, head, endless.clone()], body).await;
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
    let head = Act::Send(http("Transfer-Encoding: chunked\r\n", b""));
    check_script(&settings(), vec![Act::Read, head, Act::Flood(chunk)], body).await;
    // Not a byte of it needs to come.
    let head = Act::Send(http("Content-Length: 65537\r\n", b""));
    check_script(&settings(), vec![Act::Read, head, Act::Hang], body).await;

    let head = (TooLarge, "header over the limit");
    let fields = "X: y\r\n".repeat(300);
    check_answer(http(&fields, b""), head).await;
    check_script(
        &settings(),
        vec![
            Act::Read,
            Act::Send(b"HTTP/1.1 200 OK\r\nX: ".into()),
            endless,
        ],
        head,
    )
    .await;
}

#[tokio::test]
async fn silence() {
    let expected = (Timeout, "no answer in 100 ms");
    check_script(&impatient(), vec![Act::Hang], expected).await;
    check_script(&impatient(), vec![Act::Read, Act::Hang], expected).await;
    let head = Act::Send(b"HTTP/1.1 200 OK\r\nContent-".into());
    check_script(&impatient(), vec![Act::Read, head, Act::Hang], expected).await;
    let half = Act::Send(http("Content-Length: 9\r\n", b"half"));
    let expected = (Timeout, "no byte for 100 ms");
    check_script(&impatient(), vec![Act::Read, half, Act::Hang], expected).await;
}

#[tokio::test]
async fn a_drip_is_too_slow() {
    let script = vec![Act::Read, Act::Send(http("", b"")), Act::Drip(b'x')];
    let demanding = Settings {
        min_rate: 100_000,
        ..impatient()
    };
    let expected = (Timeout, "less than 100000 bytes a second for 100 ms");
    check_script(&demanding, script.clone(), expected).await;
    // A head has the time to the first byte.
    let script = vec![
        Act::Read,
        Act::Send(b"HTTP/1.1 200 OK\r\nX: ".into()),
        Act::Drip(b'x'),
    ];
    check_script(&impatient(), script, (Timeout, "no answer in 100 ms")).await;
}

#[tokio::test]
async fn a_drip_ends_in_time() {
    let script = vec![Act::Read, Act::Send(http("", b"")), Act::Drip(b'x')];
    let hurried = Settings {
        timeout: Duration::from_millis(100),
        ..settings()
    };
    let expected = (Timeout, "no whole answer in 100 ms");
    check_script(&hurried, script.clone(), expected).await;

    let server = Server::playing(script).await;
    let mut own = request(&server.url("/"));
    own.timeout = Some(Duration::from_millis(150));
    let error = fetch(&settings(), &own).await.expect_err("a time-out");
    check(&error, (Timeout, "no whole answer in 150 ms"));
}

#[tokio::test]
async fn encodings() {
    let field = "Content-Encoding: gzip\r\n";
    check_answer(http(field, b"<html>"), (Encoding, "broken gzip body")).await;
    check_answer(
        http(field, b"\x1f\x8b\x08"),
        (Encoding, "truncated gzip body"),
    )
    .await;
    let unknown = (Encoding, "unknown content encoding `zip`");
    check_answer(http("Content-Encoding: zip\r\n", b"x"), unknown).await;
}

/// A connection that is kept alive may be spoilt by the request before, so what broke is tried again
/// on one of its own.
#[tokio::test]
async fn what_broke_shares_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let _server = tokio::task::JoinSet::from_iter([async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Good once; whoever comes next gets what is none of his.
                let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
                for answer in [good, b"</html>\r\n\r\n".to_vec()] {
                    read(&mut stream).await?;
                    perform(&mut stream, Act::Send(answer)).await?;
                }
                std::io::Result::Ok(())
            });
        }
    }]);
    let fetch = HttpFetch::new(&settings()).expect("a fetch");
    fetch.allow_host("127.0.0.1");
    let (other, own) = (
        request(&format!("http://{address}/other")),
        request(&format!("http://{address}/own")),
    );
    for round in 0..10 {
        let mut tries = 0;
        let error = loop {
            match fetch.fetch(&own).await {
                Err(error) => break error,
                Ok(_) => tries += 1,
            }
            assert!(tries < 100, "no connection was used twice");
        };
        assert!(matches!(error.kind, Protocol | Reset), "{error}");
        // Leaves a connection to be used again.
        while fetch.fetch(&other).await.is_err() {}
        let answer = fetch.fetch(&own).await;
        assert!(answer.is_ok(), "round {round}: {answer:?}");
    }
}
