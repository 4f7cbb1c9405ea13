use std::collections::VecDeque;

use jiff::Timestamp;
use url::Url;

use super::*;
use crate::request::{Fingerprint, Request, StepRef};

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn host(key: i64) -> Host {
    Host {
        key: HostKey(key),
        origin: format!("http://h{key}.example"),
        seed: false,
        next_at: Timestamp::UNIX_EPOCH,
        errors: 0,
        robots: None,
        delay: Duration::ZERO,
        ceiling: Duration::ZERO,
        day: 0,
        sent: 0,
        lapsed: false,
    }
}

pub(super) fn tickets(key: i64, count: i64) -> Taken {
    let url = Url::parse("http://h.example/").unwrap();
    let ticket = |seq| Ticket {
        key: TicketKey {
            host: HostKey(key),
            order: 0,
            depth: 0,
            seq,
        },
        fingerprint: Fingerprint(seq),
        tries: 0,
        request: Request::new(url.clone(), StepRef::named("page")),
        referrer: None,
        visit: None,
    };
    Taken {
        generation: 0,
        tickets: (0..count).map(ticket).collect(),
        next_due: None,
    }
}

/// Hosts with so many requests each, all open.
fn frontier(start: Instant, hosts: &[(i64, i64)], politeness: Politeness) -> Frontier {
    let mut frontier = Frontier::new(start, 7);
    for (key, count) in hosts {
        frontier.adopt(host(*key), politeness, start);
        frontier.loaded(HostKey(*key), tickets(*key, *count), 1_000);
        frontier.open(HostKey(*key));
    }
    frontier
}

/// Serves everything, each request taking `latency` of its host; when which host was asked, in ms.
fn serve(frontier: &mut Frontier, start: Instant, latency: impl Fn(i64) -> u64) -> Vec<(u64, i64)> {
    let mut log = Vec::new();
    let mut flying: VecDeque<(Instant, TicketKey)> = VecDeque::new();
    let mut now = start;
    loop {
        while let Some((_, key)) = flying.front().filter(|(at, _)| *at <= now).copied() {
            flying.pop_front();
            frontier.fetched(key.host, 0);
            frontier.settled(key);
        }
        let next = match frontier.next(now) {
            Next::Fetch(ticket) => {
                let key = ticket.key;
                log.push(((now - start).as_millis() as u64, key.host.0));
                flying.push_back((now + ms(latency(key.host.0)), key));
                flying.make_contiguous().sort_unstable();
                continue;
            }
            Next::At(at) => Some(at),
            Next::Nothing => None,
        };
        let landing = flying.front().map(|(at, _)| *at);
        match next.into_iter().chain(landing).min() {
            Some(at) => now = at,
            None => return log,
        }
    }
}

fn politeness(delay: u64, concurrency: usize) -> Politeness {
    Politeness {
        delay: ms(delay),
        jitter: 0.0,
        concurrency,
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_host_costs_the_others_nothing() {
    let start = Instant::now();
    let hosts: Vec<_> = (0..50).map(|key| (key, 20)).collect();
    let ends = |slow: bool| {
        let mut frontier = frontier(start, &hosts, politeness(100, 2));
        let latency = |key| if slow && key == 0 { 5_000 } else { 30 };
        let log = serve(&mut frontier, start, latency);
        assert_eq!(log.len(), 1_000);
        let others = log.into_iter().filter(|(_, key)| *key != 0);
        others.collect::<Vec<_>>()
    };
    // To the millisecond the same moments.
    let sorted = |mut log: Vec<(u64, i64)>| {
        log.sort_unstable();
        log
    };
    assert_eq!(sorted(ends(true)), sorted(ends(false)));
}

#[tokio::test(start_paused = true)]
async fn a_group_shares_its_pace() {
    let start = Instant::now();
    let mut frontier = frontier(start, &[(1, 6), (2, 6), (3, 6), (4, 6)], politeness(100, 8));
    for key in 1..=3 {
        frontier.join(HostKey(key), HostKey(99), ms(100), start);
    }
    let log = serve(&mut frontier, start, |_| 20);
    let group: Vec<_> = log.iter().filter(|(_, key)| *key < 4).collect();
    // Fairly, one after the other,
    let expected: Vec<_> = (0..18).map(|at| (at * 100, at as i64 % 3 + 1)).collect();
    assert_eq!(group, expected.iter().collect::<Vec<_>>());
    // and who is not in it has its own.
    let alone: Vec<_> = log
        .iter()
        .filter(|(_, key)| *key == 4)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(alone, [0, 100, 200, 300, 400, 500]);
}

#[tokio::test(start_paused = true)]
async fn a_group_shares_its_slots() {
    let start = Instant::now();
    let mut frontier = frontier(start, &[(1, 4), (2, 4), (3, 4)], politeness(0, 2));
    for key in 1..=3 {
        frontier.join(HostKey(key), HostKey(99), ms(0), start);
    }
    let log = serve(&mut frontier, start, |_| 50);
    assert_eq!(log.len(), 12);
    for at in 0..6 {
        let now = log.iter().filter(|(then, _)| *then == at * 50);
        assert_eq!(now.count(), 2, "at {} ms: {log:?}", at * 50);
    }
    let first: Vec<_> = log.iter().take(6).map(|(_, key)| *key).collect();
    assert!((1..=3).all(|key| first.contains(&key)), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_in_trouble_is_tried_alone() {
    let start = Instant::now();
    let key = HostKey(1);
    let mut frontier = frontier(start, &[(1, 10)], politeness(0, 4));
    let take = |frontier: &mut Frontier, now| {
        let mut count = 0;
        while let Next::Fetch(_) = frontier.next(now) {
            count += 1;
        }
        count
    };
    assert_eq!(take(&mut frontier, start), 4);
    frontier.fetched(key, 0);
    let later = start + ms(500);
    frontier.suspend(key, start + ms(10), later);
    assert!(!frontier.is_news(key, start), "it was under way before");
    assert_eq!(take(&mut frontier, later), 0, "others are under way");
    for _ in 0..3 {
        frontier.fetched(key, 0);
    }
    assert_eq!(take(&mut frontier, later - ms(1)), 0);
    assert_eq!(take(&mut frontier, later), 1);
    assert!(frontier.is_news(key, later));
    frontier.fetched(key, 0);
    frontier.recovered(key);
    assert_eq!(take(&mut frontier, later), 4);
}

/// Sends all that may go now; the hosts.
fn launch(frontier: &mut Frontier, now: Instant) -> Vec<TicketKey> {
    let mut sent = Vec::new();
    while let Next::Fetch(ticket) = frontier.next(now) {
        sent.push(ticket.key);
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn a_host_that_leaves_gives_its_slots_of_the_group_back() {
    let start = Instant::now();
    let mut frontier = frontier(start, &[(1, 4), (2, 4)], politeness(0, 2));
    for key in 1..=2 {
        frontier.join(HostKey(key), HostKey(99), ms(0), start);
    }
    assert_eq!(launch(&mut frontier, start).len(), 2);
    frontier.dissolve();
    frontier.adopt(host(2), politeness(0, 2), start);
    frontier.join(HostKey(2), HostKey(99), ms(0), start);
    frontier.loaded(HostKey(2), tickets(2, 4), 1_000);
    frontier.open(HostKey(2));
    assert_eq!(launch(&mut frontier, start).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_counts_when_its_host_comes_back() {
    let start = Instant::now();
    for group in [false, true] {
        let mut frontier = frontier(start, &[(1, 9)], politeness(0, 3));
        let sent = launch(&mut frontier, start);
        assert_eq!(sent.len(), 3);
        frontier.dissolve();
        frontier.adopt(host(1), politeness(0, 3), start);
        // One of them has been answered, and is not stored yet.
        frontier.resume(HostKey(1), &[(0, None), (1, Some(0)), (2, Some(1))], 0);
        if group {
            frontier.join(HostKey(1), HostKey(99), ms(0), start);
        }
        frontier.loaded(HostKey(1), tickets(1, 9), 1_000);
        frontier.open(HostKey(1));
        assert_eq!(frontier.in_hand(), 3);
        let next = launch(&mut frontier, start);
        assert_eq!(next.iter().map(|key| key.seq).collect::<Vec<_>>(), [3]);
        for tries in 0..2 {
            frontier.fetched(HostKey(1), tries);
        }
        assert_eq!(launch(&mut frontier, start).len(), 2);
        for seq in 0..6 {
            frontier.settled(TicketKey { seq, ..sent[0] });
        }
        assert_eq!(frontier.in_hand(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_group_waits_if_others_may_have_been_asked() {
    let start = Instant::now();
    let mut frontier = frontier(start, &[(1, 2), (2, 2)], politeness(100, 2));
    for key in 1..=2 {
        frontier.join(HostKey(key), HostKey(99), ms(100), start + ms(100));
    }
    let log = serve(&mut frontier, start, |_| 1);
    let moments: Vec<_> = log.iter().map(|(at, _)| *at).collect();
    assert_eq!(moments, [100, 200, 300, 400]);
}

#[tokio::test(start_paused = true)]
async fn windows_are_filled_when_requests_become_due() {
    let start = Instant::now();
    let mut frontier = frontier(start, &[(1, 1)], politeness(0, 2));
    assert_eq!(launch(&mut frontier, start).len(), 1);
    let hungry = |frontier: &mut Frontier, at: u64| {
        let tended = frontier.tend(4, start + ms(at));
        assert!(tended.drained.is_empty());
        tended.hungry.len()
    };
    assert_eq!(hungry(&mut frontier, 0), 1);
    frontier.loaded(HostKey(1), tickets(1, 1), 1_000);
    frontier.expect(HostKey(1), start + ms(90));
    frontier.expect(HostKey(1), start + ms(50));
    frontier.expect(HostKey(1), start + ms(70));
    frontier.expect(HostKey(2), start + ms(10));
    assert_eq!(frontier.next_alarm(), Some(start + ms(50)));
    assert_eq!(hungry(&mut frontier, 49), 0);
    assert_eq!(hungry(&mut frontier, 50), 1, "with one under way");
    assert_eq!(frontier.next_alarm(), None);
    frontier.loaded(HostKey(1), tickets(1, 9), 1_000);
    frontier.expect(HostKey(1), start + ms(60));
    assert_eq!(hungry(&mut frontier, 299), 0);
    assert_eq!(hungry(&mut frontier, 300), 1, "however full it is");
    frontier.expect(HostKey(1), start + ms(900));
    frontier.dissolve();
    assert_eq!(frontier.next_alarm(), None);
}
