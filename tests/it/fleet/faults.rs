//! A whole crawl while the server crashes, another takes over, and clocks are wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nephila::settings::PolitenessBy;
use nephila::site::Site;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::{DELAY, Fleet, LEASE, MOST_IN_HAND, PROCESSES, SITES, check, lag, number, scale};
use crate::postgres::{self, Server, database_of, missing};

const PAGES: usize = 60;

/// Where Debian has libfaketime, by which a process sees another time.
const FAKETIME: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

struct Bed {
    sites: Vec<Site>,
    /// Of all sites.
    pages: usize,
    fleet: Fleet,
}

impl Bed {
    async fn new(db: String) -> Self {
        Self::of(db, SITES, PAGES).await
    }

    /// As large as the long form of `fleet::processes`, if that is wanted.
    async fn long(db: String) -> Self {
        let (_, sites, pages) = scale();
        let mut bed = Self::of(db, sites, pages).await;
        if sites > SITES {
            // So many requests keep a machine busy for longer than a short lease.
            bed.fleet.lease = LEASE * 8;
        }
        bed
    }

    async fn of(db: String, hosts: usize, pages: usize) -> Self {
        let mut sites = Vec::new();
        for _ in 0..hosts {
            sites.push(Site::start("127.0.0.1:0").await.unwrap());
        }
        let start = format!("/graph/0?of={pages}");
        let starts = sites.iter().map(|site| site.page(&start)).collect();
        Self {
            sites,
            pages: hosts * pages,
            fleet: Fleet {
                starts,
                db,
                politeness: PolitenessBy::Host,
                processes: 1,
                lease: LEASE,
            },
        }
    }

    fn hits(&self) -> usize {
        self.sites.iter().map(Site::hits).sum()
    }

    /// Waits for so many requests.
    async fn wait_for(&self, hits: usize) {
        while self.hits() < hits {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What must hold at the end: each page once, each host at its pace.
    async fn check(&self, db: &str) {
        check(db).await;
        let all = self.pages as i64;
        assert_eq!(number(db, "SELECT count(*) FROM queue").await, 0);
        assert_eq!(number(db, "SELECT count(*) FROM visits").await, all);
        let urls = "SELECT count(DISTINCT url) FROM visits";
        assert_eq!(number(db, urls).await, all);
        for site in &self.sites {
            let log = site.log();
            assert!(log.iter().all(|hit| hit.open == 1), "two at once: {log:?}");
            let lag = lag(&log, DELAY);
            // Less than a delay on a busy machine; what two ask at once while a server is away lags behind by
            // half of that time, which is seconds.
            assert!(lag < DELAY * 20, "closer by {lag:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_crashes_three_times() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let db = database_of(&server.url).await;
    let bed = Bed::long(db.clone()).await;
    let running: Vec<_> = (0..PROCESSES).map(|_| bed.fleet.spawn()).collect();
    for part in 1..=3 {
        bed.wait_for(bed.pages * part / 5).await;
        tokio::task::block_in_place(|| server.restart());
    }
    for process in running {
        process.finish().await;
    }
    bed.check(&db).await;
    // What was under way when it crashed may have been asked for again, and nothing else.
    let again = bed.hits() - bed.pages;
    let in_hand = MOST_IN_HAND.min(5 * bed.sites.len());
    let most = 3 * PROCESSES * in_hand + 2 * bed.sites.len();
    assert!(again < most, "{again} pages were asked for again");
    println!("{} pages, {again} asked again", bed.pages);
}

/// The last commits may be gone after a crash. How many are lost is chance, and may be none: what was lost
/// for certain is in `store::faults`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_loses_its_last_commits() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let db = database_of(&server.url).await;
    for setting in ["synchronous_commit = off", "wal_writer_delay = '10s'"] {
        super::run(&server.url, &format!("ALTER SYSTEM SET {setting}")).await;
    }
    server.reload();
    let bed = Bed::new(db.clone()).await;
    let running: Vec<_> = (0..3).map(|_| bed.fleet.spawn()).collect();
    for part in 1..=3 {
        bed.wait_for(SITES * PAGES * part / 5).await;
        tokio::task::block_in_place(|| server.restart());
    }
    for process in running {
        process.finish().await;
    }
    bed.check(&db).await;
}

/// Two addresses in one URL: a standby takes over, and the crawl goes on there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_takes_over() {
    let Some(primary) = Server::start().or_else(missing) else {
        return;
    };
    let db = database_of(&primary.url).await;
    let standby = tokio::task::block_in_place(|| primary.standby());
    let hosts = |first: &Server, second: &Server| {
        format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port())
    };
    let both = db.replace(
        &format!("127.0.0.1:{}", primary.port()),
        // The one that can't be written stands first.
        &hosts(&standby, &primary),
    );
    let bed = Bed::new(both).await;
    let running: Vec<_> = (0..3).map(|_| bed.fleet.spawn()).collect();
    bed.wait_for(SITES * PAGES / 3).await;
    tokio::task::block_in_place(|| {
        primary.stop();
        standby.promote();
    });
    for process in running {
        process.finish().await;
    }
    let path = db.rsplit('/').next().unwrap();
    let db = format!("postgres://nephila@127.0.0.1:{}/{path}", standby.port());
    bed.check(&db).await;
}

/// A way to a server on which everything takes `delay`; counts what is sent to it.
async fn slow_way(to: u16, delay: Duration) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let (client, server) = (client.into_split(), server.into_split());
            tokio::spawn(carry(client.0, server.1, delay, Arc::clone(&counted)));
            tokio::spawn(carry(server.0, client.1, delay, Arc::default()));
        }
    });
    (port, sent)
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    counted: Arc<AtomicUsize>,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        counted.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(delay).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Slow answers make a crawl slower, and have it ask no oftener.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_asked_no_oftener() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let (mut asked, mut took) = (Vec::new(), Vec::new());
    // A sign of life is several statements, and leases here end after 600 ms.
    for delay in [0, 4] {
        let db = database_of(&server.url).await;
        let (port, sent) = slow_way(server.port(), Duration::from_millis(delay)).await;
        let way = db.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
        let bed = Bed::new(way).await;
        let begun = tokio::time::Instant::now();
        let running: Vec<_> = (0..2).map(|_| bed.fleet.spawn()).collect();
        for process in running {
            process.finish().await;
        }
        took.push(begun.elapsed());
        bed.check(&db).await;
        asked.push(sent.load(Ordering::Relaxed));
    }
    // Who takes longer shows more signs of life, each with ten statements at the most.
    let longer = took[1].saturating_sub(took[0]).as_secs_f64();
    let beats = 2.0 * longer / (LEASE / 3).as_secs_f64();
    let most = asked[0] * 3 / 2 + 10 * beats as usize;
    assert!(asked[1] < most, "{asked:?} in {took:?}");
}

/// All connections are taken while those of the crawl are lost: it waits for its turn, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_free_connections_is_waited_for() {
    // Twelve for all but superusers.
    let options = "-c max_connections=15 -c superuser_reserved_connections=3";
    let Some(server) = Server::start_with(options).or_else(missing) else {
        return;
    };
    let db = database_of(&server.url).await;
    super::run(
        &db,
        "CREATE ROLE crawler LOGIN; ALTER DATABASE postgres OWNER TO crawler",
    )
    .await;
    let path = db.rsplit('/').next().unwrap();
    super::run(
        &db,
        &format!("ALTER DATABASE {path} OWNER TO crawler; GRANT ALL ON SCHEMA public TO crawler"),
    )
    .await;
    let own = db.replace("nephila@", "crawler@");
    let bed = Bed::new(own.clone()).await;
    let running: Vec<_> = (0..3).map(|_| bed.fleet.spawn()).collect();
    bed.wait_for(SITES * PAGES / 3).await;
    // Each time that the crawl loses one, somebody else takes it.
    let mut others = Vec::new();
    while others.len() < 12 {
        let lose = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
          WHERE usename = 'crawler' AND application_name = 'nephila'";
        number(&db, lose).await;
        let other = own.clone() + "?application_name=other";
        while let Ok(one) = PgConnection::connect(&other).await {
            others.push(one);
        }
    }
    let refused = || server.log().matches("FATAL:").count();
    let (hits, before) = (bed.hits(), refused());
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Pauses grow from 50 ms, for each of some calls that each process makes at a time.
    let tries = refused() - before;
    assert!((1..3 * 8 * 7).contains(&tries), "{tries} tries");
    // Nothing is sent for a lease that nobody can prolong.
    assert!(
        bed.hits() - hits < SITES * 20,
        "{} requests",
        bed.hits() - hits
    );
    // Who begins now waits, too.
    let late = tokio::spawn(async move { nephila::store::open(&own).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!late.is_finished());
    drop(others);
    late.await.unwrap().unwrap();
    for process in running {
        process.finish().await;
    }
    bed.check(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_are_wrong() {
    let Some(library) = FAKETIME
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
    else {
        return crate::skipped("clocks that are wrong: libfaketime is not installed");
    };
    let Some(db) = postgres::database().await else {
        return;
    };
    let bed = Bed::long(db.clone()).await;
    let start = |offset| {
        bed.fleet.spawn_with(&[
            ("LD_PRELOAD", library),
            ("FAKETIME", offset),
            ("DONT_FAKE_MONOTONIC", "1"),
        ])
    };
    let mut running = vec![start("+60"), start("-60"), start("+60"), bed.fleet.spawn()];
    bed.wait_for(bed.pages / 4).await;
    // The hosts of one that dies are asked by those whose clocks differ from its own.
    drop(running.swap_remove(0));
    running.push(start("+60"));
    bed.wait_for(bed.pages / 2).await;
    running[0].signal("STOP");
    tokio::time::sleep(bed.fleet.lease * 2).await;
    running[0].signal("CONT");
    for process in running {
        process.finish().await;
    }
    bed.check(&db).await;
    let apart = "SELECT (max(beat) - min(beat)) / 1000 FROM run";
    assert!(number(&db, apart).await < 50, "the database's clock counts");
}
