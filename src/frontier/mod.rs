//! The frontier: which request comes next.
//!
//! A request is **queued**, then its page is **done**, **failed** or **skipped**, with a reason.
//! The store holds the queue; this module holds, for the hosts that this process has leased, a
//! window of their next requests (priority, then depth, then first come), and decides, given the
//! time, which host's turn it is.
//!
//! Hosts take turns: the one that its pace has allowed for longest is served, and goes to the end of the
//! row, so each of the others comes before it once at the most. A host that must wait (its delay, `Retry-After`, all of its slots in use, robots.txt not
//! read yet) stands outside of the row and holds nothing, so one slow host never holds others back.
//! Within a host, requests that failed before may have half of its slots while others wait: pages that never
//! answer can't hold up those that do.
//!
//! Everything here is a pure function of the calls made: no I/O, no clock, seeded randomness. That is
//! what lets a test run ten thousand crawls in virtual time.

mod group;
mod host;
mod pace;
mod ticket;

pub use ticket::{Host, RobotsFile, Taken, Ticket, TicketKey, Visit};

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::request::{HostKey, HostMap, HostSet};
use group::Groups;
use host::{Health, HostQueue};
use pace::{Hands, Pace};

/// How politely a host is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Politeness {
    /// From the start of one request to the start of the next, at least.
    pub delay: Duration,
    /// The part of the delay that is added at random, 0 to 1.
    pub jitter: f64,
    /// Requests in flight at once.
    pub concurrency: usize,
}

/// How long an errand waits for a slot before it asks again.
const BUSY: Duration = Duration::from_millis(50);

/// How often the window of a host is filled for requests that become due, however full it is: they may
/// come before those that are in it.
const ALARM_EVERY: Duration = Duration::from_millis(250);

/// What to do now.
#[derive(Debug)]
pub enum Next {
    /// Fetch this.
    Fetch(Box<Ticket>),
    /// Nothing before this moment.
    At(Instant),
    /// Nothing until something else happens.
    Nothing,
}

/// What the hosts need from the store.
#[derive(Debug, Default)]
pub struct Tended {
    /// Hosts to read requests of, and how many.
    pub hungry: Vec<(HostKey, usize)>,
    /// Hosts to give back, and when they may be asked next.
    pub drained: Vec<(Host, Instant)>,
}

/// What a leased host waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waits {
    /// Nothing: it may be asked now.
    Nothing,
    /// Its pace, or the end of a pause.
    Pace,
    /// One of its requests in flight.
    Slots,
    /// Its robots.txt.
    Robots,
    /// Requests: its window is empty.
    Requests,
}

impl Waits {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Pace,
        Self::Slots,
        Self::Robots,
        Self::Requests,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "ready",
            Self::Pace => "waiting for their time",
            Self::Slots => "with all connections in use",
            Self::Robots => "without robots.txt",
            Self::Requests => "with nothing in the window",
        }
    }
}

/// The leased hosts and the windows of their queues.
#[derive(Debug)]
pub struct Frontier {
    hosts: HostMap<HostQueue>,
    /// Hosts that could be served, by the moment from when on.
    row: BTreeSet<(Instant, u64, HostKey)>,
    turn: u64,
    groups: Groups,
    /// Hosts that something happened to since they were last tended.
    touched: HostSet,
    /// When requests become due that wait in the store for their time.
    alarms: BTreeSet<(Instant, HostKey)>,
    in_hand: usize,
    hands: Hands,
    random: fastrand::Rng,
}

impl Frontier {
    /// An empty frontier; `seed` makes its randomness repeatable.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            hosts: HostMap::default(),
            row: BTreeSet::new(),
            turn: 0,
            groups: Groups::default(),
            touched: HostSet::default(),
            alarms: BTreeSet::new(),
            in_hand: 0,
            hands: Hands::new(now),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Takes a leased host in. It is not asked before `not_before`, nor before it is
    /// [open](Frontier::open).
    pub fn adopt(&mut self, host: Host, politeness: Politeness, not_before: Instant) {
        let pace = Pace::new(politeness.delay, politeness.jitter, not_before, &self.hands);
        let key = host.key;
        self.hosts
            .insert(key, HostQueue::new(host, pace, politeness.concurrency));
        self.place(key);
    }

    /// Requests of a host are still under way from when it was leased before: their numbers, and of
    /// those that are being fetched, how many tries of them had failed; and errands. They count as if they had been
    /// handed out now. Called before it [joins](Frontier::join) a group.
    pub fn resume(&mut self, host: HostKey, under_way: &[(i64, Option<u16>)], errands: usize) {
        let before = self.hosts.get(&host).map_or(0, |queue| queue.in_hand.len());
        self.change(host, |queue| queue.resume(under_way, errands));
        let after = self.hosts.get(&host).map_or(0, |queue| queue.in_hand.len());
        self.in_hand += after - before;
    }

    /// From now on a host shares its pace and its slots with all others of `group`: whichever of them
    /// was asked last, the next is asked no sooner than after the delay of its settings, and together
    /// they have no more requests in flight than one of them may. If it is the first of them that is
    /// known, none is asked before `from`.
    pub fn join(&mut self, host: HostKey, group: HostKey, delay: Duration, from: Instant) {
        let Some(queue) = self.hosts.get_mut(&host) else {
            return;
        };
        if queue.group.is_none() {
            queue.group = Some(group);
            queue.group_delay = delay;
            self.groups.join(group, queue.fetching, from);
            self.place(host);
        }
    }

    /// Lets a host's requests go out: its robots.txt is known.
    pub fn open(&mut self, host: HostKey) {
        self.change(host, |queue| queue.open = true);
    }

    /// Takes the requests out of a host's window that must not be sent, to be settled without an
    /// exchange.
    pub fn weed(&mut self, host: HostKey, is_weed: impl Fn(&Ticket) -> bool) -> Vec<Ticket> {
        let mut weeds = Vec::new();
        self.change(host, |queue| weeds = queue.weed(is_weed));
        self.in_hand += weeds.len();
        weeds
    }

    /// Changes a host's delay, for a Crawl-delay.
    pub fn slow_down(&mut self, host: HostKey, delay: Duration, jitter: f64) {
        let hands = self.hands.clone();
        self.change(host, |queue| {
            if delay > queue.pace.delay() {
                let throttled = queue.pace.throttled();
                queue.pace = Pace::new(delay, jitter, queue.pace.next() + delay, &hands);
                queue.pace.throttle(throttled);
            }
        });
    }

    /// From its next request on, a host is asked no oftener than once per `delay`, if that is longer
    /// than its own.
    pub fn throttle(&mut self, host: HostKey, delay: Duration) {
        self.change(host, |queue| queue.pace.throttle(delay));
    }

    /// The host is in trouble: it is left alone until `moment`, and then sent one request at a time
    /// until it has [recovered](Frontier::recovered).
    pub fn suspend(&mut self, host: HostKey, now: Instant, moment: Instant) {
        self.change(host, |queue| {
            queue.pace.hold_until(moment);
            queue.suspended = Some(now);
            queue.health = Health::OnTrial;
        });
    }

    /// The host may be in trouble: it is left alone until `moment`. What is under way by now tells
    /// nothing new.
    pub fn pause(&mut self, host: HostKey, now: Instant, moment: Instant) {
        self.change(host, |queue| {
            queue.pace.hold_until(moment);
            queue.suspended = Some(now);
        });
    }

    /// An answer came from a host that was in trouble.
    pub fn recovered(&mut self, host: HostKey) {
        self.change(host, |queue| queue.health = Health::Well);
    }

    /// Whether what came of a request that began at `started` tells something new of its host: it
    /// does not if the host was suspended meanwhile.
    pub fn is_news(&self, host: HostKey, started: Instant) -> bool {
        let queue = self.hosts.get(&host);
        queue.is_some_and(|queue| queue.suspended.is_none_or(|moment| moment <= started))
    }

    /// Keeps a host's requests back again: its robots.txt is to be read anew.
    pub fn close(&mut self, host: HostKey) {
        self.change(host, |queue| queue.open = false);
    }

    /// Leaves a host alone until `moment`.
    pub fn hold(&mut self, host: HostKey, moment: Instant) {
        self.change(host, |queue| queue.pace.hold_until(moment));
    }

    /// The next request, if one may be sent now.
    pub fn next(&mut self, now: Instant) -> Next {
        self.hands.set(now);
        while let Some(&(at, turn, key)) = self.row.first() {
            if at > now {
                return Next::At(at);
            }
            self.row.pop_first();
            let fraction = self.random.f64();
            let Some(queue) = self.hosts.get_mut(&key) else {
                continue;
            };
            queue.place = None;
            let group = self.groups.get_mut(queue.group);
            if let Some(group) = &group
                && (group.next > now || group.fetching >= queue.concurrency)
            {
                // Another host of the group was faster; this one keeps its turn.
                self.place_in_turn(key, Some(turn));
                continue;
            }
            let ticket = queue.start(now, fraction, &self.hands);
            if let (Some(group), Some(_)) = (group, &ticket) {
                group.next = now + queue.group_delay;
                group.fetching += 1;
            }
            self.place(key);
            if let Some(ticket) = ticket {
                self.in_hand += 1;
                return Next::Fetch(ticket);
            }
        }
        Next::Nothing
    }

    /// Counts an errand of the crawl itself (robots.txt) as a request to the host, if it may be sent
    /// now; else says when.
    pub fn errand(&mut self, host: HostKey, now: Instant) -> Result<(), Instant> {
        self.hands.set(now);
        let fraction = self.random.f64();
        let hands = self.hands.clone();
        let Some(queue) = self.hosts.get_mut(&host) else {
            return Ok(());
        };
        if !queue.has_slot() {
            return Err(now + BUSY);
        }
        let group = self.groups.get_mut(queue.group);
        if let Some(group) = &group {
            if group.fetching >= queue.concurrency {
                return Err(now + BUSY);
            }
            if group.next > now {
                return Err(group.next);
            }
        }
        let started = queue.pace.start(now, fraction, &hands);
        if started.is_ok() {
            queue.fetching += 1;
            if let Some(group) = group {
                group.next = now + queue.group_delay;
                group.fetching += 1;
            }
            queue.latest = None;
        }
        self.place(host);
        started
    }

    /// Counts a request to the host that needs no slot, since whoever sends it holds back requests that
    /// have slots; if it may be sent now, else says when.
    pub fn turn(&mut self, host: HostKey, now: Instant) -> Result<(), Instant> {
        self.hands.set(now);
        let fraction = self.random.f64();
        let hands = self.hands.clone();
        let Some(queue) = self.hosts.get_mut(&host) else {
            return Ok(());
        };
        let group = self.groups.get_mut(queue.group);
        if let Some(group) = group.as_ref().filter(|group| group.next > now) {
            return Err(group.next);
        }
        let started = queue.pace.start(now, fraction, &hands);
        if started.is_ok() {
            if let Some(group) = group {
                group.next = now + queue.group_delay;
            }
            queue.latest = None;
        }
        self.place(host);
        started
    }

    /// Whether requests of a host wait for nothing but its slots, all of which are held by `stuck`
    /// requests.
    pub fn is_jammed(&self, host: HostKey, stuck: usize, now: Instant) -> bool {
        let queue = self.hosts.get(&host);
        queue.is_some_and(|queue| queue.is_jammed(stuck, now))
    }

    /// Whether a request could be sent now if there were a slot for it.
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.row.first().is_some_and(|(at, ..)| *at <= now)
    }

    /// A request's exchange with its host has ended: its slot is free. `tries` of it had failed before.
    pub fn fetched(&mut self, host: HostKey, tries: u16) {
        self.change(host, |queue| queue.fetched(tries));
        let group = self.hosts.get(&host).and_then(|queue| queue.group);
        if let Some(group) = self.groups.get_mut(group) {
            for (turn, host) in group.ended(1) {
                self.place_in_turn(host, Some(turn));
            }
        }
    }

    /// A request that was handed out has asked nobody: its answer came from the cache. If its turn was
    /// the latest of its host, the next one need not wait for it.
    pub fn unsent(&mut self, key: TicketKey) {
        let hands = self.hands.clone();
        self.change(key.host, |queue| {
            if queue.latest == Some(key.seq) {
                queue.latest = None;
                queue.pace.give_back(&hands);
            }
        });
    }

    /// A request's page is stored, or the request is back in the queue: it is in hand no more.
    pub fn settled(&mut self, key: TicketKey) {
        let mut known = false;
        self.change(key.host, |queue| known = queue.settle(key.seq));
        self.in_hand -= usize::from(known);
    }

    /// New requests of this host were stored.
    pub fn found(&mut self, host: HostKey) -> bool {
        self.hosts
            .get_mut(&host)
            .map(|queue| queue.more = true)
            .is_some()
    }

    /// A request of this host waits in the store until `due`: then its window should be filled anew,
    /// whatever else is under way.
    pub fn expect(&mut self, host: HostKey, due: Instant) {
        let Some(queue) = self.hosts.get_mut(&host) else {
            return;
        };
        let due = queue.rang.map_or(due, |rang| due.max(rang + ALARM_EVERY));
        if queue.alarm.is_none_or(|alarm| due < alarm) {
            if let Some(later) = queue.alarm.replace(due) {
                self.alarms.remove(&(later, host));
            }
            self.alarms.insert((due, host));
        }
    }

    /// When the next request becomes due that a host [expects](Frontier::expect).
    pub fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|&(due, _)| due)
    }

    /// Looks after the hosts that something happened to since the last call: which windows should
    /// be filled from the store (each is then being loaded until [`loaded`](Frontier::loaded)), and
    /// which hosts have nothing in hand, in their window and in the store, so that their lease goes
    /// back.
    pub fn tend(&mut self, window: usize, now: Instant) -> Tended {
        while let Some(&(due, key)) = self.alarms.first().filter(|(due, _)| *due <= now) {
            self.alarms.remove(&(due, key));
            if let Some(queue) = self.hosts.get_mut(&key) {
                (queue.alarm, queue.rang) = (None, Some(now));
                (queue.more, queue.overdue) = (true, true);
                self.touched.insert(key);
            }
        }
        let mut tended = Tended::default();
        for key in std::mem::take(&mut self.touched) {
            let Some(queue) = self.hosts.get_mut(&key) else {
                continue;
            };
            if queue.is_hungry(window) {
                queue.begin_load();
                tended.hungry.push((key, queue.in_hand.len() + window));
            } else if queue.is_drained() {
                tended.drained.extend(self.remove(key));
            }
        }
        tended
    }

    /// What the store had for a host.
    pub fn loaded(&mut self, host: HostKey, taken: Taken, asked: usize) {
        self.change(host, |queue| queue.load(taken, asked));
    }

    /// Has so many hosts drained and given back, whatever is in their queues: others shall have them. Those
    /// without a request under way go first.
    pub fn shed(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let mut hosts = self
            .hosts
            .iter()
            .filter(|(_, queue)| !queue.leaves)
            .map(|(key, queue)| (queue.in_hand.len() + queue.fetching, *key))
            .collect::<Vec<_>>();
        hosts.sort_unstable();
        for (_, key) in hosts.into_iter().take(count) {
            self.change(key, HostQueue::leave);
        }
    }

    /// Has a host drained and given back, whatever is in its queue.
    pub fn leave(&mut self, host: HostKey) {
        self.change(host, HostQueue::leave);
    }

    /// Takes all hosts out, whatever they have.
    pub fn dissolve(&mut self) -> Vec<(Host, Instant)> {
        let all: Vec<_> = self.hosts.keys().copied().collect();
        all.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// A leased host.
    pub fn host(&self, key: HostKey) -> Option<&Host> {
        self.hosts.get(&key).map(|queue| &queue.host)
    }

    /// A leased host, to note its errors and robots.txt.
    pub fn host_mut(&mut self, key: HostKey) -> Option<&mut Host> {
        self.hosts.get_mut(&key).map(|queue| &mut queue.host)
    }

    /// When a host may be asked next.
    pub fn next_at(&self, key: HostKey) -> Option<Instant> {
        self.hosts.get(&key).map(|queue| queue.pace.next())
    }

    /// Requests taken and not yet settled.
    pub fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// The host whose turn is next, and when.
    pub fn first(&self) -> Option<(Instant, HostKey)> {
        self.row.first().map(|&(at, _, host)| (at, host))
    }

    /// What the leased hosts wait for, and the requests in their windows.
    pub fn waits(&self, now: Instant) -> impl Iterator<Item = (HostKey, Waits, usize)> {
        let hosts = self.hosts.iter();
        hosts.map(move |(key, queue)| (*key, queue.waits(now), queue.len()))
    }

    /// What the host waits for, if only one is leased.
    pub fn only(&self) -> Option<(HostKey, Waits)> {
        let (key, queue) = self.hosts.iter().next().filter(|_| self.hosts.len() == 1)?;
        Some((*key, queue.waits(queue.pace.next())))
    }

    /// The leased hosts.
    pub fn keys(&self) -> Vec<HostKey> {
        self.hosts.keys().copied().collect()
    }

    /// Leased hosts.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether no host is leased.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    fn remove(&mut self, key: HostKey) -> Option<(Host, Instant)> {
        let queue = self.hosts.remove(&key)?;
        if let Some((at, turn)) = queue.place {
            self.row.remove(&(at, turn, key));
        }
        if let Some(due) = queue.alarm {
            self.alarms.remove(&(due, key));
        }
        if let Some(group) = queue.group {
            // What is still under way is answered to nobody.
            for (turn, host) in self.groups.leave(group, queue.fetching) {
                self.place_in_turn(host, Some(turn));
            }
        }
        self.in_hand -= queue.in_hand.len();
        let next = queue.pace.next();
        Some((queue.host, next))
    }

    fn change(&mut self, key: HostKey, change: impl FnOnce(&mut HostQueue)) {
        if let Some(queue) = self.hosts.get_mut(&key) {
            change(queue);
            self.place(key);
        }
    }

    /// Puts a host where it belongs: in the row from the moment it may be served, or outside.
    fn place(&mut self, key: HostKey) {
        self.place_in_turn(key, None);
    }

    fn place_in_turn(&mut self, key: HostKey, turn: Option<u64>) {
        let Some(queue) = self.hosts.get_mut(&key) else {
            return;
        };
        self.touched.insert(key);
        let mut from = queue.can_be_served().then(|| queue.pace.next());
        let group = self.groups.get_mut(queue.group).filter(|_| from.is_some());
        if let Some(group) = group {
            from = from.map(|from| from.max(group.next));
            if group.fetching >= queue.concurrency {
                let turn = turn.or(queue.place.map(|(_, turn)| turn));
                group.wait(turn.unwrap_or(self.turn + 1), key);
                from = None;
            }
        }
        match (queue.place, from) {
            (Some((at, _)), Some(from)) if at == from => {}
            (old, from) => {
                if let Some((at, turn)) = old {
                    self.row.remove(&(at, turn, key));
                }
                self.turn += 1;
                let turn = turn.unwrap_or(self.turn);
                queue.place = from.map(|at| (at, turn));
                self.row
                    .extend(queue.place.map(|(at, turn)| (at, turn, key)));
            }
        }
    }
}

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod tests;
