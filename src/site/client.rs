//! A client that hides nothing, for the tests of the pages.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Options, Site};

/// A small site.
pub(super) async fn site() -> Site {
    let options = Options {
        products: 50,
        ..Options::default()
    };
    Site::start_with("127.0.0.1:0", options)
        .await
        .expect("a free port")
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The text after `before` and up to `after`.
    pub(super) fn between(&self, before: &str, after: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(before)?;
        Some(rest.split_once(after)?.0.to_owned())
    }

    /// The targets of all links, as a browser reads them.
    pub(super) fn links(&self) -> Vec<String> {
        let text = self.text();
        let anchors = text.split("<a ").skip(1);
        let targets = anchors.filter_map(|anchor| anchor.split_once("href=\"")?.1.split_once('"'));
        targets
            .map(|(target, _)| target.replace("&amp;", "&"))
            .collect()
    }
}

pub(super) async fn get(site: &Site, path: &str) -> Answer {
    ask(site, "GET", path, &[], "").await.expect("an answer")
}

/// One request over one connection, read to its end.
///
/// # Errors
/// When the connection breaks, ends without an answer (`ConnectionAborted`), or ends before the
/// body does (`UnexpectedEof`).
pub(super) async fn ask(
    site: &Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str("Host: shop.test\r\n");
    }
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    request.extend([length.as_str(), body]);
    let mut stream = TcpStream::connect(site.address()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    if bytes.is_empty() {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    read(&bytes, method == "HEAD").ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read(bytes: &[u8], is_head: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body.ends_with(b"\r\n0\r\n\r\n").then_some(())?;
    } else if let Some(length) = answer.header("content-length").filter(|_| !is_head) {
        let length: usize = length.parse().ok()?;
        (answer.body.len() == length).then_some(())?;
    }
    if is_head {
        answer.body.is_empty().then_some(())?;
    }
    Some(answer)
}
