//! A small web whose pages are a function of the request.

use std::sync::{Arc, Mutex, PoisonError};

use nephila::prelude::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl Hit {
    /// `GET /path body`
    pub(crate) fn line(&self) -> String {
        let body = self.text.split("\r\n\r\n").nth(1).unwrap_or_default();
        let line = format!("{} {} {body}", self.method, self.path);
        line.trim_end().to_owned()
    }
}

/// What is answered.
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    pub(crate) fn html(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: "Content-Type: text/html\r\n".to_owned(),
            body: body.into(),
        }
    }

    pub(crate) fn to(status: u16, location: &str) -> Self {
        Self::empty(status).with("Location", location)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: String::new(),
            body: String::new(),
        }
    }

    pub(crate) fn push(&mut self, body: &str) {
        self.body.push_str(body);
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.extend([name, ": ", value, "\r\n"]);
        self
    }
}

/// It ends when it is dropped.
pub(crate) struct Web {
    port: u16,
    hits: Arc<Mutex<Vec<Hit>>>,
    _tasks: JoinSet<()>,
}

impl Web {
    /// Serves on a free port of 127.0.0.1; it is the same for all names.
    pub(crate) async fn serve(
        pages: impl Fn(&Hit) -> Answer + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let hits = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&hits);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, pages.clone(), Arc::clone(&seen)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            port,
            hits,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.url_on("127.0.0.1", path)
    }

    pub(crate) fn url_on(&self, host: &str, path: &str) -> Url {
        let url = format!("http://{host}:{}{path}", self.port);
        url.parse().expect("a URL")
    }

    /// All requests but those for robots.txt.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let is_page = |hit: &&Hit| hit.path != "/robots.txt";
        hits.iter().filter(is_page).cloned().collect()
    }

    /// `GET /path body` of each of them, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.hits().iter().map(Hit::line).collect();
        lines.sort();
        lines
    }
}

async fn answer(mut stream: TcpStream, pages: impl Fn(&Hit) -> Answer, hits: Arc<Mutex<Vec<Hit>>>) {
    let Some(hit) = read(&mut stream).await else {
        return;
    };
    hits.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(hit.clone());
    let Answer {
        status,
        headers,
        body,
    } = match hit.path.as_str() {
        "/robots.txt" => match pages(&hit) {
            found @ Answer { status: 200, .. } if !found.headers.contains("html") => found,
            _ => Answer::empty(404),
        },
        _ => pages(&hit),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = if hit.method == "HEAD" { "" } else { &body };
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Hit> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_owned())
            };
            let length = field("content-length").and_then(|length| length.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let mut line = head.split(' ');
                return Some(Hit {
                    at: Instant::now(),
                    method: line.next()?.to_owned(),
                    path: line.next()?.to_owned(),
                    text,
                });
            }
        }
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
}
