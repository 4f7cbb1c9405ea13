use http::{HeaderValue, header};
use nephila::fetch::{Fetch, HttpFetch};
use nephila::request::Request;
use nephila::settings::Settings;

use super::{answer, empty, request, settings};
use crate::raw::{Act, Server};

/// Fetches and says which cookies were sent.
async fn cookies_sent(fetch: &HttpFetch, server: &Server, request: &Request) -> Option<String> {
    fetch.fetch(request).await.expect("a response");
    let sent = server.requests().pop().expect("a request");
    let line = sent.lines().find_map(|line| line.strip_prefix("cookie: "));
    line.map(str::to_owned)
}

#[tokio::test]
async fn cookies_come_and_go() {
    let setting = "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Path=/x\r\n\
        Set-Cookie: c=3; Domain=example.com\r\nSet-Cookie: d=4; Max-Age=0\r\n";
    let server = Server::answering(empty(setting)).await;
    let fetch = HttpFetch::new(&settings()).expect("a fetch");
    let page = request(&server.url("/"));
    assert_eq!(cookies_sent(&fetch, &server, &page).await, None);
    assert_eq!(
        cookies_sent(&fetch, &server, &page).await.as_deref(),
        Some("a=1")
    );
    let deeper = request(&server.url("/x/y"));
    assert_eq!(
        cookies_sent(&fetch, &server, &deeper).await.as_deref(),
        Some("b=2; a=1")
    );
    let mut own = page.clone();
    own.headers
        .insert(header::COOKIE, HeaderValue::from_static("z=9"));
    assert_eq!(
        cookies_sent(&fetch, &server, &own).await.as_deref(),
        Some("z=9")
    );

    let stored = fetch.sessions().take_changed();
    let keys: Vec<&str> = stored.iter().map(|cookie| cookie.key.as_str()).collect();
    assert_eq!(keys, ["127.0.0.1;/;a", "127.0.0.1;/x;b"]);
    let again = HttpFetch::new(&settings()).expect("a fetch");
    again.sessions().load(stored);
    assert_eq!(
        cookies_sent(&again, &server, &page).await.as_deref(),
        Some("a=1")
    );
}

#[tokio::test]
async fn cookies_count_even_if_the_page_fails() {
    let redirect = answer("302 Found", "Location: /\r\nSet-Cookie: a=1\r\n", b"");
    let broken = answer("200 OK", "Set-Cookie: b=2\r\nContent-Length: 9\r\n", b"x");
    let server = Server::answering(redirect).await;
    let fetch = HttpFetch::new(&settings()).expect("a fetch");
    fetch
        .fetch(&request(&server.url("/")))
        .await
        .expect("a redirect");
    let second = Server::playing(vec![Act::Read, Act::Send(broken)]).await;
    fetch
        .fetch(&request(&second.url("/")))
        .await
        .expect_err("half a body");
    let sent = cookies_sent(&fetch, &server, &request(&server.url("/"))).await;
    assert_eq!(sent.as_deref(), Some("a=1; b=2"));
}

#[tokio::test]
async fn no_cookies_if_switched_off() {
    let server = Server::answering(empty("Set-Cookie: a=1\r\n")).await;
    let settings = Settings {
        cookies: false,
        ..settings()
    };
    let fetch = HttpFetch::new(&settings).expect("a fetch");
    let page = request(&server.url("/"));
    cookies_sent(&fetch, &server, &page).await;
    assert_eq!(cookies_sent(&fetch, &server, &page).await, None);
    assert_eq!(fetch.sessions().take_changed(), []);
}
