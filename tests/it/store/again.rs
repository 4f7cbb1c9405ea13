//! Pages that are asked for again.

use std::time::Duration;

use jiff::Timestamp;
use nephila::item::{Column, Kind, Record, Schema, Value};
use nephila::request::{Request, Revisit};
use nephila::store::{
    Batch, Begin, Finished, NewRequest, PageCommit, PageRow, PageState, Rest, Rule, Spent,
    StopWhenKnown, Ticket, Tidied, Tidy, Verdict, Visit,
};
use std::sync::Arc;

use super::database::{Database, begin, fresh};
use super::promises;
use super::steps::{Crawl, at, done, pages, row};

promises! {
    failed_pages_go_back,
    a_finished_crawl_is_opened_again,
    a_step_is_given_up,
    a_round_queues_what_is_due,
    a_round_that_was_cut_short_is_gone_on_with,
    what_is_found_changed_is_queued,
    lists_are_forgotten_but_for_their_seeds,
    visits_come_with_their_tickets,
    items_of_a_round_are_kept_true,
    a_list_stops_where_all_is_known,
    budgets_hold_over_runs,
    room_is_made,
}

const SITE: &str = "http://a.example";

fn again(finished: Finished) -> Begin {
    Begin {
        finished,
        ..begin("books")
    }
}

fn failed(ticket: &Ticket, message: &str) -> PageCommit {
    let row = PageRow {
        reason: Some("status"),
        message: Some(message.into()),
        status: 500,
        ..row(PageState::Failed)
    };
    PageCommit::new(ticket, Verdict::Page(row))
}

/// Two pages that are done, one that failed, all of one host; the crawl has finished.
async fn finished(database: &Database) -> Crawl {
    let crawl = database.crawl().await;
    crawl
        .seed(&[
            "http://a.example/1",
            "http://a.example/2",
            "http://a.example/3",
        ])
        .await;
    crawl.lease(at(0)).await;
    let tickets = crawl.take(SITE, at(0)).await;
    let ends = [
        done(&tickets[0]),
        failed(&tickets[1], "answered 500"),
        done(&tickets[2]),
    ];
    crawl.commit(pages(ends)).await;
    crawl.end(true).await;
    crawl
}

async fn numbers(database: &Database, sql: &str) -> Vec<i64> {
    let rows = database.rows(sql).await;
    rows.iter().map(|row| row.parse().unwrap()).collect()
}

/// `seen = queue + page`, and the counters say the same.
async fn check_kept(database: &Database) {
    let kept = "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM queue) - (SELECT count(*) FROM page)";
    assert_eq!(numbers(database, kept).await, [0]);
    let counters = "SELECT sum(known + requeued - done - failed - skipped) - (SELECT count(*) FROM queue) FROM run";
    assert_eq!(numbers(database, counters).await, [0]);
}

async fn failed_pages_go_back(database: &Database) {
    let crawl = finished(database).await;
    let crawl = Crawl::begin(crawl.store, again(Finished::Reopen)).await;
    let resumed = crawl.opening.resumed.unwrap();
    assert_eq!((resumed.pages, resumed.queued), (3, 0));
    assert!(crawl.opening.seeded && crawl.opening.round.is_none());
    let lost = numbers(database, "SELECT id FROM page WHERE state = 'failed'").await;
    // A number twice, and numbers that are none of its pages.
    let asked = vec![lost[0], 77, lost[0], -1];
    assert_eq!(crawl.store.requeue(asked).await.unwrap(), 1);
    assert_eq!(crawl.lease(at(0)).await.len(), 1);
    let tickets = crawl.take(SITE, at(0)).await;
    assert_eq!(tickets.len(), 1);
    assert_eq!((tickets[0].key.seq, tickets[0].tries), (lost[0], 0));
    assert_eq!(tickets[0].request.url.path(), "/2");
    check_kept(database).await;
    let tries = database.rows("SELECT page, message FROM attempt").await;
    assert_eq!(tries, [format!("{} answered 500", lost[0])]);
    crawl.commit(pages([done(&tickets[0])])).await;
    assert_eq!(crawl.rest().await, Rest::Nothing);
    check_kept(database).await;
}

async fn a_finished_crawl_is_opened_again(database: &Database) {
    let crawl = finished(database).await;
    let other = Crawl::begin(crawl.store.clone(), begin("quotes")).await;
    let lost = numbers(database, "SELECT id FROM page WHERE state = 'failed'").await;
    // Another crawl's pages are none of its own.
    assert_eq!(other.store.requeue(lost).await.unwrap(), 0);
    let crawl = Crawl::begin(other.store, again(Finished::Reopen)).await;
    assert_eq!(crawl.rest().await, Rest::Nothing);
    crawl.end(true).await;
    let state = "SELECT state FROM crawl WHERE spider = 'books'";
    assert_eq!(database.rows(state).await, ["finished"]);
}

async fn a_step_is_given_up(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let detail = crawl.with("http://a.example/2", |request| {
        request.step.name = "detail".into();
    });
    let batch = Batch {
        seeds: vec![detail],
        ..Batch::default()
    };
    crawl.commit(batch).await;
    assert_eq!(crawl.store.discard("detail").await.unwrap(), 1);
    assert_eq!(crawl.store.discard("detail").await.unwrap(), 0);
    crawl.lease(at(0)).await;
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/1"]);
    check_kept(database).await;
    let ended = database.rows("SELECT state, reason, step FROM page").await;
    assert_eq!(ended, ["skipped discarded detail"]);
}

fn visit(at: Timestamp, every: Option<Duration>) -> Visit {
    Visit {
        at,
        changed: at,
        every,
        etag: Some("\"v1\"".into()),
        modified: Some("Sat, 21 Nov 2026 10:00:00 GMT".into()),
        hash: Some(7),
    }
}

/// A finished crawl with a page for each of the steps, asked for two hours ago.
async fn visited(database: &Database, steps: &[&str]) -> Crawl {
    let crawl = database.begin(again(Finished::Revisit(vec![]))).await;
    let seeds = steps.iter().map(|step| {
        crawl.with(
            &format!("http://a.example/{step}"),
            |request: &mut Request| {
                request.step.name = (*step).to_owned().into();
                request.step.args = Some("{\"n\":1}".into());
                request.priority = 3;
            },
        )
    });
    let batch = Batch {
        seeds: seeds.collect(),
        seeded: true,
        ..Batch::default()
    };
    crawl.commit(batch).await;
    crawl.lease(at(0)).await;
    let before = nephila::clock::now() - jiff::SignedDuration::from_hours(2);
    let tickets = crawl.take(SITE, at(0)).await;
    let ends = tickets.iter().map(|ticket| PageCommit {
        visit: Some(Box::new(visit(before, Some(Duration::from_hours(1))))),
        ..done(ticket)
    });
    crawl.commit(pages(ends)).await;
    crawl.end(true).await;
    crawl
}

async fn a_round_queues_what_is_due(database: &Database) {
    const HOUR: Duration = Duration::from_hours(1);
    let steps = ["other", "always", "never", "young", "old", "adapted"];
    let crawl = visited(database, &steps).await;
    let due = |step: &str, revisit| (step.to_owned(), Rule::Due(revisit));
    let rules = vec![
        due("always", Revisit::Always),
        due("never", Revisit::Never),
        due("young", Revisit::Every(HOUR * 3)),
        due("old", Revisit::Every(HOUR)),
        due("adapted", Revisit::Between(HOUR / 2, HOUR * 24)),
    ];
    let key = crawl.opening.key;
    let crawl = Crawl::begin(crawl.store, again(Finished::Revisit(rules))).await;
    let round = crawl.opening.round.unwrap();
    assert_eq!((round.number, round.queued, round.resting), (2, 4, 2));
    assert!(!crawl.opening.seeded && crawl.opening.resumed.is_none());
    assert_eq!(crawl.opening.key, key);
    crawl.lease(at(0)).await;
    let tickets = crawl.take(SITE, at(0)).await;
    let paths: Vec<_> = tickets
        .iter()
        .map(|ticket| ticket.request.url.path())
        .collect();
    assert_eq!(paths, ["/other", "/always", "/old", "/adapted"]);
    // All of a request comes back.
    let request = &tickets[0].request;
    assert_eq!(request.step.args.as_deref(), Some("{\"n\":1}"));
    assert_eq!(request.priority, 3);
    check_kept(database).await;
    // A seed that is named again is known.
    let seed = crawl.with("http://a.example/never", |request| {
        request.step.name = "never".into();
    });
    let batch = Batch {
        seeds: vec![seed],
        seeded: true,
        ..Batch::default()
    };
    assert_eq!(crawl.commit(batch).await.fresh_seeds, 0);
}

async fn a_round_that_was_cut_short_is_gone_on_with(database: &Database) {
    let crawl = visited(database, &["a", "b"]).await;
    let rules = || {
        again(Finished::Revisit(vec![(
            "b".into(),
            Rule::Due(Revisit::Never),
        )]))
    };
    let crawl = Crawl::begin(crawl.store, rules()).await;
    crawl.lease(at(0)).await;
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/a"]);
    drop(crawl);
    let crawl = database.begin(rules()).await;
    let resumed = crawl.opening.resumed.unwrap();
    assert_eq!((resumed.pages, resumed.queued), (1, 1));
    // The same round, and nothing is queued once more.
    assert_eq!(crawl.opening.round.unwrap().number, 2);
    assert_eq!(crawl.opening.round.unwrap().queued, 0);
    check_kept(database).await;
}

async fn what_is_found_changed_is_queued(database: &Database) {
    const HOUR: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
    let crawl = visited(database, &["map", "old", "stale", "unknown"]).await;
    let due = |step: &str, revisit| (step.to_owned(), Rule::Due(revisit));
    let rules = ["map", "old", "stale", "unknown"];
    let rules = rules.map(|step| match step {
        "map" => due(step, Revisit::Always),
        _ => due(step, Revisit::Never),
    });
    let crawl = Crawl::begin(crawl.store, again(Finished::Revisit(rules.to_vec()))).await;
    crawl.lease(at(0)).await;
    let map = crawl.take(SITE, at(0)).await;
    assert_eq!(map.len(), 1);
    // All were asked for two hours ago.
    let now = nephila::clock::now();
    let named = |step: &str, renews| NewRequest {
        renews,
        ..crawl.with(&format!("http://a.example/{step}"), |request| {
            request.step.name = step.to_owned().into();
        })
    };
    let mut page = done(&map[0]);
    page.requests = vec![
        named("old", Some(now - HOUR * 3)),
        named("unknown", None),
        named("stale", Some(now - HOUR)),
        named("stale", Some(now - HOUR * 3)),
        named("stale", Some(now)),
        named("new", Some(now)),
    ];
    let receipt = crawl.commit(pages([page])).await;
    assert_eq!((receipt.renewed, receipt.pages[0].fresh), (1, 1));
    assert_eq!(receipt.fresh[&crawl.host(SITE)], 2);
    check_kept(database).await;
    let tickets = crawl.take(SITE, at(0)).await;
    let paths = tickets.iter().map(|ticket| ticket.request.url.path());
    let mut paths: Vec<_> = paths.collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/new", "/stale"]);
    let stale = tickets.iter().find(|t| t.request.url.path() == "/stale");
    let stale = stale.unwrap();
    // As it was, with what is known of it.
    assert_eq!(stale.request.step.args.as_deref(), Some("{\"n\":1}"));
    assert_eq!(stale.visit.as_deref().unwrap().hash, Some(7));
    // What this run has read is not read again, whatever is said of it.
    let (new, stale) = (done(&tickets[0]), done(&tickets[1]));
    let mut new = if tickets[0].request.url.path() == "/new" {
        [new, stale]
    } else {
        [stale, new]
    };
    new[0].requests = vec![named("stale", Some(Timestamp::MAX))];
    let receipt = crawl.commit(pages(new)).await;
    assert_eq!(receipt.renewed, 0);
    assert_eq!(crawl.rest().await, Rest::Nothing);
    check_kept(database).await;
}

async fn lists_are_forgotten_but_for_their_seeds(database: &Database) {
    let crawl = finished(database).await;
    let crawl = Crawl::begin(crawl.store, again(Finished::Reopen)).await;
    let lost = numbers(database, "SELECT id FROM page WHERE state = 'failed'").await;
    crawl.store.requeue(lost).await.unwrap();
    crawl.lease(at(0)).await;
    let mut page = done(&crawl.take(SITE, at(0)).await[0]);
    page.requests = vec![crawl.with("http://a.example/next", |request| request.depth = 1)];
    crawl.commit(pages([page])).await;
    let next = crawl.take(SITE, at(0)).await;
    crawl.commit(pages([done(&next[0])])).await;
    crawl.end(true).await;
    let rules = vec![("list".to_owned(), Rule::Seeds)];
    let crawl = Crawl::begin(crawl.store, again(Finished::Revisit(rules))).await;
    crawl.lease(at(0)).await;
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/1", "/2", "/3"]);
    check_kept(database).await;
    // It is found again.
    let mut page = done(&crawl.take(SITE, at(0)).await[0]);
    page.requests = vec![crawl.with("http://a.example/next", |request| request.depth = 1)];
    let receipt = crawl.commit(pages([page])).await;
    assert_eq!(receipt.pages[0].fresh, 1);
    check_kept(database).await;
}

async fn visits_come_with_their_tickets(database: &Database) {
    let crawl = visited(database, &["a"]).await;
    let crawl = Crawl::begin(crawl.store, again(Finished::Revisit(vec![]))).await;
    crawl.lease(at(0)).await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    let known = ticket.visit.as_deref().unwrap();
    assert_eq!(known.etag.as_deref(), Some("\"v1\""));
    assert_eq!(
        known.modified.as_deref(),
        Some("Sat, 21 Nov 2026 10:00:00 GMT")
    );
    assert_eq!(
        (known.hash, known.every),
        (Some(7), Some(Duration::from_hours(1)))
    );
    let next = Visit {
        hash: Some(8),
        etag: None,
        ..known.clone()
    };
    let page = PageCommit {
        visit: Some(Box::new(next)),
        ..done(&ticket)
    };
    crawl.commit(pages([page])).await;
    let stored = database
        .rows("SELECT hash, CAST(etag IS NULL AS integer) FROM visit")
        .await;
    assert_eq!(stored, ["8 1"]);
}

fn schema() -> Arc<Schema> {
    let column = |name: &'static str| Column {
        name: name.into(),
        kind: Kind::Text,
        nullable: false,
    };
    Arc::new(Schema::new("books", vec![column("id"), column("title")], &["id"]).unwrap())
}

fn book(schema: &Arc<Schema>, id: &str, title: &str) -> Record {
    let values = vec![Value::Text(id.into()), Value::Text(title.into())];
    Record::new(Arc::clone(schema), values).unwrap()
}

async fn items_of_a_round_are_kept_true(database: &Database) {
    let schema = schema();
    let crawl = database.crawl().await;
    let urls = ["/read", "/same", "/missing", "/broken"].map(|path| format!("{SITE}{path}"));
    crawl.seed(&urls.each_ref().map(String::as_str)).await;
    crawl.lease(at(0)).await;
    let tickets = crawl.take(SITE, at(0)).await;
    let ends = tickets.iter().map(|ticket| PageCommit {
        records: ["a", "b"]
            .map(|id| {
                book(
                    &schema,
                    &format!("{}{id}", ticket.request.url.path()),
                    "one",
                )
            })
            .into(),
        ..done(ticket)
    });
    crawl.commit(pages(ends)).await;
    crawl.end(true).await;
    let crawl = Crawl::begin(crawl.store, again(Finished::Revisit(vec![]))).await;
    crawl.lease(at(0)).await;
    let tickets = crawl.take(SITE, at(0)).await;
    let ended = |at: usize, row| PageCommit::new(&tickets[at], Verdict::Page(row));
    let read = PageCommit {
        records: vec![
            book(&schema, "/reada", "two"),
            book(&schema, "/readc", "new"),
        ],
        ..done(&tickets[0])
    };
    let unchanged = PageRow {
        reason: Some("unchanged"),
        status: 304,
        ..row(PageState::Done)
    };
    let missing = PageRow {
        reason: Some("status"),
        status: 404,
        ..row(PageState::Failed)
    };
    let ends = [
        read,
        ended(1, unchanged),
        ended(2, missing),
        failed(&tickets[3], "answered 500"),
    ];
    crawl.commit(pages(ends)).await;
    let run = crawl.opening.run.0;
    let items = format!(
        "SELECT id, CAST(_gone IS NOT NULL AS integer), CAST(_run = {run} AS integer)
         FROM books ORDER BY id"
    );
    let expected = [
        "/brokena 0 0",
        "/brokenb 0 0",
        "/missinga 1 0",
        "/missingb 1 0",
        "/reada 0 1",
        "/readb 1 0",
        "/readc 0 1",
        "/samea 0 1",
        "/sameb 0 1",
    ];
    assert_eq!(database.rows(&items).await, expected);
    assert_eq!(
        numbers(database, "SELECT sum(unchanged) FROM run").await,
        [1]
    );
    crawl.end(true).await;
    // What comes back is there again.
    let crawl = Crawl::begin(crawl.store, again(Finished::Revisit(vec![]))).await;
    crawl.lease(at(0)).await;
    let back = PageCommit {
        records: vec![book(&schema, "/missinga", "one")],
        ..done(&crawl.take(SITE, at(0)).await[2])
    };
    crawl.commit(pages([back])).await;
    let gone = "SELECT id FROM books WHERE _gone IS NOT NULL ORDER BY id";
    assert_eq!(database.rows(gone).await, ["/missingb", "/readb"]);
}

async fn a_list_stops_where_all_is_known(database: &Database) {
    let schema = schema();
    let crawl = database.crawl().await;
    let detail = |path: &str| {
        crawl.with(&format!("{SITE}{path}"), |request| {
            request.step.name = "book".into();
        })
    };
    crawl.seed(&[SITE]).await;
    crawl.lease(at(0)).await;
    let stop = |known| {
        Some(StopWhenKnown {
            step: "list".into(),
            known,
        })
    };
    let read = async |requests, items: &[&str], known| {
        let tickets = crawl.take(SITE, at(0)).await;
        let list = tickets
            .iter()
            .find(|ticket| &*ticket.request.step.name == "list");
        let page = PageCommit {
            requests,
            records: items.iter().map(|id| book(&schema, id, "one")).collect(),
            stop_when_known: stop(known),
            ..done(list.unwrap())
        };
        crawl.commit(pages([page])).await.pages[0].fresh
    };
    let next = |n: u32| crawl.request(&format!("{SITE}/page/{n}"));
    // Nothing is known yet.
    assert_eq!(
        read(vec![detail("/a"), detail("/b"), next(2)], &["a", "b"], 1).await,
        3
    );
    // One link and one item are known: not enough.
    assert_eq!(
        read(vec![detail("/b"), detail("/c"), next(3)], &["b", "c"], 3).await,
        2
    );
    // Two items and one link.
    assert_eq!(
        read(vec![detail("/c"), detail("/d"), next(4)], &["b", "c"], 3).await,
        1
    );
    crawl.lease(at(0)).await;
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/a", "/b", "/c", "/d"]);
    check_kept(database).await;
}

async fn budgets_hold_over_runs(database: &Database) {
    let crawl = database.crawl().await;
    let today = nephila::clock::now().as_second() / 86_400;
    let spent = |budget: &str, day, pages| Spent {
        budget: budget.into(),
        day,
        pages,
    };
    let batch = |spent| Batch {
        spent,
        ..Batch::default()
    };
    crawl
        .commit(batch(vec![
            spent("a", 0, 2),
            spent("day", today, 5),
            spent("day", today - 1, 9),
        ]))
        .await;
    crawl.commit(batch(vec![spent("a", 0, 3)])).await;
    let crawl = Crawl::begin(crawl.store, begin("books")).await;
    assert_eq!(
        crawl.opening.spent,
        [spent("a", 0, 5), spent("day", today, 5)]
    );
    let crawl = Crawl::begin(crawl.store, fresh("books")).await;
    assert_eq!(crawl.opening.spent, []);
}

async fn room_is_made(database: &Database) {
    let crawl = finished(database).await;
    let later = nephila::clock::now() + jiff::SignedDuration::from_hours(1);
    let tidy = Tidy {
        crawls: Some(later),
        items: Some(later),
        dry: true,
    };
    let expected = Tidied {
        crawls: 1,
        pages: 3,
        items: 0,
    };
    assert_eq!(crawl.store.tidy(tidy).await.unwrap(), expected);
    assert_eq!(numbers(database, "SELECT count(*) FROM page").await, [3]);
    let early = Tidy {
        crawls: Some(at(0)),
        ..Tidy::default()
    };
    assert_eq!(crawl.store.tidy(early).await.unwrap(), Tidied::default());
    let now = Tidy { dry: false, ..tidy };
    assert_eq!(crawl.store.tidy(now).await.unwrap(), expected);
    for table in ["page", "seen", "host", "visit"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(numbers(database, &count).await, [0], "{table}");
    }
    assert_eq!(numbers(database, "SELECT count(*) FROM run").await, [1]);
}
