//! A server of a few fixed pages, for what the bundled site does not have.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Path, status and body.
pub(super) type Answer = (&'static str, u16, &'static str);

/// Serves `answers` (else 404) until the process ends.
pub(super) fn serve(answers: &'static [Answer]) -> SocketAddr {
    serve_with(move |path, _| {
        let known = answers.iter().find(|(known, ..)| *known == path);
        known.map_or((404, String::new()), |(_, status, body)| {
            (*status, (*body).to_owned())
        })
    })
}

/// Serves what `answer` makes of a path and the request's header, until the process ends. A body may
/// begin with header lines of its own, up to an empty one, if it begins with `ETag`.
pub(crate) fn serve_with(
    answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A client that goes away ends its own thread only.
            std::thread::spawn(move || reply(&stream, &*answer));
        }
    });
    address
}

fn reply(stream: &TcpStream, answer: &dyn Fn(&str, &str) -> (u16, String)) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut header = String::new();
    while let Some(line) = lines.next().transpose()?
        && !line.is_empty()
    {
        header.extend([&line, "\n"]);
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = answer(path, &header);
    let (own, body) = match body.split_once("\r\n\r\n") {
        Some((own, body)) if own.starts_with("ETag") => (format!("{own}\r\n"), body),
        _ => (String::new(), &*body),
    };
    let length = body.len();
    let mut to = stream;
    write!(
        to,
        "HTTP/1.1 {status} X\r\n{own}Content-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
