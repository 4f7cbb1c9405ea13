//! Pages on their way to a step: in three lanes by their size, so that large ones wait for small ones
//! and not the other way round.
//!
//! What a page costs nobody knows before; but a large one can cost a hundred times as much as a
//! small one, and a row of hostile ones would hold up all others. Small pages go first. Large ones
//! follow, and as all that is in hand is bounded, their turn comes. Of huge pages only one is read at a
//! time for every four threads: text, tree and all, it may take many times its size.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::executor::Job;

/// What is larger is large.
const SMALL: usize = 64 * 1024;
/// What is larger is huge.
const LARGE: usize = 512 * 1024;

/// The way in.
#[derive(Clone)]
pub(super) struct Lanes {
    small: async_channel::Sender<Job>,
    large: async_channel::Sender<Job>,
    huge: async_channel::Sender<Job>,
}

/// The way out.
#[derive(Clone)]
pub(super) struct Waiting {
    small: async_channel::Receiver<Job>,
    large: async_channel::Receiver<Job>,
    huge: async_channel::Receiver<Job>,
    turn: Arc<Semaphore>,
}

/// The right to do what only so many may do at a time.
pub(super) type Turn = OwnedSemaphorePermit;
/// A job, and the right to do it if it is huge.
pub(super) type Next = (Job, Option<Turn>);

/// Lanes to so many threads.
pub(super) fn lanes(threads: usize) -> (Lanes, Waiting) {
    let capacity = threads * 2;
    let (small, next_small) = async_channel::bounded(capacity);
    let (large, next_large) = async_channel::bounded(capacity);
    let (huge, next_huge) = async_channel::bounded(capacity);
    let lanes = Lanes { small, large, huge };
    let waiting = Waiting {
        small: next_small,
        large: next_large,
        huge: next_huge,
        turn: Arc::new(Semaphore::new((threads / 4).max(1))),
    };
    (lanes, waiting)
}

impl Lanes {
    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.small.len() + self.large.len() + self.huge.len()
    }

    /// Waits for room in the lane of the job. Only fails when the crawl is being torn down; the ticket
    /// is still in the queue then.
    pub(super) async fn send(&self, job: Job) {
        let size = job.response.body.len();
        let lane = if size <= SMALL {
            &self.small
        } else if size <= LARGE {
            &self.large
        } else {
            &self.huge
        };
        let _ = lane.send(job).await;
    }
}

impl Waiting {
    /// The next job, if there is one.
    pub(super) fn try_next(&self) -> Option<Next> {
        let free = self.small.try_recv().or_else(|_| self.large.try_recv());
        if let Ok(job) = free {
            return Some((job, None));
        }
        let turn = Arc::clone(&self.turn).try_acquire_owned().ok()?;
        let job = self.huge.try_recv().ok()?;
        Some((job, Some(turn)))
    }

    /// The next job; none once there can be no more.
    ///
    /// # Cancel safety
    /// A dropped wait has taken nothing.
    pub(super) async fn next(&self) -> Option<Next> {
        if let Some(next) = self.try_next() {
            return Some(next);
        }
        let huge = async {
            // Is never closed.
            let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
            self.huge.recv().await.map(|job| (job, turn))
        };
        let next = tokio::select! {
            biased;
            job = self.small.recv() => job.map(|job| (job, None)),
            job = self.large.recv() => job.map(|job| (job, None)),
            next = huge => next,
        };
        next.ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty() && self.huge.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use url::Url;

    use super::*;
    use crate::engine::executor::Call;
    use crate::frontier::{Ticket, TicketKey};
    use crate::request::{Fingerprint, HostKey, Request, Response, StepRef};

    fn job(seq: i64, size: usize) -> Job {
        let url = Url::parse("http://a.test/").unwrap();
        let ticket = Ticket {
            visit: None,
            key: TicketKey {
                host: HostKey(1),
                order: 0,
                depth: 0,
                seq,
            },
            fingerprint: Fingerprint(seq),
            tries: 0,
            request: Request::new(url.clone(), StepRef::named("step")),
            referrer: None,
        };
        Job {
            ticket: Arc::new(ticket),
            response: Response::new(url, vec![0; size]),
            took: Duration::ZERO,
            call: Call::Step,
            pass: None,
        }
    }

    fn seq(next: Option<&Next>) -> Option<i64> {
        next.map(|(job, _)| job.ticket.key.seq)
    }

    #[tokio::test]
    async fn small_pages_go_first_and_huge_ones_one_by_one() {
        let (lanes, waiting) = lanes(5);
        for (number, size) in [LARGE + 1, SMALL + 1, 5, LARGE + 1, LARGE, SMALL]
            .into_iter()
            .enumerate()
        {
            lanes.send(job(number as i64, size)).await;
        }
        for expected in [2, 5, 1, 4] {
            assert_eq!(seq(waiting.next().await.as_ref()), Some(expected));
        }
        let huge = waiting.next().await;
        assert_eq!(seq(huge.as_ref()), Some(0));
        assert!(waiting.try_next().is_none());
        assert!(waiting.next().now_or_never().is_none());
        drop(huge);
        assert_eq!(seq(waiting.next().await.as_ref()), Some(3));
        assert!(waiting.is_empty());
        let other = waiting.clone();
        let (late, ()) = tokio::join!(other.next(), lanes.send(job(7, 5)));
        assert_eq!(seq(late.as_ref()), Some(7));
        drop(lanes);
        assert!(waiting.next().await.is_none());
    }
}
