//! Cookies: kept as browsers keep them (RFC 6265bis), within limits, and stored with the crawl.
//!
//! Cookies lie by *site*, the domain that somebody registered (`example.co.uk`), because no cookie
//! is ever shared between two sites. So a request looks at the few cookies of its own site, however
//! many hosts a crawl has.

mod rules;
mod site;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cookie_store::Cookie;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::request::StoredCookie;
use crate::settings::Settings;
use site::Site;

/// How many cookies are kept, and of what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Name and value of a cookie together.
    pub bytes: usize,
    /// Cookies of one site.
    pub per_site: usize,
    /// Cookies of all sites together.
    pub all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

impl Limits {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            bytes: settings.max_cookie_bytes,
            per_site: settings.max_cookies_per_site,
            all: settings.max_cookies,
        }
    }
}

/// The cookies of one session.
///
/// Bounded: by default 4 KiB a cookie, 180 a site, 3,000 in all; the least used go first. Never
/// blocks for longer than a look-up takes.
#[derive(Default)]
pub struct Jar {
    /// Which jar this is in the store.
    session: Arc<str>,
    limits: Limits,
    /// Whether something changed since it was last asked.
    dirty: Arc<AtomicBool>,
    inner: Mutex<Cookies>,
}

/// Cookies are secrets: shows how many there are.
impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jar({} cookies)", self.lock().count)
    }
}

#[derive(Default)]
struct Cookies {
    sites: HashMap<String, Site>,
    count: usize,
    /// Counts uses, to tell what was used last.
    uses: u64,
    /// Keys that were set or removed since they were last asked for.
    changed: HashSet<String>,
}

impl Jar {
    /// An empty jar of the session without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// The empty jar of a session; `dirty` is set whenever it changes.
    pub(super) fn of(session: Arc<str>, limits: Limits, dirty: Arc<AtomicBool>) -> Self {
        Self {
            session,
            limits,
            dirty,
            inner: Mutex::default(),
        }
    }

    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// What to send to `url` as the header `Cookie`; longer paths come first, then older cookies.
    pub fn cookie_header(&self, url: &Url) -> Option<HeaderValue> {
        let mut cookies = self.lock();
        if cookies.sites.is_empty() {
            return None;
        }
        let uses = cookies.next_use();
        let site = cookies.sites.get_mut(rules::site_of(url.host_str()?))?;
        site.used = uses;
        let mut value = HeaderValue::try_from(site.header(url)?).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes in the `Set-Cookie` fields of an answer from `url`. Cookies that it has no right to set
    /// are ignored, as in browsers.
    pub fn store(&self, url: &Url, headers: &HeaderMap) {
        // Most answers set nothing.
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let mut cookies = self.lock();
        for value in headers.get_all(header::SET_COOKIE) {
            if let Some(cookie) = rules::accept(value, url, self.limits.bytes) {
                cookies.set(cookie, &self.limits);
            }
        }
        self.dirty.store(true, Ordering::Release);
    }

    /// The cookies that were set, changed or removed since the last call.
    pub fn take_changed(&self) -> Vec<StoredCookie> {
        let mut cookies = self.lock();
        let mut keys: Vec<String> = std::mem::take(&mut cookies.changed).into_iter().collect();
        keys.sort_unstable();
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            let json = cookies.json_to_store(&key);
            taken.push(StoredCookie {
                session: self.session.to_string(),
                key,
                json,
            });
        }
        taken
    }

    /// Puts stored cookies back; those that can't be read or have expired are left out.
    pub fn load(&self, stored: Vec<StoredCookie>) {
        let mut cookies = self.lock();
        for stored in stored {
            let cookie: Option<Cookie<'static>> = stored
                .json
                .and_then(|json| serde_json::from_str(&json).ok());
            if let Some(cookie) = cookie {
                let key = rules::key(&cookie);
                cookies.set(cookie, &self.limits);
                cookies.changed.remove(&key);
                cookies.mark_stored(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cookies> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cookies {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    /// Sets, replaces or, if it has expired, removes a cookie.
    fn set(&mut self, cookie: Cookie<'static>, limits: &Limits) {
        let used = self.next_use();
        let name = rules::site_of_cookie(&cookie);
        let site = self.sites.entry(name.clone()).or_default();
        site.used = used;
        let before = site.len();
        site.set(cookie, used, limits.per_site, &mut self.changed);
        self.count = self.count - before + site.len();
        if site.is_empty() {
            self.sites.remove(&name);
        }
        while self.count > limits.all && self.evict() {}
    }

    /// Drops one cookie of the site that was used longest ago.
    fn evict(&mut self) -> bool {
        let stalest = self.sites.iter_mut().min_by_key(|(_, site)| site.used);
        let Some((name, site)) = stalest else {
            return false;
        };
        let name = name.clone();
        site.evict(&mut self.changed);
        self.count -= 1;
        if site.is_empty() {
            self.sites.remove(&name);
        }
        true
    }

    /// The cookie as JSON, which counts as stored from now on; `None` if it is gone.
    fn json_to_store(&mut self, key: &str) -> Option<String> {
        let json = serde_json::to_string(self.site_mut(key)?.get(key)?).ok();
        self.mark_stored(key);
        json
    }

    fn mark_stored(&mut self, key: &str) {
        if let Some(site) = self.site_mut(key) {
            site.mark_stored(key);
        }
    }

    fn site_mut(&mut self, key: &str) -> Option<&mut Site> {
        let (domain, _) = key.split_once(';')?;
        self.sites.get_mut(rules::site_of(domain))
    }
}

#[cfg(test)]
mod tests;
