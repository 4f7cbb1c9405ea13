//! What a crawl does to its store, in a test's words.

use std::sync::Arc;

use jiff::Timestamp;
use nephila::request::{HostKey, Identity, Request, StepRef, canonical};
use nephila::store::{
    Batch, Began, Begin, End, Host, NewRequest, PageCommit, PageRow, PageState, Receipt, Rest,
    Store, Ticket, Verdict,
};

/// A moment of the tests' own time.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// A crawl that goes on.
pub(super) struct Crawl {
    pub(super) store: Arc<dyn Store>,
    pub(super) opening: Began,
    pub(super) identity: Identity,
}

impl Crawl {
    /// Begins or resumes a crawl in an open store.
    pub(super) async fn begin(store: Arc<dyn Store>, begin: Begin) -> Self {
        let opening = store.begin(begin).await.unwrap();
        Self {
            identity: Identity::new(opening.key),
            store,
            opening,
        }
    }

    /// A request of `url` for step `list`.
    pub(super) fn request(&self, url: &str) -> NewRequest {
        self.with(url, |_| {})
    }

    /// The same, changed.
    pub(super) fn with(&self, url: &str, change: impl FnOnce(&mut Request)) -> NewRequest {
        let mut request = Request::new(url.parse().unwrap(), StepRef::named("list"));
        change(&mut request);
        let (origin, path) = canonical(&request.url, 8192).unwrap();
        NewRequest {
            host: self.identity.host(&origin),
            fingerprint: self.identity.fingerprint(&request, &path, None),
            again: None,
            renews: None,
            origin,
            path,
            seed: false,
            request,
        }
    }

    pub(super) fn host(&self, origin: &str) -> HostKey {
        self.identity.host(origin)
    }

    pub(super) async fn commit(&self, batch: Batch) -> Receipt {
        self.store.commit(Arc::new(batch)).await.unwrap()
    }

    /// Queues seeds; returns how many were new.
    pub(super) async fn seed(&self, urls: &[&str]) -> u64 {
        let seeds = urls.iter().map(|url| NewRequest {
            seed: true,
            ..self.request(url)
        });
        let batch = Batch {
            seeds: seeds.collect(),
            seeded: true,
            ..Batch::default()
        };
        self.commit(batch).await.fresh_seeds
    }

    pub(super) async fn lease(&self, now: Timestamp) -> Vec<Host> {
        self.store.lease(10, now).await.unwrap()
    }

    /// What can be taken from a host.
    pub(super) async fn take(&self, origin: &str, now: Timestamp) -> Vec<Ticket> {
        let host = self.host(origin);
        self.store.take(host, 100, now).await.unwrap().tickets
    }

    /// The paths that can be taken from a host.
    pub(super) async fn paths(&self, origin: &str, now: Timestamp) -> Vec<String> {
        let tickets = self.take(origin, now).await;
        tickets
            .iter()
            .map(|ticket| ticket.request.url.path().to_owned())
            .collect()
    }

    pub(super) async fn rest(&self) -> Rest {
        self.store.rest().await.unwrap()
    }

    pub(super) async fn end(&self, finished: bool) {
        let end = End {
            stop: if finished { "finished" } else { "limit" }.into(),
            finished,
            report: "{}".into(),
        };
        self.store.end(end).await.unwrap();
    }
}

/// A page row without anything to tell.
pub(super) fn row(state: PageState) -> PageRow {
    PageRow {
        state,
        reason: None,
        message: None,
        status: 200,
        took_ms: 10,
        bytes: 1000,
    }
}

/// The commit of a page that is done.
pub(super) fn done(ticket: &Ticket) -> PageCommit {
    PageCommit {
        key: ticket.key,
        fingerprint: ticket.fingerprint,
        verdict: Verdict::Page(row(PageState::Done)),
        records: vec![],
        requests: vec![],
        refused: vec![],
        visit: None,
        stop_when_known: None,
    }
}

/// The commit of a page that is tried again.
pub(super) fn retry(ticket: &Ticket, due: Timestamp, counts: bool) -> PageCommit {
    PageCommit {
        verdict: Verdict::Retry {
            due,
            message: "503 Service Unavailable".into(),
            counts,
        },
        ..done(ticket)
    }
}

/// A batch of pages only.
pub(super) fn pages(pages: impl IntoIterator<Item = PageCommit>) -> Batch {
    Batch {
        pages: pages.into_iter().collect(),
        ..Batch::default()
    }
}
