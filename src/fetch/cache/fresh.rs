//! RFC 9111: what may be kept, and for how long it is fresh. The rules themselves are
//! http-cache-semantics'; here is what it gets to see.
//!
//! Of a request's headers it sees those that `Vary` names, as hashes: equal if they are equal, and
//! nothing to be read from the disk.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::entry::{Entry, is_private, texts};
use super::hex;
use crate::request::{Request, Response};

/// An Age that is believed; sums with a larger one overflow.
const MAX_AGE_SECONDS: u64 = 10 * 365 * 24 * 3_600;

/// What a stored page is worth now.
pub(super) enum Freshness {
    /// It is the answer, with these headers.
    Fresh(Vec<(String, String)>),
    /// It may be, if the server says so when asked with these.
    Stale(HeaderMap),
    /// It is of another request, by its `Vary`, or has no validator.
    Other,
}

/// The policy of a response that may be stored.
pub(super) fn policy(
    request: &Request,
    sent: &HeaderMap,
    response: &Response,
    now: Timestamp,
) -> Option<CachePolicy> {
    let answer = answer(response);
    let request = asked(request, sent, &response.headers)?;
    let options = CacheOptions {
        shared: false,
        ..CacheOptions::default()
    };
    let policy = CachePolicy::new_options(&request, &answer, now.into(), options);
    policy.is_storable().then_some(policy)
}

pub(super) fn judge(
    entry: &Entry,
    request: &Request,
    sent: &HeaderMap,
    now: Timestamp,
) -> Freshness {
    let asked = asked(request, sent, &entry.headers());
    let (Some(policy), Some(asked)) = (&entry.policy, asked) else {
        return Freshness::Other;
    };
    match policy.before_request(&asked, now.into()) {
        BeforeRequest::Fresh(parts) => Freshness::Fresh(texts(&parts.headers)),
        BeforeRequest::Stale { request, matches } if matches => {
            let validators = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
            let validators = validators.into_iter().filter_map(|name| {
                let value = request.headers.get(&name)?.clone();
                Some((name, value))
            });
            let validators: HeaderMap = validators.collect();
            if validators.is_empty() {
                Freshness::Other
            } else {
                Freshness::Stale(validators)
            }
        }
        BeforeRequest::Stale { .. } => Freshness::Other,
    }
}

/// The entry as a 304 renews it; none if `response` is no such answer.
pub(super) fn renew(
    entry: &Entry,
    request: &Request,
    sent: &HeaderMap,
    response: &Response,
    now: Timestamp,
) -> Option<Entry> {
    let policy = entry.policy.as_ref()?;
    let asked = asked(request, sent, &entry.headers())?;
    match policy.after_response(&asked, &answer(response), now.into()) {
        AfterResponse::NotModified(policy, parts) => Some(Entry {
            headers: texts(&parts.headers),
            policy: Some(policy),
            ..entry.clone()
        }),
        AfterResponse::Modified(..) => None,
    }
}

/// The request as the rules see it.
fn asked(request: &Request, sent: &HeaderMap, answered: &HeaderMap) -> Option<http::Request<()>> {
    let uri: Uri = request.url[..url::Position::AfterQuery].parse().ok()?;
    let mut asked = http::Request::new(());
    asked.method_mut().clone_from(&request.method);
    *asked.uri_mut() = uri;
    let headers = asked.headers_mut();
    for name in [header::CACHE_CONTROL, header::PRAGMA] {
        if let Some(value) = sent.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let varying = answered.get_all(header::VARY).into_iter();
    let varying = varying.filter_map(|value| value.to_str().ok());
    for name in varying.flat_map(|value| value.split(',')) {
        let Ok(name) = HeaderName::try_from(name.trim().to_ascii_lowercase()) else {
            continue;
        };
        let mut values = sent.get_all(&name).iter().peekable();
        if values.peek().is_some() {
            let mut hash = Sha256::new();
            values.for_each(|value| {
                hash.update(value.len().to_le_bytes());
                hash.update(value);
            });
            let hash = HeaderValue::try_from(hex(&hash.finalize()));
            headers.extend(hash.ok().map(|hash| (name, hash)));
        }
    }
    Some(asked)
}

/// The response as the rules see it.
fn answer(response: &Response) -> http::Response<()> {
    let mut answer = http::Response::new(());
    *answer.status_mut() = response.status;
    let headers = answer.headers_mut();
    for (name, value) in &response.headers {
        if !is_private(name) {
            headers.append(name, value.clone());
        }
    }
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok());
    if age.is_some_and(|age| age.parse().is_ok_and(|age: u64| age > MAX_AGE_SECONDS)) {
        headers.insert(header::AGE, MAX_AGE_SECONDS.into());
    }
    answer
}
