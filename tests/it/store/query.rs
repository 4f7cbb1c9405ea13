//! SQL that people ask.

use std::ops::ControlFlow;

use nephila::item::Value;
use nephila::store::{self, Rows, StoreError};

use super::database::Database;
use super::promises;
use super::steps::{at, done, pages, retry};

promises! {
    only_one_query_is_answered,
    an_answer_comes_row_by_row,
    every_url_is_in_the_view,
    what_is_not_there_says_so,
}

const SITE: &str = "http://a.example";

async fn only_one_query_is_answered(database: &Database) {
    let crawl = database.crawl().await;
    crawl.seed(&["http://a.example/1"]).await;
    let reader = database.reader().await;
    let refuses = async |sql: &str, expected: &str| {
        let error = store::collect(&*reader, sql).await.unwrap_err();
        assert!(matches!(error, StoreError::Query(_)), "{sql}: {error:?}");
        assert!(error.to_string().contains(expected), "{sql}: {error}");
    };
    let (readonly, no_table, incomplete) = if database.is_postgres() {
        (
            "read-only transaction",
            "relation \"bookz\" does not exist",
            "at end of input",
        )
    } else {
        ("readonly", "no such table: bookz", "incomplete input")
    };
    refuses("DELETE FROM queue", "`DELETE` is no query").await;
    refuses("WITH a AS (SELECT 1) DELETE FROM queue", readonly).await;
    refuses("SELECT 1; DELETE FROM queue", "one query at a time").await;
    refuses("SELECT * FROM bookz", no_table).await;
    refuses("SELEC 1", "`SELEC` is no query").await;
    refuses("SELECT 1 +", incomplete).await;
    if database.is_postgres() {
        // What looks like one query to us and like two to the server.
        let two = "SELECT E'\\''; COMMIT; DELETE FROM queue; --'";
        refuses(two, "multiple commands").await;
    }
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/1"]);
}

async fn an_answer_comes_row_by_row(database: &Database) {
    struct First(Vec<String>, usize);
    impl Rows for First {
        fn columns(&mut self, names: Vec<String>) {
            self.0 = names;
        }
        fn row(&mut self, values: Vec<Value>) -> ControlFlow<()> {
            assert_eq!(values, [Value::Integer(self.1 as i64 + 1)]);
            self.1 += 1;
            if self.1 < 1000 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        }
    }
    database.crawl().await;
    let reader = database.reader().await;
    // As many rows as nobody's memory holds.
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let mut first = First(Vec::new(), 0);
    reader.query(sql, &mut first).await.unwrap();
    assert_eq!((first.0, first.1), (vec!["i".to_owned()], 1000));
    let mut none = First(Vec::new(), 0);
    reader
        .query("SELECT 1 AS a, 2 AS b WHERE 1 = 0", &mut none)
        .await
        .unwrap();
    assert_eq!(none.0, ["a", "b"]);
}

async fn every_url_is_in_the_view(database: &Database) {
    let crawl = database.crawl().await;
    crawl
        .seed(&["http://a.example/1?q", "http://b.example:81/2"])
        .await;
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    crawl.commit(pages([done(&ticket)])).await;
    let ticket = crawl.take("http://b.example:81", at(0)).await.remove(0);
    crawl.commit(pages([retry(&ticket, at(0), true)])).await;
    let sql = "SELECT url, state, status, tries, at FROM url
               WHERE state = 'queued' OR at > '2020-01-01' ORDER BY url";
    let rows = database.rows(sql).await;
    assert!(
        rows[0].starts_with("http://a.example/1?q done 200 0 20"),
        "{rows:?}"
    );
    assert_eq!(
        rows[1],
        "http://b.example:81/2 queued null 1 1970-01-12T13:46:40Z"
    );
}

async fn what_is_not_there_says_so(database: &Database) {
    let error = store::open_reader(&database.url).await.err().unwrap();
    let expected = if database.is_postgres() {
        "there is no crawl in it"
    } else {
        "there is no such file"
    };
    assert!(error.to_string().contains(expected), "{error}");
}
