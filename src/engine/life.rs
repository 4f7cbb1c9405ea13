//! The life of one request, from the frontier to its step: one exchange and what follows from it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::committer::{Entry, Finished};
use super::dispatcher::Message;
use super::download;
use super::event::PageEvent;
use super::executor::{Call, Job};
use super::flight::Flight;
use super::identity;
use super::judge::{End, Exchange, judge, trouble};
use super::lanes::Lanes;
use super::login::{self, NoPass, Pass};
use super::shared::{Refusal, Shared};
use super::visits;
use crate::clock;
use crate::fetch::{FailureKind, FetchError};
use crate::policy::redirect;
use crate::request::{Request, Response, Source, without_logins};
use crate::store::{PageCommit, PageReceipt, PageRow, PageState, Ticket, Verdict};

/// What an exchange goes by, and holds as long as it lasts.
pub(super) struct Held {
    /// When the lease of its host ends.
    pub(super) lapses: Option<Instant>,
    pub(super) flight: Arc<Flight>,
    /// Of the room that is shared with other crawls.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Fetches `ticket` and hands what came on: to a step, or to the committer. Nothing is sent once the
/// lease of its host has ended, at `lapses`.
pub(super) async fn live(
    shared: Arc<Shared>,
    mut ticket: Box<Ticket>,
    held: Held,
    dispatcher: mpsc::Sender<Message>,
    jobs: Lanes,
) {
    let identity = identity::assign(&shared, &mut ticket);
    let Held {
        lapses,
        flight,
        room,
    } = held;
    let mut flight = Some(flight);
    let pass = match login::ensure(&shared, &ticket, &dispatcher, &mut flight).await {
        Ok(pass) => pass,
        Err(none) => {
            let unsent = Message::Unsent(ticket.key, ticket.tries);
            // Only fails when the crawl is being torn down.
            let _ = dispatcher.send(unsent).await;
            return without_pass(&shared, ticket, none, &jobs).await;
        }
    };
    let started = Instant::now();
    if lapses.is_some_and(|end| end <= started) {
        return lapse(&ticket, &dispatcher).await;
    }
    let conditions = visits::set_conditions(&shared, &mut ticket);
    let outcome = tokio::select! {
        biased;
        outcome = identity::fetch(&shared, &mut ticket) => Some(outcome),
        () = gives_way(flight.as_deref()) => None,
    };
    visits::clear_conditions(conditions, &mut ticket);
    let took = started.elapsed();
    drop((flight, room));
    let Some(outcome) = outcome else {
        give_way(&shared, &ticket, started, &dispatcher).await;
        return;
    };
    let answer = match &outcome {
        Ok(response) => Some(response),
        Err(error) => error.response.as_deref(),
    };
    let logged_out = pass.as_ref().filter(|pass| {
        let response = outcome.as_ref();
        response.is_ok_and(|response| pass.is_void(&ticket.request, response))
    });
    if let (Some(identity), None) = (identity, &logged_out) {
        identity::note(&identity, &ticket.request, &outcome);
    }
    let exchange = Exchange {
        key: ticket.key,
        tries: ticket.tries,
        source: answer.map_or(Source::Network, |response| response.source),
        started,
        status: answer.map_or(0, |response| response.status.as_u16()),
        took,
        bytes: answer.map_or(0, |response| response.wire_bytes),
        trouble: trouble(&shared, &outcome),
        has_begun: outcome.as_ref().err().is_none_or(|error| error.has_begun),
        gave_way: false,
    };
    tracing::debug!(
        status = exchange.status,
        ms = took.as_millis() as u64,
        "answered"
    );
    // Only fails when the crawl is being torn down.
    let _ = dispatcher.send(Message::Fetched(exchange)).await;
    let end = match (logged_out, outcome) {
        (Some(pass), Ok(response)) => {
            if pass.expire(&shared, &ticket) {
                let message = "logged out".to_owned();
                let delay = Duration::ZERO;
                End::again(message, delay)
            } else {
                End::Fail {
                    reason: "login",
                    message: format!("answered {}, after new logins, too", response.status),
                    response: Some(response),
                }
            }
        }
        (_, outcome) => judge(&shared, &ticket, outcome),
    };
    conclude(&shared, ticket, end, took, pass, &jobs).await;
}

/// Waits until others need the room; for ever if it is not in their way.
async fn gives_way(flight: Option<&Flight>) {
    match flight {
        Some(flight) => flight.gives_way.notified().await,
        None => std::future::pending().await,
    }
}

/// Hands on what came of an exchange.
async fn conclude(
    shared: &Shared,
    ticket: Box<Ticket>,
    end: End,
    took: Duration,
    pass: Option<Pass>,
    jobs: &Lanes,
) {
    match end {
        End::Read(response) => {
            jobs.send(Job {
                ticket: ticket.into(),
                response,
                took,
                call: Call::Step,
                pass,
            })
            .await;
        }
        End::Fail {
            reason,
            message,
            response,
        } => {
            let answered = response.is_some();
            let response = response.unwrap_or_else(|| no_answer(&ticket));
            let call = Call::Failed {
                reason,
                message,
                answered,
            };
            jobs.send(Job {
                ticket: ticket.into(),
                response,
                took,
                call,
                pass: None,
            })
            .await;
        }
        End::Skip { message } => {
            let row = page_row(
                PageState::Skipped,
                Some("refused"),
                Some(message),
                0,
                took,
                0,
            );
            commit(shared, finished(&ticket, Verdict::Page(row), took)).await;
        }
        End::Again {
            message,
            delay,
            counts,
        } => {
            let verdict = again(message, delay, counts);
            commit(shared, finished(&ticket, verdict, took)).await;
        }
        End::Unchanged(response) => {
            let (status, bytes) = (response.status.as_u16(), response.wire_bytes);
            let row = page_row(
                PageState::Done,
                Some("unchanged"),
                None,
                status,
                took,
                bytes,
            );
            let mut finished = finished(&ticket, Verdict::Page(row), took);
            finished.commit.visit = visits::next(shared, &ticket, &response, false);
            commit(shared, finished).await;
        }
        End::Saved(response) => {
            commit(shared, download::saved(&ticket, &response, took)).await;
        }
        End::Redirect(response) => {
            let max = shared.settings.max_redirects;
            let next = redirect::follow(&ticket.request, &response, max);
            let hop = Hop {
                next: next.map(|mut next| {
                    next.referrer = Some(Box::new(identity::referrer_after(&ticket, &response)));
                    next
                }),
                status: response.status.as_u16(),
                took,
                bytes: response.wire_bytes,
            };
            commit(shared, follow(shared, &ticket, hop)).await;
        }
    }
}

/// What becomes of a request whose session is not logged in.
async fn without_pass(shared: &Shared, ticket: Box<Ticket>, none: NoPass, jobs: &Lanes) {
    match none {
        NoPass::Later => {
            let verdict = Verdict::Retry {
                due: clock::now()
                    .saturating_add(signed(Duration::from_secs(1)))
                    .unwrap_or(Timestamp::MAX),
                message: "its session is logging in".to_owned(),
                counts: false,
            };
            commit(shared, finished(&ticket, verdict, Duration::ZERO)).await;
        }
        NoPass::Broken(message) => {
            let response = no_answer(&ticket);
            let call = Call::Failed {
                reason: "login",
                message,
                answered: false,
            };
            jobs.send(Job {
                ticket: ticket.into(),
                response,
                took: Duration::ZERO,
                call,
                pass: None,
            })
            .await;
        }
    }
}

/// The process has stood still since it was decided to send `ticket`: its host may be another's.
async fn lapse(ticket: &Ticket, dispatcher: &mpsc::Sender<Message>) {
    let message = Message::Lapsed(ticket.key, ticket.tries);
    // Only fails when the crawl is being torn down.
    let _ = dispatcher.send(message).await;
}

/// Puts a request back that made room for others; it will have all the time that the settings give.
async fn give_way(
    shared: &Shared,
    ticket: &Ticket,
    started: Instant,
    dispatcher: &mpsc::Sender<Message>,
) {
    let took = started.elapsed();
    let exchange = Exchange {
        key: ticket.key,
        source: Source::Network,
        tries: ticket.tries,
        started,
        status: 0,
        took,
        bytes: 0,
        trouble: None,
        has_begun: false,
        gave_way: true,
    };
    // Only fails when the crawl is being torn down.
    let _ = dispatcher.send(Message::Fetched(exchange)).await;
    let seconds = took.as_secs_f32();
    let message = format!("gave way to others after {seconds:.1} s without a whole answer");
    let verdict = again(message, shared.settings.retry_delay, true);
    commit(shared, finished(ticket, verdict, took)).await;
}

fn again(message: String, delay: Duration, counts: bool) -> Verdict {
    let due = clock::now()
        .saturating_add(signed(delay))
        .unwrap_or(Timestamp::MAX);
    Verdict::Retry {
        due,
        message,
        counts,
    }
}

/// What logs tell of a request.
pub(super) fn span(shared: &Shared, ticket: &Ticket) -> tracing::Span {
    let request = &ticket.request;
    tracing::debug_span!(
        "request",
        spider = shared.spider.name(),
        host = request.url.host_str(),
        step = &*request.step.name,
        attempt = ticket.tries + 1,
        url = &*without_logins(request.url.as_str()),
    )
}

/// Ends a request that must not be sent.
pub(super) async fn settle_unsent(
    shared: Arc<Shared>,
    ticket: Ticket,
    state: PageState,
    reason: &'static str,
    message: String,
) {
    let row = page_row(state, Some(reason), Some(message), 0, Duration::ZERO, 0);
    commit(
        &shared,
        finished(&ticket, Verdict::Page(row), Duration::ZERO),
    )
    .await;
}

pub(super) async fn commit(shared: &Shared, finished: Finished) {
    // Only fails when the crawl is being torn down; the ticket is still in the queue then.
    let _ = shared.commits.send(Entry::Page(Box::new(finished))).await;
}

/// One exchange, whatever the fetch does.
pub(super) async fn fetch(shared: &Shared, request: &Request) -> Result<Response, FetchError> {
    let fetch = AssertUnwindSafe(shared.fetch.fetch(request)).catch_unwind();
    // The fetch keeps its own time-outs; this one is for a `Fetch` that does not.
    let limit = request.timeout.unwrap_or(shared.settings.timeout) + Duration::from_secs(5);
    match tokio::time::timeout(limit, fetch).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(FetchError::new(FailureKind::Other, "the fetch panicked")),
        Err(_) => Err(FetchError::new(
            FailureKind::Timeout,
            format!("no end after {} s", limit.as_secs()),
        )),
    }
}

/// A page that leads elsewhere.
pub(super) struct Hop {
    /// The request it leads to.
    pub(super) next: Result<Request, redirect::NotFollowed>,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) bytes: u64,
}

/// A redirect's page row and the request it leads to.
pub(super) fn follow(shared: &Shared, ticket: &Ticket, hop: Hop) -> Finished {
    let Hop {
        next,
        status,
        took,
        bytes,
    } = hop;
    let row =
        |state, reason, message| page_row(state, Some(reason), Some(message), status, took, bytes);
    let next = match next {
        // Every link to a file has its row, also if several lead to one.
        Ok(mut next) => {
            next.dedup &= !ticket.request.step.is_file();
            next
        }
        Err(error) => {
            let row = row(PageState::Failed, "redirect", error.to_string());
            return finished(ticket, Verdict::Page(row), took);
        }
    };
    let target = without_logins(next.url.as_str()).into_owned();
    // A seed's redirects say where the site really is.
    let admitted = if ticket.request.depth == 0 {
        shared.admit_seed(next, ticket.key.seq as u64)
    } else {
        shared.admit(next, ticket.key.seq as u64)
    };
    match admitted {
        Ok(request) => {
            let row = row(PageState::Done, "redirect", format!("to {target}"));
            let mut finished = finished(ticket, Verdict::Page(row), took);
            finished.commit.requests.push(request);
            finished
        }
        Err(Refusal(reason, _)) => {
            let row = row(PageState::Skipped, reason, format!("redirects to {target}"));
            finished(ticket, Verdict::Page(row), took)
        }
    }
}

pub(super) fn signed(duration: Duration) -> jiff::SignedDuration {
    duration.try_into().unwrap_or(jiff::SignedDuration::MAX)
}

fn no_answer(ticket: &Ticket) -> Response {
    Response {
        status: StatusCode::SERVICE_UNAVAILABLE,
        ..Response::new(ticket.request.url.clone(), "")
    }
}

pub(super) fn page_row(
    state: PageState,
    reason: Option<&'static str>,
    message: Option<String>,
    status: u16,
    took: Duration,
    bytes: u64,
) -> PageRow {
    let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
    PageRow {
        state,
        reason,
        message,
        status,
        took_ms,
        bytes,
    }
}

/// A ticket's end, without items and requests so far.
pub(super) fn finished(ticket: &Ticket, verdict: Verdict, took: Duration) -> Finished {
    let (state, reason, message, status, bytes) = match &verdict {
        Verdict::Page(row) => (
            row.state,
            row.reason,
            row.message.clone(),
            row.status,
            row.bytes,
        ),
        Verdict::Retry { message, .. } => (PageState::Failed, None, Some(message.clone()), 0, 0),
    };
    let event = PageEvent {
        url: ticket.request.url.clone(),
        referrer: ticket.referrer.clone(),
        step: ticket.request.step.name.to_string(),
        state,
        reason,
        message,
        field: None,
        status,
        took,
        bytes,
        depth: ticket.request.depth,
        tries: ticket.tries,
        receipt: PageReceipt::default(),
        items: Vec::new(),
        empty: Vec::new(),
        missed: Vec::new(),
        bad_rows: Vec::new(),
        dropped: Vec::new(),
        truncation: None,
    };
    let commit = PageCommit::new(ticket, verdict);
    Finished {
        commit,
        event,
        turn: None,
    }
}
