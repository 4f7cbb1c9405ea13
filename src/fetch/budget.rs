//! Bytes of bodies that are held at once, over the whole crawl.
//!
//! One body is limited by `max_body`, but a crawl reads many, and those read wait for their steps. So
//! every body that outgrows a small allowance takes its bytes from one [`Budget`], while it streams in,
//! and gives them back when the last handle to it is dropped. A body that gets none is not read on:
//! the server waits, as TCP has it.
//!
//! **Why this can't lock up.** Bodies read half, each of which waits for another's bytes, would wait
//! for ever. But one body at a time may go beyond the budget: who waits, waits for bytes *or* for this
//! right, and who has it never waits again and ends, by its time-out at the latest. Bodies read whole
//! wait for their step alone, which has a time-out too and never waits for a body. So at any time
//! somebody goes on, and what is held is at most the budget, one largest body, and the allowances.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that every body may have without asking: most pages, so that they wait for nobody.
const FREE_BYTES: usize = 64 * 1024;
/// The budget is counted in blocks.
const BLOCK_BYTES: usize = 16 * 1024;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Budget {
    blocks: Arc<Semaphore>,
    beyond: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let blocks = (bytes / BLOCK_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            blocks: Arc::new(Semaphore::new(blocks)),
            beyond: Arc::new(Semaphore::new(1)),
        }
    }

    /// The share of a new body.
    pub(super) fn share(&self) -> Share<'_> {
        Share {
            budget: self,
            granted: FREE_BYTES,
            held: Held::default(),
        }
    }
}

/// What one body has of the budget.
#[derive(Debug)]
pub(super) struct Share<'a> {
    budget: &'a Budget,
    granted: usize,
    held: Held,
}

#[derive(Debug, Default)]
struct Held {
    blocks: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedSemaphorePermit>,
}

impl Share<'_> {
    /// Waits until the body may have `bytes` in all.
    ///
    /// # Cancel safety
    /// A dropped wait leaves the share as it was.
    pub(super) async fn grow(&mut self, bytes: usize) {
        if bytes <= self.granted || self.held.beyond.is_some() {
            return;
        }
        let blocks = (bytes - self.granted).div_ceil(BLOCK_BYTES);
        let wanted = u32::try_from(blocks).unwrap_or(u32::MAX);
        // Neither is ever closed, so both give a permit.
        tokio::select! {
            biased;
            more = Arc::clone(&self.budget.blocks).acquire_many_owned(wanted) => {
                let Ok(more) = more else { return };
                self.granted += blocks * BLOCK_BYTES;
                match &mut self.held.blocks {
                    Some(held) => held.merge(more),
                    held => *held = Some(more),
                }
            }
            beyond = Arc::clone(&self.budget.beyond).acquire_owned() => {
                self.held.beyond = beyond.ok();
            }
        }
    }

    /// The body, which keeps its share until it is dropped.
    pub(super) fn keep(self, body: Vec<u8>) -> Bytes {
        if self.held.blocks.is_none() && self.held.beyond.is_none() {
            return Bytes::from(body);
        }
        Bytes::from_owner(Body {
            bytes: body,
            _held: self.held,
        })
    }
}

struct Body {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    fn body(budget: &Budget, size: usize) -> Option<Bytes> {
        let mut share = budget.share();
        share.grow(size).now_or_never()?;
        Some(share.keep(vec![0; size]))
    }

    #[test]
    fn small_bodies_ask_nobody() {
        let budget = Budget::new(0);
        let pages: Vec<_> = (0..100).map(|_| body(&budget, FREE_BYTES)).collect();
        assert!(pages.iter().all(Option::is_some));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let budget = Budget::new(8 * MIB);
        let mut pages: Vec<_> = (0..100).filter_map(|_| body(&budget, MIB)).collect();
        // Each has a little for nothing, and the last has the right to go beyond.
        assert_eq!(pages.len(), 9);
        let clone = pages.pop();
        assert_eq!(clone.as_ref().map(Bytes::len), Some(MIB));
        let other = clone.clone();
        drop(clone);
        assert!(body(&budget, MIB).is_none(), "a clone still holds it");
        drop(other);
        assert!(body(&budget, MIB).is_some());
        assert!(body(&budget, MIB).is_some(), "given back once dropped");
    }

    #[test]
    fn one_may_always_go_on() {
        let budget = Budget::new(2 * MIB);
        let mut shares: Vec<_> = (0..3).map(|_| budget.share()).collect();
        // All have grown half, and the budget is used up; each wants more.
        for share in &mut shares {
            share.grow(700 * 1024).now_or_never().expect("enough");
        }
        let mut done = 0;
        while !shares.is_empty() {
            let all = shares.len();
            shares.retain_mut(|share| {
                let ends = (1..=16).all(|size| share.grow(size * MIB).now_or_never().is_some());
                !ends
            });
            assert!(shares.len() < all, "somebody ends each time");
            done += all - shares.len();
        }
        assert_eq!(done, 3);
        assert_eq!(budget.beyond.available_permits(), 1);
        assert_eq!(budget.blocks.available_permits(), 2 * MIB / BLOCK_BYTES);
    }

    #[test]
    fn a_wait_that_is_given_up_costs_nothing() {
        let budget = Budget::new(MIB);
        let held = (body(&budget, MIB), body(&budget, MIB));
        let mut share = budget.share();
        assert!(share.grow(2 * MIB).now_or_never().is_none());
        drop((share, held));
        assert_eq!(budget.beyond.available_permits(), 1);
        assert_eq!(budget.blocks.available_permits(), MIB / BLOCK_BYTES);
    }
}
