//! Where steps run: one thread per core, each with an executor of its own.
//!
//! User code stays on the thread that began it, so it need not be `Send`. A step that fails, panics
//! or takes too long costs its own page and nothing else.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;

use super::committer::Finished;
use super::life;
use super::shared::{Refusal, Shared};
use crate::item::{Record, Value};
use crate::page::{Context, Emitted, FieldError, Page, ParseLimits};
use crate::request::{Response, Result};
use crate::settings::Settings;
use crate::spider::{Failure, Seeds};
use crate::store::{PageState, Refused, Ticket, Verdict};

/// A page for a step.
pub(super) struct Job {
    pub(super) ticket: Box<Ticket>,
    pub(super) response: Response,
    pub(super) took: Duration,
    pub(super) call: Call,
}

/// Which method is called.
pub(super) enum Call {
    /// The step itself.
    Step,
    /// The step's error handler, if it has one: the request finally failed.
    Failed {
        reason: &'static str,
        message: String,
    },
}

/// Steps that may wait at once on one thread; steps that only compute run one by one anyway.
const STEPS_PER_THREAD: usize = 64;
/// Bytes of stack of a thread: as much as a main thread's, for recursive user code.
const STACK: usize = 8 * 1024 * 1024;

/// The threads that run steps. They end when the last sender of jobs is gone.
pub(super) struct Executors {
    /// Every thread holds a sender; nothing is ever sent.
    alive: mpsc::Receiver<()>,
}

impl Executors {
    /// Starts `threads` threads.
    pub(super) fn start(
        shared: &Arc<Shared>,
        jobs: &async_channel::Receiver<Job>,
        threads: usize,
    ) -> std::io::Result<Self> {
        let (living, alive) = mpsc::channel(1);
        for number in 0..threads {
            let (shared, jobs, living) = (Arc::clone(shared), jobs.clone(), living.clone());
            let body = move || {
                run_thread(shared, jobs);
                drop(living);
            };
            let thread = std::thread::Builder::new().name(format!("nephila-step-{number}"));
            thread.stack_size(STACK).spawn(body)?;
        }
        Ok(Self { alive })
    }

    /// Waits for the threads to end; their jobs' senders must be gone.
    pub(super) async fn join(mut self) {
        while self.alive.recv().await.is_some() {}
    }
}

/// Runs the spider's `seeds` on a thread of its own, and says how it ended.
pub(super) fn run_seeds(shared: &Arc<Shared>, seeds: Seeds) -> oneshot::Receiver<Result> {
    let (done, outcome) = oneshot::channel();
    let shared = Arc::clone(shared);
    let body = move || {
        let outcome = block_on(async {
            AssertUnwindSafe(shared.spider.seeds(seeds))
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| Err(format!("panicked: {}", said(&*panic)).into()))
        });
        let _ = done.send(outcome.unwrap_or_else(|error| Err(error.into())));
    };
    // If no thread can be had, the receiver sees a closed channel.
    let _ = std::thread::Builder::new()
        .name("nephila-start".to_owned())
        .spawn(body);
    outcome
}

fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
}

fn run_thread(shared: Arc<Shared>, jobs: async_channel::Receiver<Job>) {
    // Without a runtime the thread ends; if all do, the channel of jobs closes and the crawl breaks.
    let _ = block_on(async {
        let slots = Rc::new(Semaphore::new(STEPS_PER_THREAD));
        while let Ok(job) = jobs.recv().await {
            let Ok(slot) = Rc::clone(&slots)
                .acquire_many(1)
                .await
                .map(tokio::sync::SemaphorePermit::forget)
            else {
                return;
            };
            let (shared, slots) = (Arc::clone(&shared), Rc::clone(&slots));
            tokio::task::spawn_local(async move {
                let () = slot;
                let finished = run(&shared, job).await;
                life::commit(&shared, finished).await;
                slots.add_permits(1);
            });
        }
        // Without an end of its own: every step has its time-out.
        let _ = slots.acquire_many(STEPS_PER_THREAD as u32).await;
    });
}

/// Runs a job to its end.
async fn run(shared: &Shared, job: Job) -> Finished {
    let Job {
        ticket,
        response,
        took,
        call,
    } = job;
    let (status, bytes) = (response.status.as_u16(), response.wire_bytes);
    let answered = !matches!(&call, Call::Failed { reason, .. } if *reason != "status");
    let status = if answered { status } else { 0 };
    let context = Context {
        depth: ticket.request.depth,
        referrer: ticket.referrer.clone(),
        spider: shared.spider.type_of_steps(),
        known: Some(Arc::clone(&shared.known)),
        limits: limits(&shared.settings),
    };
    let page = Page::new(response, context);
    let trouble = match call {
        Call::Step => run_step(shared, &ticket, &page).await.err(),
        Call::Failed { reason, message } => Some(Trouble {
            reason,
            message,
            field: None,
        }),
    };
    let Some(mut trouble) = trouble else {
        let row = life::page_row(PageState::Done, None, None, status, took, bytes);
        let mut finished = life::finished(&ticket, Verdict::Page(row), took);
        take_over(shared, &ticket, &page, &mut finished);
        return finished;
    };
    // What a failed step left behind is void; its handler starts with a clean page.
    let missed = page.take_emitted().missed;
    if let Err(handler) = run_handler(shared, &ticket, &page, &trouble).await {
        page.take_emitted();
        trouble.message = format!("{} (and its handler: {})", trouble.message, handler.message);
    }
    let (reason, message) = (Some(trouble.reason), Some(trouble.message));
    let row = life::page_row(PageState::Failed, reason, message, status, took, bytes);
    let mut finished = life::finished(&ticket, Verdict::Page(row), took);
    take_over(shared, &ticket, &page, &mut finished);
    finished.event.field = trouble.field;
    finished.event.missed.extend(missed);
    finished
}

fn limits(settings: &Settings) -> ParseLimits {
    ParseLimits {
        time: settings.max_parse_time,
        nodes: settings.max_nodes,
        depth: settings.max_element_depth,
        attributes: settings.max_attributes,
    }
}

/// Why a page failed.
struct Trouble {
    reason: &'static str,
    message: String,
    field: Option<FieldError>,
}

impl Trouble {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            field: None,
        }
    }
}

async fn run_step(
    shared: &Shared,
    ticket: &Ticket,
    page: &Page,
) -> std::result::Result<(), Trouble> {
    let step = &ticket.request.step;
    match shared
        .spider
        .run(&step.name, step.args.as_deref(), page.clone())
    {
        Some(future) => guard(shared, future).await,
        None => Err(Trouble::new(
            "unknown_step",
            format!("no step `{}`", step.name),
        )),
    }
}

async fn run_handler(
    shared: &Shared,
    ticket: &Ticket,
    page: &Page,
    trouble: &Trouble,
) -> std::result::Result<(), Trouble> {
    let failure = Failure::new(page.clone(), trouble.reason, trouble.message.clone());
    match shared.spider.failed(&ticket.request.step.name, failure) {
        Some(future) => guard(shared, future).await,
        None => Ok(()),
    }
}

/// Runs user code: errors, panics and delays become a [`Trouble`].
async fn guard(
    shared: &Shared,
    future: LocalBoxFuture<'_, Result>,
) -> std::result::Result<(), Trouble> {
    let limit = shared.settings.step_timeout;
    match tokio::time::timeout(limit, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(match error.downcast::<FieldError>() {
            Ok(field) => Trouble {
                reason: "field",
                message: field.to_string(),
                field: Some(*field),
            },
            Err(error) => Trouble::new("step", error.to_string()),
        }),
        Ok(Err(panic)) => Err(Trouble::new(
            "panic",
            format!("panicked: {}", said(&*panic)),
        )),
        Err(_) => {
            let message = format!("the step took longer than {} s", limit.as_secs_f32());
            Err(Trouble::new("step_timeout", message))
        }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Moves what the step left on the page into its commit.
fn take_over(shared: &Shared, ticket: &Ticket, page: &Page, finished: &mut Finished) {
    let Emitted {
        requests,
        records,
        invalid_links,
        missed,
    } = page.take_emitted();
    let mut refusals = Refusals::default();
    if let Some((count, sample)) = invalid_links {
        refusals.add(Refusal("invalid", String::new()), count, || sample);
    }
    let max_links = shared.settings.max_links;
    let mut known = HashSet::with_capacity(requests.len().min(max_links));
    for (number, request) in requests.into_iter().enumerate() {
        let refusal = match number {
            number if number >= max_links => Some(Refusal("links", String::new())),
            _ => shared.refuse(&request),
        };
        if let Some(refusal) = refusal {
            refusals.add(refusal, 1, || request.url.into());
            continue;
        }
        let nonce = (ticket.key.seq as u64)
            .wrapping_mul(1 << 20)
            .wrapping_add(number as u64);
        if let Ok(new) = shared.identify(request, false, nonce)
            && known.insert((new.host, new.fingerprint))
        {
            finished.commit.requests.push(new);
        }
    }
    finished.commit.refused = refusals.0;
    finished.event.missed = missed;
    finished.event.truncation = page.truncation();
    count(&records, finished);
    finished.commit.records = records;
}

fn count(records: &[Record], finished: &mut Finished) {
    for record in records {
        let table = record.schema().table();
        match finished
            .event
            .items
            .iter_mut()
            .find(|(known, _)| known == table)
        {
            Some((_, count)) => *count += 1,
            None => finished.event.items.push((table.to_owned(), 1)),
        }
        for (column, value) in record.schema().columns().iter().zip(record.values()) {
            if *value == Value::Null {
                finished
                    .event
                    .empty
                    .push((table.to_owned(), column.name.to_string()));
            }
        }
    }
}

/// Refused links of a page, folded by reason and subject.
#[derive(Default)]
struct Refusals(Vec<Refused>);

impl Refusals {
    fn add(
        &mut self,
        Refusal(reason, subject): Refusal,
        count: u64,
        sample: impl FnOnce() -> String,
    ) {
        let known = |refused: &&mut Refused| refused.reason == reason && refused.subject == subject;
        match self.0.iter_mut().find(known) {
            Some(refused) => refused.count += count,
            None => self.0.push(Refused {
                reason,
                subject,
                count,
                sample: sample(),
            }),
        }
    }
}
