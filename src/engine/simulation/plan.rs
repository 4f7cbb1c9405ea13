//! What a seed means: a web, how it fails, how it is crawled, and what befalls the crawl.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::settings::{PolitenessBy, RobotsMode, Settings};

/// What comes instead of a page, once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// A status, and what its `Retry-After` asks for.
    Status(u16, Option<u64>),
    /// The connection breaks.
    Reset,
    /// Nobody answers.
    Connect,
    /// The fetch gives up after its time-out.
    Timeout,
    /// The fetch does not even do that.
    Hang,
}

/// What a page is, once its faults are over.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It links to pages.
    Here(Vec<usize>),
    /// It is not there.
    Gone,
    /// It leads to another.
    To(usize),
}

pub(super) struct Page {
    pub(super) host: usize,
    pub(super) fate: Fate,
    pub(super) faults: Vec<Fault>,
    pub(super) took: Duration,
}

/// A host's robots.txt, which comes after some faults.
pub(super) struct Robots {
    pub(super) faults: Vec<Fault>,
    pub(super) crawl_delay: Option<Duration>,
    /// Pages that it forbids.
    pub(super) forbidden: BTreeSet<usize>,
}

/// How a life of a crawl ends before its time, if it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// Killed at its commit number so, before it is written or after.
    Killed { commit: u32, written: bool },
    /// Stopped after so long.
    Stopped(Duration),
    /// Aborted after so long.
    Aborted(Duration),
    /// The store fails for good at a call number so; a commit may have been written.
    Broken { call: u32, written: bool },
    /// The store has a bug, and panics at a call number so.
    Panics { call: u32 },
}

/// Moods of the store.
#[derive(Clone, Copy)]
pub(super) struct Moods {
    /// How long it takes to be reached, and to answer, at the most.
    pub(super) latency: Duration,
    /// Part of the commits that find it full or busy.
    pub(super) busy: f64,
    /// When leases end, if they do, and the part of the beats that come too late for them.
    pub(super) lease: Option<(Duration, f64)>,
}

pub(super) struct Plan {
    pub(super) pages: Vec<Page>,
    pub(super) hosts: Vec<Robots>,
    pub(super) seeds: usize,
    pub(super) settings: Settings,
    pub(super) endings: Vec<Ending>,
    pub(super) moods: Moods,
}

/// The name of a host; two have one registrable domain.
pub(super) fn host_name(host: usize) -> String {
    format!("h{host}.site{}.example", host / 2)
}

pub(super) fn url(pages: &[Page], page: usize) -> String {
    format!("http://{}/p{page}", host_name(pages[page].host))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let hosts = random.usize(1..=6);
        let count = random.usize(5..=60);
        let settings = settings(&mut random);
        let faulty = [0.0, 0.05, 0.3][random.usize(..3)];
        let slow = [20, 300, 4_000][random.usize(..3)];
        let mut pages: Vec<Page> = Vec::with_capacity(count);
        // From the last to the first, so that a redirect leads to what is known.
        let fates: Vec<Fate> = fates(count, &mut random);
        for fate in fates {
            pages.push(Page {
                host: random.usize(..hosts),
                fate,
                faults: faults(&mut random, faulty),
                took: ms(random.u64(1..=slow)),
            });
        }
        let hosts = (0..hosts).map(|host| robots(host, &pages, &mut random, faulty));
        Self {
            hosts: hosts.collect(),
            seeds: random.usize(1..=count.min(4)),
            endings: endings(&mut random),
            moods: Moods {
                latency: [ms(0), ms(5), ms(400)][random.usize(..3)],
                busy: [0.0, 0.0, 0.2][random.usize(..3)],
                lease: random
                    .bool()
                    .then(|| (ms(random.u64(2_000..30_000)), [0.0, 0.1][random.usize(..2)])),
            },
            pages,
            settings,
        }
    }
}

fn settings(random: &mut fastrand::Rng) -> Settings {
    Settings {
        hosts: vec!["*.example".to_owned()],
        robots: if random.u8(..4) == 0 {
            RobotsMode::Ignore
        } else {
            RobotsMode::Obey
        },
        politeness: if random.u8(..4) == 0 {
            PolitenessBy::Domain
        } else {
            PolitenessBy::Host
        },
        delay: Some(ms([0, 10, 250, 1_000][random.usize(..4)])),
        jitter: [0.0, 0.5][random.usize(..2)],
        autothrottle: Some(random.bool()),
        concurrency: random.usize(1..=12),
        concurrency_per_host: random.usize(1..=4),
        commit_pages: [1, 3, 100][random.usize(..3)],
        commit_delay: ms([0, 25, 500][random.usize(..3)]),
        // Nothing is given up, so that it is known what comes of it.
        retries: 30,
        max_host_errors: 1_000,
        max_retry_delay: ms(20_000),
        max_wait: ms([3_000, 900_000][random.usize(..2)]),
        max_same_pages: 0,
        timeout: ms(10_000),
        patience: ms([500, 30_000][random.usize(..2)]),
        stop_timeout: ms(random.u64(1..8_000)),
        max_pages: (random.u8(..6) == 0).then(|| random.u64(1..40)),
        step_threads: Some(random.usize(1..=2)),
        ..Settings::default()
    }
}

fn fates(count: usize, random: &mut fastrand::Rng) -> Vec<Fate> {
    let mut fates = vec![Fate::Gone; count];
    for page in (0..count).rev() {
        let links = 0..random.usize(0..6);
        let mut links: Vec<_> = links.map(|_| random.usize(..count)).collect();
        // So that all pages are found.
        links.extend((page + 1 < count).then_some(page + 1));
        fates[page] = match random.u8(..20) {
            0 => Fate::Gone,
            1..=3 if page + 1 < count => {
                let target = random.usize(page + 1..count);
                // Chains are short.
                match fates[target] {
                    Fate::To(last) => Fate::To(last),
                    _ => Fate::To(target),
                }
            }
            _ => Fate::Here(links),
        };
    }
    fates
}

fn faults(random: &mut fastrand::Rng, faulty: f64) -> Vec<Fault> {
    let mut drawn = Vec::new();
    while drawn.len() < 3 && random.f64() < faulty {
        drawn.push(match random.u8(..10) {
            0 => Fault::Status(503, None),
            1 => Fault::Status(429, Some(random.u64(1..20))),
            2 => Fault::Status(503, Some(random.u64(1..20))),
            3 => Fault::Status(429, None),
            4 => Fault::Status(500, None),
            5 | 6 => Fault::Reset,
            7 => Fault::Connect,
            8 => Fault::Timeout,
            _ if random.bool() => Fault::Hang,
            _ => Fault::Connect,
        });
    }
    drawn
}

fn robots(host: usize, pages: &[Page], random: &mut fastrand::Rng, faulty: f64) -> Robots {
    let own = (0..pages.len()).filter(|page| pages[*page].host == host);
    let mut forbidden: BTreeSet<_> = own.collect();
    forbidden.retain(|_| random.u8(..10) == 0);
    Robots {
        faults: faults(random, faulty),
        crawl_delay: (random.u8(..4) == 0).then(|| ms(1_000 * random.u64(1..4))),
        forbidden,
    }
}

fn endings(random: &mut fastrand::Rng) -> Vec<Ending> {
    let ending = |random: &mut fastrand::Rng| match random.u8(..5) {
        0 | 1 => Ending::Killed {
            commit: random.u32(1..30),
            written: random.bool(),
        },
        2 => Ending::Stopped(ms(random.u64(1..60_000))),
        3 => Ending::Aborted(ms(random.u64(1..60_000))),
        _ => Ending::Broken {
            call: random.u32(1..100),
            written: random.bool(),
        },
    };
    (0..random.usize(0..5)).map(|_| ending(random)).collect()
}
