//! What the site remembers between requests: little, and bounded.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Options;
use super::log::Log;

/// Flaky addresses that are counted; further ones are never flaky.
const MAX_COUNTED: usize = 100_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    pub(super) log: Arc<Log>,
    tries: Mutex<HashMap<String, u64>>,
    run: AtomicU64,
    layout: AtomicU8,
    epoch: AtomicU64,
    visitors: AtomicU64,
}

impl State {
    pub(super) fn new(options: Options, address: SocketAddr) -> Self {
        Self {
            address,
            log: Arc::new(Log::new(options.log)),
            tries: Mutex::default(),
            run: AtomicU64::new(options.run),
            layout: AtomicU8::new(options.layout),
            epoch: AtomicU64::default(),
            visitors: AtomicU64::default(),
            options,
        }
    }

    pub(super) fn run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    pub(super) fn set_run(&self, run: u64) {
        self.run.store(run, Ordering::Relaxed);
    }

    pub(super) fn layout(&self) -> u8 {
        self.layout.load(Ordering::Relaxed)
    }

    pub(super) fn set_layout(&self, layout: u8) {
        self.layout.store(layout, Ordering::Relaxed);
    }

    /// A number that is part of every session, so that raising it ends them all.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn expire_sessions(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that nobody else has.
    pub(super) fn visitor(&self) -> u64 {
        self.visitors.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a try of `key`; whether it is among the first `bad` ones, which shall fail.
    pub(super) fn fails(&self, key: &str, bad: u64) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = tries.get_mut(key) {
            *count += 1;
            return *count <= bad;
        }
        if tries.len() >= MAX_COUNTED {
            return false;
        }
        tries.insert(key.to_owned(), 1);
        bad > 0
    }
}
