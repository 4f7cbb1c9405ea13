//! Tickets, order, time, and the end of a crawl.

use std::time::Duration;

use nephila::request::Request;
use nephila::store::{Batch, Host, NewRequest, PageReceipt, Rest, RobotsFile};

use super::database::{Database, begin};
use super::promises;
use super::steps::{Crawl, at, done, pages, retry};

promises! {
    a_page_is_written_once,
    what_waits_for_its_time,
    a_retry_writes_nothing_but_itself,
    requests_come_in_order,
    a_request_comes_back_as_it_was,
    a_host_keeps_its_state,
    what_is_known_is_wanted_all_the_same,
    a_host_is_left_alone_until_its_moment,
    a_commit_after_its_release_leaves_no_idle_host,
    who_waited_longest_is_leased_first,
    a_host_of_a_seed_stays_one,
    the_end_is_exact,
    a_large_batch_is_one,
}

const SITE: &str = "http://a.example";

/// The ticket is the queue row: who comes second writes nothing.
async fn a_page_is_written_once(database: &Database) {
    let crawl = database.crawl().await;
    assert_eq!(crawl.seed(&["http://a.example/1"]).await, 1);
    assert_eq!(crawl.lease(at(0)).await.len(), 1);
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    let mut page = done(&ticket);
    page.requests = vec![
        crawl.request("http://a.example/2"),
        crawl.request("http://a.example/1"),
        crawl.request("http://a.example/2"),
    ];
    let receipt = crawl.commit(pages([page.clone(), page.clone()])).await;
    let written = PageReceipt {
        written: true,
        fresh: 1,
        ..PageReceipt::default()
    };
    assert_eq!(receipt.pages, [written, PageReceipt::default()]);
    assert_eq!(receipt.fresh, [(ticket.key.host, 1)].into());
    page.requests.push(crawl.request("http://a.example/3"));
    let receipt = crawl.commit(pages([page])).await;
    assert_eq!(receipt.pages, [PageReceipt::default()]);
    assert!(receipt.fresh.is_empty());
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/2"]);
}

async fn what_waits_for_its_time(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let hosts = crawl.lease(at(0)).await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.commit(pages([retry(&ticket, at(60), true)])).await;
    let taken = crawl.store.take(ticket.key.host, 10, at(59)).await.unwrap();
    assert_eq!((taken.tickets.len(), taken.next_due), (0, Some(at(60))));
    assert_eq!(crawl.rest().await, Rest::Until(at(60)));
    crawl.store.release(hosts).await.unwrap();
    assert_eq!(crawl.rest().await, Rest::Until(at(60)));
    assert!(crawl.lease(at(59)).await.is_empty());
    assert_eq!(crawl.lease(at(60)).await.len(), 1);
    let again = crawl.take(SITE, at(60)).await.remove(0);
    assert_eq!((again.key, again.tries), (ticket.key, 1));
    crawl.commit(pages([done(&again)])).await;
    assert_eq!(crawl.rest().await, Rest::Nothing);
}

async fn a_retry_writes_nothing_but_itself(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let hosts = crawl.lease(at(0)).await;
    crawl.store.release(hosts).await.unwrap();
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    let mut page = retry(&ticket, at(60), false);
    page.requests = vec![crawl.request("http://a.example/2")];
    let receipt = crawl.commit(pages([page.clone(), page.clone()])).await;
    let written = |written| PageReceipt {
        written,
        ..PageReceipt::default()
    };
    assert_eq!(receipt.pages, [written(true), written(false)]);
    // Its ticket is not ready any more, so the same commit once more is no second try.
    assert_eq!(crawl.commit(pages([page])).await.pages, [written(false)]);
    let taken = crawl.store.take(ticket.key.host, 10, at(60)).await.unwrap();
    let tries = taken.tickets.iter().map(|ticket| ticket.tries);
    assert_eq!(tries.collect::<Vec<_>>(), [0]);
}

async fn requests_come_in_order(database: &Database) {
    let crawl = database.crawl().await;
    let request = |path: &str, change: fn(&mut Request)| {
        crawl.with(&format!("http://a.example/{path}"), change)
    };
    let batch = Batch {
        seeds: vec![
            request("third", |request| request.depth = 1),
            request("last", |request| request.priority = i16::MIN),
            request("fourth", |request| request.depth = 1),
            request("second", |_| {}),
            request("first", |request| {
                request.priority = i16::MAX;
                request.depth = u16::MAX;
            }),
            request("late", |request| request.not_before = Some(at(9))),
        ],
        ..Batch::default()
    };
    crawl.commit(batch.clone()).await;
    let order = ["/first", "/second", "/third", "/fourth", "/last"];
    assert_eq!(crawl.paths(SITE, at(0)).await, order);
    let window = crawl.store.take(crawl.host(SITE), 2, at(0)).await.unwrap();
    assert_eq!(window.tickets.len(), 2);
    assert_eq!(window.next_due, Some(at(9)));
    let late = crawl.paths(SITE, at(9)).await;
    assert_eq!(
        late,
        ["/first", "/second", "/late", "/third", "/fourth", "/last"]
    );
}

async fn a_request_comes_back_as_it_was(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/"]).await;
    let mut page = done(&crawl.take(SITE, at(0)).await[0]);
    let sent = crawl.with("http://a.example/post#top", |request| {
        request.method = http::Method::POST;
        request.body = Some(vec![0, 255, b'"'].into());
        request
            .headers
            .append("x-a", "'; DROP TABLE queue; --".parse().unwrap());
        request.headers.append("x-a", "\u{e4}".parse().unwrap());
        request.timeout = Some(std::time::Duration::from_millis(1500));
        request.step.args = Some(r#"{"page":2}"#.into());
        request.priority = -7;
        request.depth = 3;
        request.dedup = false;
        request.redirects = vec!["http://b.example/".parse().unwrap()];
    });
    page.requests = vec![sent.clone()];
    crawl.commit(pages([page])).await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    assert_eq!(ticket.request, sent.request);
    assert_eq!(ticket.fingerprint, sent.fingerprint);
    assert_eq!(ticket.referrer, "http://a.example/".parse().ok());
}

/// Where a form led to counts as seen, and is asked for whether it was seen or not.
async fn what_is_known_is_wanted_all_the_same(database: &Database) {
    let crawl = database.crawl().await;
    crawl
        .seed(&[
            "http://a.example/1",
            "http://a.example/2",
            "http://a.example/3",
        ])
        .await;
    let mut tickets = crawl.take(SITE, at(0)).await;
    let target = |path: &str, nonce| {
        let mut target = crawl.request(&format!("http://a.example/{path}"));
        target.again = Some(
            crawl
                .identity
                .fingerprint(&target.request, &target.path, Some(nonce)),
        );
        target
    };
    let mut page = |requests| {
        let mut page = done(&tickets.remove(0));
        page.requests = requests;
        page
    };
    // Two forms lead to what is not known; after that it is.
    let first = page(vec![target("new", 1), target("2", 2)]);
    let receipt = crawl
        .commit(pages([first, page(vec![target("new", 3)])]))
        .await;
    let fresh: Vec<_> = receipt.pages.iter().map(|page| page.fresh).collect();
    assert_eq!(fresh, [2, 1]);
    let last = page(vec![
        crawl.request("http://a.example/new"),
        target("new", 4),
    ]);
    let receipt = crawl.commit(pages([last])).await;
    assert_eq!(receipt.pages[0].fresh, 1);
    let queued = crawl.take(SITE, at(0)).await;
    let mut paths: Vec<_> = queued
        .iter()
        .map(|ticket| ticket.request.url.path())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/2", "/new", "/new", "/new"]);
}

async fn a_host_keeps_its_state(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let host = crawl.lease(at(0)).await.remove(0);
    let expected = Host {
        key: crawl.host(SITE),
        origin: SITE.into(),
        seed: true,
        next_at: jiff::Timestamp::UNIX_EPOCH,
        errors: 0,
        robots: None,
        delay: Duration::ZERO,
        ceiling: Duration::ZERO,
        day: 0,
        sent: 0,
        lapsed: false,
    };
    assert_eq!(host, expected);
    let robots = RobotsFile {
        status: 200,
        body: "User-agent: *\nDisallow: /\u{e4}".into(),
        at: at(5),
    };
    let host = Host {
        next_at: at(20),
        errors: 3,
        robots: Some(robots.clone()),
        delay: Duration::from_millis(1_500),
        ceiling: Duration::from_millis(700),
        day: 20_000,
        sent: 17,
        ..host
    };
    let batch = Batch {
        hosts: vec![host.clone()],
        ..Batch::default()
    };
    crawl.commit(batch).await;
    let again = Crawl::begin(crawl.store.clone(), begin("books")).await;
    assert!(again.lease(at(19)).await.is_empty());
    // Nobody gave it back: when it was last asked is not known.
    let lapsed = Host {
        lapsed: true,
        ..host.clone()
    };
    assert_eq!(again.lease(at(20)).await, [lapsed]);
    // A host without a robots.txt in hand does not forget the stored one.
    let bare = Host {
        robots: None,
        next_at: at(30),
        ..host
    };
    again.store.release(vec![bare]).await.unwrap();
    let released = again.lease(at(30)).await.remove(0);
    assert_eq!((released.robots, released.lapsed), (Some(robots), false));
}

/// A host that asked for a pause has it also if its next request is found in between.
async fn a_host_is_left_alone_until_its_moment(database: &Database) {
    let crawl = database.crawl().await;
    crawl
        .seed(&["http://a.example/1", "http://b.example/1"])
        .await;
    let mut hosts = crawl.lease(at(0)).await;
    hosts.sort_by(|a, b| a.origin.cmp(&b.origin));
    let mut quiet = hosts.remove(0);
    quiet.next_at = at(60);
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.commit(pages([done(&ticket)])).await;
    crawl.store.release(vec![quiet]).await.unwrap();
    // Nothing to do there, so it is parked.
    assert!(crawl.lease(at(100)).await.is_empty());
    let mut page = done(&crawl.take("http://b.example", at(0)).await[0]);
    page.requests = vec![crawl.request("http://a.example/2")];
    crawl.commit(pages([page])).await;
    crawl.store.release(hosts).await.unwrap();
    assert!(crawl.lease(at(59)).await.is_empty());
    assert_eq!(crawl.rest().await, Rest::Until(at(60)));
    let mut host = crawl.lease(at(60)).await.remove(0);
    crawl.store.release(vec![host.clone()]).await.unwrap();
    // Also if it asks for more when nobody holds it any more.
    host.next_at = at(90);
    let batch = Batch {
        hosts: vec![host],
        ..Batch::default()
    };
    crawl.commit(batch).await;
    assert!(crawl.lease(at(89)).await.is_empty());
    assert_eq!(crawl.lease(at(90)).await.len(), 1);
}

async fn a_commit_after_its_release_leaves_no_idle_host(database: &Database) {
    let crawl = database.crawl().await;
    crawl
        .seed(&["http://a.example/1", "http://b.example/1"])
        .await;
    let hosts = crawl.lease(at(0)).await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.store.release(hosts).await.unwrap();
    crawl.commit(pages([done(&ticket)])).await;
    let leased = crawl.lease(at(0)).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].origin, "http://b.example");
    let ticket = crawl.take("http://b.example", at(0)).await.remove(0);
    crawl.store.release(leased).await.unwrap();
    crawl.commit(pages([retry(&ticket, at(50), true)])).await;
    assert!(crawl.lease(at(49)).await.is_empty());
    assert_eq!(crawl.rest().await, Rest::Until(at(50)));
}

/// New hosts stand in line: a flood of them does not starve the others.
async fn who_waited_longest_is_leased_first(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let mut hosts = crawl.lease(at(10)).await;
    hosts[0].next_at = at(11);
    crawl.store.release(hosts).await.unwrap();
    crawl.store.lease(0, at(12)).await.unwrap();
    crawl
        .seed(&["http://b.example/1", "http://c.example/1"])
        .await;
    let first = crawl.store.lease(1, at(12)).await.unwrap();
    assert_eq!(first[0].origin, SITE);
}

async fn a_host_of_a_seed_stays_one(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let mut page = done(&crawl.take(SITE, at(0)).await[0]);
    page.requests = vec![
        crawl.request("http://b.example/1"),
        crawl.request("http://c.example/1"),
    ];
    crawl.commit(pages([page])).await;
    let batch = Batch {
        // Known already, but now from a seed.
        seeds: vec![NewRequest {
            seed: true,
            ..crawl.request("http://b.example/1")
        }],
        ..Batch::default()
    };
    assert_eq!(crawl.commit(batch).await.fresh_seeds, 0);
    let mut seeds = Crawl::begin(crawl.store, begin("books"))
        .await
        .opening
        .seed_hosts;
    seeds.sort();
    assert_eq!(seeds, ["http://a.example", "http://b.example"]);
}

async fn the_end_is_exact(database: &Database) {
    let crawl = database.crawl().await;
    assert_eq!(crawl.rest().await, Rest::Nothing);
    crawl
        .seed(&["http://a.example/1", "http://b.example/1"])
        .await;
    assert!(matches!(crawl.rest().await, Rest::Until(moment) if moment <= at(0)));
    for host in crawl.lease(at(0)).await {
        assert!(matches!(crawl.rest().await, Rest::Until(moment) if moment <= at(0)));
        let ticket = crawl.take(&host.origin, at(0)).await.remove(0);
        crawl.commit(pages([done(&ticket)])).await;
    }
    // Hosts that are still held do not keep a crawl alive.
    assert_eq!(crawl.rest().await, Rest::Nothing);
}

async fn a_large_batch_is_one(database: &Database) {
    const MANY: usize = 3000;
    let crawl = database.crawl().await;
    let urls = (0..MANY).map(|n| format!("http://h{}.example/{n}", n % 700));
    let seeds = urls.map(|url| crawl.request(&url)).collect::<Vec<_>>();
    let batch = Batch {
        seeds: [seeds.clone(), seeds].concat(),
        ..Batch::default()
    };
    assert_eq!(crawl.commit(batch.clone()).await.fresh_seeds, MANY as u64);
    assert_eq!(crawl.commit(batch).await.fresh_seeds, 0);
    let hosts = crawl.store.lease(1000, at(0)).await.unwrap();
    assert_eq!(hosts.len(), 700);
    let mut commits = Vec::new();
    for host in &hosts {
        let taken = crawl.store.take(host.key, 100, at(0)).await.unwrap();
        commits.extend(taken.tickets.iter().map(done));
    }
    assert_eq!(commits.len(), MANY);
    let receipt = crawl.commit(pages(commits)).await;
    assert!(receipt.pages.iter().all(|page| page.written));
    crawl.store.release(hosts).await.unwrap();
    assert_eq!(crawl.rest().await, Rest::Nothing);
    assert!(crawl.lease(at(1000)).await.is_empty());
}
