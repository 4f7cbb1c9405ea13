//! A proxy on 127.0.0.1: HTTP, CONNECT and SOCKS5. Whatever host is asked for, it leads to one server.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

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
