use nephila::fetch::{FailureKind, Fetch, HttpFetch};
use nephila::settings::{ProxyUrl, SessionSettings, Settings};

use super::{answer, empty, fetch, request, settings};
use crate::proxy::{Proxy, Rules};
use crate::raw::{Act, Server};
use crate::tls::{self, Authority, Options};

const LOGIN: Option<(&str, &str)> = Some(("ann", "hunter2"));

/// A server that stays for many requests.
async fn patient() -> Server {
    Server::playing(vec![[Act::Read, Act::Send(empty(""))]; 20].concat()).await
}

fn through(proxies: &[String]) -> Settings {
    let proxies = proxies.iter().map(|url| ProxyUrl(url.as_str().into()));
    Settings {
        proxies: proxies.collect(),
        ..settings()
    }
}

/// "ann:hunter2", in lower case like all of the heads.
const BASIC: &str = "proxy-authorization: basic yw5uomh1bnrlcji=";

#[tokio::test]
async fn http_by_http() {
    let server = patient().await;
    let proxy = Proxy::start(Rules {
        login: LOGIN,
        ..Rules::to(server.port())
    })
    .await;
    let settings = through(&[proxy.url("http", "ann:hunter2@")]);
    let response = fetch(&settings, &request("http://shop.test:81/a?b"))
        .await
        .expect("a response");
    assert_eq!(response.status, 200);
    let asked = proxy.asked().remove(0);
    assert!(
        asked.starts_with("get http://shop.test:81/a?b http/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains(BASIC), "{asked}");
    assert!(!server.requests()[0].contains("proxy-authorization"));
}

#[tokio::test]
async fn https_by_http_and_https_and_socks() {
    let authority = Authority::new();
    let server = tls::Server::start(authority.acceptor("shop.test", &Options::default())).await;
    for scheme in ["http", "https", "socks5h"] {
        let tls = (scheme == "https").then(|| authority.acceptor("127.0.0.1", &Options::default()));
        let proxy = Proxy::start(Rules {
            login: LOGIN,
            tls,
            ..Rules::to(server.port)
        })
        .await;
        let settings = Settings {
            tls_ca: vec![authority.file()],
            ..through(&[proxy.url(scheme, "ann:hunter2@")])
        };
        let response = fetch(&settings, &request("https://shop.test/")).await;
        assert_eq!(response.expect("a response").body, "secure", "{scheme}");
        let asked = proxy.asked().remove(0);
        if scheme == "socks5h" {
            assert_eq!(asked, "socks5 shop.test:443");
        } else {
            assert!(
                asked.starts_with("connect shop.test:443 http/1.1\r\n"),
                "{asked}"
            );
            assert!(asked.contains(BASIC), "{asked}");
        }
    }
    assert_eq!(server.requests().len(), 3);
    for sent in server.requests() {
        assert!(
            !sent.contains("proxy-authorization") && !sent.contains("hunter2"),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn http_by_socks() {
    let server = patient().await;
    let proxy = Proxy::start(Rules::to(server.port())).await;
    let settings = through(&[proxy.url("socks5h", "")]);
    fetch(&settings, &request("http://shop.test/"))
        .await
        .expect("a response");
    assert_eq!(proxy.asked(), ["socks5 shop.test:80"]);
}

#[tokio::test]
async fn names_are_guarded_where_we_resolve_them() {
    let server = patient().await;
    let proxy = Proxy::start(Rules::to(server.port())).await;
    let closed = Settings {
        hosts: Vec::new(),
        ..through(&[proxy.url("socks5", "")])
    };
    // Another name of this machine, that is not taken for it by its looks.
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() || tokio::net::lookup_host((name, 80)).await.is_err() {
        eprintln!("skipped: this machine's own name does not resolve");
        return;
    }
    let error = fetch(&closed, &request(&format!("http://{name}/"))).await;
    assert_eq!(
        error.expect_err("a private address").kind,
        FailureKind::Blocked
    );
    assert_eq!(proxy.asked(), [""; 0]);
}

#[tokio::test]
async fn wrong_credentials() {
    for scheme in ["http", "socks5h"] {
        let server = patient().await;
        let proxy = Proxy::start(Rules {
            login: LOGIN,
            ..Rules::to(server.port())
        })
        .await;
        let settings = through(&[proxy.url(scheme, "ann:sesame@")]);
        for url in ["http://shop.test/", "https://shop.test/"] {
            let error = fetch(&settings, &request(url))
                .await
                .expect_err("no way in");
            assert_eq!(error.kind, FailureKind::Proxy, "{scheme} {url}: {error:?}");
            let ends = "the proxy does not accept our credentials";
            assert!(error.message.ends_with(ends), "{scheme} {url}: {error:?}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("sesame"), "{shown}");
        }
        assert_eq!(server.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn a_proxy_that_is_gone_is_passed_over_and_rests() {
    let server = patient().await;
    let good = Proxy::start(Rules::to(server.port())).await;
    let bad = Proxy::start(Rules {
        broken: true,
        ..Rules::to(server.port())
    })
    .await;
    // One identity whose requests may take either.
    let settings = Settings {
        session_pool: None,
        sessions: [("ann".to_owned(), SessionSettings::default())].into(),
        ..through(&[bad.url("socks5h", ""), good.url("http", "")])
    };
    let fetch = HttpFetch::new(&settings).expect("a fetch");
    for _ in 0..6 {
        let response = fetch.fetch(&request("http://shop.test/")).await;
        assert_eq!(response.expect("by the other one").status, 200);
    }
    assert_eq!(bad.asked().len(), 3, "then it rests");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn an_identity_stays_with_its_proxy() {
    let server = patient().await;
    let bad = Proxy::start(Rules {
        broken: true,
        ..Rules::to(server.port())
    })
    .await;
    let good = Proxy::start(Rules::to(server.port())).await;
    let settings = through(&[good.url("http", ""), bad.url("socks5h", "")]);
    let fetch = HttpFetch::new(&settings).expect("a fetch");
    let mut second = request("http://shop.test/");
    second.session = "2".into();
    let error = fetch.fetch(&second).await.expect_err("its proxy hangs up");
    assert_eq!(error.kind, FailureKind::Proxy);
    let port = bad.url("", "").rsplit(':').next().map(str::to_owned);
    let named = format!("proxy 127.0.0.1:{}: ", port.unwrap_or_default());
    assert!(error.message.starts_with(&named), "{}", error.message);
    assert_eq!((good.asked().len(), server.requests().len()), (0, 0));
}

#[tokio::test]
async fn what_needs_no_proxy() {
    let server = patient().await;
    let proxy = Proxy::start(Rules::to(1)).await;
    let settings = Settings {
        no_proxy: vec!["spared.invalid".into()],
        ..through(&[proxy.url("http", "")])
    };
    // This machine.
    let here = format!("http://127.0.0.1:{}/", server.port());
    fetch(&settings, &request(&here)).await.expect("a response");
    // A name that nobody knows: it is looked up here, and not by the proxy.
    let error = fetch(&settings, &request("http://a.spared.invalid/")).await;
    assert_eq!(error.expect_err("no such host").kind, FailureKind::Dns);
    assert_eq!(proxy.asked(), [""; 0]);
    // The proxy itself is no host of the web, whatever a page says.
    let url = proxy
        .url("http", "")
        .replace("127.0.0.1", "127.0.0.1.nip.invalid");
    let settings = through(std::slice::from_ref(&url));
    let error = fetch(&settings, &request(&url)).await.expect_err("a proxy");
    assert_eq!(error.message, "the host is a proxy of this crawl");
}

#[tokio::test]
async fn a_server_can_not_make_a_proxy_look_bad() {
    let refusal = answer("407 Pretending", "Content-Length: 0\r\n", b"");
    let script = vec![[Act::Read, Act::Send(refusal)]; 10].concat();
    let server = Server::playing(script).await;
    let proxy = Proxy::start(Rules::to(server.port())).await;
    let fetch = HttpFetch::new(&through(&[proxy.url("http", ""), "direct".into()])).expect("one");
    let mut first = request("http://shop.test/");
    first.session = "1".into();
    for _ in 0..5 {
        let error = fetch.fetch(&first).await.expect_err("407");
        assert_eq!(error.kind, FailureKind::Proxy);
    }
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn own_proxy_authorization_goes_nowhere() {
    let server = patient().await;
    let mut own = request(&server.url("/"));
    let secret = http::HeaderValue::from_static("Basic hunter2");
    own.headers.insert("proxy-authorization", secret);
    fetch(&settings(), &own).await.expect("a response");
    assert!(!server.requests()[0].contains("hunter2"));
}
