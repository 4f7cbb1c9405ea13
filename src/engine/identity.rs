//! Who makes a request, and what that one sends besides what is stored.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};

use super::life;
use super::shared::Shared;
use crate::fetch::{self, FailureKind, FetchError};
use crate::policy::referrer::referer;
use crate::request::{Referrer, ReferrerPolicy, Request, Response, Session};
use crate::store::Ticket;

/// Gives a request that names no session one of the pool, and says who it is, if there is more than
/// one identity.
pub(super) fn assign(shared: &Shared, ticket: &mut Ticket) -> Option<Arc<fetch::Identity>> {
    let sessions = shared.sessions()?;
    match &ticket.request.session {
        Session::Any if !sessions.rotates() => None,
        Session::Any => {
            let identity = Arc::clone(sessions.next());
            ticket.request.session = Session::Same(Arc::clone(identity.name()));
            Some(identity)
        }
        // The fetch says what is wrong with it.
        named => sessions.identity(named).ok(),
    }
}

/// Whether another try may be made by another identity than this one.
pub(super) fn may_change(shared: &Shared, ticket: &Ticket) -> bool {
    matches!(ticket.request.session, Session::Same(_))
        && shared.sessions().is_some_and(|sessions| sessions.rotates())
}

/// Whether a status says that somebody is not wanted, rather than that something is not there.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 407 | 429)
}

/// Notes how the exchange was for the identity.
pub(super) fn note(
    identity: &fetch::Identity,
    request: &Request,
    outcome: &Result<Response, FetchError>,
) {
    match outcome {
        // A proxy that the request has for itself.
        Err(error) if error.kind == FailureKind::Proxy && request.proxy.is_some() => {}
        Ok(response) => identity.note(!is_refusal(response.status)),
        Err(error) if matches!(error.kind, FailureKind::Proxy | FailureKind::BlockPage) => {
            identity.note(false);
        }
        // The host's trouble, or the page's.
        Err(_) => {}
    }
}

/// Makes the exchange with what is not stored: secrets, and the header `Referer`.
pub(super) async fn fetch(shared: &Shared, ticket: &mut Ticket) -> Result<Response, FetchError> {
    let sealed = shared.vault.open(&mut ticket.request)?;
    let referer = add_referer(shared, ticket);
    let outcome = life::fetch(shared, &ticket.request).await;
    if referer {
        ticket.request.headers.remove(header::REFERER);
    }
    if let Some(sealed) = sealed {
        sealed.close(&mut ticket.request);
    }
    outcome
}

/// Whether there was something to add.
fn add_referer(shared: &Shared, ticket: &mut Ticket) -> bool {
    let request = &mut ticket.request;
    let (own, policy) = match &request.referrer {
        None => (None, None),
        Some(said) => (said.url.as_ref(), said.policy),
    };
    let Some(from) = own.or(ticket.referrer.as_ref()) else {
        return false;
    };
    let policy = policy.unwrap_or(shared.settings.referrer_policy);
    if policy == ReferrerPolicy::NoReferrer || request.headers.contains_key(header::REFERER) {
        return false;
    }
    let said = referer(policy, from, &request.url);
    let value = said.and_then(|said| HeaderValue::try_from(said).ok());
    let is_said = value.is_some();
    request
        .headers
        .extend(value.map(|value| (header::REFERER, value)));
    is_said
}

/// What the target of a redirect is told: the page where the chain began, by the last policy that
/// was said.
pub(super) fn referrer_after(ticket: &Ticket, response: &Response) -> Referrer {
    let before = ticket
        .request
        .referrer
        .as_deref()
        .cloned()
        .unwrap_or_default();
    let said = response.header("referrer-policy");
    let policy = said.and_then(ReferrerPolicy::parse).or(before.policy);
    match before.url.or_else(|| ticket.referrer.clone()) {
        // A seed is found on no page, and what redirects is none.
        None => Referrer {
            url: None,
            policy: Some(ReferrerPolicy::NoReferrer),
        },
        url => Referrer { url, policy },
    }
}
