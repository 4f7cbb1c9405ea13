//! One leased host: the window of its queue, its slots and its pace.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{Hands, Pace};
use super::{Host, Taken, Ticket, Waits};
use crate::request::HostKey;

/// How a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    /// It was in trouble, and nothing has come back since: one request at a time.
    OnTrial,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub(super) struct HostQueue {
    pub(super) host: Host,
    pub(super) pace: Pace,
    /// Whether requests may go out: robots.txt is known.
    pub(super) open: bool,
    pub(super) fetching: usize,
    /// Those in flight that have failed before.
    suspects: usize,
    pub(super) in_hand: HashSet<i64>,
    /// Whether the store may have requests beyond the window.
    pub(super) more: bool,
    /// When the store will have more, by what is known.
    pub(super) alarm: Option<Instant>,
    /// When the last alarm was.
    pub(super) rang: Option<Instant>,
    /// Whether there was one since the window was filled.
    pub(super) overdue: bool,
    /// When it was last left alone for a trouble of its own.
    pub(super) suspended: Option<Instant>,
    pub(super) health: Health,
    /// The group whose pace it keeps beside its own.
    pub(super) group: Option<HostKey>,
    /// From the start of one request of the group to the start of the next, if it is this host's.
    pub(super) group_delay: Duration,
    /// Whether it is to be given back as soon as nothing is under way.
    pub(super) leaves: bool,
    /// Where it stands in the row.
    pub(super) place: Option<(Instant, u64)>,
    /// The request that the latest turn was given to; none if it was an errand.
    pub(super) latest: Option<i64>,
    window: VecDeque<Ticket>,
    /// Those in the window that have not failed before.
    fresh: usize,
    pub(super) concurrency: usize,
    loading: bool,
    /// Settled while a load was under way: the load may have read them still.
    settled_meanwhile: Vec<i64>,
}

impl HostQueue {
    pub(super) fn new(host: Host, pace: Pace, concurrency: usize) -> Self {
        Self {
            host,
            pace,
            open: false,
            fetching: 0,
            suspects: 0,
            in_hand: HashSet::new(),
            more: true,
            alarm: None,
            rang: None,
            overdue: false,
            suspended: None,
            health: Health::Well,
            group: None,
            group_delay: Duration::ZERO,
            leaves: false,
            place: None,
            latest: None,
            window: VecDeque::new(),
            fresh: 0,
            concurrency,
            loading: false,
            settled_meanwhile: Vec::new(),
        }
    }

    pub(super) fn can_be_served(&self) -> bool {
        let wanted = self.fresh > 0 || !self.window.is_empty() && self.may_retry();
        self.open && wanted && self.has_slot()
    }

    /// What failed before may have half of the slots, and three quarters while nobody else waits:
    /// whatever it does there, there is a way for the others. A single slot is its own then.
    fn may_retry(&self) -> bool {
        let most = if self.fresh == 0 {
            (self.concurrency * 3 / 4).max(1)
        } else {
            self.concurrency / 2
        };
        self.suspects < most
    }

    /// Whether requests wait for nothing but slots, each of which is held by one of the `stuck`.
    pub(super) fn is_jammed(&self, stuck: usize, now: Instant) -> bool {
        let slots = match self.health {
            Health::Well => self.concurrency,
            Health::OnTrial => 1,
        };
        self.open && self.fresh > 0 && stuck >= slots && self.pace.next() <= now
    }

    /// Whether one request more may be in flight.
    pub(super) fn has_slot(&self) -> bool {
        self.fetching
            < match self.health {
                Health::Well => self.concurrency,
                Health::OnTrial => 1,
            }
    }

    /// Requests in its window.
    pub(super) fn len(&self) -> usize {
        self.window.len()
    }

    pub(super) fn waits(&self, now: Instant) -> Waits {
        if !self.open {
            Waits::Robots
        } else if self.window.is_empty() {
            Waits::Requests
        } else if self.fetching >= self.concurrency {
            Waits::Slots
        } else if self.pace.next() > now {
            Waits::Pace
        } else {
            Waits::Nothing
        }
    }

    /// Hands the next request out, if the pace allows it.
    pub(super) fn start(
        &mut self,
        now: Instant,
        fraction: f64,
        hands: &Hands,
    ) -> Option<Box<Ticket>> {
        if !self.can_be_served() {
            return None;
        }
        self.pace.start(now, fraction, hands).ok()?;
        // What was refused before is no good witness of how its host is.
        let is_canary = self.health == Health::OnTrial && self.fresh > 0;
        let ticket = if self.may_retry() && !is_canary {
            self.window.pop_front()?
        } else {
            let first = self.window.iter().position(is_fresh)?;
            self.window.remove(first)?
        };
        self.fetching += 1;
        self.latest = Some(ticket.key.seq);
        if is_fresh(&ticket) {
            self.fresh -= 1;
        } else {
            self.suspects += 1;
        }
        self.in_hand.insert(ticket.key.seq);
        Some(Box::new(ticket))
    }

    /// Takes requests over that are still under way from when the host was leased before.
    pub(super) fn resume(&mut self, under_way: &[(i64, Option<u16>)], errands: usize) {
        self.fetching += errands;
        for (seq, fetching) in under_way {
            self.in_hand.insert(*seq);
            self.fetching += usize::from(fetching.is_some());
            self.suspects += usize::from(fetching.is_some_and(|tries| tries > 0));
        }
    }

    /// Takes the requests out of the window that `is_weed` says so of; they are in hand then.
    pub(super) fn weed(&mut self, is_weed: impl Fn(&Ticket) -> bool) -> Vec<Ticket> {
        let window = std::mem::take(&mut self.window);
        let (weeds, rest) = window.into_iter().partition::<Vec<_>, _>(is_weed);
        self.fill(rest);
        self.in_hand
            .extend(weeds.iter().map(|ticket| ticket.key.seq));
        weeds
    }

    fn fill(&mut self, window: Vec<Ticket>) {
        self.fresh = window.iter().filter(|ticket| is_fresh(ticket)).count();
        self.window = window.into();
    }

    /// A slot is free again; `tries` as when it was taken.
    pub(super) fn fetched(&mut self, tries: u16) {
        self.fetching = self.fetching.saturating_sub(1);
        self.suspects = self.suspects.saturating_sub(usize::from(tries > 0));
    }

    pub(super) fn settle(&mut self, seq: i64) -> bool {
        if self.loading {
            self.settled_meanwhile.push(seq);
        }
        self.in_hand.remove(&seq)
    }

    /// Begins nothing more.
    pub(super) fn leave(&mut self) {
        self.leaves = true;
        self.fill(Vec::new());
    }

    pub(super) fn is_hungry(&self, window: usize) -> bool {
        let is_short = self.window.len() <= window / 2 || self.overdue;
        self.more && !self.leaves && !self.loading && is_short
    }

    pub(super) fn begin_load(&mut self) {
        self.loading = true;
        self.more = false;
        self.overdue = false;
    }

    /// Replaces the window by what the store has now, less what is in hand.
    pub(super) fn load(&mut self, taken: Taken, asked: usize) {
        self.loading = false;
        self.more |= taken.tickets.len() >= asked;
        let settled = std::mem::take(&mut self.settled_meanwhile);
        if self.leaves {
            self.fill(Vec::new());
            return;
        }
        let waits = |ticket: &Ticket| {
            !self.in_hand.contains(&ticket.key.seq) && !settled.contains(&ticket.key.seq)
        };
        let window = taken.tickets.into_iter().filter(waits).collect();
        self.fill(window);
    }

    pub(super) fn is_drained(&self) -> bool {
        self.window.is_empty()
            && self.in_hand.is_empty()
            && self.fetching == 0
            && (!self.more || self.leaves)
            && !self.loading
    }
}

fn is_fresh(ticket: &Ticket) -> bool {
    ticket.tries == 0
}
