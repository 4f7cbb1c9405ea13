//! What a page costs in the store: `cargo bench --bench store -- [known URLs] [hosts] [pages]`.
//!
//! Fills a crawl with known URLs, half of them done and half queued, then commits pages of one item
//! and 20 links, of which 18 are known, 100 pages a batch. CPU time is that of all threads of the
//! process, so that other load on the machine does not count. In the end the crawl is opened anew, and the
//! time until its first request is in hand is told. At ten million URLs that is a file of 2 GB and some
//! minutes: `cargo bench --bench store -- 10_000_000 100_000`. `-- grown 1_000_000 10_000` tells the bytes per
//! known URL of a crawl that has grown page by page instead. What came of it: `benches/README.md`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement prints, measures time, and fails loudly"
)]

use std::sync::Arc;
use std::time::Instant;

use nephila::engine::Event;
use nephila::fetch::{Fetch, FetchError};
use nephila::item::{Column, Kind, Record, Schema, Value};
use nephila::prelude::*;
use nephila::request::{Identity, Request, Response, StepRef};
use nephila::settings::RobotsMode;
use nephila::store::{
    self, Batch, Begin, Finished, NewRequest, PageCommit, PageRow, PageState, Store, Ticket,
    Verdict,
};
use nephila::{Crawl, clock};

const BATCH: usize = 100;
const LINKS: usize = 20;
const FRESH: usize = 2;

fn main() {
    let args = std::env::args().collect::<Vec<_>>();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let [_, kind, path, pages] = &args[..]
        && kind == "crawl"
    {
        return runtime.block_on(crawl(path, pages.parse().unwrap()));
    }
    let is_grown = args.get(1).is_some_and(|arg| arg == "grown");
    let numbers = std::env::args()
        .filter_map(|arg| arg.replace('_', "").parse().ok())
        .collect::<Vec<usize>>();
    let known = numbers.first().copied().unwrap_or(1_000_000);
    let hosts = numbers.get(1).copied().unwrap_or(10_000).max(1);
    let pages = numbers.get(2).copied().unwrap_or(20_000);
    if is_grown {
        return runtime.block_on(grow(known, hosts));
    }
    runtime.block_on(measure(known, hosts, pages));
}

/// What a known URL takes if the crawl has grown as crawls do: each page that is done has led to two new ones.
async fn grow(known: usize, hosts: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    let store = store::open(path.to_str().unwrap()).await.unwrap();
    let site = Site {
        identity: Identity::new(store.begin(begin()).await.unwrap().key),
        hosts,
        pages: 2,
        schema: schema(),
    };
    fill(&*store, &site).await;
    let (mut next, mut there) = (site.pages, hosts * site.pages);
    let clock = Clock::start();
    while there < known {
        let tickets = tickets(&*store, &site, 10_000.min(there / 8).max(1)).await;
        for tickets in tickets.chunks(BATCH) {
            let pages = tickets.iter().map(|ticket| PageCommit {
                requests: site.links(ticket, 0, &mut next, FRESH),
                ..done(ticket)
            });
            let batch = Batch {
                pages: pages.collect(),
                ..Batch::default()
            };
            store.commit(Arc::new(batch)).await.unwrap();
            there += tickets.len() * FRESH;
        }
    }
    clock.report(
        "take and finish a page that leads to two new ones",
        there / FRESH,
    );
    sizes(path.to_str().unwrap(), there).await;
}

async fn measure(known: usize, hosts: usize, commits: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    let store = store::open(path.to_str().unwrap()).await.unwrap();
    let site = Site {
        identity: Identity::new(store.begin(begin()).await.unwrap().key),
        hosts,
        pages: known / hosts,
        schema: schema(),
    };
    let known = site.hosts * site.pages;

    fill(&*store, &site).await;
    let clock = Clock::start();
    let done = finish_half(&*store, &site, known).await;
    clock.report("take and finish a page without links", done);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "{:>8.1} bytes per known URL, half of them done",
        bytes as f64 / known as f64
    );

    for (name, hot) in [("random links", 0), ("8 of 20 links hot", 8)] {
        let clock = Clock::start();
        let tickets = tickets(&*store, &site, commits).await;
        clock.report("lease and take a request", commits);
        let batches = site.batches(&tickets, hot);
        let clock = Clock::start();
        let mut fresh = 0;
        for batch in batches {
            let receipt = store.commit(batch).await.unwrap();
            fresh += receipt.pages.iter().map(|page| page.fresh).sum::<u32>();
        }
        clock.report(&format!("commit a page, {name}"), commits);
        assert_eq!(fresh as usize, commits * FRESH);
    }
    sizes(path.to_str().unwrap(), known).await;
    drop(store);
    open(path.to_str().unwrap()).await;
    // In a process of its own, whose memory is only that.
    let crawl = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["crawl", path.to_str().unwrap(), &commits.to_string()])
        .status();
    assert!(crawl.unwrap().success());
}

/// Answers everything at once.
struct Nowhere;

impl Fetch for Nowhere {
    async fn fetch(&self, request: &Request) -> std::result::Result<Response, FetchError> {
        Ok(Response::new(request.url.clone(), "<h1>A page</h1>"))
    }
}

#[derive(Default)]
struct Bench;

#[spider(name = "bench", start = "https://www.host-0.example/")]
impl Bench {
    async fn book(&self, page: Page) -> Result {
        page.css("h1")?;
        Ok(())
    }
}

/// Goes on with the crawl, by the whole engine, without a network.
async fn crawl(path: &str, pages: u64) {
    let clock = Clock::start();
    let mut crawl = Crawl::new(Bench).db(path).fetch(Nowhere).with(|settings| {
        settings.robots = RobotsMode::Ignore;
        settings.delay = Some(std::time::Duration::ZERO);
        settings.autothrottle = Some(false);
        settings.max_same_pages = 0;
        settings.max_pages = Some(pages);
        settings.concurrency = 64;
    });
    let (start, mut first) = (Instant::now(), None);
    let (sender, told) = std::sync::mpsc::channel();
    crawl = crawl.on_event(move |event| {
        if let Event::Fetched { .. } = event
            && first.is_none()
        {
            first = Some(start.elapsed());
            let _ = sender.send(start.elapsed());
        }
    });
    let report = crawl.run().await.unwrap();
    let pages = report.statistics.pages;
    clock.report(
        "fetch, read and commit a page by the engine",
        pages as usize,
    );
    println!(
        "{:>8.1} ms from the start of the crawl to the first answer; {:?}, {pages} pages, {:.1} MB resident at most",
        told.recv().unwrap().as_secs_f64() * 1e3,
        report.stop,
        resident("VmHWM:"),
    );
}

fn begin() -> Begin {
    Begin {
        spider: "bench".into(),
        args: "{}".into(),
        settings: "{}".into(),
        fresh: false,
        steps: Vec::new(),
        lease: std::time::Duration::from_secs(30),
        finished: Finished::Replace,
    }
}

/// What each table takes of a known URL.
async fn sizes(path: &str, known: usize) {
    let reader = store::open_reader(path).await.unwrap();
    let sql = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name HAVING sum(pgsize) > 100000 ORDER BY 2 DESC";
    let (_, rows) = store::collect(&*reader, sql).await.unwrap();
    for row in rows {
        if let [Value::Text(name), Value::Integer(bytes)] = row.as_slice() {
            println!(
                "{:>8.1} bytes per known URL: {name}",
                *bytes as f64 / known as f64
            );
        }
    }
}

/// From opening the file to the first request.
async fn open(path: &str) {
    let before = resident("VmRSS:");
    let start = Instant::now();
    let store = store::open(path).await.unwrap();
    let began = store.begin(begin()).await.unwrap();
    let hosts = store.lease(1_000, clock::now()).await.unwrap();
    let taken = store.take(hosts[0].key, 16, clock::now()).await.unwrap();
    let took = start.elapsed();
    println!(
        "{:>8.1} ms from opening to the first request, {} leased, {} queued, {:+.1} MB resident",
        took.as_secs_f64() * 1e3,
        hosts.len(),
        began.resumed.unwrap().queued,
        resident("VmRSS:") - before,
    );
    assert!(!taken.tickets.is_empty());
}

/// Memory of this process, where the system tells.
fn resident(what: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1e3
}

/// Made-up hosts with as many pages each. Pages are found in groups of 50 per host.
struct Site {
    identity: Identity,
    hosts: usize,
    pages: usize,
    schema: Arc<Schema>,
}

impl Site {
    fn request(&self, host: usize, page: usize) -> NewRequest {
        let origin = format!("https://www.host-{host}.example");
        let path = format!(
            "/catalogue/category-{:03}/a-page-with-a-name-{page:09}.html",
            page % 400
        );
        let url = format!("{origin}{path}").parse().unwrap();
        let request = Request::new(url, StepRef::named("book"));
        NewRequest {
            host: self.identity.host(&origin),
            fingerprint: self.identity.fingerprint(&request, &path, None),
            again: None,
            renews: None,
            origin,
            path,
            seed: false,
            request,
        }
    }

    fn batches(&self, tickets: &[Ticket], hot: usize) -> Vec<Arc<Batch>> {
        // Beyond all pages that there are, also those of the round before.
        let mut next = self.pages * 10 + hot * 1_000_000;
        let mut batches = Vec::new();
        for tickets in tickets.chunks(BATCH) {
            let pages = tickets.iter().map(|ticket| PageCommit {
                records: vec![self.record(ticket)],
                requests: self.links(ticket, hot, &mut next, LINKS),
                ..done(ticket)
            });
            batches.push(Arc::new(Batch {
                pages: pages.collect(),
                ..Batch::default()
            }));
        }
        batches
    }

    /// Four of five links stay on the page's host; the hot ones are those of every page's navigation.
    fn links(
        &self,
        ticket: &Ticket,
        hot: usize,
        next: &mut usize,
        count: usize,
    ) -> Vec<NewRequest> {
        let url = ticket.request.url.as_str();
        let own = url
            .split(['-', '.'])
            .nth(2)
            .and_then(|number| number.parse().ok())
            .unwrap();
        let link = |place: usize| {
            let page = if place < FRESH {
                *next += 1;
                *next
            } else if place < FRESH + hot {
                place
            } else {
                fastrand::usize(..self.pages)
            };
            let target = if (place + ticket.key.seq as usize).is_multiple_of(5) {
                fastrand::usize(..self.hosts)
            } else {
                own
            };
            self.request(target, page)
        };
        (0..count).map(link).collect()
    }

    fn record(&self, ticket: &Ticket) -> Record {
        let values = vec![
            Value::Text(ticket.request.url.to_string()),
            Value::Text("A page with a name of usual length".into()),
            Value::Real(12.5),
            Value::Integer(3),
            Value::Boolean(true),
        ];
        Record::new(self.schema.clone(), values).unwrap()
    }
}

fn schema() -> Arc<Schema> {
    let column = |name: &'static str, kind| Column {
        name: name.into(),
        kind,
        nullable: false,
    };
    let columns = vec![
        column("url", Kind::Text),
        column("title", Kind::Text),
        column("price", Kind::Real),
        column("stars", Kind::Integer),
        column("available", Kind::Boolean),
    ];
    Arc::new(Schema::new("books", columns, &["url"]).unwrap())
}

fn done(ticket: &Ticket) -> PageCommit {
    PageCommit {
        key: ticket.key,
        fingerprint: ticket.fingerprint,
        verdict: Verdict::Page(PageRow {
            state: PageState::Done,
            reason: None,
            message: None,
            status: 200,
            took_ms: 123,
            bytes: 51_000,
        }),
        records: vec![],
        requests: vec![],
        refused: vec![],
        visit: None,
        stop_when_known: None,
    }
}

async fn fill(store: &dyn Store, site: &Site) {
    let groups = (0..site.pages).step_by(50);
    let groups = groups.flat_map(|page| (0..site.hosts).map(move |host| (host, page)));
    let groups = groups.collect::<Vec<_>>();
    let (mut cpu, mut wall) = (0, 0);
    for groups in groups.chunks(20) {
        let urls = groups.iter().flat_map(|&(host, page)| {
            (page..site.pages.min(page + 50)).map(move |page| site.request(host, page))
        });
        let batch = Batch {
            seeds: urls.collect(),
            ..Batch::default()
        };
        let clock = Clock::start();
        store.commit(Arc::new(batch)).await.unwrap();
        cpu += clock.cpu();
        wall += clock.wall();
    }
    report("queue a new URL", cpu, wall, site.hosts * site.pages);
}

async fn finish_half(store: &dyn Store, site: &Site, known: usize) -> usize {
    let mut done_pages = 0;
    while done_pages < known / 2 {
        let tickets = tickets(store, site, 10_000.min(known / 2 - done_pages)).await;
        for tickets in tickets.chunks(BATCH) {
            let batch = Batch {
                pages: tickets.iter().map(done).collect(),
                ..Batch::default()
            };
            store.commit(Arc::new(batch)).await.unwrap();
        }
        done_pages += tickets.len();
    }
    done_pages
}

/// Takes requests of many hosts, a window of each.
async fn tickets(store: &dyn Store, site: &Site, count: usize) -> Vec<Ticket> {
    let window = (count / site.hosts + 1).max(8);
    let now = clock::now();
    let mut tickets = Vec::with_capacity(count);
    let mut held = Vec::new();
    while tickets.len() < count {
        let hosts = store.lease(64, now).await.unwrap();
        assert!(!hosts.is_empty(), "nothing is left to take");
        for host in &hosts {
            let taken = store.take(host.key, window, now).await.unwrap();
            tickets.extend(taken.tickets);
        }
        held.extend(hosts);
    }
    for host in &mut held {
        host.next_at = now;
    }
    store.release(held).await.unwrap();
    tickets.truncate(count);
    tickets
}

/// Wall time, and CPU time of all threads.
struct Clock {
    wall: Instant,
    cpu: u64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu_ns(),
        }
    }

    fn cpu(&self) -> u64 {
        cpu_ns() - self.cpu
    }

    fn wall(&self) -> u64 {
        self.wall.elapsed().as_nanos() as u64
    }

    fn report(&self, what: &str, count: usize) {
        report(what, self.cpu(), self.wall(), count);
    }
}

fn report(what: &str, cpu_ns: u64, wall_ns: u64, count: usize) {
    let each = |ns: u64| ns as f64 / 1000.0 / count as f64;
    println!(
        "{:>8.1} µs CPU  {:>8.1} µs  {what}",
        each(cpu_ns),
        each(wall_ns)
    );
}

/// CPU time of the process, of threads that have ended, too: the system tells it in hundredths of a second.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, numbers) = stat.rsplit_once(')').unwrap();
    let ticks = numbers.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<u64>().unwrap() * 10_000_000)
        .sum()
}
