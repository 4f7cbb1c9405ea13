//! What is known of a stored page besides its body.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_cache_semantics::CachePolicy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::request::Response;

/// The layout of an entry: others are not read.
const VERSION: u32 = 1;

/// An entry, as JSON on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) version: u32,
    /// For people who look into the folder.
    pub(super) url: String,
    pub(super) status: u16,
    /// Names and values; each char of a value is a byte.
    pub(super) headers: Vec<(String, String)>,
    /// What RFC 9111 needs; not kept for replays.
    pub(super) policy: Option<CachePolicy>,
    /// Hash and length of the body.
    pub(super) body: String,
    pub(super) body_bytes: usize,
    /// Who kept it and for what, where it may be read again: spider and arguments, as a hash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) owner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) step: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) args: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Timestamp>,
}

impl Entry {
    /// The entry of `response`, whose body is not named yet.
    pub(super) fn of(response: &Response, policy: Option<CachePolicy>) -> Self {
        Self {
            version: VERSION,
            url: response.url.to_string(),
            status: response.status.as_u16(),
            headers: texts(&response.headers),
            policy,
            body: String::new(),
            body_bytes: response.body.len(),
            owner: String::new(),
            step: String::new(),
            args: None,
            at: None,
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.version == VERSION
    }

    pub(super) fn headers(&self) -> HeaderMap {
        let fields = self.headers.iter().filter_map(|(name, value)| {
            let bytes: Vec<u8> = value.chars().map(|c| c as u8).collect();
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::from_bytes(&bytes).ok()?))
        });
        // `collect` would keep the last of several fields of a name.
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }
}

/// Headers as text, those left out that belong to one exchange or one visitor.
pub(super) fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| *byte as char).collect();
    headers
        .iter()
        .filter(|(name, _)| !is_private(name))
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// What must never be given to the next who asks.
pub(super) fn is_private(name: &HeaderName) -> bool {
    *name == header::SET_COOKIE || name.as_str() == "set-cookie2"
}
