//! What people read at the end of a crawl.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::engine::{
    BadRowCount, DroppedCount, ErrorGroup, Extreme, ItemCount, RefusedCount, SlowedCount,
    Statistics, StepCount, WorkerCount,
};
use crate::settings::Settings;
use crate::store::PageState;

fn statistics() -> Statistics {
    let step = |pages, items| StepCount {
        pages,
        items,
        ..StepCount::default()
    };
    let books = ItemCount {
        emitted: 949,
        empty: BTreeMap::new(),
    };
    Statistics {
        spider: "books".into(),
        run: 42,
        seeds: 1,
        queued: 1_100,
        pages: 1_049,
        steps: [
            ("list".to_owned(), step(100, 0)),
            ("book".to_owned(), step(949, 949)),
        ]
        .into(),
        items: [("books".to_owned(), books)].into(),
        ..Statistics::default()
    }
}

fn group(state: PageState, reason: &str, message: &str, count: u64) -> ErrorGroup {
    ErrorGroup {
        state,
        reason: reason.to_owned(),
        step: "book".to_owned(),
        pattern: String::new(),
        message: message.to_owned(),
        count,
        sample: "http://shop.example/book/9".to_owned(),
        referrer: Some("http://shop.example/page/3".to_owned()),
        selector: None,
        seed: false,
    }
}

fn text(stop: Stop, run: Statistics) -> String {
    let report = Report::new(stop, Duration::from_secs(2), run, &Settings::default());
    let crawled = Crawled {
        command: "nephila crawl books".to_owned(),
        db: "crawl.db".to_owned(),
        db_bytes: Some(41_400_000),
        db_flag: String::new(),
    };
    verdict(&report, &crawled, Style::PLAIN)
}

#[test]
fn all_is_well() {
    insta::assert_snapshot!(text(Stop::Finished, statistics()), @r#"
    ✓ books  run 42: 1 049 pages, 949 items in 2.0 s (524 pages/s)
      db crawl.db (41 MB)   query: nephila query "select * from books limit 5"
    "#);
}

#[test]
fn several_processes() {
    let mut run = statistics();
    let worker = |run, failed, stop: &str| WorkerCount {
        run,
        pid: 800 + run as u32,
        stop: stop.to_owned(),
        pages: 524,
        failed,
        items: 474,
    };
    run.workers = vec![
        worker(42, 0, "finished"),
        worker(43, 2, "killed"),
        worker(44, 0, ""),
    ];
    insta::assert_snapshot!(text(Stop::Finished, run), @r#"
    ✓ books  runs 42, 43, 44: 1 049 pages, 949 items in 2.0 s (524 pages/s)
         run 42, process 842: 524 pages, 474 items
         run 43, process 843: 524 pages, 2 failed, 474 items, killed
         run 44, process 844: 524 pages, 474 items, still running
      db crawl.db (41 MB)   query: nephila query "select * from books limit 5"
    "#);
}

#[test]
fn pages_that_failed() {
    let mut run = statistics();
    run.failed = 58;
    run.missing = 2;
    let price = "field `price`: can't read \"Call us\" as f64";
    run.errors = vec![
        ErrorGroup {
            selector: Some(r"p.price =~ ([\d.]+)".to_owned()),
            ..group(PageState::Failed, "field", price, 51)
        },
        group(PageState::Failed, "status", "answered 404 Not Found", 2),
        group(PageState::Failed, "step", "\u{1b}]0;x\u{7}", 1),
        group(PageState::Failed, "timeout", "no byte for 20 s, 4 tries", 4),
    ];
    insta::assert_snapshot!(text(Stop::Finished, run), @r#"
    ✗ books  run 42: 1 049 pages, 949 items in 2.0 s (524 pages/s)   exit 1
    error: books::book failed on 51 of 1 007 pages: field `price`: can't read "Call us" as f64
         selector  p.price =~ ([\d.]+)
         page      http://shop.example/book/9  (from http://shop.example/page/3)
         fix       make it optional, or widen its selector or pattern
         again     nephila retry 42 --error 78c1b4fd
    error: books::book failed on 4 of 1 007 pages: no byte for 20 s, 4 tries
         page      http://shop.example/book/9  (from http://shop.example/page/3)
         again     nephila retry 42 --error f7586fb5
    error: books::book failed on 1 of 1 007 pages: \u{1b}]0;x\u{7}
         page      http://shop.example/book/9  (from http://shop.example/page/3)
         again     nephila retry 42 --error 387eec3a
    note: 2 links lead to no page (404, 410), for example http://shop.example/book/9 (on http://shop.example/page/3)
      db crawl.db (41 MB)   query: nephila query "select * from books limit 5"
    "#);
}

#[test]
fn start_urls_that_failed() {
    let check = |reason: &str, message: &str, sample: &str| {
        let failed = ErrorGroup {
            sample: sample.to_owned(),
            referrer: None,
            seed: true,
            ..group(PageState::Failed, reason, message, 1)
        };
        let run = Statistics {
            spider: "links".into(),
            seeds: 1,
            queued: 1,
            failed: 1,
            errors: vec![failed],
            ..Statistics::default()
        };
        let text = text(Stop::Finished, run);
        text.lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(
        check("status", "answered 404 Not Found", "http://shop.example/nope"),
        @r"error: start URL http://shop.example/nope answered 404 Not Found; nothing was crawled"
    );
    insta::assert_snapshot!(check("dns", "no such host", "http://no.invalid/"), @r"error: no such host: no.invalid; nothing was crawled");
    insta::assert_snapshot!(
        check("tls", "TLS: the certificate has expired", "https://shop.example/"),
        @r"
        error: start URL https://shop.example/ failed: TLS: the certificate has expired; nothing was crawled
             if it is yours:  -s tls_ca=FILE.pem, or -s tls_insecure=shop.example to trust it blindly
        "
    );
    insta::assert_snapshot!(
        check("blocked", "10.0.0.1 is a private address", "http://intern.example/"),
        @r"
        error: intern.example may not be asked: 10.0.0.1 is a private address; nothing was crawled
             if it is yours:  -s hosts=intern.example  (or private_networks, in nephila.toml)
        "
    );
    insta::assert_snapshot!(
        check("connect", "connection refused, 4 tries", "http://127.0.0.1:9/"),
        @r"
        error: can't connect to 127.0.0.1:9: connection refused, 4 tries; nothing was crawled
             nothing listens there. If it is the demo shop: nephila demo --serve
        "
    );
}

#[test]
fn nothing_scraped() {
    let mut run = statistics();
    run.items.clear();
    run.steps.insert(
        "book".to_owned(),
        StepCount {
            pages: 100,
            ..StepCount::default()
        },
    );
    run.missed = [("book h1.titel".to_owned(), 100)].into();
    insta::assert_snapshot!(text(Stop::Finished, run), @r"
    ✗ books  run 42: 1 049 pages, 0 items in 2.0 s (524 pages/s)   exit 1
    error: nothing was scraped: 1 049 pages, 0 items
         books::book ran on 100 pages and returned no item; 100 x `h1.titel` matches nothing
         books::list ran on 100 pages and returned no item
         --allow-empty if that is meant
    ");
}

#[test]
fn links_not_followed() {
    let mut run = statistics();
    let sample = "mailto:ann@shop.example".to_owned();
    let refused = |count| RefusedCount {
        count,
        sample: sample.clone(),
    };
    run.refused = [
        ("scope cdn.shop.example".to_owned(), refused(20)),
        ("scope blog.shop.example".to_owned(), refused(2)),
        ("scheme mailto".to_owned(), refused(9)),
        ("depth".to_owned(), refused(1)),
    ]
    .into();
    run.skipped = 12;
    let robots = "Disallow: /private (line 2)";
    run.errors = vec![group(PageState::Skipped, "robots", robots, 12)];
    run.missed = [("list li.next a".to_owned(), 100), ("book i".to_owned(), 3)].into();
    let empty = [("stars".to_owned(), 949), ("isbn".to_owned(), 900)].into();
    run.items.insert(
        "books".to_owned(),
        ItemCount {
            emitted: 949,
            empty,
        },
    );
    insta::assert_snapshot!(text(Stop::Finished, run), @r#"
    ✓ books  run 42: 1 049 pages, 949 items in 2.0 s (524 pages/s)
    note: 1 link was deeper than max_depth, for example mailto:ann@shop.example
    warning: 22 links left the allowed hosts and were not followed: cdn.shop.example (20), blog.shop.example (2)
         allow them:  hosts = ["cdn.shop.example", "blog.shop.example"]
    note: robots.txt of shop.example forbids 12 URLs: Disallow: /private (line 2)
         explain:  nephila explain http://shop.example/book/9
    warning: `li.next a` matches nothing on any of 100 pages of books::list
    warning: `stars` of books is empty in all 949 rows
      db crawl.db (41 MB)   query: nephila query "select * from books limit 5"
    "#);
}

#[test]
fn hosts_that_are_left_alone() {
    let mut run = statistics();
    let paused = |why: &str, pauses| SlowedCount {
        why: why.to_owned(),
        until: jiff::Timestamp::UNIX_EPOCH,
        count: pauses,
        in_a_row: pauses,
        used_up: false,
    };
    let refused = "429 Too Many Requests (Retry-After 86400 s, cut to 600 s)";
    run.slowed = [
        ("http://shop.example".to_owned(), paused(refused, 3)),
        (
            "http://slow.example".to_owned(),
            paused("no byte for 20 s", 1),
        ),
    ]
    .into();
    insta::assert_snapshot!(text(Stop::Limit("max_wait"), run), @r"
    ■ books  run 42: stopped at max_wait (51 queued), 1 049 pages, 949 items in 2.0 s (524 pages/s)   exit 3
    warning: http://shop.example was slowed down 3 times: 429 Too Many Requests (Retry-After 86400 s, cut to 600 s); it is left alone until 00:00:00 UTC
    warning: http://slow.example was slowed down once: no byte for 20 s; it is left alone until 00:00:00 UTC
      db crawl.db (41 MB)   go on: nephila crawl books
    ");
}

#[test]
fn stopped() {
    insta::assert_snapshot!(text(Stop::Limit("max_pages"), statistics()), @r"
    ■ books  run 42: stopped at max_pages (51 queued), 1 049 pages, 949 items in 2.0 s (524 pages/s)   exit 3
      db crawl.db (41 MB)   go on: nephila crawl books
    ");
    insta::assert_snapshot!(text(Stop::Interrupted, statistics()), @r"
    ■ books  run 42: interrupted (51 queued), 1 049 pages, 949 items in 2.0 s (524 pages/s)   exit 130
      db crawl.db (41 MB)   go on: nephila crawl books
    ");
    insta::assert_snapshot!(text(Stop::Broken("disk full while writing x".into()), statistics()), @r"
    ✗ books  run 42: broke off, 1 049 pages, 949 items in 2.0 s (524 pages/s)   exit 70
    error: disk full while writing x
         what is stored is whole, and the rest is queued: mend it, and go on
      db crawl.db (41 MB)   go on: nephila crawl books
    ");
}

#[test]
fn what_was_left_out_and_not_met() {
    let mut run = statistics();
    let bad = BadRowCount {
        count: 3,
        pages: 2,
        message: "field `price`: can't read \"Call us\" as f64".to_owned(),
        selector: Some("p.price =~ ([\\d.]+)".to_owned()),
        sample: "http://shop.example/?page=4".to_owned(),
    };
    run.bad_rows = [("list: field `price`: can't read * as f*".to_owned(), bad)].into();
    let dropped = DroppedCount {
        count: 12,
        sample: "http://shop.example/book/7".to_owned(),
    };
    run.dropped = [("books: no price".to_owned(), dropped)].into();
    let settings = Settings {
        expect: vec!["books >= 1000".to_owned(), "book: items >= 1".to_owned()],
        ..Settings::default()
    };
    let fewest = Extreme {
        items: 0,
        sample: "http://shop.example/book/8".to_owned(),
    };
    run.steps.get_mut("book").unwrap().fewest = Some(fewest);
    let report = Report::new(Stop::Finished, Duration::from_secs(2), run, &settings);
    insta::assert_snapshot!(verdict(&report, &Crawled::default(), Style::PLAIN), @r#"
    ✗ books  run 42: 1 049 pages, 949 items in 2.0 s (524 pages/s)   exit 1
    error: expected books >= 1000, found 949
    error: expected book: items >= 1, found 0
         page      http://shop.example/book/8
    warning: books::list left out 3 rows of 2 pages: field `price`: can't read "Call us" as f64
         selector  p.price =~ ([\d.]+)
         page      http://shop.example/?page=4
    note: the pipeline dropped 12 of books: no price, for example on http://shop.example/book/7
      db    query: nephila query "select * from books limit 5"
    "#);
}
