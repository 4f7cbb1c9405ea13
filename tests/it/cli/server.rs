//! A server of a few fixed pages, for what the bundled site does not have.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Path, status and body.
pub(super) type Answer = (&'static str, u16, &'static str);

/// Serves `answers` (else 404) until the process ends.
pub(super) fn serve(answers: &'static [Answer]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // A client that goes away ends its own thread only.
            std::thread::spawn(move || answer(&stream, &answers));
        }
    });
    address
}

fn answer(stream: &TcpStream, answers: &[Answer]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let known = answers.iter().find(|(known, ..)| *known == path);
    let (status, body) = known.map_or((404, ""), |(_, status, body)| (*status, *body));
    let length = body.len();
    let mut to = stream;
    write!(
        to,
        "HTTP/1.1 {status} X\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
