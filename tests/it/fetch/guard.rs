use std::process::Command;

use nephila::fetch::{FailureKind, Fetch, Guard, HttpFetch};
use nephila::settings::Settings;

use super::{empty, http, request};
use crate::raw::Server;

async fn check_refused(fetch: &HttpFetch, url: &str, expected: &str) {
    let error = fetch.fetch(&request(url)).await.expect_err(url);
    assert_eq!(error.kind, FailureKind::Blocked, "{url}: {error:?}");
    assert_eq!(error.message, expected, "{url}");
}

#[tokio::test]
async fn this_machine_is_refused() {
    let server = Server::answering(empty("")).await;
    let port = server.port();
    let fetch = HttpFetch::new(&Settings::default()).expect("a fetch");
    let v4 = "127.0.0.1 is a loopback address";
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
    ] {
        check_refused(&fetch, &format!("http://{host}:{port}/"), v4).await;
    }
    let mapped = "::ffff:127.0.0.1 is a loopback address";
    check_refused(
        &fetch,
        &format!("http://[::ffff:127.0.0.1]:{port}/"),
        mapped,
    )
    .await;
    check_refused(&fetch, &format!("https://[::ffff:7f00:1]:{port}/"), mapped).await;
    let error = fetch
        .fetch(&request(&format!("http://localhost:{port}/")))
        .await;
    let error = error.expect_err("localhost");
    assert_eq!(error.kind, FailureKind::Blocked, "{error:?}");
    assert!(
        error.message.ends_with("1 is a loopback address"),
        "{}",
        error.message
    );
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn a_host_that_was_named_is_allowed_alone() {
    let server = Server::answering(empty("")).await;
    let port = server.port();
    let fetch = HttpFetch::new(&Settings::default()).expect("a fetch");
    fetch.allow_host("localhost");
    fetch
        .fetch(&request(&format!("http://localhost:{port}/")))
        .await
        .expect("a response");
    let v4 = "127.0.0.1 is a loopback address";
    check_refused(&fetch, &format!("http://127.0.0.1:{port}/"), v4).await;
    fetch.allow_host("127.0.0.1");
    fetch
        .fetch(&request(&format!("http://0x7f.1:{port}/")))
        .await
        .expect("a response");
}

#[tokio::test]
async fn a_wildcard_opens_nothing() {
    let settings = Settings {
        hosts: vec!["*".into(), "*.0.0.1".into()],
        ..Settings::default()
    };
    let fetch = HttpFetch::new(&settings).expect("a fetch");
    check_refused(
        &fetch,
        "http://127.0.0.1:9/",
        "127.0.0.1 is a loopback address",
    )
    .await;
}

#[tokio::test]
async fn a_guard_of_ones_own() {
    let server = Server::answering(empty("")).await;
    let fetch = HttpFetch::with_guard(&Settings::default(), Guard::open()).expect("a fetch");
    fetch
        .fetch(&request(&server.url("/")))
        .await
        .expect("a response");
}

const PROXY: &str = "NEPHILA_TEST_SERVER";

/// Runs [`in_an_environment_with_a_proxy`] in one: `unsafe` is forbidden, so an environment can only
/// be changed for a child.
#[tokio::test]
async fn proxies() {
    let proxy = Server::answering(http("", b"by proxy")).await;
    let server = Server::answering(http("", b"direct")).await;
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "fetch::guard::in_an_environment_with_a_proxy"])
        .env(
            "HTTP_PROXY",
            proxy.url("").replace("127.0.0.1", "ann:secret@localhost"),
        )
        .env("NO_PROXY", "")
        .env(PROXY, server.url(""));
    for name in [
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "no_proxy",
        "REQUEST_METHOD",
    ] {
        child.env_remove(name);
    }
    let child = tokio::task::spawn_blocking(move || child.output());
    let output = child.await.expect("a thread").expect("a child");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.requests().len(), 1);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].starts_with("get http://a.example/x http/1.1\r\n"),
        "{requests:?}"
    );
    assert!(
        requests[0].contains("\r\nproxy-authorization: basic "),
        "{requests:?}"
    );
}

#[tokio::test]
async fn in_an_environment_with_a_proxy() {
    let Ok(server) = std::env::var(PROXY) else {
        return;
    };
    // The proxy at `localhost` is trusted without being allowed.
    let settings = Settings {
        hosts: vec!["127.0.0.1".into()],
        ..Settings::default()
    };
    let fetch = HttpFetch::new(&settings).expect("a fetch");
    let response = fetch
        .fetch(&request("http://a.example/x"))
        .await
        .expect("a response");
    assert_eq!(response.body, "by proxy");
    let response = fetch.fetch(&request(&server)).await.expect("a response");
    assert_eq!(response.body, "direct");
    check_refused(&fetch, "http://10.0.0.1/", "10.0.0.1 is a private address").await;
}
