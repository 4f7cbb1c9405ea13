//! Credentials, each for one origin: scheme, host and port.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::FetchSetupError;
use crate::request::origin_of;
use crate::settings::{AuthByOrigin, AuthSettings, Secret};

/// Headers by origin.
#[derive(Default)]
pub(super) struct Auth(RwLock<HashMap<String, HeaderMap>>);

/// Shows nothing.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth(..)")
    }
}

impl Auth {
    pub(super) fn new(settings: &AuthByOrigin) -> Result<Self, FetchSetupError> {
        let mut all = HashMap::with_capacity(settings.len());
        for (origin, auth) in settings {
            let origin = Url::parse(origin).ok().and_then(|url| origin_of(&url).ok());
            let origin = origin.ok_or(FetchSetupError::Auth("an origin"))?;
            all.insert(origin, headers(auth)?);
        }
        Ok(Self(RwLock::new(all)))
    }

    /// Adds user name and password of `url`, if it has them, for its origin.
    pub(super) fn learn(&self, url: &Url) {
        if let Some(basic) = basic_of(url) {
            self.keep(url, &header::AUTHORIZATION, basic);
        }
    }

    /// Adds a header for the origin of `url`, in place of one of its name.
    pub(super) fn keep(&self, url: &Url, name: &HeaderName, value: HeaderValue) {
        if let Ok(origin) = origin_of(url) {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(origin).or_default().insert(name, value);
        }
    }

    /// Adds what belongs to the origin of `url` to `headers`, where they say nothing themselves.
    pub(super) fn apply(&self, url: &Url, headers: &mut HeaderMap) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let own = origin_of(url).ok().and_then(|origin| all.get(&origin));
        for (name, value) in own.into_iter().flatten() {
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }
}

fn headers(auth: &AuthSettings) -> Result<HeaderMap, FetchSetupError> {
    let mut headers = HeaderMap::new();
    if let Some(user) = &auth.user {
        let password = auth.password.as_ref().map(Secret::reveal).transpose()?;
        let basic = basic(&user.reveal()?, &password.unwrap_or_default());
        headers.insert(header::AUTHORIZATION, basic);
    }
    if let Some(token) = &auth.bearer {
        let bearer = format!("Bearer {}", token.reveal()?);
        headers.insert(header::AUTHORIZATION, secret(&bearer)?);
    }
    for (name, value) in &auth.headers {
        let name =
            HeaderName::try_from(name).map_err(|_| FetchSetupError::Auth("a header's name"))?;
        headers.insert(name, secret(&value.reveal()?)?);
    }
    Ok(headers)
}

fn secret(value: &str) -> Result<HeaderValue, FetchSetupError> {
    let mut value =
        HeaderValue::try_from(value).map_err(|_| FetchSetupError::Auth("a header's value"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    );
    let mut value = HeaderValue::try_from(text).expect("base64 fits into a header");
    value.set_sensitive(true);
    value
}

/// The header that user name and password of `url` mean, if it has any.
pub(super) fn basic_of(url: &Url) -> Option<HeaderValue> {
    has_login(url).then(|| {
        let password = url.password().unwrap_or_default();
        basic(&decoded(url.username()), &decoded(password))
    })
}

pub(super) fn has_login(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Takes user name and password out of `url`, as the header that they mean.
pub(crate) fn take_login(url: &mut Url) -> Option<HeaderValue> {
    let basic = basic_of(url)?;
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(basic)
}

pub(super) fn without_login(mut url: Url) -> Url {
    if has_login(&url) {
        // Neither fails for a URL with a host, and no other gets here.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    url
}

/// Percent-encoding undone; what is no UTF-8 then is replaced.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = text
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(auth: &Auth, url: &str) -> String {
        let mut headers = HeaderMap::new();
        auth.apply(&url.parse().unwrap(), &mut headers);
        let all = headers.iter();
        let lines: Vec<_> = all
            .map(|(name, value)| format!("{name}: {};", value.to_str().unwrap()))
            .collect();
        lines.concat()
    }

    #[test]
    fn credentials_are_for_their_origin() {
        let json = r#"{
            "https://a.example": {"bearer": "t"},
            "https://b.example:8443": {"user": "ann", "password": "a:b"},
            "http://c.example:80/": {"headers": {"X-Api-Key": "k"}}
        }"#;
        let auth = Auth::new(&serde_json::from_str(json).unwrap()).unwrap();
        let check = |url, expected: &str| assert_eq!(sent(&auth, url), expected, "{url}");
        check("https://a.example/x", "authorization: Bearer t;");
        check("https://A.example:443/x", "authorization: Bearer t;");
        check("http://a.example/x", "");
        check("https://a.example:444/", "");
        check("https://b.a.example/", "");
        check(
            "https://b.example:8443/",
            "authorization: Basic YW5uOmE6Yg==;",
        );
        check("https://b.example/", "");
        check("http://c.example/", "x-api-key: k;");
        check("https://c.example/", "");
        assert_eq!(format!("{auth:?}"), "Auth(..)");
    }

    #[test]
    fn the_request_s_own_headers_win() {
        let json = r#"{"http://a.example": {"bearer": "t"}}"#;
        let auth = Auth::new(&serde_json::from_str(json).unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("own"));
        auth.apply(&"http://a.example/".parse().unwrap(), &mut headers);
        assert_eq!(headers[header::AUTHORIZATION], "own");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn a_line_break_is_no_token() {
        let json = r#"{"http://a.example": {"bearer": "t\r\nx: y"}}"#;
        let error = Auth::new(&serde_json::from_str(json).unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`auth`: a header's value has a forbidden character"
        );
    }

    #[test]
    fn logins_in_urls() {
        let check = |text, expected| assert_eq!(decoded(text), expected);
        check("a%3Ab", "a:b");
        check("100%", "100%");
        check("%4", "%4");
        check("%c3%a4", "\u{e4}");
        check("%ff", "\u{fffd}");
        assert_eq!(
            without_login("http://a:b@c.example/d".parse().unwrap()).as_str(),
            "http://c.example/d"
        );
    }
}
