//! What people and reports can read.

use std::sync::Arc;

use nephila::item::{Column, Kind, Record, Schema, Value};
use nephila::store::{
    self, Batch, End, Host, PageCommit, PageRow, PageState, Refused, RobotsFile, RunId, Verdict,
};

use super::database::{Database, begin};
use super::promises;
use super::steps::{Crawl, at, done, pages, retry, row};

promises! {
    runs_and_crawls_count_what_was_done,
    tables_tell_their_columns,
    errors_are_grouped,
    refused_links_are_counted_and_bounded,
    a_request_tells_its_life,
    another_method_is_found_too,
}

const SITE: &str = "http://a.example";

fn failed(reason: &'static str, message: &str, status: u16) -> Verdict {
    Verdict::Page(PageRow {
        reason: Some(reason),
        message: Some(message.into()),
        status,
        ..row(PageState::Failed)
    })
}

async fn runs_and_crawls_count_what_was_done(database: &Database) {
    let crawl = database.crawl().await;
    let first = crawl.opening.run;
    crawl
        .seed(&[
            "http://a.example/1",
            "http://a.example/2",
            "http://a.example/3",
            "http://a.example/4",
        ])
        .await;
    let tickets = crawl.take(SITE, at(0)).await;
    let verdict = |state, reason| {
        Verdict::Page(PageRow {
            reason,
            ..row(state)
        })
    };
    let ended = |at: usize, verdict| PageCommit {
        verdict,
        ..done(&tickets[at])
    };
    let batch = pages([
        ended(0, verdict(PageState::Done, Some("redirect"))),
        ended(1, verdict(PageState::Failed, None)),
        ended(2, verdict(PageState::Skipped, None)),
        retry(&tickets[3], at(9), true),
    ]);
    crawl.commit(batch).await;
    let crawl = Crawl::begin(crawl.store, begin("books")).await;
    crawl
        .commit(pages([done(&crawl.take(SITE, at(9)).await[0])]))
        .await;
    let end = End {
        stop: "finished".into(),
        finished: true,
        report: r#"{"a":1}"#.into(),
    };
    crawl.store.end(end).await.unwrap();

    let reader = database.reader().await;
    let runs = reader.runs().await.unwrap();
    assert_eq!([runs[0].id, runs[1].id], [crawl.opening.run, first]);
    let killed = &runs[1];
    let counts = [
        killed.done,
        killed.failed,
        killed.skipped,
        killed.redirects,
        killed.retries,
    ];
    assert_eq!(counts, [1, 1, 1, 1, 1]);
    assert_eq!((killed.known, killed.bytes), (4, 3000));
    assert_eq!(
        (killed.stop.as_deref(), killed.ended),
        (Some("killed"), Some(killed.beat))
    );
    let last = &runs[0];
    assert_eq!(
        (last.done, last.known, &*last.spider, &*last.args),
        (1, 0, "books", "{}")
    );
    assert_eq!(
        (last.stop.as_deref(), last.report.as_deref()),
        (Some("finished"), Some(r#"{"a":1}"#))
    );
    assert_eq!(last.pid, std::process::id());
    let crawls = reader.crawls().await.unwrap();
    assert_eq!(crawls.len(), 1);
    assert_eq!(
        (crawls[0].known, crawls[0].pages, crawls[0].queued()),
        (4, 4, 0)
    );
    assert_eq!((&*crawls[0].state, crawls[0].seeded), ("finished", true));
    assert!(crawls[0].finished.is_some());
}

async fn tables_tell_their_columns(database: &Database) {
    let crawl = database.crawl().await;
    let column = |name: &'static str, kind, nullable| Column {
        name: name.into(),
        kind,
        nullable,
    };
    let columns = vec![
        column("title", Kind::Text, false),
        column("tags", Kind::Json, true),
        column("sold", Kind::Boolean, true),
    ];
    let schema = Arc::new(Schema::new("Books", columns.clone(), &["title"]).unwrap());
    crawl.seed(&["http://a.example/1"]).await;
    let mut page = done(&crawl.take(SITE, at(0)).await[0]);
    let values = vec![Value::Text("a".into()), Value::Null, Value::Boolean(true)];
    page.records = vec![Record::new(schema, values.clone()).unwrap()];
    crawl.commit(pages([page])).await;
    let reader = database.reader().await;
    let tables = reader.tables().await.unwrap();
    assert_eq!(tables.len(), 1);
    assert_eq!((&*tables[0].name, tables[0].rows), ("Books", 1));
    assert_eq!(
        (&tables[0].columns, &*tables[0].key),
        (&columns, &["title".to_owned()][..])
    );
    let answer = store::collect(&*reader, "SELECT title, tags, sold FROM books")
        .await
        .unwrap();
    assert_eq!(
        answer,
        (
            vec!["title".into(), "tags".into(), "sold".into()],
            vec![values]
        )
    );
}

async fn errors_are_grouped(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/"]).await;
    let mut seed = done(&crawl.take(SITE, at(0)).await[0]);
    seed.requests = (0..4)
        .map(|n| crawl.request(&format!("http://a.example/{n}")))
        .collect();
    crawl.commit(pages([seed])).await;
    let verdicts = [
        failed("step", "field `price`: can't read \"Call us\" as f64", 200),
        failed("step", "field `price`: can't read \"sold\" as f64", 200),
        failed("status", "404 Not Found", 404),
        Verdict::Page(PageRow {
            reason: Some("robots"),
            ..row(PageState::Skipped)
        }),
    ];
    let tickets = crawl.take(SITE, at(0)).await;
    let ended = tickets
        .iter()
        .zip(verdicts)
        .map(|(ticket, verdict)| PageCommit {
            verdict,
            ..done(ticket)
        });
    crawl.commit(pages(ended)).await;
    let reader = database.reader().await;
    let run = [crawl.opening.run];
    let errors = reader.errors(&run, PageState::Failed).await.unwrap();
    assert_eq!(errors.len(), 2);
    let first = &errors[0];
    assert_eq!(first.message, "field `price`: can't read \"*\" as f64");
    assert_eq!(
        (first.count, &*first.reason, &*first.step),
        (2, "step", "list")
    );
    assert_eq!(first.url, "http://a.example/0");
    assert_eq!(first.sample, "field `price`: can't read \"Call us\" as f64");
    assert_eq!(first.referrer.as_deref(), Some("http://a.example/"));
    assert_eq!((errors[1].status, errors[1].count), (404, 1));
    let skipped = reader.errors(&run, PageState::Skipped).await.unwrap();
    assert_eq!((skipped.len(), &*skipped[0].reason), (1, "robots"));
    assert!(
        reader
            .errors(&[RunId(99)], PageState::Failed)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn refused_links_are_counted_and_bounded(database: &Database) {
    let crawl = database.crawl().await;
    crawl
        .seed(&["http://a.example/1", "http://a.example/2"])
        .await;
    let refused = |subject: &str, count| Refused {
        reason: "scope",
        subject: subject.into(),
        count,
        sample: format!("http://{subject}/x"),
    };
    for (ticket, from) in crawl.take(SITE, at(0)).await.iter().zip([0, 600]) {
        let mut page = done(ticket);
        page.refused = (from..from + 700)
            .map(|n| refused(&format!("{n}.example"), 1))
            .collect();
        page.refused.push(refused("0.example", 5));
        crawl.commit(pages([page.clone()])).await;
        // Without its ticket it counts nothing.
        crawl.commit(pages([page])).await;
    }
    let reader = database.reader().await;
    let crawls = reader.crawls().await.unwrap();
    let rows = reader.refused(crawls[0].id).await.unwrap();
    assert_eq!(rows.len(), 1001);
    assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 1400 + 10);
    let top = rows
        .iter()
        .map(|row| (&*row.subject, row.count))
        .take(2)
        .collect::<Vec<_>>();
    assert_eq!(top, [("(others)", 300), ("0.example", 11)]);
    assert_eq!(
        (&*rows[1].reason, &*rows[1].sample),
        ("scope", "http://0.example/x")
    );
}

async fn a_request_tells_its_life(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/"]).await;
    let robots = RobotsFile {
        status: 200,
        body: "User-agent: *".into(),
        at: at(0),
    };
    let host = Host {
        robots: Some(robots.clone()),
        ..crawl.lease(at(0)).await.remove(0)
    };
    let mut seed = done(&crawl.take(SITE, at(0)).await[0]);
    seed.requests = vec![crawl.request("http://a.example/list")];
    let batch = Batch {
        hosts: vec![host],
        ..pages([seed])
    };
    crawl.commit(batch).await;
    let mut list = done(&crawl.take(SITE, at(0)).await[0]);
    list.requests = vec![crawl.with("http://a.example/book?x=1", |request| request.depth = 2)];
    crawl.commit(pages([list])).await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.commit(pages([retry(&ticket, at(60), true)])).await;

    let reader = database.reader().await;
    let url = "http://a.example/book?x=1#top".parse().unwrap();
    let steps = ["book".to_owned(), "list".into()];
    let explained = reader.explain(&url, &steps).await.unwrap();
    assert_eq!(explained.hosts.len(), 1);
    assert_eq!(explained.hosts[0].host.robots, Some(robots));
    assert_eq!(
        (&*explained.hosts[0].spider, explained.hosts[0].host.seed),
        ("books", true)
    );
    let [queued] = explained.requests.as_slice() else {
        panic!("{explained:?}");
    };
    assert_eq!(
        (&*queued.state, &*queued.step, queued.depth, queued.tries),
        ("queued", "list", 2, 1)
    );
    assert_eq!((queued.due, queued.seq), (Some(at(60)), ticket.key.seq));
    assert_eq!(queued.attempts[0].message, "503 Service Unavailable");
    assert_eq!(
        queued.found_on,
        ["http://a.example/list", "http://a.example/"]
    );

    let ticket = crawl.take(SITE, at(60)).await.remove(0);
    let mut page = done(&ticket);
    page.verdict = failed("status", "404 Not Found", 404);
    crawl.commit(pages([page])).await;
    let explained = reader.explain(&url, &steps).await.unwrap();
    let story = &explained.requests[0];
    assert_eq!(
        (&*story.state, story.status, story.took_ms, story.tries),
        ("failed", 404, 10, 1)
    );
    assert_eq!(
        (story.reason.as_deref(), story.run),
        (Some("status"), Some(crawl.opening.run))
    );
    assert_eq!((story.attempts.len(), story.found_on.len()), (1, 2));
    let unknown = "http://b.example/".parse().unwrap();
    assert_eq!(
        reader.explain(&unknown, &steps).await.unwrap(),
        store::Explained::default()
    );
}

async fn another_method_is_found_too(database: &Database) {
    let crawl = database.crawl().await;
    let post = |request: &mut nephila::request::Request| request.method = http::Method::POST;
    let batch = Batch {
        seeds: vec![crawl.with("http://a.example/post", post)],
        ..Batch::default()
    };
    crawl.commit(batch).await;
    let reader = database.reader().await;
    let url = "http://a.example/post".parse().unwrap();
    let stories = reader
        .explain(&url, &["list".into()])
        .await
        .unwrap()
        .requests;
    assert_eq!((stories.len(), &*stories[0].state), (1, "queued"));
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.commit(pages([done(&ticket)])).await;
    let stories = reader.explain(&url, &[]).await.unwrap().requests;
    assert_eq!((stories.len(), &*stories[0].state), (1, "done"));
}
