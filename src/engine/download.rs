//! The end of a download: its row.

use std::time::Duration;

use url::Url;

use super::committer::Finished;
use super::life;
use crate::item::{Item, Record};
use crate::request::Response;
use crate::store::{PageState, Ticket, Verdict};

/// A row of the table `file`.
#[derive(nephila_macros::Item)]
#[item(table = "file", key = "url")]
struct File {
    url: Url,
    path: String,
    sha256: String,
    bytes: u64,
    r#type: Option<String>,
}

/// The page row of a download, and what is to be known of its file.
pub(super) fn saved(ticket: &Ticket, response: &Response, took: Duration) -> Finished {
    let (state, reason, message, record) = match record(ticket, response) {
        Ok(record) => (PageState::Done, None, None, Some(record)),
        Err(message) => (PageState::Failed, Some("file"), Some(message), None),
    };
    let (status, bytes) = (response.status.as_u16(), response.wire_bytes);
    let row = life::page_row(state, reason, message, status, took, bytes);
    let mut finished = life::finished(ticket, Verdict::Page(row), took);
    let table = |record: &Record| (record.schema().table().to_owned(), 1);
    finished.event.items = record.iter().map(table).collect();
    finished.commit.records = record.into_iter().collect();
    finished
}

fn record(ticket: &Ticket, response: &Response) -> Result<Record, String> {
    let file = response
        .file
        .as_deref()
        .ok_or("this fetch saves no files")?;
    let request = &ticket.request;
    // The URL by which an item knows it.
    let mut url = request.redirects.first().unwrap_or(&request.url).clone();
    // Neither fails for a URL with a host, and no other gets here.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let file = File {
        url,
        path: file.path.clone(),
        sha256: file.sha256.clone(),
        bytes: file.bytes,
        r#type: response.header("content-type").map(str::to_owned),
    };
    file.into_record().map_err(|error| error.to_string())
}
