//! The cookies of one site.

use std::collections::HashSet;

use cookie_store::Cookie;
use url::Url;

use super::rules;

/// What servers take of one header: nginx 8 KiB, Apache 8,190 bytes. More, and they answer nothing but
/// errors; so a site can't shut visitors out by what it sets.
const MAX_HEADER_BYTES: usize = 8_190;

/// A few cookies, looked at one by one.
#[derive(Default)]
pub(super) struct Site {
    cookies: Vec<Kept>,
    /// When a cookie of it was last set or sent.
    pub(super) used: u64,
}

struct Kept {
    key: String,
    cookie: Cookie<'static>,
    set: u64,
    /// Whether the store has a cookie of this key: only then its removal matters.
    is_stored: bool,
}

impl Site {
    pub(super) fn len(&self) -> usize {
        self.cookies.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The cookies for `url` as one header: those of the longest path first, then the oldest, as far as
    /// they fit.
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let mut fitting: Vec<&Kept> = self
            .cookies
            .iter()
            .filter(|kept| kept.cookie.matches(url) && !kept.cookie.is_expired())
            .collect();
        fitting.sort_by_key(|kept| (std::cmp::Reverse(kept.cookie.path.len()), kept.set));
        let mut header = String::new();
        for kept in fitting {
            let (name, value) = kept.cookie.name_value();
            let separator = if header.is_empty() { "" } else { "; " };
            let more = separator.len() + name.len() + "=".len() + value.len();
            if !header.is_empty() && header.len() + more > MAX_HEADER_BYTES {
                continue;
            }
            header.extend([separator, name, "=", value]);
        }
        (!header.is_empty()).then_some(header)
    }

    /// Sets or replaces `cookie`; one that has expired only removes. Keys that changed go to
    /// `changed`, and no more than `max` stay.
    pub(super) fn set(
        &mut self,
        cookie: Cookie<'static>,
        now: u64,
        max: usize,
        changed: &mut HashSet<String>,
    ) {
        let key = rules::key(&cookie);
        let known = self.cookies.iter().position(|kept| kept.key == key);
        match known.and_then(|at| self.cookies.get_mut(at).map(|kept| (at, kept))) {
            Some((at, _)) if cookie.is_expired() => self.remove(at, changed),
            Some((_, kept)) if kept.cookie == cookie => {}
            Some((_, kept)) => {
                kept.cookie = cookie;
                changed.insert(key);
            }
            None if cookie.is_expired() => {}
            None => {
                // A key that is gone and yet has changed is a removal that the store has not seen.
                let is_stored = !changed.insert(key.clone());
                self.cookies.push(Kept {
                    key,
                    cookie,
                    set: now,
                    is_stored,
                });
                self.shrink(max, changed);
            }
        }
    }

    /// Removes what has expired and, if that is not enough, the cookie that was set first.
    fn shrink(&mut self, max: usize, changed: &mut HashSet<String>) {
        if self.len() <= max {
            return;
        }
        while let Some(at) = self
            .cookies
            .iter()
            .position(|kept| kept.cookie.is_expired())
        {
            self.remove(at, changed);
        }
        while self.len() > max {
            self.evict(changed);
        }
    }

    /// Removes the cookie that was set first.
    pub(super) fn evict(&mut self, changed: &mut HashSet<String>) {
        if !self.is_empty() {
            self.remove(0, changed);
        }
    }

    fn remove(&mut self, at: usize, changed: &mut HashSet<String>) {
        let Kept { key, is_stored, .. } = self.cookies.remove(at);
        if is_stored {
            changed.insert(key);
        } else {
            changed.remove(&key);
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Cookie<'static>> {
        let kept = self.cookies.iter().find(|kept| kept.key == key)?;
        Some(&kept.cookie)
    }

    pub(super) fn mark_stored(&mut self, key: &str) {
        if let Some(kept) = self.cookies.iter_mut().find(|kept| kept.key == key) {
            kept.is_stored = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_meanwhile_is_not_sent() {
        let url: Url = "http://a.example/".parse().unwrap();
        let mut site = Site::default();
        for field in ["k=v", "l=w"] {
            let cookie = Cookie::parse(field, &url).unwrap();
            site.set(cookie, 1, 180, &mut HashSet::new());
        }
        site.cookies[0].cookie.expire();
        assert_eq!(site.header(&url).as_deref(), Some("l=w"));
    }
}
