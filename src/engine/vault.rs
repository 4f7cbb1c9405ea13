//! Secrets of requests, which the store must not have.
//!
//! A queued request lies in the database, and its credentials must not. So in place of a secret
//! the store gets a number, and the value is kept here, in memory. A header's number is made of its
//! value, so a resumed crawl has it again once `start()` or a step has said it again; a body's is
//! random.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::fetch::{self, FailureKind, FetchError};
use crate::request::{Identity, Proxy, Request};

/// Different secrets that are kept; those that were not used for longest are dropped.
const MAX_SECRETS: usize = 10_000;
const KEPT: &str = "kept:";
/// That of `KEPT` where it stands for a user name.
const COLON: &str = "%3A";

/// The secrets of a crawl's requests, by their keyed hashes.
pub(super) struct Vault {
    identity: Identity,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    values: HashMap<i64, (Bytes, u64)>,
    /// The numbers of headers.
    numbers: HashMap<Bytes, i64>,
    uses: u64,
}

impl Vault {
    /// With the hashes of the crawl, so that they are the same when it is resumed.
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            kept: Mutex::default(),
        }
    }

    /// Takes what is secret out of `request`: headers, the logins in its URL and its proxy's, a body
    /// that is marked.
    pub(super) fn seal(&self, request: &mut Request) {
        if let Some(basic) = fetch::take_login(&mut request.url) {
            let name = header::AUTHORIZATION;
            request.headers.entry(name).or_insert(basic);
        }
        if !request.headers.is_empty() {
            for (name, value) in &mut request.headers {
                if (value.is_sensitive() || is_credential(name)) && !is_kept(value.as_bytes()) {
                    *value = HeaderValue::from_bytes(&self.keep_header(value.as_bytes()))
                        .expect("a number fits into a header");
                    value.set_sensitive(true);
                }
            }
        }
        // What is asked for as changeable is copied if others have it, too.
        let login = request.proxy.as_ref().and_then(Proxy::login);
        if let Some(login) = login.filter(|login| kept_login(login).is_none())
            && let Some(proxy) = &mut request.proxy
        {
            let kept = self.keep_header(login.as_bytes());
            proxy.set_login(&String::from_utf8_lossy(&kept).replace(':', COLON));
        }
        if request.secret_body
            && let Some(body) = &mut request.body
            && !is_kept(body)
        {
            *body = self.keep(body, fastrand::i64(..)).into();
        }
    }

    /// Puts what is secret back; gives what stood in its place, if something did.
    pub(super) fn open(&self, request: &mut Request) -> Result<Option<Sealed>, FetchError> {
        let login = request.proxy.as_ref().and_then(Proxy::login);
        let login = login.and_then(|login| kept_login(&login));
        if !request.secret_body && login.is_none() && !request.headers.values().any(is_sealed) {
            return Ok(None);
        }
        let sealed = Sealed {
            headers: request.headers.clone(),
            body: request.body.clone(),
            proxy: request.proxy.clone(),
        };
        match self.fill(request, login.as_deref()) {
            Ok(()) => Ok(Some(sealed)),
            Err(lost) => {
                // None of it may be left open.
                sealed.close(request);
                Err(lost)
            }
        }
    }

    fn fill(&self, request: &mut Request, login: Option<&str>) -> Result<(), FetchError> {
        if let (Some(login), Some(proxy)) = (login, &mut request.proxy) {
            let known = self.kept(login.as_bytes()).ok_or_else(lost_login)?;
            proxy.set_login(&String::from_utf8_lossy(&known));
        }
        for (name, value) in &mut request.headers {
            if is_sealed(value) {
                let known = self.kept(value.as_bytes());
                let known = known.and_then(|known| HeaderValue::from_maybe_shared(known).ok());
                *value = known.ok_or_else(|| lost(&format!("header `{name}`")))?;
                value.set_sensitive(true);
            }
        }
        if request.secret_body
            && let Some(body) = &mut request.body
        {
            *body = self.kept(body).ok_or_else(|| lost("body"))?;
        }
        Ok(())
    }

    fn keep_header(&self, value: &[u8]) -> Vec<u8> {
        let number = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.numbers.get(value).copied()
        };
        self.keep(
            value,
            number.unwrap_or_else(|| {
                let number = self.identity.secret(value);
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.numbers.insert(Bytes::copy_from_slice(value), number);
                number
            }),
        )
    }

    fn keep(&self, value: &[u8], number: i64) -> Vec<u8> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let value = || (Bytes::copy_from_slice(value), now);
        kept.values.entry(number).or_insert_with(value).1 = now;
        if kept.values.len() > MAX_SECRETS {
            kept.shrink();
        }
        format!("{KEPT}{number}").into_bytes()
    }

    fn kept(&self, sealed: &[u8]) -> Option<Bytes> {
        let text = std::str::from_utf8(sealed).ok()?;
        let number: i64 = text.strip_prefix(KEPT)?.parse().ok()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let (value, used) = kept.values.get_mut(&number)?;
        *used = now;
        Some(value.clone())
    }
}

impl Kept {
    /// Drops the tenth that was not used for longest.
    fn shrink(&mut self) {
        let mut uses: Vec<u64> = self.values.values().map(|(_, used)| *used).collect();
        uses.sort_unstable();
        let oldest = uses.get(MAX_SECRETS / 10).copied().unwrap_or_default();
        self.values.retain(|_, (_, used)| *used > oldest);
        let values = &self.values;
        self.numbers.retain(|_, number| values.contains_key(number));
    }
}

/// What the store has of a request in place of its secrets.
pub(super) struct Sealed {
    headers: HeaderMap,
    body: Option<Bytes>,
    proxy: Option<Proxy>,
}

impl Sealed {
    /// Puts it back.
    pub(super) fn close(self, request: &mut Request) {
        request.headers = self.headers;
        request.body = self.body;
        request.proxy = self.proxy;
    }
}

fn is_credential(name: &HeaderName) -> bool {
    [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
    ]
    .contains(name)
}

fn is_sealed(value: &HeaderValue) -> bool {
    value.is_sensitive() && is_kept(value.as_bytes())
}

fn is_kept(value: &[u8]) -> bool {
    let number = value.strip_prefix(KEPT.as_bytes());
    number
        .and_then(|number| std::str::from_utf8(number).ok())
        .is_some_and(|number| number.parse::<i64>().is_ok())
}

/// What a proxy's login is kept under, if it is one that is kept.
fn kept_login(login: &str) -> Option<String> {
    let kept = login.replace(COLON, ":");
    // As it would be written, a login that looks the same has its own colon.
    (!login.contains(':') && is_kept(kept.as_bytes())).then_some(kept)
}

fn lost_login() -> FetchError {
    let message = "the login of its own proxy is gone with an earlier run: say `.proxy(..)` again in \
                   `start()`, or name the proxy in the settings";
    FetchError::new(FailureKind::Other, message)
}

fn lost(what: &str) -> FetchError {
    let message = format!(
        "its secret {what} is gone with an earlier run: say it again in `start()`, or in `auth`"
    );
    FetchError::new(FailureKind::Other, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::StepRef;

    fn request() -> Request {
        let url = "http://ann:hunter2@a.example/".parse().unwrap();
        let mut request = Request::new(url, StepRef::named("x"));
        let mut secret = HeaderValue::from_static("hunter2");
        secret.set_sensitive(true);
        request.headers.insert("x-key", secret);
        request
            .headers
            .insert("cookie", HeaderValue::from_static("a=hunter2"));
        request
            .headers
            .insert("x-open", HeaderValue::from_static("open"));
        request.body = Some("pin=hunter2".into());
        request.secret_body = true;
        request.proxy = "http://ann:hunter2@proxy.example:1".parse().ok();
        request
    }

    #[test]
    fn secrets_go_and_come_back() {
        let vault = Vault::new(Identity::new([1; 16]));
        let mut sealed = request();
        vault.seal(&mut sealed);
        let bytes: Vec<&[u8]> = sealed.headers.values().map(HeaderValue::as_bytes).collect();
        let shown = format!(
            "{} {bytes:?} {:?} {}",
            sealed.url,
            sealed.body,
            sealed.proxy.as_ref().unwrap().as_str()
        );
        let as_numbers = format!("{:?}", b"hunter2");
        assert!(
            !shown.contains(as_numbers.trim_matches(['[', ']'])),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        let stored = sealed.clone();
        vault.seal(&mut sealed);
        assert_eq!(sealed, stored, "sealing twice is sealing once");

        let placeholder = vault.open(&mut sealed).unwrap().unwrap();
        assert_eq!(sealed.proxy, request().proxy);
        assert_eq!(sealed.headers["x-key"], "hunter2");
        assert_eq!(sealed.headers["cookie"], "a=hunter2");
        assert_eq!(sealed.headers["authorization"], "Basic YW5uOmh1bnRlcjI=");
        assert_eq!(sealed.headers["x-open"], "open");
        assert_eq!(sealed.body.as_deref(), Some(&b"pin=hunter2"[..]));
        placeholder.close(&mut sealed);
        assert_eq!(sealed, stored);
    }

    #[test]
    fn another_run_must_be_told_again() {
        let vault = Vault::new(Identity::new([1; 16]));
        let mut stored = request();
        vault.seal(&mut stored);
        let resumed = Vault::new(Identity::new([1; 16]));
        let error = resumed.open(&mut stored.clone()).map(|_| ()).unwrap_err();
        assert!(
            error.message.starts_with("the login of its own proxy"),
            "{error}"
        );
        stored.proxy = None;
        let error = resumed.open(&mut stored.clone()).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("its secret header `"), "{error}");
        // Headers are known by their value, bodies are gone.
        resumed.seal(&mut request());
        let error = resumed.open(&mut stored.clone()).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("its secret body"), "{error}");
        let mut half = stored.clone();
        resumed.open(&mut half).map(|_| ()).unwrap_err();
        assert_eq!(half, stored, "nothing is left open");
        stored.secret_body = false;
        resumed.open(&mut stored).unwrap();
        assert_eq!(stored.headers["x-key"], "hunter2");
    }

    #[test]
    fn it_is_bounded() {
        let vault = Vault::new(Identity::new([1; 16]));
        for n in 0..2 * MAX_SECRETS {
            vault.keep(b"x", n as i64);
        }
        assert!(vault.kept.lock().unwrap().values.len() <= MAX_SECRETS);
        let newest = format!("{KEPT}{}", 2 * MAX_SECRETS - 1);
        assert!(vault.kept(newest.as_bytes()).is_some());
    }
}
