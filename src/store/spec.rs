//! What a queued request has beyond a plain GET, as JSON.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::request::{Proxy, Referrer, Request, Session, StepRef};

/// The part of a request that is neither in its path nor in its step; empty for a plain GET.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Spec {
    /// If not GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// If it is more than origin and path: a fragment, a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url>,
    /// Values byte by byte as U+0000 to U+00FF, because HTTP does not say their charset.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    /// Headers that are secrets: in place of each value, what it is kept under.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<(String, String)>,
    /// The body is a secret.
    #[serde(skip_serializing_if = "is_default")]
    secret_body: bool,
    /// Made by this session and no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// Made by this session, though any would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    same: Option<String>,
    /// Its own way out, what its login is kept under in place of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<Referrer>,
    /// If the body is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// If it is not: its bytes as U+0000 to U+00FF.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redirects: Vec<Url>,
    /// The body may go to other origins.
    #[serde(skip_serializing_if = "is_default")]
    resend: bool,
    /// Not deduplicated.
    #[serde(skip_serializing_if = "is_default")]
    again: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The JSON of `request`, whose canonical form is `origin` and `path`; none for a plain GET.
pub(super) fn write(request: &Request, origin: &str, path: &str) -> Option<String> {
    let url = request.url.as_str();
    let canonical = url.strip_prefix(origin) == Some(path);
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), from_bytes(value.as_bytes()))
    };
    let (secrets, headers): (Vec<_>, Vec<_>) = request
        .headers
        .iter()
        .partition(|(_, value)| value.is_sensitive());
    let (session, same) = match &request.session {
        Session::Any => (None, None),
        Session::Named(name) => (Some(name.to_string()), None),
        Session::Same(name) => (None, Some(name.to_string())),
    };
    let spec = Spec {
        method: (request.method != Method::GET).then(|| request.method.to_string()),
        url: (!canonical).then(|| request.url.clone()),
        headers: headers.into_iter().map(pair).collect(),
        secrets: secrets.into_iter().map(pair).collect(),
        secret_body: request.secret_body,
        session,
        same,
        proxy: request.proxy.as_ref().map(|own| own.as_str().to_owned()),
        referrer: request.referrer.as_deref().cloned(),
        body: None,
        bytes: None,
        timeout: request.timeout,
        retries: request.retries,
        redirects: request.redirects.clone(),
        resend: request.resend_body,
        again: !request.dedup,
    };
    let spec = with_body(spec, request.body.as_deref());
    if spec == Spec::default() {
        return None;
    }
    Some(serde_json::to_string(&spec).expect("strings and numbers are JSON"))
}

fn with_body(spec: Spec, body: Option<&[u8]>) -> Spec {
    match body.map(|body| (str::from_utf8(body), body)) {
        None => spec,
        Some((Ok(text), _)) => Spec {
            body: Some(text.to_owned()),
            ..spec
        },
        Some((Err(_), body)) => Spec {
            bytes: Some(from_bytes(body)),
            ..spec
        },
    }
}

/// The request of a queue row: `url` is its origin and path.
///
/// Priority and depth are the row's; `not_before` is gone, because it has passed.
///
/// # Errors
/// What is wrong with the row, which only another program can have made.
pub(super) fn read(url: &str, step: StepRef, spec: Option<&str>) -> Result<Request, String> {
    let spec: Spec = match spec {
        None => Spec::default(),
        Some(json) => serde_json::from_str(json).map_err(|error| format!("its spec: {error}"))?,
    };
    let url = match spec.url {
        Some(url) => url,
        None => Url::parse(url).map_err(|error| format!("its URL {url}: {error}"))?,
    };
    let mut request = Request::new(url, step);
    if let Some(method) = spec.method {
        request.method =
            Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    }
    request.headers = headers(spec.headers)?;
    for (name, mut value) in headers(spec.secrets)?
        .iter()
        .map(|(name, value)| (name, value.clone()))
    {
        value.set_sensitive(true);
        request.headers.append(name, value);
    }
    request.secret_body = spec.secret_body;
    request.session = match (spec.session, spec.same) {
        (Some(name), _) => Session::Named(name.into()),
        (None, Some(name)) => Session::Same(name.into()),
        (None, None) => Session::Any,
    };
    if let Some(own) = spec.proxy {
        let own = own.parse::<Proxy>();
        request.proxy = Some(own.map_err(|error| error.to_string())?);
    }
    request.referrer = spec.referrer.map(Box::new);
    request.body = match (spec.body, spec.bytes) {
        (Some(text), _) => Some(text.into()),
        (None, Some(text)) => Some(to_bytes(&text)?.into()),
        (None, None) => None::<Bytes>,
    };
    request.timeout = spec.timeout;
    request.retries = spec.retries;
    request.redirects = spec.redirects;
    request.resend_body = spec.resend;
    request.dedup = !spec.again;
    Ok(request)
}

fn headers(pairs: Vec<(String, String)>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(to_bytes(&value)?).map_err(|error| error.to_string())?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn to_bytes(text: &str) -> Result<Vec<u8>, String> {
    text.chars()
        .map(|letter| u8::try_from(letter).map_err(|_| format!("`{letter}` is no byte")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::canonical;

    fn check(url: &str, change: impl FnOnce(&mut Request), expected: Option<&str>) {
        let mut request = Request::new(url.parse().unwrap(), StepRef::named("list"));
        change(&mut request);
        let (origin, path) = canonical(&request.url, 1000).unwrap();
        let json = write(&request, &origin, &path);
        assert_eq!(json.as_deref(), expected);
        let back = read(
            &format!("{origin}{path}"),
            StepRef::named("list"),
            json.as_deref(),
        );
        assert_eq!(back, Ok(request));
    }

    #[test]
    fn what_is_not_plain_comes_back() {
        check("http://e.x/", |_| {}, None);
        check("http://e.x/\u{e4}?b=%7e", |_| {}, None);
        check(
            "http://e.x/#top",
            |_| {},
            Some(r#"{"url":"http://e.x/#top"}"#),
        );
        check(
            "http://e.x/",
            |request| request.session = "ann".into(),
            Some(r#"{"session":"ann"}"#),
        );
        check(
            "http://e.x/",
            |request| request.session = Session::Same("2".into()),
            Some(r#"{"same":"2"}"#),
        );
        check(
            "http://e.x/",
            |request| {
                request.referrer = Some(Box::new(Referrer {
                    url: None,
                    policy: Some(crate::request::ReferrerPolicy::NoReferrer),
                }));
            },
            Some(r#"{"referrer":{"policy":"no-referrer"}}"#),
        );
        check(
            "http://e.x/",
            |request| request.proxy = "socks5://kept%3A1@p:1".parse().ok(),
            Some(r#"{"proxy":"socks5://kept%3A1@p:1"}"#),
        );
        check(
            "http://e.x/",
            |request| request.proxy = "direct".parse().ok(),
            Some(r#"{"proxy":"direct"}"#),
        );
        check(
            "http://e.x/",
            |request| {
                let mut value = HeaderValue::from_static("kept:1");
                value.set_sensitive(true);
                request.headers.insert("x-key", value);
                request.secret_body = true;
                request.body = Some("kept:2".into());
            },
            Some(r#"{"secrets":[["x-key","kept:1"]],"secret_body":true,"body":"kept:2"}"#),
        );
        check(
            "http://e.x/",
            |request| {
                request.method = Method::POST;
                request.body = Some("a=\"\u{e4}\"".into());
            },
            Some(r#"{"method":"POST","body":"a=\"ä\""}"#),
        );
        check(
            "http://e.x/",
            |request| request.body = Some(Bytes::from_static(b"\xff\x00")),
            Some("{\"bytes\":\"\u{ff}\\u0000\"}"),
        );
        check(
            "http://e.x/",
            |request| {
                let value = HeaderValue::from_bytes(b"\xe4").unwrap();
                request.headers.append("x-a", value);
                request
                    .headers
                    .append("x-a", HeaderValue::from_static("two"));
            },
            Some(r#"{"headers":[["x-a","ä"],["x-a","two"]]}"#),
        );
        check(
            "http://e.x/",
            |request| {
                request.timeout = Some(Duration::from_millis(1500));
                request.retries = Some(2);
                request.redirects = vec!["http://e.x/from".parse().unwrap()];
                request.resend_body = true;
                request.dedup = false;
            },
            Some(
                r#"{"timeout":{"secs":1,"nanos":500000000},"retries":2,"redirects":["http://e.x/from"],"resend":true,"again":true}"#,
            ),
        );
    }

    #[test]
    fn a_row_that_is_broken_says_so() {
        let check = |spec, expected: &str| {
            let error = read("http://e.x/", StepRef::named("list"), Some(spec)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("{", "its spec");
        check(r#"{"color":1}"#, "unknown field");
        check(r#"{"bytes":"€"}"#, "`€` is no byte");
        check(r#"{"proxy":"p:1"}"#, "`p:1` is no proxy");
        check(r#"{"method":"G T"}"#, "invalid HTTP method");
    }
}
