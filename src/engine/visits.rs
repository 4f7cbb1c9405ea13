//! Pages that are asked for again: whether they have changed, and what the next round must know.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::shared::Shared;
use crate::clock;
use crate::request::Response;
use crate::spider::{StepInfo, step_named};
use crate::store::{NewRequest, StopWhenKnown, Ticket, Visit};

/// Validators longer than this are not kept: no honest server sends them.
const MAX_VALIDATOR: usize = 1_024;

/// What the step of a ticket says of its pages.
fn step<'a>(shared: &'a Shared, ticket: &Ticket) -> Option<&'a StepInfo> {
    step_named(&*shared.spider, &ticket.request.step.name)
}

/// What an earlier round learned, if the step may be spared the page.
fn known<'a>(shared: &Shared, ticket: &'a Ticket) -> Option<&'a Visit> {
    let visit = ticket.visit.as_deref()?;
    let revisit = step(shared, ticket)?.revisit?;
    revisit.spares().then_some(visit)
}

/// Adds conditions to a request that has none of its own, if there is something to compare with;
/// whether it did.
pub(super) fn set_conditions(shared: &Shared, ticket: &mut Ticket) -> bool {
    let Some(visit) = known(shared, ticket) else {
        return false;
    };
    let value = |text: &Option<String>| HeaderValue::from_str(text.as_deref()?).ok();
    let (etag, modified) = (value(&visit.etag), value(&visit.modified));
    let headers = &mut ticket.request.headers;
    let own = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
    if own.iter().any(|name| headers.contains_key(name)) {
        return false;
    }
    headers.extend(etag.map(|etag| (header::IF_NONE_MATCH, etag)));
    headers.extend(modified.map(|modified| (header::IF_MODIFIED_SINCE, modified)));
    true
}

/// Takes them away again, because they are no part of the request.
pub(super) fn clear_conditions(set: bool, ticket: &mut Ticket) {
    if set {
        ticket.request.headers.remove(header::IF_NONE_MATCH);
        ticket.request.headers.remove(header::IF_MODIFIED_SINCE);
    }
}

/// Whether the answer says, or is, what was there before.
pub(super) fn is_unchanged(shared: &Shared, ticket: &Ticket, response: &Response) -> bool {
    known(shared, ticket).is_some_and(|visit| match response.status {
        StatusCode::NOT_MODIFIED => true,
        status if status.is_success() => {
            visit.hash == Some(shared.identity.content(&response.body))
        }
        _ => false,
    })
}

/// What the next round must know of a page that was read (`changed`), or was found as it was.
pub(super) fn next(
    shared: &Shared,
    ticket: &Ticket,
    response: &Response,
    changed: bool,
) -> Option<Box<Visit>> {
    let revisit = step(shared, ticket)?.revisit?;
    let before = ticket.visit.as_deref();
    let now = clock::now();
    // The first sight is no change.
    let every = revisit.adapt(
        before.and_then(|visit| visit.every),
        changed && before.is_some(),
    );
    let validator = |name: HeaderName| {
        let value = response.headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
    };
    let (etag, modified) = (validator(header::ETAG), validator(header::LAST_MODIFIED));
    Some(Box::new(match before {
        // A 304 need not repeat what it was asked about.
        Some(visit) if !changed => Visit {
            at: now,
            every: every.map(whole),
            etag: etag.or_else(|| visit.etag.clone()),
            modified: modified.or_else(|| visit.modified.clone()),
            ..visit.clone()
        },
        _ => Visit {
            at: now,
            changed: now,
            every: every.map(whole),
            etag,
            modified,
            hash: revisit
                .spares()
                .then(|| shared.identity.content(&response.body)),
        },
    }))
}

/// Without what would spare the step the page, if that names pages which may have changed by the next round:
/// a robots.txt stays as it is for years, and leads to sitemaps that do not.
pub(super) fn read_again(visit: Option<Box<Visit>>, requests: &[NewRequest]) -> Option<Box<Visit>> {
    let mut visit = visit?;
    let may_change = |new: &NewRequest| new.renews.is_some_and(|before| before > visit.at);
    if requests.iter().any(may_change) {
        visit.etag = None;
        visit.modified = None;
        visit.hash = None;
    }
    Some(visit)
}

/// As the store keeps it.
fn whole(every: Duration) -> Duration {
    Duration::from_millis(every.as_millis() as u64)
}

/// When a page's own links lead far enough.
pub(super) fn stop_when_known(shared: &Shared, ticket: &Ticket) -> Option<StopWhenKnown> {
    let step = step(shared, ticket)?;
    Some(StopWhenKnown {
        step: step.name.to_owned(),
        known: step.stop_when_known?,
    })
}
