//! What an identity of a crawl is made of: credentials, sessions, certificates.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::secret::{ProxyUrl, Secret};
use crate::request::Proxy;

/// Credentials for one origin: sent to it, and to nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// User name (`Authorization: Basic`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Secret>,
    /// Its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A token (`Authorization: Bearer`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// Other headers, like `x-api-key`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
}

/// Credentials by origin: `https://shop.example`.
pub type AuthByOrigin = BTreeMap<String, AuthSettings>;

/// One identity of a crawl, with cookies of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// Its proxy; else one of `proxies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyUrl>,
    /// Instead of the crawl's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Added to the crawl's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Credentials by origin, before the crawl's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub auth: AuthByOrigin,
    /// What its login may ask for, before the crawl's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
}

/// A certificate that we show to one host, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// A PEM file with the certificate, and those that signed it.
    pub cert: String,
    /// A PEM file with its private key.
    pub key: String,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3 only.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Headers that a setting may add to every request: none that HTTP itself, the cookies or
/// credentials are made of.
pub(super) fn are_headers<'a>(headers: impl IntoIterator<Item = (&'a String, &'a String)>) -> bool {
    const NOT_OURS: [HeaderName; 12] = [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::USER_AGENT,
        header::REFERER,
    ];
    headers.into_iter().all(|(name, value)| {
        HeaderName::try_from(name).is_ok_and(|name| !NOT_OURS.contains(&name))
            && HeaderValue::try_from(value).is_ok()
    })
}

pub(super) fn is_auth(auth: &AuthByOrigin) -> bool {
    auth.iter().all(|(origin, auth)| {
        let has_one = [
            auth.user.is_some(),
            auth.bearer.is_some(),
            !auth.headers.is_empty(),
        ];
        is_origin(origin)
            && has_one.contains(&true)
            && !(auth.user.is_some() && auth.bearer.is_some())
            && (auth.password.is_none() || auth.user.is_some())
            && auth
                .headers
                .keys()
                .all(|name| HeaderName::try_from(name).is_ok())
    })
}

pub(super) fn are_sessions(sessions: &BTreeMap<String, SessionSettings>) -> bool {
    sessions.iter().all(|(name, session)| {
        !name.is_empty()
            && are_headers(&session.headers)
            && is_auth(&session.auth)
            && session.proxy.as_ref().is_none_or(is_proxy)
            && session
                .user_agent
                .as_deref()
                .is_none_or(super::table::is_header)
    })
}

/// What stands in the environment is looked at when it is used.
pub(super) fn is_proxy(proxy: &ProxyUrl) -> bool {
    match &proxy.0 {
        Secret::Plain(url) => url.parse::<Proxy>().is_ok(),
        Secret::Env(_) => true,
    }
}

/// Scheme, host and port, and nothing else.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn check(toml: &str, fits: bool) {
        let outcome = Settings::for_spider(toml);
        assert_eq!(outcome.is_ok(), fits, "{toml}: {outcome:?}");
        if let Err(error) = outcome {
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn credentials() {
        check(
            "auth.'https://a.example' = { bearer = { env = 'T' } }",
            true,
        );
        check(
            "auth.'https://a.example:8443' = { user = 'a', password = 'b' }",
            true,
        );
        check(
            "auth.'https://a.example' = { headers = { x-api-key = 'k' } }",
            true,
        );
        check(
            "auth.'https://a.example' = { headers = { 'x y' = 'hunter2' } }",
            false,
        );
        check("auth.'https://a.example/x' = { bearer = 'hunter2' }", false);
        check("auth.'a.example' = { bearer = 'hunter2' }", false);
        check(
            "auth.'https://a.example' = { bearer = 'hunter2', user = 'a' }",
            false,
        );
        check("auth.'https://a.example' = { password = 'hunter2' }", false);
        check("auth.'https://a.example' = {}", false);
        check(
            "auth = { 'https://a.example' = { baerer = 'hunter2' } }",
            false,
        );
    }

    #[test]
    fn headers_and_sessions() {
        check("headers = { accept-language = 'en' }", true);
        check("headers = { Authorization = 'hunter2' }", false);
        check("headers = { cookie = 'a=hunter2' }", false);
        check("headers = { x = \"a\\r\\nb: hunter2\" }", false);
        check("sessions.ann = {}", true);
        check(
            "sessions.ann = { proxy = 'socks5://ann:hunter2@p:1080' }",
            true,
        );
        check("sessions.ann = { proxy = 'ftp://ann:hunter2@p' }", false);
        check(
            "sessions.ann = { user_agent = 'a', secrets = { pin = 'hunter2' } }",
            true,
        );
        check("proxies = ['http://a:1', { env = 'P' }, 'direct']", true);
        check("proxies = ['ann:hunter2@a:1']", false);
        check("secrets = { pin = { env = 'PIN' } }", true);
    }

    #[test]
    fn nothing_secret_is_written() {
        let settings = Settings::for_spider(
            "proxies = ['http://ann:hunter2@p:1']
             secrets = { pin = 'hunter2' }
             auth.'https://a.example' = { user = 'hunter2', password = 'hunter2' }
             auth.'https://b.example' = { headers = { x-api-key = 'hunter2' } }
             sessions.ann = { proxy = 'http://ann:hunter2@p:1', secrets = { pin = 'hunter2' }, \
                 auth = { 'https://a.example' = { bearer = 'hunter2' } } }",
        )
        .unwrap();
        let shown = serde_json::to_string(&settings).unwrap() + &format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("http://***@p:1"), "{shown}");
    }
}
