//! A server of plain pages among which everything else goes wrong.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cases::{Case, html};
use crate::raw::{Act, perform, read};

/// Pages that are as they should be.
pub(super) const PLAIN: usize = 200;

/// What a case knows of the request that it answers.
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    /// The head, in lower case.
    pub(super) head: &'a str,
    /// How often this path was asked for before.
    pub(super) before: usize,
    pub(super) port: u16,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    cases: HashMap<String, Case>,
    index: String,
    port: u16,
    log: Mutex<Vec<(Instant, String)>>,
}

impl Server {
    pub(super) async fn start(cases: Vec<Case>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let index = index(&cases, address.port());
        let cases = cases.into_iter().map(|case| (case.path(), case)).collect();
        let state = Arc::new(State {
            cases,
            index,
            port: address.port(),
            log: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let state = Arc::clone(&shared);
                connections.spawn(async move {
                    // How a connection ends is the client's to judge.
                    let _ = serve(stream, &state).await;
                });
            }
        });
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    /// The times and paths of all requests.
    pub(super) fn log(&self) -> Vec<(Instant, String)> {
        self.state.log().clone()
    }

    /// The longest time in which nobody asked for a plain page that nobody had asked for before, and
    /// what was asked for meanwhile.
    pub(super) fn longest_gap(&self) -> (Duration, Vec<String>) {
        let mut log = self.log();
        log.sort_unstable();
        let mut left: HashSet<_> = (0..PLAIN)
            .map(|number| format!("/plain/{number}"))
            .collect();
        let plain: Vec<_> = (0..log.len())
            .filter(|at| left.remove(&log[*at].1))
            .collect();
        let gaps = plain.windows(2).map(|pair| {
            let paths = log[pair[0]..=pair[1]].iter();
            let at = log[pair[0]].0;
            let paths = paths.map(|(when, path)| format!("{:?} {path}", *when - at));
            (log[pair[1]].0 - at, paths.collect())
        });
        gaps.max().unwrap_or_default()
    }
}

impl State {
    fn log(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, String)>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; how often the path was asked for before.
    fn note(&self, path: &str) -> usize {
        let mut log = self.log();
        let before = log.iter().filter(|(_, known)| known == path).count();
        log.push((Instant::now(), path.to_owned()));
        before
    }
}

/// The links, mixed well: a plain page next to each case, the rest behind them.
fn index(cases: &[Case], port: u16) -> String {
    let mut plain = (0..PLAIN).map(|number| format!("<a href='/plain/{number}'>plain</a>\n"));
    let mut body = String::from("<title>index</title>\n");
    for case in cases {
        let link = case.link.replace("PORT", &port.to_string());
        let case = format!("<a href='{link}'>{link}</a>\n");
        body.extend(std::iter::once(case).chain(plain.next()));
    }
    body.extend(plain);
    body
}

async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    loop {
        let head = read(&mut stream).await?;
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        let before = state.note(&target);
        if let Some(number) = path.strip_prefix("/plain/") {
            let page = html(&format!("plain {number}"), "");
            perform(&mut stream, Act::Send(page)).await?;
            continue;
        }
        let asked = Asked {
            path: &target,
            head: &head,
            before,
            port: state.port,
        };
        let script = match path {
            "/" => vec![Act::Send(html("index", &state.index))],
            "/robots.txt" => vec![Act::Send(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            )],
            _ => match state.cases.get(path) {
                Some(case) => {
                    for act in (case.play)(&asked) {
                        perform(&mut stream, act).await?;
                    }
                    return Ok(());
                }
                None => vec![Act::Send(
                    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
                )],
            },
        };
        for act in script {
            perform(&mut stream, act).await?;
        }
    }
}
