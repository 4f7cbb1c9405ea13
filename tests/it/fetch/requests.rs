use http::{HeaderValue, Method, header};
use nephila::fetch::{Fetch, HttpFetch};

use super::{answer, empty, fetch, get, request, settings};
use crate::raw::{Act, Server};

#[tokio::test]
async fn what_is_sent_by_itself() {
    let server = Server::answering(empty("")).await;
    get(&settings(), &server).await.expect("a response");
    let requests = server.requests();
    let mut lines: Vec<&str> = requests[0]
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    lines[1..].sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port());
    let agent = concat!("user-agent: nephila/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "get / http/1.1",
        "accept-encoding: gzip, br, zstd, deflate",
        "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        &host,
        agent,
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn own_headers_win() {
    let server = Server::answering(empty("")).await;
    let mut request = request(&server.url("/a?b=c#d"));
    request.method = Method::PUT;
    request.body = Some("text".into());
    let own = [
        ("user-agent", "other"),
        ("accept", "x/y"),
        ("accept-encoding", "identity"),
    ];
    for (name, value) in own {
        request
            .headers
            .insert(name, HeaderValue::from_static(value));
    }
    let response = fetch(&settings(), &request).await.expect("a response");
    let sent = server.requests().remove(0);
    assert!(sent.starts_with("put /a?b=c http/1.1\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\ntext"), "{sent}");
    for (name, value) in own {
        assert_eq!(sent.matches(&format!("\r\n{name}: ")).count(), 1, "{sent}");
        assert!(sent.contains(&format!("\r\n{name}: {value}\r\n")), "{sent}");
    }
    assert_eq!(response.url, request.url);
}

#[tokio::test]
async fn redirects_are_answers() {
    for location in ["/elsewhere", "http://10.0.0.1/", "http://["] {
        let fields = format!("Location: {location}\r\nContent-Length: 0\r\n");
        let server = Server::answering(answer("302 Found", &fields, b"")).await;
        let response = get(&settings(), &server).await.expect("a response");
        assert_eq!(response.status, 302);
        assert_eq!(response.header("location"), Some(location));
        assert_eq!(response.url.as_str(), server.url("/"));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_needs_no_sound_body() {
    let fields = "Location: /x\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n";
    let server = Server::answering(answer("301 Moved", fields, b"Moved")).await;
    let response = get(&settings(), &server).await.expect("a response");
    assert_eq!((response.status.as_u16(), response.body.len()), (301, 0));
    let error = answer("300 Choices", "Content-Encoding: gzip\r\n", b"Moved");
    let server = Server::answering(error).await;
    get(&settings(), &server)
        .await
        .expect_err("nowhere to go, and no body");
    let fields = "Location: /x\r\nContent-Encoding: gzip\r\n";
    let server = Server::answering(answer("201 Created", fields, b"Made")).await;
    get(&settings(), &server).await.expect_err("no redirect");
}

/// The Authorization field of the last request.
fn authorization(server: &Server) -> Option<String> {
    let sent = server.requests().pop().expect("a request");
    let line = sent
        .lines()
        .find_map(|line| line.strip_prefix("authorization: "));
    line.map(str::to_owned)
}

#[tokio::test]
async fn logins_in_urls_become_headers() {
    let server = Server::answering(empty("")).await;
    let url = server.url("/").replace("://", "://ann:a%3Ab@");
    let response = fetch(&settings(), &request(&url))
        .await
        .expect("a response");
    assert_eq!(response.url.as_str(), server.url("/"));
    // "ann:a:b", in lower case like all of the head.
    assert_eq!(
        authorization(&server).as_deref(),
        Some("basic yw5uome6yg==")
    );

    let mut own = request(&url);
    own.headers
        .insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    fetch(&settings(), &own).await.expect("a response");
    assert_eq!(authorization(&server).as_deref(), Some("bearer x"));
}

#[tokio::test]
async fn a_login_is_for_its_origin() {
    let (server, other) = (
        Server::answering(empty("")).await,
        Server::answering(empty("")).await,
    );
    let fetch = HttpFetch::new(&settings()).expect("a fetch");
    let seed = server.url("/").replace("://", "://ann:secret@");
    fetch.log_in(&seed.parse().expect("a URL"));
    fetch.log_in(&other.url("/").parse().expect("a URL"));

    let response = fetch
        .fetch(&request(&server.url("/a")))
        .await
        .expect("a response");
    assert_eq!(
        authorization(&server).as_deref(),
        Some("basic yw5uonnly3jldA==".to_lowercase().as_str())
    );
    assert_eq!(response.url.as_str(), server.url("/a"));
    fetch
        .fetch(&request(&other.url("/")))
        .await
        .expect("a response");
    assert_eq!(authorization(&other), None);

    // What a link says of itself counts for that request alone.
    let link = other.url("/").replace("://", "://bob@");
    fetch.fetch(&request(&link)).await.expect("a response");
    assert_eq!(authorization(&other).as_deref(), Some("basic ym9iog=="));
    fetch
        .fetch(&request(&other.url("/")))
        .await
        .expect("a response");
    assert_eq!(authorization(&other), None);
    let link = server.url("/").replace("://", "://bob@");
    fetch.fetch(&request(&link)).await.expect("a response");
    assert_eq!(authorization(&server).as_deref(), Some("basic ym9iog=="));

    // A URL without a login takes none away.
    fetch.log_in(&server.url("/").parse().expect("a URL"));
    fetch
        .fetch(&request(&server.url("/")))
        .await
        .expect("a response");
    assert_ne!(authorization(&server), None);
    assert!(!format!("{fetch:?}").contains("secret"));
}

#[tokio::test]
async fn connections_are_used_again() {
    let script = vec![
        Act::Read,
        Act::Send(empty("X: first\r\n")),
        Act::Read,
        Act::Send(empty("X: second\r\n")),
        Act::Hang,
    ];
    let server = Server::playing(script).await;
    let fetch = HttpFetch::new(&settings()).expect("a fetch");
    for expected in ["first", "second"] {
        let response = fetch
            .fetch(&request(&server.url("/")))
            .await
            .expect("a response");
        assert_eq!(response.header("x"), Some(expected));
    }
}

#[tokio::test]
async fn user_agents_that_are_none() {
    let mut settings = settings();
    settings.user_agent = "a\nb".into();
    let error = HttpFetch::new(&settings).expect_err("a line break");
    assert_eq!(
        error.to_string(),
        "the user agent \"a\\nb\" has a forbidden character"
    );
}
