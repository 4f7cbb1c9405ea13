//! Sending requests out, as far as limits and budgets allow it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::Instrument;

use super::Dispatcher;
use super::looks::InHand;
use crate::engine::SharedRoom;
use crate::engine::flight::Limits;
use crate::engine::life;
use crate::frontier::Next;
use crate::store::Ticket;

/// How long to sleep if nothing is ever to be done without a message: as long as timers reach.
const IDLE: Duration = Duration::from_hours(24 * 365);

impl Dispatcher {
    /// Sends out every request that may go now; the moment when the next one may.
    pub(super) fn launch(&mut self, now: Instant) -> Instant {
        self.wants_room = false;
        let wake = self.launch_all(now);
        self.spare = None;
        wake
    }

    fn launch_all(&mut self, now: Instant) -> Instant {
        let idle = now + IDLE;
        if self.has_lapsed(now) {
            return idle;
        }
        while self.has_room() {
            let Ok(room) = self.take_room() else {
                return idle;
            };
            match self.frontier.next(now) {
                Next::Fetch(ticket) => {
                    self.fetching += 1;
                    self.count(ticket.key.host);
                    self.count_page(&ticket);
                    self.spend(&ticket);
                    let held = InHand::new(now, &ticket);
                    self.hands.insert(ticket.key.seq, held);
                    let span = life::span(&self.shared, &ticket);
                    let (shared, sender) = (Arc::clone(&self.shared), self.sender.clone());
                    let flight = self.flights.start(ticket.key.host, ticket.tries, now);
                    let (jobs, lapses) = (self.jobs.clone(), self.start.lapses);
                    let held = life::Held {
                        lapses,
                        flight,
                        room,
                    };
                    let live = life::live(shared, ticket, held, sender, jobs);
                    self.spawn(live.instrument(span));
                }
                // A slot that is not used is free for others.
                Next::At(at) => return at.min(idle),
                Next::Nothing => return idle,
            }
        }
        idle
    }

    /// Breaks off what holds up others; the moment when to look again.
    pub(super) fn make_way(&mut self, now: Instant) -> Option<Instant> {
        let settings = &self.shared.settings;
        let (known, least) = (&self.known, settings.patience);
        let limits = Limits {
            least,
            // What is usual for a host that has not answered yet, nobody knows.
            patience: &|host| {
                let known = known
                    .get(&host)
                    .and_then(|known| known.standing.patience(least));
                known.unwrap_or(least * 4)
            },
            slots: settings.concurrency,
            are_short: self.jobs.len() == 0,
        };
        self.flights.look(now, &limits, &self.frontier)
    }

    /// A slot of the room that is shared with other crawls, if there is one.
    fn take_room(&mut self) -> Result<Option<OwnedSemaphorePermit>, ()> {
        let Some(SharedRoom(room)) = &self.shared.room else {
            return Ok(None);
        };
        let permit = self
            .spare
            .take()
            .or_else(|| Arc::clone(room).try_acquire_owned().ok());
        self.wants_room = permit.is_none();
        permit.map(Some).ok_or(())
    }

    /// Counts a request against the budget of its part of the site; when that is used up, what is left
    /// of it is weeded out.
    fn spend(&mut self, ticket: &Ticket) {
        let Some(budget) = self.shared.budgets.of(&ticket.request.url) else {
            return;
        };
        self.in_budget.insert(ticket.key.seq, budget);
        if self.is_used_up(budget) {
            for host in self.frontier.keys() {
                self.weed(host);
            }
        }
    }

    /// Whether a budget is used up by what is stored and what is in hand.
    pub(super) fn is_used_up(&self, budget: usize) -> bool {
        let in_hand = self.in_budget.values().filter(|of| **of == budget).count();
        self.shared.budgets.left(budget) <= in_hand as u64
    }

    /// Whether so much is answered and not yet stored that nothing more is asked for.
    pub(super) fn is_full(&self) -> bool {
        let settings = &self.shared.settings;
        let backlog = settings.concurrency + 2 * settings.commit_pages;
        self.frontier.in_hand() >= settings.concurrency + backlog
    }

    fn has_room(&self) -> bool {
        let settings = &self.shared.settings;
        let in_hand = self.frontier.in_hand();
        let pages = self.shared.pages.load(Ordering::Relaxed);
        self.fetching < settings.concurrency
            && !self.is_full()
            && settings
                .max_pages
                .is_none_or(|max| pages + (in_hand as u64) < max)
            && self
                .shared
                .budgets
                .left_today()
                .is_none_or(|left| (in_hand as u64) < left)
    }
}
