//! Requests in flight, as far as they may be in the way of others.
//!
//! A page that never answers holds one of its host's slots until its time is over. If all slots are
//! held by such pages while others wait, those that were asked for the first time give way: their
//! exchange is broken off, and they are asked again later, with all the time that the settings give
//! them. (Unless it is steps that all wait for.) The older half goes first: whoever came to others
//! that keep the whole host busy may be done once they are gone. What was asked before does not give
//! way, but has only a part of the slots (`frontier/host.rs`). So a host's good pages are never held up
//! for longer than `patience`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::frontier::Frontier;
use crate::request::HostKey;

/// How often those that take long are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A request in flight; its task holds it as long as it is.
pub(super) struct Flight {
    host: HostKey,
    started: Instant,
    /// Asked for the first time.
    is_fresh: bool,
    pub(super) gives_way: Notify,
}

/// What is too long, and too many.
pub(super) struct Limits<'a> {
    /// The least that any request may take.
    pub(super) least: Duration,
    /// What a request to a host may take.
    pub(super) patience: &'a dyn Fn(HostKey) -> Duration,
    /// Requests in flight, all hosts together.
    pub(super) slots: usize,
    /// Whether slots are what is short. While pages wait for their steps they are not, and those in
    /// flight may be slow only because they wait for room in memory.
    pub(super) are_short: bool,
}

/// The requests in flight: a list of references that costs each one a push and a pop.
#[derive(Default)]
pub(super) struct Flights {
    /// In order of their start.
    young: VecDeque<Arc<Flight>>,
    /// Those that have taken longer than patience at the least.
    old: Vec<Arc<Flight>>,
    look_at: Option<Instant>,
}

impl Flights {
    /// A request is sent.
    pub(super) fn start(&mut self, host: HostKey, tries: u16, now: Instant) -> Arc<Flight> {
        let flight = Arc::new(Flight {
            host,
            started: now,
            is_fresh: tries == 0,
            gives_way: Notify::new(),
        });
        self.young.push_back(Arc::clone(&flight));
        flight
    }

    /// Lets those give way that jam their host, or the whole crawl; says when to look again.
    pub(super) fn look(
        &mut self,
        now: Instant,
        limits: &Limits<'_>,
        frontier: &Frontier,
    ) -> Option<Instant> {
        while let Some(flight) = self.young.front() {
            let landed = has_landed(flight);
            if !landed && now < flight.started + limits.least {
                break;
            }
            if let Some(flight) = self.young.pop_front().filter(|_| !landed) {
                self.old.push(flight);
                self.look_at.get_or_insert(now);
            }
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = self.make_way(now, limits, frontier);
        }
        let next = self
            .young
            .front()
            .map(|flight| flight.started + limits.least);
        self.look_at.into_iter().chain(next).min()
    }

    fn make_way(
        &mut self,
        now: Instant,
        limits: &Limits<'_>,
        frontier: &Frontier,
    ) -> Option<Instant> {
        self.old.retain(|flight| !has_landed(flight));
        if !limits.are_short {
            return (!self.old.is_empty()).then(|| now + LOOK);
        }
        let is_stuck =
            |flight: &&Arc<Flight>| now >= flight.started + (limits.patience)(flight.host);
        let mut stuck: HashMap<HostKey, usize> = HashMap::new();
        for flight in self.old.iter().filter(is_stuck) {
            *stuck.entry(flight.host).or_default() += 1;
        }
        let all = stuck.values().sum::<usize>() >= limits.slots && frontier.is_waiting(now);
        stuck.retain(|host, count| all || frontier.is_jammed(*host, *count, now));
        let mut fresh: HashMap<HostKey, Vec<&Flight>> = HashMap::new();
        for flight in self.old.iter().filter(is_stuck) {
            if flight.is_fresh && stuck.contains_key(&flight.host) {
                fresh.entry(flight.host).or_default().push(flight);
            }
        }
        for flights in fresh.values() {
            for flight in flights.iter().take(flights.len().div_ceil(2)) {
                flight.gives_way.notify_one();
            }
        }
        (!self.old.is_empty()).then(|| now + LOOK)
    }
}

fn has_landed(flight: &Arc<Flight>) -> bool {
    Arc::strong_count(flight) == 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use jiff::Timestamp;

    use super::*;
    use crate::frontier::{Host, Next, Politeness, Taken, Ticket, TicketKey};
    use crate::request::{Fingerprint, Request, StepRef};

    const HOST: HostKey = HostKey(1);
    const PATIENCE: Duration = Duration::from_secs(1);

    fn ticket(seq: i64, tries: u16) -> Ticket {
        let url = "http://a.test/".parse().unwrap();
        Ticket {
            visit: None,
            key: TicketKey {
                host: HOST,
                order: 0,
                depth: 0,
                seq,
            },
            fingerprint: Fingerprint(seq),
            tries,
            request: Request::new(url, StepRef::named("step")),
            referrer: None,
        }
    }

    /// A host with four slots and these requests, by the tries that failed.
    fn frontier(now: Instant, tries: &[u16]) -> Frontier {
        let mut frontier = Frontier::new(now, 1);
        let host = Host {
            key: HOST,
            origin: "http://a.test".to_owned(),
            seed: true,
            next_at: Timestamp::UNIX_EPOCH,
            errors: 0,
            robots: None,
            delay: Duration::ZERO,
            ceiling: Duration::ZERO,
            day: 0,
            sent: 0,
            lapsed: false,
        };
        let politeness = Politeness {
            delay: Duration::ZERO,
            jitter: 0.0,
            concurrency: 4,
        };
        frontier.adopt(host, politeness, now);
        frontier.open(HOST);
        let tickets = tries
            .iter()
            .enumerate()
            .map(|(seq, tries)| ticket(seq as i64, *tries));
        let taken = Taken {
            generation: 0,
            tickets: tickets.collect(),
            next_due: None,
        };
        frontier.loaded(HOST, taken, 100);
        frontier
    }

    /// Sends all that may go; the numbers of the requests.
    fn launch(
        frontier: &mut Frontier,
        flights: &mut Flights,
        now: Instant,
    ) -> Vec<(i64, Arc<Flight>)> {
        let mut sent = Vec::new();
        while let Next::Fetch(ticket) = frontier.next(now) {
            sent.push((ticket.key.seq, flights.start(HOST, ticket.tries, now)));
        }
        sent
    }

    fn seqs(sent: &[(i64, Arc<Flight>)]) -> Vec<i64> {
        sent.iter().map(|(seq, _)| *seq).collect()
    }

    /// Who was told to give way.
    fn told(sent: &[(i64, Arc<Flight>)]) -> Vec<i64> {
        let told = sent
            .iter()
            .filter(|(_, flight)| flight.gives_way.notified().now_or_never().is_some());
        told.map(|(seq, _)| *seq).collect()
    }

    /// For hosts whose requests may take so long.
    fn limits(patience: &dyn Fn(HostKey) -> Duration) -> Limits<'_> {
        Limits {
            least: PATIENCE,
            patience,
            slots: 32,
            are_short: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_before_has_half_of_the_slots() {
        let now = Instant::now() + Duration::from_secs(9);
        let (mut frontier, mut flights) =
            (frontier(now, &[1, 2, 1, 1, 1, 0, 0]), Flights::default());
        let sent = launch(&mut frontier, &mut flights, now);
        assert_eq!(seqs(&sent), [0, 1, 5, 6]);
        frontier.fetched(HOST, 0);
        let next = seqs(&launch(&mut frontier, &mut flights, now));
        assert_eq!(next, [2], "three quarters, as nobody else waits");
        frontier.fetched(HOST, 0);
        assert_eq!(seqs(&launch(&mut frontier, &mut flights, now)), [0; 0]);
        frontier.fetched(HOST, 2);
        assert_eq!(seqs(&launch(&mut frontier, &mut flights, now)), [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_jam_a_host_give_way() {
        let now = Instant::now() + Duration::from_secs(9);
        let (mut frontier, mut flights) = (frontier(now, &[1, 0, 0, 0, 0]), Flights::default());
        let mut sent = launch(&mut frontier, &mut flights, now);
        let mut look = |at: Duration, frontier: &Frontier| {
            flights.look(now + at, &limits(&|_| PATIENCE), frontier)
        };
        assert_eq!(look(PATIENCE / 2, &frontier), Some(now + PATIENCE));
        assert_eq!(told(&sent), [0; 0]);
        assert_eq!(look(PATIENCE, &frontier), Some(now + PATIENCE + LOOK));
        assert_eq!(told(&sent), [1, 2], "the one that failed before stays");

        // As long as one slot moves, nobody has to.
        sent.pop();
        frontier.fetched(HOST, 0);
        assert!(matches!(frontier.next(now), Next::Fetch(_)));
        look(PATIENCE * 2, &frontier);
        assert_eq!(told(&sent), [0; 0]);
        sent.clear();
        assert_eq!(look(PATIENCE * 3, &frontier), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_for_nobody() {
        let now = Instant::now() + Duration::from_secs(9);
        let (mut frontier, mut flights) = (frontier(now, &[0, 0, 0, 0]), Flights::default());
        let sent = launch(&mut frontier, &mut flights, now);
        flights.look(now + PATIENCE * 9, &limits(&|_| PATIENCE), &frontier);
        assert_eq!(told(&sent), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_host_is_no_jam() {
        let now = Instant::now() + Duration::from_secs(9);
        let (mut frontier, mut flights) = (frontier(now, &[0, 0, 0, 0, 0]), Flights::default());
        let sent = launch(&mut frontier, &mut flights, now);
        flights.look(now + PATIENCE * 7, &limits(&|_| PATIENCE * 8), &frontier);
        assert_eq!(told(&sent), [0; 0]);
        flights.look(now + PATIENCE * 8, &limits(&|_| PATIENCE * 8), &frontier);
        assert_eq!(told(&sent), [0, 1]);
    }
    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_where_steps_are_short() {
        let now = Instant::now() + Duration::from_secs(9);
        let (mut frontier, mut flights) = (frontier(now, &[0, 0, 0, 0, 0]), Flights::default());
        let sent = launch(&mut frontier, &mut flights, now);
        let at = now + PATIENCE * 2;
        let steps_are = Limits {
            are_short: false,
            ..limits(&|_| PATIENCE)
        };
        assert_eq!(flights.look(at, &steps_are, &frontier), Some(at + LOOK));
        assert_eq!(told(&sent), [0; 0]);
        flights.look(at + LOOK, &limits(&|_| PATIENCE), &frontier);
        assert_eq!(told(&sent), [0, 1]);
    }
}
