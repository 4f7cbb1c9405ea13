//! Steps that do not come back.
//!
//! A step that computes for ever can't be interrupted, and all that shares its thread waits with it.
//! So a thread notes what it is at, which costs two writes to memory that nobody else writes to,
//! and the watchdog reads the notes now and then. A thread that has been at the same poll for
//! `step_timeout` is given up: its page has failed, its other requests go back to the frontier, and
//! another thread takes its place. Should it come back, it ends; what it still has to say finds its
//! tickets gone.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::committer::Finished;
use super::deaths::Deaths;
use super::lanes::Turn;
use super::life;
use crate::store::{PageState, Ticket, Verdict};

/// Steps that may wait at once on one thread; steps that only compute run one by one anyway.
pub(super) const SEATS: usize = 64;

/// The bits of a poll's note that name the seat.
const SEAT: u64 = 0xff;

/// What a thread that runs steps is at.
pub(super) struct StepThread {
    /// The number of the latest poll, and in [`SEAT`] who is polled, from 1; 0: nobody.
    poll: AtomicU64,
    /// Its number, and where it notes whose step it is at.
    notes: Option<(usize, Arc<Deaths>)>,
    /// None once the thread was given up.
    seats: Mutex<Option<Vec<Option<Seated>>>>,
    /// Ends the thread as soon as it can be.
    pub(super) end: CancellationToken,
    /// Makes it look for jobs.
    pub(super) poke: Notify,
    /// Nothing is ever sent; none once the thread has ended or is waited for no more.
    alive: Mutex<Option<mpsc::Sender<()>>>,
}

/// A request in a thread's hands.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) ticket: Arc<Ticket>,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) bytes: u64,
}

struct Seated {
    held: Held,
    /// What only so many may have: it goes on to others if the thread is given up.
    turn: Option<Turn>,
}

impl Held {
    /// The page has failed.
    pub(super) fn failed(&self, reason: &'static str, message: String) -> Finished {
        let (reason, message) = (Some(reason), Some(message));
        let state = PageState::Failed;
        let row = life::page_row(state, reason, message, self.status, self.took, self.bytes);
        life::finished(&self.ticket, Verdict::Page(row), self.took)
    }
}

impl StepThread {
    pub(super) fn new(
        end: CancellationToken,
        alive: mpsc::Sender<()>,
        notes: Option<(usize, Arc<Deaths>)>,
    ) -> Self {
        Self {
            poll: AtomicU64::new(0),
            notes,
            seats: Mutex::new(Some(Vec::with_capacity(SEATS))),
            end,
            poke: Notify::new(),
            alive: Mutex::new(Some(alive)),
        }
    }

    /// Notes a request, unless the thread was given up.
    pub(super) fn sit(self: &Arc<Self>, held: Held) -> Option<Seat> {
        let mut seats = self.seats();
        let seats = seats.as_mut()?;
        let free = seats.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            seats.push(None);
            seats.len() - 1
        });
        let seq = held.ticket.key.seq;
        seats[number] = Some(Seated { held, turn: None });
        Some(Seat {
            thread: Arc::clone(self),
            number,
            seq,
        })
    }

    /// Notes for the next run whose step the thread is at; 0: nobody's.
    fn note(&self, seq: i64) {
        if let Some((thread, deaths)) = &self.notes {
            deaths.note(*thread, seq);
        }
    }

    /// The thread has ended.
    pub(super) fn leave(&self) {
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    pub(super) fn is_gone(&self) -> bool {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.is_none()
    }

    /// All that is in its hands.
    pub(super) fn all(&self) -> Vec<Held> {
        let seats = self.seats();
        let seated = seats.iter().flatten().flatten();
        seated.map(|seated| seated.held.clone()).collect()
    }

    /// What is being polled.
    pub(super) fn at(&self) -> Option<Held> {
        let seat = self.poll.load(Ordering::Relaxed) & SEAT;
        let number = (seat as usize).checked_sub(1)?;
        let seats = self.seats();
        let seated = seats.as_ref()?.get(number)?.as_ref()?;
        Some(seated.held.clone())
    }

    /// Takes all that is in its hands, what is being polled first; it will end, and is waited for no
    /// more.
    fn give_up(&self) -> Option<(Held, Vec<Held>)> {
        let stuck = self.at()?;
        self.end.cancel();
        self.leave();
        let seats = self.seats().take()?;
        let seated = seats.into_iter().flatten();
        let mut others: Vec<_> = seated.map(|seated| seated.held).collect();
        others.retain(|held| held.ticket.key != stuck.ticket.key);
        Some((stuck, others))
    }

    fn seats(&self) -> MutexGuard<'_, Option<Vec<Option<Seated>>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's place in its thread's notes, until it is dropped.
pub(super) struct Seat {
    thread: Arc<StepThread>,
    number: usize,
    seq: i64,
}

impl Seat {
    /// Keeps a turn until the seat is left, or the thread given up.
    pub(super) fn keep(&self, turn: Option<Turn>) {
        let _before = self.swap(turn);
    }

    /// Takes the turn out.
    pub(super) fn take_turn(&self) -> Option<Turn> {
        self.swap(None)
    }

    fn swap(&self, turn: Option<Turn>) -> Option<Turn> {
        let mut seats = self.thread.seats();
        let seated = seats.as_mut()?.get_mut(self.number)?.as_mut()?;
        std::mem::replace(&mut seated.turn, turn)
    }

    /// Runs `job`, noting when it is polled.
    pub(super) async fn watch(&self, job: impl Future<Output = ()>) {
        let mut job = pin!(job);
        poll_fn(|context| {
            let _polling = Polling::begin(self);
            job.as_mut().poll(context)
        })
        .await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.thread.seats();
        if let Some(seat) = seats.as_mut().and_then(|seats| seats.get_mut(self.number)) {
            *seat = None;
        }
    }
}

/// A poll, until it is dropped, which a panic does too.
struct Polling<'a>(&'a StepThread, u64);

impl<'a> Polling<'a> {
    fn begin(seat: &'a Seat) -> Self {
        let poll = &seat.thread.poll;
        let next = (poll.load(Ordering::Relaxed) | SEAT).wrapping_add(1);
        poll.store(next | (seat.number as u64 + 1), Ordering::Relaxed);
        seat.thread.note(seat.seq);
        Self(&seat.thread, next)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.poll.store(self.1, Ordering::Relaxed);
        self.0.note(0);
    }
}

/// A thread under watch: the poll it was at when it was last looked at, and for how long.
pub(super) struct Watched {
    pub(super) thread: Arc<StepThread>,
    poll: u64,
    since: Duration,
}

impl Watched {
    pub(super) fn new(thread: Arc<StepThread>) -> Self {
        Self {
            thread,
            poll: 0,
            since: Duration::ZERO,
        }
    }

    /// Looks, `pause` after the last time. A thread that has been at one poll for `limit` is given
    /// up: the page it is at, and the others that it holds.
    ///
    /// Time is counted by looks, so that a process that was suspended is not taken for stuck.
    pub(super) fn look(&mut self, pause: Duration, limit: Duration) -> Option<(Held, Vec<Held>)> {
        let poll = self.thread.poll.load(Ordering::Relaxed);
        if poll != self.poll || poll & SEAT == 0 {
            self.poll = poll;
            self.since = Duration::ZERO;
            return None;
        }
        self.since += pause;
        if self.since < limit {
            return None;
        }
        self.thread.give_up()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use url::Url;

    use super::*;
    use crate::request::{Fingerprint, HostKey, Request, StepRef};
    use crate::store::TicketKey;

    const LOOK: Duration = Duration::from_secs(1);
    const LIMIT: Duration = Duration::from_secs(3);

    fn held(seq: i64) -> Held {
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
            request: Request::new(url, StepRef::named("step")),
            referrer: None,
        };
        Held {
            ticket: Arc::new(ticket),
            status: 200,
            took: Duration::ZERO,
            bytes: 0,
        }
    }

    fn thread() -> (Arc<StepThread>, Watched, mpsc::Receiver<()>) {
        let (living, alive) = mpsc::channel(1);
        let thread = Arc::new(StepThread::new(CancellationToken::new(), living, None));
        (Arc::clone(&thread), Watched::new(thread), alive)
    }

    fn seqs((stuck, others): (Held, Vec<Held>)) -> (i64, Vec<i64>) {
        let others = others.iter().map(|held| held.ticket.key.seq).collect();
        (stuck.ticket.key.seq, others)
    }

    #[test]
    fn a_thread_that_stays_at_one_poll_is_given_up() {
        let (thread, mut watched, mut alive) = thread();
        let seats: Vec<_> = (1..=3).map(|seq| thread.sit(held(seq)).unwrap()).collect();
        let polling = Polling::begin(&seats[1]);
        let mut look = || watched.look(LOOK, LIMIT).map(seqs);
        assert_eq!([look(), look(), look()], [None, None, None]);
        assert_eq!(look(), Some((2, vec![1, 3])));
        assert!(thread.end.is_cancelled() && thread.is_gone());
        assert!(alive.blocking_recv().is_none());
        assert!(thread.sit(held(4)).is_none());
        drop(polling);
        assert_eq!(look(), None);
    }

    #[test]
    fn a_busy_thread_is_not() {
        let (thread, mut watched, _alive) = thread();
        let seat = thread.sit(held(1)).unwrap();
        for _ in 0..10 {
            let polling = Polling::begin(&seat);
            assert!(watched.look(LOOK, LIMIT).is_none());
            assert!(watched.look(LOOK, LIMIT).is_none());
            drop(polling);
        }
    }

    #[test]
    fn nor_one_that_waits() {
        let (thread, mut watched, _alive) = thread();
        let seat = thread.sit(held(1)).unwrap();
        assert!(seat.watch(std::future::pending()).now_or_never().is_none());
        for _ in 0..10 {
            assert!(watched.look(LOOK, LIMIT).is_none());
        }
        assert!(thread.at().is_none());
    }

    #[test]
    fn a_panic_ends_its_poll() {
        let (thread, ..) = thread();
        let seat = thread.sit(held(1)).unwrap();
        let job = async { panic!("oh no") };
        let outcome = std::panic::AssertUnwindSafe(seat.watch(job)).catch_unwind();
        assert!(outcome.now_or_never().unwrap().is_err());
        assert!(thread.at().is_none());
    }

    #[test]
    fn seats_are_used_again() {
        let (thread, ..) = thread();
        for _ in 0..3 {
            let seats: Vec<_> = (0..SEATS)
                .map(|seq| thread.sit(held(seq as i64)).unwrap())
                .collect();
            let numbers: Vec<_> = seats.iter().map(|seat| seat.number).collect();
            assert_eq!(numbers, (0..SEATS).collect::<Vec<_>>());
        }
    }
}
