//! Random crawls against a model of ten lines: nothing is lost, nothing comes twice, nobody waits
//! for ever.

use std::collections::{BTreeMap, BTreeSet};

use nephila::store::{Batch, Host, NewRequest, Rest, Ticket};
use proptest::prelude::*;

use super::database::{Database, begin};
use super::steps::{Crawl, at, done, pages, retry};

const HOSTS: usize = 3;
const END: i64 = 1_000_000;

/// URL number `n`.
fn url(n: usize) -> String {
    format!("http://h{}.example/{n}", n % HOSTS)
}

#[derive(Clone, Debug)]
enum Step {
    /// Queue URLs that come from no page, one of them not before its time.
    Seed(Vec<usize>, i64),
    /// Lease up to so many hosts.
    Lease(usize),
    /// Give all hosts back, to be left alone for so long.
    Release(i64),
    /// Take from every leased host.
    Take,
    /// Finish tickets in hand, with the links that they find.
    Finish(usize, Vec<usize>),
    /// Try a ticket again after so long.
    Retry(usize, i64),
    /// Commit a ticket once more that was finished before.
    Again(usize, Vec<usize>),
    /// Time passes.
    Wait(i64),
    /// The process dies and another one resumes.
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    let urls = || prop::collection::vec(0..40_usize, 0..6);
    let delay = || prop_oneof![Just(0), 1..50_i64];
    prop_oneof![
        2 => (urls(), delay()).prop_map(|(urls, delay)| Step::Seed(urls, delay)),
        4 => (0..4_usize).prop_map(Step::Lease),
        2 => delay().prop_map(Step::Release),
        5 => Just(Step::Take),
        6 => (0..5_usize, urls()).prop_map(|(count, urls)| Step::Finish(count, urls)),
        2 => (0..9_usize, delay()).prop_map(|(which, delay)| Step::Retry(which, delay)),
        1 => (0..9_usize, urls()).prop_map(|(which, urls)| Step::Again(which, urls)),
        2 => (1..40_i64).prop_map(Step::Wait),
        1 => Just(Step::Die),
    ]
}

/// A crawl and what must be true of it.
struct World<'a> {
    database: &'a Database,
    crawl: Crawl,
    now: i64,
    held: Vec<Host>,
    hand: Vec<Ticket>,
    finished: Vec<Ticket>,
    /// What is left to do, with the number of failed tries.
    queue: BTreeMap<String, u16>,
    pages: BTreeSet<String>,
}

impl World<'_> {
    fn know(&mut self, urls: &[usize]) -> usize {
        let mut fresh = 0;
        for n in urls {
            if !self.pages.contains(&url(*n)) && !self.queue.contains_key(&url(*n)) {
                self.queue.insert(url(*n), 0);
                fresh += 1;
            }
        }
        fresh
    }

    fn requests(&self, urls: &[usize]) -> Vec<NewRequest> {
        urls.iter().map(|n| self.crawl.request(&url(*n))).collect()
    }

    async fn seed(&mut self, urls: &[usize], delay: i64) {
        let mut seeds = self.requests(urls);
        if let Some(first) = seeds.first_mut() {
            first.request.not_before = (delay > 0).then(|| at(self.now + delay));
        }
        let batch = Batch {
            seeds,
            ..Batch::default()
        };
        let fresh = self.crawl.commit(batch).await.fresh_seeds;
        assert_eq!(fresh as usize, self.know(urls));
    }

    async fn take(&mut self) {
        for host in &self.held {
            let taken = self
                .crawl
                .store
                .take(host.key, 4, at(self.now))
                .await
                .unwrap();
            for ticket in taken.tickets {
                let tries = self.queue.get(ticket.request.url.as_str());
                assert_eq!(
                    tries,
                    Some(&ticket.tries),
                    "{} is not to do",
                    ticket.request.url
                );
                if self.hand.iter().all(|held| held.key != ticket.key) {
                    self.hand.push(ticket);
                }
            }
        }
    }

    async fn finish(&mut self, count: usize, urls: &[usize]) {
        let tickets = self
            .hand
            .drain(..count.min(self.hand.len()))
            .collect::<Vec<_>>();
        let mut commits = tickets.iter().map(done).collect::<Vec<_>>();
        let requests = self.requests(urls);
        if let Some(last) = commits.last_mut() {
            last.requests = requests;
        }
        let receipt = self.crawl.commit(pages(commits)).await;
        for (ticket, page) in tickets.iter().zip(&receipt.pages) {
            let url = ticket.request.url.to_string();
            assert_eq!(page.written, self.queue.remove(&url).is_some(), "{url}");
            self.pages.insert(url);
        }
        if receipt.pages.last().is_some_and(|page| page.written) {
            let fresh = receipt.pages.last().unwrap().fresh;
            assert_eq!(fresh as usize, self.know(urls));
        }
        self.finished.extend(tickets);
    }

    async fn retry(&mut self, which: usize, delay: i64) {
        if which < self.hand.len() {
            let ticket = self.hand.remove(which);
            let page = retry(&ticket, at(self.now + delay), true);
            assert!(self.crawl.commit(pages([page])).await.pages[0].written);
            *self.queue.get_mut(ticket.request.url.as_str()).unwrap() += 1;
        }
    }

    async fn again(&mut self, which: usize, urls: &[usize]) {
        if let Some(ticket) = self.finished.get(which) {
            let mut page = done(ticket);
            page.requests = self.requests(urls);
            assert!(!self.crawl.commit(pages([page])).await.pages[0].written);
        }
    }

    async fn die(&mut self) {
        self.crawl = Crawl::begin(self.crawl.store.clone(), begin("books")).await;
        let resumed = self.crawl.opening.resumed.unwrap();
        assert_eq!(resumed.queued as usize, self.queue.len());
        assert_eq!(resumed.pages as usize, self.pages.len());
        self.held.clear();
        self.hand.clear();
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Seed(urls, delay) => self.seed(urls, *delay).await,
            Step::Lease(limit) => {
                let hosts = self.crawl.store.lease(*limit, at(self.now)).await.unwrap();
                assert!(hosts.len() <= *limit);
                for host in hosts {
                    assert!(
                        host.next_at <= at(self.now),
                        "{} is to be left alone",
                        host.origin
                    );
                    assert!(self.held.iter().all(|held| held.key != host.key));
                    self.held.push(host);
                }
            }
            Step::Release(delay) => {
                for host in &mut self.held {
                    host.next_at = at(self.now + delay);
                }
                let hosts = std::mem::take(&mut self.held);
                self.crawl.store.release(hosts).await.unwrap();
            }
            Step::Take => self.take().await,
            Step::Finish(count, urls) => self.finish(*count, urls).await,
            Step::Retry(which, delay) => self.retry(*which, *delay).await,
            Step::Again(which, urls) => self.again(*which, urls).await,
            Step::Wait(seconds) => self.now += seconds,
            Step::Die => self.die().await,
        }
        assert_eq!(
            self.crawl.rest().await == Rest::Nothing,
            self.queue.is_empty()
        );
    }

    /// `seen = queue + page`, row by row, and both are those of the model.
    async fn check(&self) {
        let stray =
            "SELECT count(*) FROM seen LEFT JOIN queue USING (seq) LEFT JOIN page ON page.id = seq
                     WHERE (queue.seq IS NULL) = (page.id IS NULL)";
        assert_eq!(self.database.rows(stray).await, ["0"]);
        let known = self.queue.len() + self.pages.len();
        assert_eq!(
            self.database.rows("SELECT count(*) FROM seen").await,
            [known.to_string()]
        );
        let queue = self
            .queue
            .iter()
            .map(|(url, tries)| format!("{url} {tries}"));
        let rows = "SELECT url, tries FROM url WHERE state = 'queued' ORDER BY url";
        assert_eq!(self.database.rows(rows).await, queue.collect::<Vec<_>>());
        let rows = "SELECT url FROM url WHERE state = 'done' ORDER BY url";
        let pages = self.pages.iter().cloned().collect::<Vec<_>>();
        assert_eq!(self.database.rows(rows).await, pages);
        let counters = "SELECT sum(known), sum(done) FROM run";
        let expected = format!("{known} {}", pages.len());
        assert_eq!(self.database.rows(counters).await, [expected]);
    }

    /// Whatever has happened, the rest can be done, each once.
    async fn drain(&mut self) {
        self.now = END;
        for round in 0.. {
            self.step(&Step::Lease(2)).await;
            self.step(&Step::Take).await;
            self.step(&Step::Finish(usize::MAX, vec![])).await;
            self.step(&Step::Release(0)).await;
            if self.queue.is_empty() {
                break;
            }
            assert!(round < 100, "{:?} can't be leased", self.queue);
        }
        assert_eq!(self.crawl.rest().await, Rest::Nothing);
    }
}

async fn run(database: &Database, steps: &[Step]) {
    let mut world = World {
        crawl: database.crawl().await,
        database,
        now: 0,
        held: vec![],
        hand: vec![],
        finished: vec![],
        queue: BTreeMap::new(),
        pages: BTreeSet::new(),
    };
    for step in steps {
        world.step(step).await;
    }
    world.check().await;
    world.drain().await;
    world.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn random_crawls_keep_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&Database::sqlite(), &steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn random_crawls_keep_the_model_on_postgres(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if let Some(database) = Database::postgres().await {
                run(&database, &steps).await;
            }
        });
    }
}
