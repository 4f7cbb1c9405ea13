//! Every statement of the hot path finds its rows by an index: a scan costs nothing in a test and
//! everything in a crawl of ten million pages.

use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::file::{self, Place};
use super::table::Table;
use super::{again, commit, lease, links, pages, table, take, tickets, visits};
use crate::item::{Column, Kind, Schema};

async fn plan(db: &mut SqliteConnection, sql: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(db)
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}

/// A line of a plan that reads a whole table or sorts a whole result.
fn is_bad(step: &str) -> bool {
    // The rows that were bound, and what a sub-query has found of them.
    let is_bound = ["CONSTANT ROW", "VALUES CLAUSE", "SCAN v", "SCAN (subquery-"]
        .iter()
        .any(|part| step.contains(part));
    (step.starts_with("SCAN") && !is_bound) || step.contains("TEMP B-TREE")
}

async fn check(db: &mut SqliteConnection) {
    let hot = lease::hot()
        .chain(take::HOT)
        .chain(tickets::hot())
        .chain(links::hot())
        .chain(pages::hot())
        .chain(commit::hot())
        .chain(visits::hot())
        .chain(again::hot());
    for sql in hot {
        // It would be prepared anew each time the limit is bound.
        let mut limits = sql.split("LIMIT ?").skip(1);
        let is_bare = |rest: &str| {
            !rest
                .trim_start_matches(char::is_numeric)
                .starts_with(" + 0")
        };
        assert!(!limits.any(is_bare), "{sql:.300}");
        let steps = plan(db, sql).await;
        let bad = steps.iter().filter(|step| is_bad(step)).collect::<Vec<_>>();
        assert!(bad.is_empty(), "{bad:?} in {steps:#?}\n{sql:.300}");
    }
}

#[tokio::test]
async fn hot_statements_search() {
    let mut db = file::writer(&Place::Memory).await.unwrap();
    check(&mut db).await;
    // Nor may the statistics of a small file, which a user's tool has left, turn a plan round.
    for statement in [
        "INSERT INTO host (id, crawl, origin, lease_at) VALUES (1, 1, '', 0), (2, 1, '', 0), (3, 1, '', NULL)",
        "INSERT INTO queue VALUES (1, 0, 0, 0, 1, 1, 0, '', '', NULL, NULL, NULL)",
        "INSERT INTO seen VALUES (x'01', 1)",
        "ANALYZE",
    ] {
        sqlx::query(statement).execute(&mut db).await.unwrap();
    }
    file::steady(&mut db).await.unwrap();
    check(&mut db).await;
}

/// Those that write items, with and without a key.
#[tokio::test]
async fn statements_of_item_tables_search() {
    let mut db = file::writer(&Place::Memory).await.unwrap();
    for (name, key) in [("books", ["url"].as_slice()), ("visits", &[])] {
        let column = |name: &'static str, kind| Column {
            name: name.into(),
            kind,
            nullable: false,
        };
        let columns = vec![column("url", Kind::Text), column("price", Kind::Real)];
        let schema = Arc::new(Schema::new(name, columns, key).unwrap());
        table::make(&mut db, &schema).await.unwrap();
        let index = visits::by_page(name);
        sqlx::query(AssertSqlSafe(index))
            .execute(&mut db)
            .await
            .unwrap();
        let table = Table::new(schema);
        let of_pages = visits::hot_of(name);
        for sql in table.hot().chain(of_pages.iter().map(String::as_str)) {
            let steps = plan(&mut db, sql).await;
            let bad = steps.iter().filter(|step| is_bad(step)).collect::<Vec<_>>();
            assert!(bad.is_empty(), "{bad:?} in {steps:#?}\n{sql:.300}");
        }
    }
}

#[test]
fn a_scan_is_told_from_a_search() {
    assert!(is_bad("SCAN queue"));
    assert!(is_bad("SCAN host USING INDEX host_free"));
    assert!(is_bad("USE TEMP B-TREE FOR ORDER BY"));
    assert!(!is_bad("SEARCH queue USING PRIMARY KEY (host=? AND due=?)"));
    assert!(!is_bad("SCAN 64-ROW VALUES CLAUSE"));
}
