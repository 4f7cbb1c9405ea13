//! A proxy on 127.0.0.1: HTTP, CONNECT and SOCKS5. Whatever host is asked for, it leads to one server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::settings::ProxyUrl;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::sessions::{Web, bytes_of, db, html, nothing, redirect};

/// What it does with whom.
#[derive(Clone)]
pub(crate) struct Rules {
    /// Where everything leads.
    pub(crate) target: u16,
    /// User name and password that it wants.
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Speaks TLS itself.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Hangs up at once.
    pub(crate) broken: bool,
}

impl Rules {
    pub(crate) fn to(target: u16) -> Self {
        Self {
            target,
            login: None,
            tls: None,
            broken: false,
        }
    }
}

/// Runs until it is dropped.
pub(crate) struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (rules, log) = (rules.clone(), Arc::clone(&log));
                connections.spawn(async move {
                    // How a connection ends is the client's to judge.
                    let _ = match rules.tls.clone() {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &rules, &log).await,
                            Err(error) => Err(error),
                        },
                        None => serve(stream, &rules, &log).await,
                    };
                });
            }
        });
        Self {
            port,
            asked,
            _tasks: tasks,
        }
    }

    /// Its URL: `socks5h://127.0.0.1:1080`; `login` is written before the host.
    pub(crate) fn url(&self, scheme: &str, login: &str) -> String {
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// What it was asked for, the heads of HTTP requests in lower case.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

type Log = Mutex<Vec<String>>;

fn note(log: &Log, asked: String) {
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked);
}

async fn serve<S>(mut stream: S, rules: &Rules, log: &Log) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if rules.broken {
        note(log, "hung up".to_owned());
        return Ok(());
    }
    let first = stream.read_u8().await?;
    if first == 5 {
        socks(stream, rules, log).await
    } else {
        http(stream, first, rules, log).await
    }
}

/// RFC 1928 and 1929, as far as clients speak it.
async fn socks<S>(mut stream: S, rules: &Rules, log: &Log) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut methods = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut methods).await?;
    if let Some((user, password)) = rules.login {
        if !methods.contains(&2) {
            note(log, "socks5 without a login".to_owned());
            return stream.write_all(&[5, 255]).await;
        }
        stream.write_all(&[5, 2]).await?;
        stream.read_u8().await?;
        let said = [text(&mut stream).await?, text(&mut stream).await?];
        let right = said == [user, password];
        stream.write_all(&[1, u8::from(!right)]).await?;
        if !right {
            note(log, "socks5 with a wrong login".to_owned());
            return Ok(());
        }
    } else {
        stream.write_all(&[5, 0]).await?;
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head[3] {
        3 => text(&mut stream).await?,
        1 => {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            std::net::Ipv4Addr::from(bytes).to_string()
        }
        _ => return Ok(()),
    };
    let port = stream.read_u16().await?;
    note(log, format!("socks5 {host}:{port}"));
    let mut target = TcpStream::connect(("127.0.0.1", rules.target)).await?;
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    copy_bidirectional(&mut stream, &mut target).await?;
    Ok(())
}

async fn text<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn http<S>(mut stream: S, first: u8, rules: &Rules, log: &Log) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    note(log, head.to_lowercase());
    if let Some((user, password)) = rules.login {
        use base64::Engine;
        let login = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        let field = format!("proxy-authorization: basic {}", login.to_lowercase());
        if !head.to_lowercase().contains(&field) {
            let refused = b"HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n";
            return stream.write_all(refused).await;
        }
    }
    let mut target = TcpStream::connect(("127.0.0.1", rules.target)).await?;
    if head.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Go On\r\n\r\n").await?;
    } else {
        // As proxies do: what was meant for them goes no further.
        let mut lines = head.split_inclusive("\r\n");
        let forwarded: String = lines
            .by_ref()
            .filter(|line| !line.to_lowercase().starts_with("proxy-authorization:"))
            .collect();
        target.write_all(forwarded.as_bytes()).await?;
    }
    copy_bidirectional(&mut stream, &mut target).await?;
    Ok(())
}

/// Sends each of its requests by a proxy of its own.
#[derive(Clone, serde::Deserialize)]
struct Tourist {
    http: String,
    socks: String,
}

#[spider]
impl Tourist {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push("http://shop.test/", Self::first).await
    }

    async fn first(&self, page: Page) -> Result {
        page.request("/by-http", Self::last)
            .proxy(&self.http)
            .send()?;
        page.request("/by-socks", Self::last)
            .proxy(&self.socks)
            .send()?;
        page.request("/as-usual", Self::last).send()
    }

    async fn last(&self, _: Page) -> Result {
        Ok(())
    }
}

/// A shop, the proxy of the settings, and one that asks who one is.
async fn shop() -> (Web, Proxy, Proxy) {
    let is_late = AtomicBool::new(true);
    let web = Web::start(move |path, _| match path {
        "/by-http" if is_late.swap(false, Ordering::SeqCst) => ("503 X".to_owned(), String::new()),
        "/by-http" => redirect(302, "/moved"),
        "/robots.txt" => nothing(),
        _ => html(""),
    })
    .await;
    let usual = Proxy::start(Rules::to(web.port)).await;
    let own = Proxy::start(Rules {
        login: Some(("ann", "hunter2")),
        ..Rules::to(web.port)
    })
    .await;
    (web, usual, own)
}

fn tour(spider: &Tourist, usual: &Proxy, folder: &tempfile::TempDir) -> Crawl {
    let usual = usual.url("http", "");
    Crawl::new(spider.clone())
        .db(db(folder))
        .with(move |settings| {
            settings.proxies = vec![ProxyUrl(usual.as_str().into())];
            settings.retry_delay = Duration::from_millis(1);
            settings.max_retry_after = Duration::from_millis(1);
            settings.delay = Some(Duration::ZERO);
            settings.allow_empty = true;
        })
}

/// The paths that a proxy was asked for by HTTP, and the hosts by SOCKS5.
fn places(proxy: &Proxy) -> Vec<String> {
    let asked = proxy.asked();
    let place = |head: &String| head.lines().next().unwrap_or_default().to_owned();
    let mut places: Vec<_> = asked.iter().map(place).collect();
    places.sort();
    places
}

#[tokio::test]
async fn a_request_has_a_proxy_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (web, usual, own) = shop().await;
    let spider = Tourist {
        http: own.url("http", "ann:hunter2@"),
        socks: own.url("socks5h", "ann:hunter2@"),
    };
    let report = tour(&spider, &usual, &folder).run().await.unwrap();
    assert_eq!(report.statistics.pages, 4, "{report:?}");
    // Its retry and where it leads to take the same way.
    let by_http = "get http://shop.test/by-http http/1.1";
    let moved = "get http://shop.test/moved http/1.1";
    assert_eq!(
        places(&own),
        [by_http, by_http, moved, "socks5 shop.test:80"]
    );
    let rest =
        ["", "as-usual", "robots.txt"].map(|at| format!("get http://shop.test/{at} http/1.1"));
    assert_eq!(places(&usual), rest);
    let seen = web.everything().to_lowercase();
    assert!(!seen.contains("proxy-authorization"), "{seen}");
    let kept = format!("{} {report:?} {seen}", bytes_of(folder.path()));
    for secret in ["hunter2", "YW5uOmh1bnRlcjI"] {
        assert!(!kept.contains(secret), "{secret} is kept");
    }
}

#[tokio::test]
async fn a_queued_request_keeps_its_proxy_and_not_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let (web, usual, own) = shop().await;
    let open = Proxy::start(Rules::to(web.port)).await;
    let spider = Tourist {
        http: own.url("http", "ann:hunter2@"),
        socks: open.url("socks5h", ""),
    };
    let first = tour(&spider, &usual, &folder).with(|settings| settings.max_pages = Some(1));
    assert_eq!(first.run().await.unwrap().statistics.queued, 4);
    let stored = bytes_of(folder.path());
    assert!(
        stored.contains(&own.url("http", "kept%3A")[..14]),
        "it is stored"
    );
    assert!(!stored.contains("hunter2"));

    let second = tour(&spider, &usual, &folder).run().await.unwrap();
    assert_eq!(places(&open), ["socks5 shop.test:80"]);
    assert_eq!(places(&own), [""; 0]);
    let said = &second.statistics.errors[0].message;
    assert!(
        said.starts_with("the login of its own proxy is gone"),
        "{said}"
    );
}

#[tokio::test]
async fn an_own_proxy_that_fails_is_the_request_s_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let (_web, usual, own) = shop().await;
    let spider = Tourist {
        http: own.url("http", "ann:sesame@"),
        socks: "direct".to_owned(),
    };
    let crawl = tour(&spider, &usual, &folder).with(|settings| settings.retries = 0);
    let report = crawl.run().await.unwrap();
    let errors = &report.statistics.errors;
    let of_proxy = errors.iter().find(|group| group.reason == "proxy").unwrap();
    assert!(
        of_proxy.message.starts_with("proxy 127.0.0.1:"),
        "{of_proxy:?}"
    );
    assert!(!format!("{report:?}").contains("sesame"), "{report:?}");
    // Nobody knows shop.test but the proxies.
    assert!(
        errors.iter().any(|group| group.reason == "dns"),
        "{errors:?}"
    );
    assert!(places(&usual).contains(&"get http://shop.test/as-usual http/1.1".to_owned()));
}
