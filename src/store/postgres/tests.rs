//! On a real server: the plans of the statements, and what only several processes can do.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::{Postgres, again, commit, lease, live, pages, shares, take};
use crate::request::{Identity, Request, StepRef, canonical};
use crate::store::{
    Batch, Began, Begin, NewRequest, PageCommit, PageRow, PageState, Rest, Store, StoreError,
    Ticket, Verdict,
};

#[path = "../../../tests/it/postgres/mod.rs"]
#[expect(dead_code, reason = "the tests in tests/it use the rest of it")]
mod server;

/// A process of a crawl.
struct Worker {
    store: Postgres,
    began: Began,
    identity: Identity,
}

fn begin(spider: &str) -> Begin {
    Begin {
        finished: crate::store::Finished::Replace,
        spider: spider.into(),
        args: "{}".into(),
        settings: "{}".into(),
        fresh: false,
        steps: vec!["list".into()],
        lease: Duration::from_secs(30),
    }
}

impl Worker {
    async fn begin(url: &str, said: Begin) -> Self {
        let store = Postgres::open(url).await.unwrap();
        let began = store.begin(said).await.unwrap();
        Self {
            identity: Identity::new(began.key),
            store,
            began,
        }
    }

    fn request(&self, url: &str, step: &str) -> NewRequest {
        let request = Request::new(url.parse().unwrap(), StepRef::named(step.to_owned()));
        let (origin, path) = canonical(&request.url, 8192).unwrap();
        NewRequest {
            host: self.identity.host(&origin),
            fingerprint: self.identity.fingerprint(&request, &path, None),
            again: None,
            renews: None,
            origin,
            path,
            seed: true,
            request,
        }
    }

    async fn seed(&self, seeds: &[(&str, &str)]) {
        let seeds = seeds.iter().map(|(url, step)| self.request(url, step));
        let batch = Batch {
            seeds: seeds.collect(),
            seeded: true,
            ..Batch::default()
        };
        self.store.commit(Arc::new(batch)).await.unwrap();
    }

    async fn lease(&self) -> Vec<String> {
        let hosts = self.store.lease(100, crate::clock::now()).await.unwrap();
        let mut hosts = hosts
            .into_iter()
            .map(|host| host.origin)
            .collect::<Vec<_>>();
        hosts.sort();
        hosts
    }

    async fn take(&self, origin: &str) -> Vec<Ticket> {
        let host = self.identity.host(origin);
        let taken = self
            .store
            .take(host, 10, crate::clock::now())
            .await
            .unwrap();
        taken.tickets
    }

    async fn finish(&self, ticket: &Ticket) -> bool {
        let row = PageRow {
            state: PageState::Done,
            reason: None,
            message: None,
            status: 200,
            took_ms: 1,
            bytes: 1,
        };
        let page = PageCommit {
            key: ticket.key,
            fingerprint: ticket.fingerprint,
            verdict: Verdict::Page(row),
            records: vec![],
            requests: vec![],
            refused: vec![],
            visit: None,
            stop_when_known: None,
        };
        let batch = Batch {
            pages: vec![page],
            ..Batch::default()
        };
        let receipt = self.store.commit(Arc::new(batch)).await.unwrap();
        receipt.pages[0].written
    }
}

async fn run(url: &str, sql: &str) {
    let mut db = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut db)
        .await
        .unwrap();
}

async fn count(url: &str, sql: &str) -> i64 {
    let mut db = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut db)
        .await
        .unwrap()
}

/// A process that stands still within a transaction holds nobody up for longer than its lease.
#[tokio::test]
async fn a_transaction_that_stands_still_ends_before_its_lease() {
    let Some(url) = server::database().await else {
        return;
    };
    let idle = async |worker: &Worker| {
        let mut writer = worker.store.0.writer.lock().await;
        let sql = "SELECT current_setting('idle_in_transaction_session_timeout')";
        let set = sqlx::query_scalar::<_, String>(sql);
        set.fetch_one(writer.link.ready().await.unwrap())
            .await
            .unwrap()
    };
    let long = Worker::begin(&url, begin("books")).await;
    assert_eq!(idle(&long).await, "5s");
    let short = Begin {
        lease: Duration::from_millis(400),
        ..begin("books")
    };
    let short = Worker::begin(&url, short).await;
    assert_eq!(idle(&short).await, "300ms");
    let mut writer = short.store.0.writer.lock().await;
    let mut transaction = writer.link.ready().await.unwrap().begin().await.unwrap();
    sqlx::query("UPDATE crawl SET seeded = true")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let others = run(&url, "UPDATE crawl SET seeded = false");
    let waited = tokio::time::timeout(Duration::from_secs(4), others).await;
    assert!(waited.is_ok(), "they wait for longer than the lease");
}

#[tokio::test]
async fn a_host_belongs_to_one_process_until_its_lease_ends() {
    let Some(url) = server::database().await else {
        return;
    };
    let first = Worker::begin(&url, begin("books")).await;
    first
        .seed(&[
            ("http://a.example/1", "list"),
            ("http://a.example/2", "list"),
        ])
        .await;
    assert_eq!(first.lease().await, ["http://a.example"]);
    let second = Worker::begin(&url, begin("books")).await;
    assert_eq!(second.began.resumed.unwrap().others, 1);
    assert!(second.lease().await.is_empty());
    let tickets = first.take("http://a.example").await;
    // It stands still for longer than its lease.
    run(
        &url,
        "UPDATE run SET beat = beat - 60000 WHERE id = (SELECT min(id) FROM run)",
    )
    .await;
    second.store.beat().await.unwrap();
    assert_eq!(second.lease().await, ["http://a.example"]);
    // Both fetch the same page; one of them writes it.
    let again = second.take("http://a.example").await;
    assert!(second.finish(&again[0]).await);
    assert!(!first.finish(&tickets[0]).await);
    // What the first has besides is welcome.
    assert!(first.finish(&tickets[1]).await);
    let beat = first.store.beat().await.unwrap();
    assert!(beat.lost);
    assert!(!first.store.beat().await.unwrap().lost);
    for worker in [&first, &second] {
        assert_eq!(worker.store.rest().await.unwrap(), Rest::Nothing);
    }
    assert_eq!(count(&url, "SELECT sum(done)::bigint FROM run").await, 2);
}

#[tokio::test]
async fn who_joins_gets_a_part() {
    let Some(url) = server::database().await else {
        return;
    };
    let first = Worker::begin(&url, begin("books")).await;
    let urls = (0..10)
        .map(|n| format!("http://{n}.example/"))
        .collect::<Vec<_>>();
    first
        .seed(
            &urls
                .iter()
                .map(|url| (url.as_str(), "list"))
                .collect::<Vec<_>>(),
        )
        .await;
    assert_eq!(first.lease().await.len(), 10);
    let second = Worker::begin(&url, begin("books")).await;
    assert!(second.lease().await.is_empty());
    assert_eq!(first.store.beat().await.unwrap().surplus, 5);
    let hosts = first.store.lease(100, crate::clock::now()).await.unwrap();
    assert!(hosts.is_empty());
}

/// A step that only another version knows is left to it; one that nobody knows is told.
#[tokio::test]
async fn each_takes_the_steps_that_it_knows() {
    let Some(url) = server::database().await else {
        return;
    };
    let old = Worker::begin(&url, begin("books")).await;
    let steps = vec!["list".to_owned(), "book".to_owned()];
    let new = Worker::begin(
        &url,
        Begin {
            steps,
            ..begin("books")
        },
    )
    .await;
    new.seed(&[
        ("http://a.example/1", "book"),
        ("http://b.example/1", "lost"),
    ])
    .await;
    assert!(old.lease().await.is_empty());
    assert!(matches!(old.store.rest().await.unwrap(), Rest::Until(_)));
    // They were put aside for a second, for those who know them.
    run(
        &url,
        "UPDATE host SET lease_at = 0 WHERE lease_at IS NOT NULL",
    )
    .await;
    assert_eq!(new.lease().await, ["http://a.example"]);
    let tickets = new.take("http://a.example").await;
    assert!(new.finish(&tickets[0]).await);
    assert!(new.take("http://b.example").await.is_empty());
    for worker in [&old, &new] {
        assert_eq!(
            worker.store.rest().await.unwrap(),
            Rest::Unknown("lost".into())
        );
    }
}

/// Rows that were on their way when a host was parked are found in the end.
#[tokio::test]
async fn a_host_that_was_parked_too_early_is_woken() {
    let Some(url) = server::database().await else {
        return;
    };
    let worker = Worker::begin(&url, begin("books")).await;
    worker.seed(&[("http://a.example/1", "list")]).await;
    run(&url, "UPDATE host SET lease_at = NULL").await;
    assert!(worker.lease().await.is_empty());
    assert!(matches!(worker.store.rest().await.unwrap(), Rest::Until(_)));
    assert_eq!(worker.lease().await, ["http://a.example"]);
}

#[tokio::test]
async fn a_crawl_with_company_is_not_replaced() {
    let Some(url) = server::database().await else {
        return;
    };
    let first = Worker::begin(&url, begin("books")).await;
    first.seed(&[("http://a.example/1", "list")]).await;
    let store = Postgres::open(&url).await.unwrap();
    let fresh = Begin {
        fresh: true,
        ..begin("books")
    };
    let refused = store.begin(fresh.clone()).await.err().unwrap();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    run(&url, "UPDATE run SET beat = 0").await;
    store.begin(fresh).await.unwrap();
    // Its rows go behind the scenes.
    for _ in 0..500 {
        if count(&url, "SELECT count(*) FROM seen").await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(count(&url, "SELECT count(*) FROM queue").await, 0);
}

/// A line of a plan that reads a whole table of the store.
fn is_bad(line: &str) -> bool {
    line.contains("Seq Scan on") || line.contains("Hash Join") || line.contains("Merge Join")
}

/// Every statement of the hot path finds its rows by an index once the tables are large.
#[tokio::test]
async fn hot_statements_search() {
    let Some(url) = server::database().await else {
        return;
    };
    let worker = Worker::begin(&url, begin("books")).await;
    run(
        &url,
        "INSERT INTO host (id, crawl, origin, lease_at, run)
           SELECT n, 1, 'http://' || n, n, CASE WHEN n % 100 = 0 THEN n % 7 END
           FROM generate_series(1, 20000) n;
         INSERT INTO queue SELECT n % 20000, 0, 0, 0, n, n, 0, 'list', '/', NULL, NULL, NULL
           FROM generate_series(1, 60000) n;
         INSERT INTO seen SELECT n % 20000, n, n FROM generate_series(1, 60000) n;
         INSERT INTO robots SELECT n, 200, 0, '' FROM generate_series(1, 20000) n;
         INSERT INTO page SELECT n, 1, n, n, '', '/', 'done', NULL, NULL, 200, 1, 1, 0, 1, 0, NULL, 1
           FROM generate_series(100000, 160000) n;
         ANALYZE",
    )
    .await;
    // The plan that is kept: for parameters of any value.
    let mut db = worker.store.0.server.connect().await.unwrap();
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan")
        .execute(&mut db)
        .await
        .unwrap();
    let commit = commit::sample(&worker.store.0).await;
    let hot = lease::HOT
        .into_iter()
        .chain(take::hot())
        .chain(again::HOT)
        .chain(pages::HOT)
        .chain(live::HOT)
        .chain(shares::HOT)
        .map(str::to_owned)
        .chain([commit]);
    for (number, sql) in hot.enumerate() {
        let prepare = format!("PREPARE s{number} AS {sql}");
        sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut db)
            .await
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
        let parameters: i64 = sqlx::query_scalar(
            "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements WHERE name = $1",
        )
        .bind(format!("s{number}"))
        .fetch_one(&mut db)
        .await
        .unwrap();
        let nulls = vec!["NULL"; parameters as usize].join(", ");
        let explain = format!("EXPLAIN (COSTS off) EXECUTE s{number} ({nulls})");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut db)
            .await
            .unwrap();
        let plan = plan
            .iter()
            .map(|row| row.get::<String, _>(0))
            .collect::<Vec<_>>();
        assert!(plan.iter().any(|line| line.contains("Index")), "{sql}");
        let bad = plan.iter().filter(|line| is_bad(line)).collect::<Vec<_>>();
        assert!(bad.is_empty(), "{bad:?} in\n{}\n{sql}", plan.join("\n"));
    }
}
