//! A server that says exactly what it is told to, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One thing that a connection does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads a request, with as much body as its Content-Length says.
    Read,
    /// Writes bytes.
    Send(Vec<u8>),
    /// Writes these bytes for ever, or until nobody reads.
    Flood(Vec<u8>),
    /// Writes one of these bytes now and then, for ever.
    Drip(u8),
    /// Says nothing more, but stays.
    Hang,
    /// Breaks the connection with a reset; without it, it is closed at the end.
    Reset,
    /// Waits.
    Pause(Duration),
    /// Writes bytes, each by itself.
    Trickle(Vec<u8>),
}

/// Plays one script per connection, until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Reads a request and answers it with `answer`, then closes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::playing(vec![Act::Read, Act::Send(answer.into())]).await
    }

    pub(crate) async fn playing(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(play(stream, script.clone(), Arc::clone(&seen)));
            }
        });
        Self {
            address,
            requests,
            _tasks: tasks,
        }
    }

    /// The server's URL with `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests that were read, heads in lower case and bodies as they are.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn play(mut stream: TcpStream, script: Vec<Act>, seen: Arc<Mutex<Vec<String>>>) {
    for act in script {
        let outcome = match act {
            Act::Read => read(&mut stream).await.map(|request| {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(request);
            }),
            act => perform(&mut stream, act).await,
        };
        if outcome.is_err() {
            return;
        }
    }
}

/// Does one thing, for as long as the other side bears it.
pub(crate) async fn perform(stream: &mut TcpStream, act: Act) -> io::Result<()> {
    match act {
        Act::Read => read(stream).await.map(drop),
        Act::Send(bytes) => stream.write_all(&bytes).await,
        Act::Flood(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        Act::Drip(byte) => loop {
            stream.write_all(&[byte]).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        },
        // It stays as long as the other side does.
        Act::Hang => io::copy(stream, &mut tokio::io::sink()).await.map(drop),
        Act::Reset => stream.set_zero_linger(),
        Act::Pause(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
        Act::Trickle(bytes) => {
            stream.set_nodelay(true)?;
            for byte in bytes {
                stream.write_all(&[byte]).await?;
            }
            Ok(())
        }
    }
}

/// A request, its head in lower case.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(head + &String::from_utf8_lossy(&body))
}
