//! What a page costs on PostgreSQL: `cargo bench --bench fleet -- [known URLs] [seconds] [statements] [snapshot]`.
//!
//! Starts a server of its own (Debian: `apt install postgresql`) that waits for its disk, fills a crawl with
//! known URLs of which half are done, and has 1, 2, 4 and 8 processes commit pages of one item and 20 links, of
//! which 18 are known, 100 pages a commit. Told are pages per second, CPU time per page of processes and
//! server, log bytes, statements, transactions and deadlocks; and what is left of the rate while somebody holds
//! a snapshot for a minute. What a process costs before it is under way (connections, plans) is told by itself.
//! With `statements` it tells what each statement took, which costs the server something itself; with `snapshot`
//! it measures that alone. What came of it: `benches/README.md`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement prints, measures time, and fails loudly"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nephila::clock;
use nephila::item::{Column, Kind, Record, Schema, Value};
use nephila::request::{Identity, Request, StepRef};
use nephila::store::{
    self, Batch, Begin, End, Finished, NewRequest, PageCommit, PageRow, PageState, Store, Ticket,
    Verdict,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

#[path = "../tests/it/postgres/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest of it")]
mod postgres;

const BATCH: usize = 100;
const LINKS: usize = 20;
const FRESH: usize = 2;
/// Hosts that a process has at a time.
const HELD: usize = 64;

fn main() {
    let args = std::env::args().collect::<Vec<_>>();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let [_, kind, url, known, seconds] = &args[..]
        && kind == "worker"
    {
        let (known, seconds) = (known.parse().unwrap(), seconds.parse().unwrap());
        return runtime.block_on(work(url, known, Duration::from_secs(seconds)));
    }
    let wants = |word| args.iter().any(|arg| arg == word);
    let wanted = Wanted {
        statements: wants("statements"),
        snapshot_alone: wants("snapshot"),
    };
    let numbers = std::env::args()
        .filter_map(|arg| arg.replace('_', "").parse().ok())
        .collect::<Vec<usize>>();
    let known = numbers.first().copied().unwrap_or(10_000).max(2_000);
    let seconds = numbers.get(1).copied().unwrap_or(10).max(3) as u64;
    runtime.block_on(measure(known, seconds, wanted));
}

/// What is told.
#[derive(Clone, Copy)]
struct Wanted {
    statements: bool,
    snapshot_alone: bool,
}

async fn measure(known: usize, seconds: u64, wanted: Wanted) {
    let mut options =
        "-c fsync=on -c shared_buffers=512MB -c max_wal_size=16GB -c checkpoint_timeout=1h"
            .to_owned();
    if wanted.statements {
        options += " -c shared_preload_libraries=pg_stat_statements";
    }
    let Some(server) = postgres::Server::start_with(&options) else {
        println!("PostgreSQL is not installed");
        return;
    };
    let url = postgres::database_of(&server.url).await;
    // Since PostgreSQL 15 it tells how much of the log are whole pages.
    let inspect = "CREATE EXTENSION pg_walinspect";
    let mut db = PgConnection::connect(&url).await.unwrap();
    let can_inspect = sqlx::raw_sql(inspect).execute(&mut db).await.is_ok();
    db.close().await.unwrap();
    if wanted.statements {
        execute(&url, "CREATE EXTENSION pg_stat_statements").await;
    }
    let begun = Instant::now();
    fill(&url, known).await;
    let bytes = number(&url, "SELECT pg_database_size(current_database())").await;
    println!(
        "{known} known URLs, {:.0} bytes each, in {:.0} s",
        bytes as f64 / known as f64,
        begun.elapsed().as_secs_f64()
    );
    // Everything is in memory, and was logged whole once.
    run(&url, known, 1, seconds).await;
    for processes in [1, 2, 4, 8] {
        if wanted.snapshot_alone {
            break;
        }
        let figures = told(&url, (known, processes, seconds), wanted).await;
        println!("{figures}");
        if can_inspect {
            tell_log(&url, &figures).await;
        }
    }
    snapshot(&url, known, seconds, wanted).await;
}

/// What is left of the rate while somebody holds a snapshot: compared with what it was before, and with what it
/// is when the snapshot is gone, with as many rows and as much of the log to write.
async fn snapshot(url: &str, known: usize, seconds: u64, wanted: Wanted) {
    let before = run(url, known, 4, seconds).await;
    let mut snapshot = PgConnection::connect(url).await.unwrap();
    let snapshot_sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM run";
    sqlx::raw_sql(snapshot_sql)
        .execute(&mut snapshot)
        .await
        .unwrap();
    run(url, known, 4, 60).await;
    let held = told(url, (known, 4, seconds), wanted).await;
    snapshot.close().await.unwrap();
    execute(url, "VACUUM").await;
    let after = run(url, known, 4, seconds).await;
    for (figures, when) in [
        (before, "before"),
        (held, "with a snapshot held for 60 s"),
        (after, "when it is gone"),
    ] {
        println!("{when}: {figures}");
    }
}

/// A run, and what its statements took, if that is wanted.
async fn told(
    url: &str,
    (known, processes, seconds): (usize, usize, u64),
    wanted: Wanted,
) -> Figures {
    if wanted.statements {
        execute(url, "SELECT pg_stat_statements_reset()").await;
    }
    let figures = run(url, known, processes, seconds).await;
    if wanted.statements {
        tell_statements(url, figures.pages).await;
    }
    figures
}

async fn execute(url: &str, sql: &'static str) {
    let mut db = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
}

/// How much of the log are whole pages: each is logged so when it is first changed after a checkpoint.
async fn tell_log(url: &str, figures: &Figures) {
    let (from, to) = (figures.log_from, figures.log_from + figures.log_bytes);
    let sum = |column: &str| {
        format!(
            "SELECT sum({column}) FROM pg_get_wal_stats('0/0'::pg_lsn + {from}, '0/0'::pg_lsn + {to})"
        )
    };
    let each = |bytes: i64| bytes as f64 / figures.pages as f64;
    println!(
        "   {:.0} bytes of log a page without whole pages, which are {:.0} more",
        each(number(url, &sum("record_size")).await),
        each(number(url, &sum("fpi_size")).await),
    );
}

/// What the statements took that took most; of the processes' beginnings, too.
async fn tell_statements(url: &str, pages: u64) {
    let mut db = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT calls, total_exec_time, wal_bytes::float8, rows,
        regexp_replace(left(query, 70), '\\s+', ' ', 'g')
      FROM pg_stat_statements WHERE calls > 1 ORDER BY total_exec_time DESC LIMIT 16";
    let rows: Vec<(i64, f64, f64, i64, String)> =
        sqlx::query_as(sql).fetch_all(&mut db).await.unwrap();
    let all = number(url, "SELECT sum(calls) FROM pg_stat_statements").await;
    println!(
        "   {:.3} statements a page, of which the first by time:",
        all as f64 / pages as f64
    );
    for (calls, ms, log, rows, text) in rows {
        println!(
            "   {:>7.4} a page, {:>6.1} µs a page, {:>6.0} µs each, {:>6.0} bytes of log a page, {:>6.1} rows: {text}",
            calls as f64 / pages as f64,
            ms * 1e3 / pages as f64,
            ms * 1e3 / calls as f64,
            log / pages as f64,
            rows as f64 / calls as f64,
        );
    }
}

/// What some processes came to.
struct Figures {
    processes: usize,
    /// What a process costs the server before it is under way.
    start_ms: u64,
    pages: u64,
    seconds: f64,
    client_ms: u64,
    server_ms: u64,
    log_from: i64,
    log_bytes: i64,
    transactions: i64,
    deadlocks: i64,
}

impl Figures {
    fn rate(&self) -> f64 {
        self.pages as f64 / self.seconds
    }

    fn server_us(&self) -> f64 {
        self.server_ms as f64 * 1e3 / self.pages as f64
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = |number: f64| number / self.pages as f64;
        write!(
            f,
            "{} processes: {:>6.0} pages/s; a page: {:>4.0} µs server, {:>4.0} µs client, {:>5.0} bytes of log, \
             {:.3} transactions; {} deadlocks; to begin: {} ms server each",
            self.processes,
            self.rate(),
            self.server_us(),
            each(self.client_ms as f64 * 1e3),
            each(self.log_bytes as f64),
            each(self.transactions as f64),
            self.deadlocks,
            self.start_ms
        )
    }
}

async fn run(url: &str, known: usize, processes: usize, seconds: u64) -> Figures {
    let of_database = |column: &str| {
        format!("SELECT {column} FROM pg_stat_database WHERE datname = current_database()")
    };
    let log = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";
    let (transactions, deadlocks) = (of_database("xact_commit"), of_database("deadlocks"));
    let unborn = cpu_of_server(url).await;
    let mut workers: Vec<_> = (0..processes)
        .map(|_| Worker::start(url, known, seconds))
        .collect();
    for worker in &mut workers {
        assert_eq!(worker.hear(), "ready");
    }
    let before = (
        number(url, log).await,
        number(url, &transactions).await,
        number(url, &deadlocks).await,
        cpu_of_server(url).await,
    );
    let begun = Instant::now();
    for worker in &mut workers {
        worker.tell("go");
    }
    let (mut pages, mut client_ms) = (0, 0);
    for worker in &mut workers {
        let said = worker.hear();
        let mut numbers = said
            .split_whitespace()
            .map(|number| number.parse::<u64>().unwrap());
        pages += numbers.next().unwrap();
        client_ms += numbers.next().unwrap();
    }
    let took = begun.elapsed().as_secs_f64();
    let server_ms = cpu_of_server(url).await - before.3;
    // The server's own figures come a moment later.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let figures = Figures {
        processes,
        start_ms: (before.3 - unborn) / processes as u64,
        pages,
        seconds: took,
        client_ms,
        server_ms,
        log_from: before.0,
        log_bytes: number(url, log).await - before.0,
        transactions: number(url, &transactions).await - before.1,
        deadlocks: number(url, &deadlocks).await - before.2,
    };
    for worker in workers {
        worker.finish();
    }
    figures
}

/// A process, which does what it is told line by line.
struct Worker {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Worker {
    fn start(url: &str, known: usize, seconds: u64) -> Self {
        let (known, seconds) = (known.to_string(), seconds.to_string());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["worker", url, &known, &seconds])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    fn finish(mut self) {
        self.tell("end");
        assert!(self.child.wait().unwrap().success());
    }
}

/// CPU time in ms of the server: of its first process and all that this has started, those that have ended
/// included.
async fn cpu_of_server(url: &str) -> u64 {
    let mut db = PgConnection::connect(url).await.unwrap();
    let own: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut db)
        .await
        .unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{own}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let pid: u32 = rest.split(' ').nth(1).unwrap().parse().unwrap();
    let times = |entry: &std::path::Path| -> Option<(u32, u32, [u64; 4])> {
        let stat = std::fs::read_to_string(entry.join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let cells: Vec<&str> = rest.split(' ').collect();
        let at = |number: usize| cells.get(number)?.parse().ok();
        let own = name.split(' ').next()?.parse().ok()?;
        Some((
            own,
            cells[1].parse().ok()?,
            [at(11)?, at(12)?, at(13)?, at(14)?],
        ))
    };
    let ticks: u64 = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| times(&entry.ok()?.path()))
        .map(
            |(own, parent, [user, system, children_user, children_system])| {
                if own == pid {
                    user + system + children_user + children_system
                } else if parent == pid {
                    user + system
                } else {
                    0
                }
            },
        )
        .sum();
    ticks * 10
}

async fn number(url: &str, sql: &str) -> i64 {
    let mut db = PgConnection::connect(url).await.unwrap();
    let sql = AssertSqlSafe(format!("SELECT ({sql})::bigint"));
    sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
}

fn begin() -> Begin {
    Begin {
        spider: "bench".into(),
        args: "{}".into(),
        settings: "{}".into(),
        fresh: false,
        steps: vec!["book".into()],
        lease: Duration::from_secs(30),
        finished: Finished::Replace,
    }
}

async fn end(store: &dyn Store) {
    let end = End {
        stop: "{}".into(),
        finished: false,
        report: "{}".into(),
    };
    store.end(end).await.unwrap();
}

/// A process: takes, and commits, until the time is over; tells how many pages and how much CPU time. It is under
/// way, with plans and all, before its time begins.
async fn work(url: &str, known: usize, time: Duration) {
    let store = store::open(url).await.unwrap();
    let site = Site::new(
        Identity::new(store.begin(begin()).await.unwrap().key),
        known,
    );
    let mut next = fastrand::u32(1..) as usize * 1_000_000;
    // All others are to come before any has its share.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut beat = store.beat().await.unwrap();
    take_and_commit(&*store, &site, &mut next).await;
    println!("ready");
    wait_for("go");
    let (begun, cpu) = (Instant::now(), clock::process_cpu());
    let mut pages = 0;
    while begun.elapsed() < time {
        if beat
            .next
            .is_some_and(|at| at <= tokio::time::Instant::now())
        {
            beat = store.beat().await.unwrap();
        }
        pages += take_and_commit(&*store, &site, &mut next).await;
    }
    let used = clock::process_cpu().saturating_sub(cpu);
    println!("{pages} {}", used.as_millis());
    wait_for("end");
    end(&*store).await;
}

fn wait_for(line: &str) {
    let mut said = String::new();
    std::io::stdin().read_line(&mut said).unwrap();
    assert_eq!(said.trim(), line);
}

/// Works off a window of some hosts; how many pages were written.
async fn take_and_commit(store: &dyn Store, site: &Site, next: &mut usize) -> usize {
    let hosts = store.lease(HELD, clock::now()).await.unwrap();
    let window = (BATCH * 4 / hosts.len().max(1)).max(8);
    let taken = join_all(
        hosts
            .iter()
            .map(|host| store.take(host.key, window, clock::now())),
    )
    .await;
    let tickets: Vec<Ticket> = taken
        .into_iter()
        .flat_map(|taken| taken.unwrap().tickets)
        .collect();
    let mut pages = 0;
    for tickets in tickets.chunks(BATCH) {
        let batch = tickets
            .iter()
            .map(|ticket| site.page(ticket, next))
            .collect();
        let batch = Batch {
            pages: batch,
            ..Batch::default()
        };
        let receipt = store.commit(Arc::new(batch)).await.unwrap();
        pages += receipt.pages.iter().filter(|page| page.written).count();
    }
    let none = hosts.is_empty();
    store.release(hosts).await.unwrap();
    if none {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pages
}

/// Made-up hosts with as many pages each.
struct Site {
    identity: Identity,
    hosts: usize,
    pages: usize,
    schema: Arc<Schema>,
}

impl Site {
    fn new(identity: Identity, known: usize) -> Self {
        let hosts = (known / 100).clamp(1_000, 50_000);
        let columns = [
            ("url", Kind::Text),
            ("title", Kind::Text),
            ("price", Kind::Real),
            ("stars", Kind::Integer),
        ];
        let columns = columns.map(|(name, kind)| Column {
            name: name.into(),
            kind,
            nullable: false,
        });
        Self {
            identity,
            hosts,
            pages: known / hosts,
            schema: Arc::new(Schema::new("books", columns.into(), &["url"]).unwrap()),
        }
    }

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
            origin,
            path,
            seed: false,
            again: None,
            renews: None,
            request,
        }
    }

    fn page(&self, ticket: &Ticket, next: &mut usize) -> PageCommit {
        let row = PageRow {
            state: PageState::Done,
            reason: None,
            message: None,
            status: 200,
            took_ms: 123,
            bytes: 51_000,
        };
        let url = ticket.request.url.as_str();
        let own = url
            .split(['-', '.'])
            .nth(2)
            .and_then(|number| number.parse().ok())
            .unwrap();
        let mut page = PageCommit::new(ticket, Verdict::Page(row));
        // Four of five links stay on the page's host.
        page.requests = (0..LINKS)
            .map(|place| {
                let to = if place < FRESH {
                    *next += 1;
                    *next
                } else {
                    fastrand::usize(..self.pages)
                };
                let target = if (place + ticket.key.seq as usize).is_multiple_of(5) {
                    fastrand::usize(..self.hosts)
                } else {
                    own
                };
                self.request(target, to)
            })
            .collect();
        let values = vec![
            Value::Text(url.to_owned()),
            Value::Text("A page with a name of usual length".into()),
            Value::Real(12.5),
            Value::Integer(3),
        ];
        page.records = vec![Record::new(Arc::clone(&self.schema), values).unwrap()];
        page
    }
}

/// A crawl with known URLs, half of them done: past the store, which would take its time.
async fn fill(url: &str, known: usize) {
    let store = store::open(url).await.unwrap();
    let site = Site::new(
        Identity::new(store.begin(begin()).await.unwrap().key),
        known,
    );
    end(&*store).await;
    let mut db = PgConnection::connect(url).await.unwrap();
    let mut seq = 0_u64;
    for hosts in (0..site.hosts).collect::<Vec<_>>().chunks(2_000) {
        let [mut host_rows, mut seen, mut queue, mut page] = [const { String::new() }; 4];
        for &host in hosts {
            let mut all: Vec<_> = (0..site.pages)
                .map(|number| site.request(host, number))
                .collect();
            all.sort_by_key(|new| new.fingerprint.0);
            let NewRequest {
                host: key, origin, ..
            } = &all[0];
            writeln!(host_rows, "{}\t1\t{origin}\t0", key.0).unwrap();
            for (number, new) in all.iter().enumerate() {
                seq += 1;
                let (key, fp, path) = (new.host.0, new.fingerprint.0, &new.path);
                writeln!(seen, "{key}\t{fp}\t{seq}").unwrap();
                if number % 2 == 0 {
                    writeln!(queue, "{key}\t0\t0\t1\t{seq}\t{fp}\t0\tbook\t{path}").unwrap();
                } else {
                    writeln!(
                        page,
                        "{seq}\t1\t{key}\t{fp}\tbook\t{path}\tdone\t200\t12\t5000\t0\t1\t0\t1"
                    )
                    .unwrap();
                }
            }
        }
        for (into, rows) in [
            ("host (id, crawl, origin, lease_at)", host_rows),
            ("seen (host, fp, seq)", seen),
            (
                "queue (host, due, ord, depth, seq, fp, tries, step, path)",
                queue,
            ),
            (
                "page (id, run, host, fp, step, path, state, status, ms, bytes, ord, depth, tries, at)",
                page,
            ),
        ] {
            let mut copy = db
                .copy_in_raw(&format!("COPY {into} FROM STDIN"))
                .await
                .unwrap();
            copy.send(rows.into_bytes()).await.unwrap();
            copy.finish().await.unwrap();
        }
    }
    let counters = format!(
        "SELECT setval('request_number', {seq} + 1, false);
         UPDATE run SET known = {seq}, done = (SELECT count(*) FROM page) WHERE id = 1"
    );
    sqlx::raw_sql(AssertSqlSafe(counters))
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE")
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::raw_sql("CHECKPOINT").execute(&mut db).await.unwrap();
}
