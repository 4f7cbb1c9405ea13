//! Requests whose last exchange broke, perhaps through no fault of their own.
//!
//! A connection that is kept alive may carry what its server did for the request before: bytes too
//! many, or its end. So what broke is tried again on a connection of its own, where only its own
//! answer can be.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::{FailureKind, FetchError};

/// As many as are remembered; one that was forgotten is tried again on any connection.
const MAX: usize = 4_096;

/// The URLs of such requests.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Whether there may be any: in most crawls there are none.
    any: AtomicBool,
    urls: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl Suspects {
    /// Whether a request to `url` broke the last time. It is forgotten by that.
    pub(super) fn take(&self, url: &Url) -> bool {
        self.any.load(Ordering::Relaxed) && {
            let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
            let was = urls.remove(&self.hasher.hash_one(url));
            self.any.store(!urls.is_empty(), Ordering::Relaxed);
            was
        }
    }

    /// Notes how a request to `url` ended; whether it is one of them from now on, and was not before.
    pub(super) fn note<T>(&self, url: &Url, outcome: &Result<T, FetchError>) -> bool {
        let Err(error) = outcome else { return false };
        if !matches!(error.kind, FailureKind::Reset | FailureKind::Protocol) {
            return false;
        }
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = urls.len() < MAX && urls.insert(self.hasher.hash_one(url));
        self.any.store(!urls.is_empty(), Ordering::Relaxed);
        is_new
    }
}
