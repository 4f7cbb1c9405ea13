//! Group commit: many pages, one transaction.
//!
//! One task takes finished pages and writes them in batches: as many as are there, waiting at most
//! `commit_delay` for more while others are on their way. What a commit did becomes events, and the
//! dispatcher is told which tickets are settled; both only after the store has said that it is
//! written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use url::Url;

use super::dispatcher::Message;
use super::event::{Event, PageEvent};
use super::lanes::Turn;
use super::shared::Shared;
use crate::item::Record;
use crate::request::HostKey;
use crate::store::{
    Batch, Host, NewRequest, PageCommit, PageRow, PageState, Receipt, Store, StoreError, TicketKey,
    Verdict,
};

/// Something to write.
pub(super) enum Entry {
    /// A page with all that belongs to it.
    Page(Box<Finished>),
    /// Requests that come from no page.
    Seeds(Vec<NewRequest>),
    /// The spider has sent its seeds, this many; all of them, if nothing went wrong.
    Seeded { sent: u64, complete: bool },
    /// Nothing more will come.
    End,
    /// A host whose pace, errors or robots.txt changed.
    Host(Box<Host>),
}

/// A page on its way into the store, and the event that it will be.
pub(super) struct Finished {
    pub(super) commit: PageCommit,
    pub(super) event: PageEvent,
    /// Is given back once the page is stored.
    pub(super) turn: Option<Turn>,
}

/// Where committed items go besides the store.
pub(super) type Outlet = Option<mpsc::Sender<Record>>;

pub(super) struct Committer {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    entries: mpsc::Receiver<Entry>,
    dispatcher: mpsc::Sender<Message>,
    outlet: Outlet,
    /// How long a store that can't be written to is waited for, in all.
    patience: Duration,
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        entries: mpsc::Receiver<Entry>,
        dispatcher: mpsc::Sender<Message>,
        outlet: Outlet,
    ) -> Self {
        Self {
            shared,
            store,
            entries,
            dispatcher,
            outlet,
            patience: Duration::from_mins(1),
        }
    }

    /// Writes until it is told that nothing more will come.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let max = self.shared.settings.commit_pages.max(1);
        let mut entries = Vec::with_capacity(max);
        let mut more = true;
        while more {
            more = self.gather(&mut entries, max).await;
            let mut work = Work::from(entries.drain(..));
            if let Some(http) = &self.shared.http {
                // Before the cookies: nobody is logged in by cookies that are not there.
                let logins = self.shared.logins.take_changed();
                work.batch.cookies = http.sessions().take_changed();
                work.batch.cookies.extend(logins);
            }
            work.batch.spent = self.shared.budgets.spent(work.pages());
            if !work.batch.spent.is_empty() {
                let others = self.store.spent_by_others().await?;
                self.shared.budgets.note_others(&others);
            }
            self.write(work).await?;
        }
        Ok(())
    }

    /// Waits for a batch; whether there may be another.
    async fn gather(&mut self, entries: &mut Vec<Entry>, max: usize) -> bool {
        // Without an end: the crawl sends `Entry::End` when all else has ended.
        if self.entries.recv_many(entries, max).await == 0 {
            return false;
        }
        let full = Instant::now() + self.shared.settings.commit_delay;
        while entries.len() < max && self.others_will_come(entries) {
            let room = max - entries.len();
            let more = tokio::time::timeout_at(full, self.entries.recv_many(entries, room)).await;
            if !matches!(more, Ok(1..)) {
                break;
            }
        }
        !matches!(entries.last(), Some(Entry::End))
    }

    /// Whether waiting can pay: seeds and hosts are written at once, pages wait for pages.
    fn others_will_come(&self, entries: &[Entry]) -> bool {
        let pages = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Page(_)))
            .count();
        pages == entries.len() && self.shared.in_hand.load(Ordering::Relaxed) > pages
    }

    async fn write(&mut self, work: Work) -> Result<(), StoreError> {
        let Work {
            batch,
            events,
            sent,
            turns: _held,
        } = work;
        let batch = Arc::new(batch);
        match self.commit(&batch).await {
            Ok(receipt) => self.tell(&batch, &receipt, events, sent).await,
            // One item that fits no table must not cost the other pages of its batch.
            Err(error @ StoreError::Schema { .. }) if batch.pages.len() == 1 => {
                let work = give_up(&batch, events, &error);
                let batch = Arc::new(work.batch);
                let receipt = self.commit(&batch).await?;
                self.tell(&batch, &receipt, work.events, sent).await;
            }
            Err(StoreError::Schema { .. }) => {
                let batch = Arc::unwrap_or_clone(batch);
                for single in split(batch, events, sent) {
                    Box::pin(self.write(single)).await?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Commits, waiting for a store that is full or busy.
    async fn commit(&self, batch: &Arc<Batch>) -> Result<Receipt, StoreError> {
        let end = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(100);
        let mut told = false;
        loop {
            match self.store.commit(Arc::clone(batch)).await {
                Err(error @ (StoreError::Full { .. } | StoreError::Busy(_)))
                    if Instant::now() < end =>
                {
                    if !std::mem::replace(&mut told, true) {
                        let patience = self.patience.as_secs();
                        tracing::warn!("{error}; trying again for {patience} s");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                outcome => return outcome,
            }
        }
    }

    /// Says what was written: to the stream, the hooks and the dispatcher.
    async fn tell(
        &mut self,
        batch: &Batch,
        receipt: &Receipt,
        events: Vec<PageEvent>,
        seeded: Option<u64>,
    ) {
        let shared = Arc::clone(&self.shared);
        let budgets = &shared.budgets;
        budgets.count(&batch.spent);
        let mut settled = Vec::with_capacity(batch.pages.len());
        let mut later = Vec::new();
        let mut queued = receipt.fresh_seeds + receipt.renewed;
        for ((commit, event), receipt) in batch.pages.iter().zip(events).zip(&receipt.pages) {
            settled.push(commit.key);
            if !receipt.written {
                continue;
            }
            if let Verdict::Retry { due, .. } = &commit.verdict {
                later.push((commit.key.host, *due));
            }
            queued += u64::from(receipt.fresh);
            for new in &commit.requests {
                let may_be_dropped = commit.stop_when_known.as_ref();
                if may_be_dropped.is_none_or(|stop| *stop.step != *new.request.step.name) {
                    self.shared.known.insert(new.request.link);
                }
            }
            self.stream(&commit.records).await;
            for refused in &commit.refused {
                self.shared.bus.emit(&Event::Refused(refused.clone()));
            }
            if counts_as_page(&commit.verdict) {
                self.shared.pages.fetch_add(1, Ordering::Relaxed);
            }
            let items = receipt.items_new + receipt.items_changed + receipt.items_same;
            budgets.items.fetch_add(u64::from(items), Ordering::Relaxed);
            budgets.bytes.fetch_add(event.bytes, Ordering::Relaxed);
            if event.state == PageState::Failed
                && counts_as_page(&commit.verdict)
                && !is_missing(&event)
            {
                budgets.failed.fetch_add(1, Ordering::Relaxed);
            }
            self.shared.bus.emit(&page_event(commit, event, *receipt));
        }
        if queued > 0 {
            self.shared.bus.emit(&Event::Queued { count: queued });
        }
        if let Some(sent) = seeded {
            self.shared.bus.emit(&Event::Seeded { sent });
        }
        let message = Message::Committed(Box::new(Committed {
            settled,
            later,
            fresh: receipt.fresh.clone(),
            seeded: seeded.is_some(),
        }));
        // A dispatcher that is gone has no use for it.
        let _ = self.dispatcher.send(message).await;
    }

    async fn stream(&mut self, records: &[Record]) {
        if let Some(outlet) = &self.outlet {
            for record in records {
                // Without an end: the stream's owner sets the pace, and dropping it ends the wait.
                if outlet.send(record.clone()).await.is_err() {
                    self.outlet = None;
                    return;
                }
            }
        }
    }
}

/// A link to a page that does not exist.
fn is_missing(event: &PageEvent) -> bool {
    event.depth > 0 && matches!(event.status, 404 | 410)
}

fn counts_as_page(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Page(row) => row.state != PageState::Skipped && row.reason != Some("redirect"),
        Verdict::Retry { .. } => false,
    }
}

/// What the dispatcher learns of a commit.
pub(super) struct Committed {
    pub(super) settled: Vec<TicketKey>,
    /// Hosts that are to be asked again, and when.
    pub(super) later: Vec<(HostKey, Timestamp)>,
    pub(super) fresh: HashMap<HostKey, u32>,
    pub(super) seeded: bool,
}

/// A batch with the events it will be.
struct Work {
    batch: Batch,
    events: Vec<PageEvent>,
    sent: Option<u64>,
    /// Given back once it is done.
    turns: Vec<Turn>,
}

impl Work {
    /// The URLs of the pages that budgets count.
    fn pages(&self) -> impl Iterator<Item = &Url> {
        let pages = self.batch.pages.iter().zip(&self.events);
        let counted = pages.filter(|(commit, _)| counts_as_page(&commit.verdict));
        counted.map(|(_, event)| &event.url)
    }

    fn from(entries: impl Iterator<Item = Entry>) -> Self {
        let mut work = Self {
            batch: Batch::default(),
            events: Vec::new(),
            sent: None,
            turns: Vec::new(),
        };
        for entry in entries {
            match entry {
                Entry::Page(finished) => {
                    work.batch.pages.push(finished.commit);
                    work.events.push(finished.event);
                    work.turns.extend(finished.turn);
                }
                Entry::Seeds(seeds) => work.batch.seeds.extend(seeds),
                Entry::Seeded { sent, complete } => {
                    work.batch.seeded = complete;
                    work.sent = Some(sent);
                }
                Entry::End => {}
                Entry::Host(host) => work.batch.hosts.push(*host),
            }
        }
        work
    }
}

fn page_event(
    commit: &PageCommit,
    mut event: PageEvent,
    receipt: crate::store::PageReceipt,
) -> Event {
    match &commit.verdict {
        Verdict::Page(_) => {
            event.receipt = receipt;
            Event::Page(Box::new(event))
        }
        Verdict::Retry { due, message, .. } => Event::Retry {
            url: event.url,
            message: message.clone(),
            tries: event.tries + 1,
            due: *due,
        },
    }
}

/// The same work, one page at a time; what belongs to no page goes with the first.
fn split(batch: Batch, events: Vec<PageEvent>, sent: Option<u64>) -> Vec<Work> {
    let Batch {
        pages,
        seeds,
        seeded,
        cookies,
        hosts,
        spent,
    } = batch;
    let rest = Batch {
        pages: Vec::new(),
        seeds,
        seeded,
        cookies,
        hosts,
        spent,
    };
    let mut all = vec![Work {
        batch: rest,
        events: Vec::new(),
        sent,
        turns: Vec::new(),
    }];
    all.extend(pages.into_iter().zip(events).map(|(page, event)| Work {
        batch: Batch {
            pages: vec![page],
            ..Batch::default()
        },
        events: vec![event],
        sent: None,
        turns: Vec::new(),
    }));
    all
}

/// A page whose items no table takes has failed.
fn give_up(batch: &Batch, mut events: Vec<PageEvent>, error: &StoreError) -> Work {
    let mut batch = batch.clone();
    for (page, event) in batch.pages.iter_mut().zip(&mut events) {
        page.records.clear();
        page.requests.clear();
        if let Verdict::Page(PageRow {
            state,
            reason,
            message,
            ..
        }) = &mut page.verdict
        {
            *state = PageState::Failed;
            *reason = Some("table");
            *message = Some(error.to_string());
        }
        event.state = PageState::Failed;
        event.reason = Some("table");
        event.message = Some(error.to_string());
        event.items.clear();
    }
    Work {
        batch,
        events,
        sent: None,
        turns: Vec::new(),
    }
}
