//! Nobody starves: a property of any hosts, whatever they answer and how long they take.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio::time::Instant;

use super::tests::{host, ms, tickets};
use super::{Frontier, Next, Politeness, TicketKey};
use crate::request::HostKey;

/// A host as it is drawn.
#[derive(Clone, Debug)]
struct Drawn {
    delay: u64,
    latency: u64,
    concurrency: usize,
    requests: i64,
}

fn hosts() -> impl Strategy<Value = Vec<Drawn>> {
    let host = (0..200_u64, 1..2_000_u64, 1..4_usize, 1..12_i64);
    let drawn = host.prop_map(|(delay, latency, concurrency, requests)| Drawn {
        // Many without a delay: those could take all.
        delay: delay.saturating_sub(100),
        latency,
        concurrency,
        requests,
    });
    prop::collection::vec(drawn, 1..12)
}

/// What is known of a host from outside.
struct Seen {
    drawn: Drawn,
    left: i64,
    fetching: usize,
    next: Instant,
    /// How many others were served since it could be.
    ready: Option<usize>,
}

impl Seen {
    fn is_ready(&self, now: Instant) -> bool {
        self.left > 0 && self.fetching < self.drawn.concurrency && self.next <= now
    }
}

/// Serves everything with so many slots; what goes wrong fails the property.
fn serve(drawn: &[Drawn], slots: usize, start: Instant) -> Result<(), TestCaseError> {
    let mut frontier = Frontier::new(start, 1);
    let mut seen = BTreeMap::new();
    for (key, drawn) in (1..).zip(drawn) {
        let politeness = Politeness {
            delay: ms(drawn.delay),
            jitter: 0.0,
            concurrency: drawn.concurrency,
        };
        frontier.adopt(host(key), politeness, start);
        let mut taken = tickets(key, drawn.requests);
        for (at, ticket) in taken.tickets.iter_mut().enumerate() {
            // As the store gives them: the most urgent first.
            ticket.key.order = at as i32 / 3 - 2;
        }
        frontier.loaded(HostKey(key), taken, 1_000);
        frontier.open(HostKey(key));
        seen.insert(
            key,
            Seen {
                drawn: drawn.clone(),
                left: drawn.requests,
                fetching: 0,
                next: start,
                ready: None,
            },
        );
    }
    let mut flying: Vec<(Instant, TicketKey)> = Vec::new();
    let mut latest: BTreeMap<i64, TicketKey> = BTreeMap::new();
    let mut now = start;
    loop {
        flying.sort_unstable();
        while let Some((_, key)) = flying.first().filter(|(at, _)| *at <= now).copied() {
            flying.remove(0);
            frontier.fetched(key.host, 0);
            frontier.settled(key);
            seen.get_mut(&key.host.0).unwrap().fetching -= 1;
        }
        for host in seen.values_mut() {
            if host.is_ready(now) {
                host.ready.get_or_insert(0);
            }
        }
        let mut wake = None;
        while flying.len() < slots {
            match frontier.next(now) {
                Next::Fetch(ticket) => {
                    let key = ticket.key;
                    let ready = seen.values().filter(|host| host.is_ready(now));
                    let longest = ready.map(|host| host.next).min();
                    let host = seen.get_mut(&key.host.0).unwrap();
                    prop_assert!(host.is_ready(now), "{key:?} is not ready");
                    // Ageing: who could have been asked for longest is served.
                    prop_assert_eq!(Some(host.next), longest);
                    let others = host.ready.take().unwrap();
                    // The bound: every other host once.
                    prop_assert!(others < drawn.len(), "{others} others were first");
                    host.left -= 1;
                    host.fetching += 1;
                    host.next = now + ms(host.drawn.delay);
                    flying.push((now + ms(host.drawn.latency), key));
                    // Priority within a host.
                    if let Some(before) = latest.insert(key.host.0, key) {
                        prop_assert!((before.order, before.seq) < (key.order, key.seq));
                    }
                    for (other, host) in &mut seen {
                        if *other == key.host.0 {
                            host.ready = host.is_ready(now).then_some(0);
                        } else if let Some(others) = &mut host.ready {
                            *others += 1;
                        }
                    }
                }
                // A host that waits holds no slot: while there is one, nobody is ready.
                Next::At(at) => {
                    prop_assert!(!seen.values().any(|host| host.is_ready(now)));
                    wake = Some(at);
                    break;
                }
                Next::Nothing => {
                    prop_assert!(!seen.values().any(|host| host.is_ready(now)));
                    break;
                }
            }
        }
        let landing = flying.iter().map(|(at, _)| *at).min();
        match wake.into_iter().chain(landing).min() {
            Some(at) => now = at,
            None => break,
        }
    }
    prop_assert!(seen.values().all(|host| host.left == 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_is_served_in_time_and_order(drawn in hosts(), slots in 1..8_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let start = runtime.block_on(async { Instant::now() });
        serve(&drawn, slots, start)?;
    }
}
