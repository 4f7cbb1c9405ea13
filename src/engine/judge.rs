//! What an exchange came to: read, fail, try again, and what it tells of its host.

use std::time::Duration;

use http::Method;

use super::identity;
use super::shared::Shared;
use super::visits;
use crate::clock;
use crate::fetch::{FailureKind, FetchError};
use crate::policy::redirect;
use crate::policy::retry::{self, Backoff, Class, parse_retry_after};
use crate::request::{Request, Response, Source};
use crate::spider::step_named;
use crate::store::{Ticket, TicketKey};

/// What the dispatcher learns of an exchange.
pub(super) struct Exchange {
    pub(super) key: TicketKey,
    /// Tries that had failed before.
    pub(super) tries: u16,
    pub(super) started: tokio::time::Instant,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) bytes: u64,
    pub(super) source: Source,
    /// The host itself may be in trouble: 429, 503, no answer.
    pub(super) trouble: Option<Trouble>,
    /// The head of an answer came, at least.
    pub(super) has_begun: bool,
    /// It made room for others before it had an answer.
    pub(super) gave_way: bool,
}

pub(super) struct Trouble {
    pub(super) class: Class,
    pub(super) why: String,
    /// What its `Retry-After` asks for, capped.
    pub(super) retry_after: Option<Duration>,
    /// It asks for some time, and needed no cut: it can be meant.
    pub(super) is_credible: bool,
}

/// Ways to end.
pub(super) enum End {
    /// The step reads it.
    Read(Response),
    /// It is given up.
    Fail {
        reason: &'static str,
        message: String,
        response: Option<Response>,
    },
    /// A middleware did not let it pass.
    Skip { message: String },
    /// It goes back into the queue.
    Again {
        message: String,
        delay: Duration,
        /// As one of its tries.
        counts: bool,
    },
    /// It is a file now.
    Saved(Response),
    /// It leads elsewhere.
    Redirect(Response),
    /// It is as it was; the step is spared it.
    Unchanged(Response),
}

impl End {
    pub(super) fn again(message: String, delay: Duration) -> Self {
        Self::Again {
            message,
            delay,
            counts: true,
        }
    }
}

/// What a failed fetch means for trying again.
pub(super) fn class_of(kind: FailureKind) -> Class {
    match kind {
        FailureKind::Dns => Class::Dns,
        FailureKind::Connect => Class::Connect,
        FailureKind::Tls => Class::Tls,
        FailureKind::Timeout => Class::Timeout,
        // Both may pass, and neither tells about the host.
        FailureKind::Reset | FailureKind::Proxy => Class::Reset,
        FailureKind::BlockPage => Class::Blocked,
        _ => Class::Permanent,
    }
}

pub(super) fn trouble(shared: &Shared, outcome: &Result<Response, FetchError>) -> Option<Trouble> {
    match outcome {
        Ok(response) => {
            let class = Class::Status(response.status.as_u16());
            if !class.is_of_host() {
                return None;
            }
            let retry_after = retry_after(shared, response);
            let is_credible = retry_after.is_some_and(|granted| !granted.is_zero())
                && retry_after == asked(response);
            Some(Trouble {
                class,
                why: format!("{}{}", response.status, when(shared, response)),
                retry_after,
                is_credible,
            })
        }
        Err(error) => {
            let class = class_of(error.kind);
            // A body that never ends is one page's: the host has answered.
            let is_of_host = class.is_of_host() && !(class == Class::Timeout && error.has_begun);
            is_of_host.then(|| Trouble {
                class,
                why: error.message.clone(),
                retry_after: error
                    .response
                    .as_ref()
                    .and_then(|response| retry_after(shared, response)),
                is_credible: true,
            })
        }
    }
}

/// What an answer's `Retry-After` asks for.
pub(super) fn asked(response: &Response) -> Option<Duration> {
    parse_retry_after(response.header("retry-after")?, clock::now())
}

/// The same, as far as it is obeyed.
fn retry_after(shared: &Shared, response: &Response) -> Option<Duration> {
    Some(asked(response)?.min(shared.settings.max_retry_after))
}

pub(super) fn judge(
    shared: &Shared,
    ticket: &Ticket,
    outcome: Result<Response, FetchError>,
) -> End {
    let backoff = Backoff::from(&shared.settings);
    let tries = u32::from(ticket.tries);
    let again = |class, asked: Option<Duration>| {
        let mut budget = retry::budget(class, ticket.request.retries, &shared.settings);
        let absurd = asked.is_some_and(|asked| asked > backoff.retry_after_max);
        if absurd {
            budget = budget.min(1);
        }
        (tries < budget).then(|| backoff.wait(tries, fastrand::f64(), asked))
    };
    let response = match outcome {
        Ok(response) => response,
        Err(error) => {
            if error.kind == FailureKind::Refused {
                return End::Skip {
                    message: error.message,
                };
            }
            let asked = error.response.as_ref();
            let asked = asked.and_then(|response| self::asked(response));
            let retries = ticket.request.retries;
            if error.is_inconclusive && retry::budget(Class::Reset, retries, &shared.settings) > 0 {
                return End::Again {
                    message: error.message,
                    delay: backoff.wait(0, fastrand::f64(), None),
                    counts: false,
                };
            }
            return match again(class_of(error.kind), asked) {
                Some(delay) => End::again(error.message, delay),
                None => End::Fail {
                    reason: error.kind.as_str(),
                    message: after_tries(error.message, ticket.tries),
                    response: error.response.map(|response| *response),
                },
            };
        }
    };
    let status = response.status;
    if visits::is_unchanged(shared, ticket, &response) {
        return End::Unchanged(response);
    }
    let accepts = || {
        step_named(&*shared.spider, &ticket.request.step.name)
            .is_some_and(|step| step.accepts.contains(&status.as_u16()))
    };
    if ticket.request.step.is_file() && status.is_success() {
        return End::Saved(response);
    }
    if status.is_success() || accepts() {
        return End::Read(response);
    }
    if redirect::is_redirect(status) {
        return End::Redirect(response);
    }
    // Another identity may be let in.
    let class = if identity::is_refusal(status) && identity::may_change(shared, ticket) {
        Class::Reset
    } else {
        Class::Status(status.as_u16())
    };
    match again(class, self::asked(&response)) {
        Some(delay) => End::again(answered(shared, &ticket.request, &response), delay),
        None => End::Fail {
            reason: "status",
            message: after_tries(answered(shared, &ticket.request, &response), ticket.tries),
            response: Some(response),
        },
    }
}

/// A form that was refused is told from a page that was.
fn answered(shared: &Shared, request: &Request, response: &Response) -> String {
    let (status, when) = (response.status, when(shared, response));
    match &request.method {
        &Method::GET => format!("answered {status}{when}"),
        method => format!("answered {status} to {method}{when}"),
    }
}

/// What an answer's `Retry-After` asks for, and what is granted if that is less.
fn when(shared: &Shared, response: &Response) -> String {
    match (asked(response), retry_after(shared, response)) {
        (Some(asked), Some(granted)) if granted < asked => {
            let (asked, granted) = (asked.as_secs(), granted.as_secs());
            format!(" (Retry-After {asked} s, cut to {granted} s)")
        }
        (Some(asked), _) => format!(" (Retry-After {} s)", asked.as_secs()),
        _ => String::new(),
    }
}

fn after_tries(message: String, tries: u16) -> String {
    match tries {
        0 => message,
        tries => format!("{message}, {} tries", tries + 1),
    }
}
