//! Bad behaviours and what must come of them.

#![expect(
    clippy::format_collect,
    clippy::too_many_lines,
    reason = "tables of cases, which need not be quick"
)]

mod bodies;
mod markup;
mod redirects;
mod statuses;
mod wire;

use super::server::Asked;
use crate::raw::Act;

type Play = Box<dyn Fn(&Asked<'_>) -> Vec<Act> + Send + Sync>;

/// One bad behaviour.
pub(super) struct Case {
    pub(super) name: String,
    /// What the index links to; `PORT` is the server's.
    pub(super) link: String,
    /// What must come of it: `page` (done, with the case's name as title), `untitled`, `titled ..`,
    /// `redirect`, `failed REASON` or `skipped REASON`. Several that may come are separated by `|`.
    pub(super) expected: String,
    /// Much work for a program that is not optimised.
    pub(super) is_heavy: bool,
    pub(super) play: Play,
}

impl Case {
    pub(super) fn path(&self) -> String {
        format!("/case/{}", self.name)
    }
}

/// A list of cases.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(
        &mut self,
        name: &str,
        expected: &str,
        play: impl Fn(&Asked<'_>) -> Vec<Act> + Send + Sync + 'static,
    ) {
        self.0.push(Case {
            name: name.to_owned(),
            link: format!("/case/{name}"),
            expected: expected.to_owned(),
            is_heavy: false,
            play: Box::new(play),
        });
    }

    /// The cases so far from number `first` on are heavy.
    fn heavy(&mut self, first: usize) {
        for case in self.0.iter_mut().skip(first) {
            case.is_heavy = true;
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends bytes and closes.
    fn send(&mut self, name: &str, expected: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.add(name, expected, move |_| vec![Act::Send(bytes.clone())]);
    }
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = Cases::default();
    wire::add(&mut cases);
    bodies::add(&mut cases);
    statuses::add(&mut cases);
    redirects::add(&mut cases);
    markup::add(&mut cases);
    for case in &mut cases.0 {
        let endless = case.name.contains("endless") || case.name.contains("-mb");
        case.is_heavy |= endless || case.name.ends_with("100000");
    }
    cases.0
}

/// A whole answer whose connection may stay open.
pub(super) fn html(title: &str, body: &str) -> Vec<u8> {
    http("", document(title, body))
}

pub(super) fn document(title: &str, body: &str) -> String {
    format!("<!doctype html><title>{title}</title>{body}")
}

/// An answer with status 200, HTML, a length and these fields.
fn http(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = body.as_ref().len();
    head(&format!("Content-Length: {length}\r\n{fields}"), body)
}

/// The same without a length.
fn head(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(
        "200 OK",
        &format!("Content-Type: text/html\r\n{fields}"),
        body,
    )
}

fn answer(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes();
    answer.extend(body.as_ref());
    answer
}
