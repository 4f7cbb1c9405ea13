//! The identity of hosts and requests as 64-bit keyed hashes.
//!
//! The key is random per crawl: it scopes every row to its crawl, and nobody who does not know it can
//! craft URLs that collide (SipHash-1-3, as in Rust's own hash maps). A request is found by
//! `(host, fingerprint)`, so that a site's rows lie together in the index.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

use super::Request;

/// A host in the store: the keyed hash of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostKey(pub i64);

impl HostKey {
    /// The key of a part of this host; the whole's own is that of part 0. The part of a part's key is the
    /// whole's.
    #[must_use]
    pub fn part(self, number: usize) -> Self {
        Self(self.0 ^ number as i64)
    }
}

/// A map by host. Keys are hashes by themselves, so none is hashed again, and the order of the same
/// hosts is the same in each process.
pub(crate) type HostMap<V> = HashMap<HostKey, V, BuildHasherDefault<AsIs>>;
/// A set of hosts.
pub(crate) type HostSet = HashSet<HostKey, BuildHasherDefault<AsIs>>;

/// The hash of a [`HostKey`]: itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_i64(&mut self, key: i64) {
        self.0 = key as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are numbers; anything else is hashed as well as need be.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

/// A request's identity within its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub i64);

impl Fingerprint {
    /// In which of so many parts of its host the request is.
    pub fn part_of(self, parts: usize) -> usize {
        (self.0 as u64 % parts as u64) as usize
    }
}

/// The crawl's key: makes the hashes.
#[derive(Clone, Copy)]
pub struct Identity([u8; 16]);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    /// From the crawl's stored key.
    pub fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// The key of `origin` (scheme, host and port as [`origin_of`](super::origin_of) writes them).
    pub fn host(&self, origin: &str) -> HostKey {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(origin.as_bytes());
        HostKey(hasher.finish() as i64)
    }

    /// What a secret is kept under. Made slowly, since whoever has the database has the key, too, and
    /// might try passwords against it.
    pub(crate) fn secret(&self, value: &[u8]) -> i64 {
        const ROUNDS: usize = 50_000;
        let mut hash = 0;
        for _ in 0..ROUNDS {
            let mut hasher = SipHasher13::new_with_key(&self.0);
            hasher.write_u64(hash);
            hasher.write(value);
            hash = hasher.finish();
        }
        hash as i64
    }

    /// The hash of a body, by which a page that has changed is told from one that has not.
    pub fn content(&self, body: &[u8]) -> i64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(body);
        hasher.finish() as i64
    }

    /// The fingerprint over method, canonical path and query, body, step and the request's own
    /// headers. `nonce` salts a request that is not deduplicated.
    pub fn fingerprint(&self, request: &Request, path: &str, nonce: Option<u64>) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        // Every part is followed by its length, so that no two sequences of parts run together.
        let mut part = |bytes: &[u8]| {
            hasher.write(bytes);
            hasher.write_u64(bytes.len() as u64);
        };
        part(path.as_bytes());
        part(request.step.name.as_bytes());
        if request.method != http::Method::GET || request.body.is_some() {
            part(request.method.as_str().as_bytes());
            part(request.body.as_deref().unwrap_or_default());
        }
        for (name, value) in &request.headers {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        if let Some(session) = request.session.identity() {
            part(b"session");
            part(session.as_bytes());
        }
        if let Some(nonce) = nonce {
            part(b"nonce");
            part(&nonce.to_le_bytes());
        }
        Fingerprint(hasher.finish() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::StepRef;
    use super::*;

    fn fingerprint(change: impl FnOnce(&mut Request)) -> Fingerprint {
        let url = "http://e.x/a".parse().unwrap();
        let mut request = Request::new(url, StepRef::named("book"));
        change(&mut request);
        Identity::new([7; 16]).fingerprint(&request, "/a", None)
    }

    #[test]
    fn what_makes_a_request_another() {
        let plain = fingerprint(|_| {});
        let same: [fn(&mut Request); 5] = [
            |request| request.session = super::super::Session::Same("1".into()),
            |request| request.priority = 5,
            |request| request.depth = 9,
            |request| request.step.args = Some("{}".into()),
            |request| request.url.set_fragment(Some("top")),
        ];
        for change in same {
            assert_eq!(fingerprint(change), plain);
        }
        let other: [fn(&mut Request); 7] = [
            |request| request.session = "ann".into(),
            |request| request.session = "bob".into(),
            |request| request.step = StepRef::named("list"),
            |request| request.method = http::Method::POST,
            |request| request.body = Some("x".into()),
            |request| {
                request
                    .headers
                    .insert("accept", http::HeaderValue::from_static("x"));
            },
            |request| {
                request
                    .headers
                    .insert("accept", http::HeaderValue::from_static("y"));
            },
        ];
        let mut all = vec![plain];
        for change in other {
            let next = fingerprint(change);
            assert!(!all.contains(&next));
            all.push(next);
        }
    }

    #[test]
    fn the_key_decides() {
        let host = |key| Identity::new(key).host("http://e.x");
        assert_eq!(host([1; 16]), host([1; 16]));
        assert_ne!(host([1; 16]), host([2; 16]));
    }
}
