//! Items: their tables, second sights, and structs that change.

use std::sync::Arc;

use nephila::item::{Column, Kind, Record, Schema, Value};
use nephila::store::{PageCommit, StoreError};

use super::database::{Database, begin};
use super::promises;
use super::steps::{Crawl, at, done, pages};

promises! {
    new_changed_and_same_are_told_apart,
    without_a_key_every_row_is_new,
    values_stay_what_they_are,
    a_row_tells_where_it_comes_from,
    a_table_follows_its_struct,
    a_misfit_writes_nothing,
    names_and_values_are_never_sql,
}

const SITE: &str = "http://a.example";

/// `name:kind`, `?` for those that may be empty.
fn schema(table: &'static str, columns: &str, key: &[&str]) -> Arc<Schema> {
    let column = |column: &str| {
        let (name, kind) = column.split_once(':').unwrap();
        Column {
            name: name.to_owned().into(),
            kind: match kind.trim_end_matches('?') {
                "text" => Kind::Text,
                "int" => Kind::Integer,
                "real" => Kind::Real,
                "bool" => Kind::Boolean,
                _ => Kind::Json,
            },
            nullable: kind.ends_with('?'),
        }
    };
    let columns = columns.split_whitespace().map(column).collect();
    Arc::new(Schema::new(table, columns, key).unwrap())
}

fn book(schema: &Arc<Schema>, title: &str, price: i64) -> Record {
    let values = vec![Value::Text(title.into()), Value::Integer(price)];
    Record::new(schema.clone(), values).unwrap()
}

/// As many pages as asked, ready to be committed.
async fn some_pages(crawl: &Crawl, count: usize) -> Vec<PageCommit> {
    let urls = (0..count).map(|n| format!("http://a.example/{n}"));
    let urls = urls.collect::<Vec<_>>();
    crawl
        .seed(&urls.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    crawl.take(SITE, at(0)).await.iter().map(done).collect()
}

async fn new_changed_and_same_are_told_apart(database: &Database) {
    let crawl = database.crawl().await;
    let books = schema("books", "title:text price:int", &["title"]);
    let mut commits = some_pages(&crawl, 5).await;
    let mut commit = async |records: &[&[(&str, i64)]]| {
        let batch = pages(records.iter().map(|records| {
            PageCommit {
                records: records
                    .iter()
                    .map(|(title, price)| book(&books, title, *price))
                    .collect(),
                ..commits.remove(0)
            }
        }));
        let receipt = crawl.commit(batch).await;
        let counts = receipt.pages.iter();
        counts
            .map(|page| (page.items_new, page.items_changed, page.items_same))
            .collect::<Vec<_>>()
    };
    assert_eq!(commit(&[&[("a", 1), ("b", 1)]]).await, [(2, 0, 0)]);
    assert_eq!(
        commit(&[&[("a", 1), ("b", 2), ("c", 1)]]).await,
        [(1, 1, 1)]
    );
    // The same key again and again, in one page and in one batch.
    let outcome = commit(&[
        &[("d", 1), ("d", 1), ("d", 2), ("a", 2)],
        &[("d", 2), ("d", 3), ("a", 1)],
        &[("a", 1)],
    ]);
    assert_eq!(outcome.await, [(1, 2, 1), (0, 2, 1), (0, 0, 1)]);
    let rows = database
        .rows("SELECT title, price, CASE WHEN _changed IS NULL THEN 1 ELSE 0 END FROM books ORDER BY 1")
        .await;
    assert_eq!(rows, ["a 1 1", "b 2 0", "c 1 1", "d 3 1"]);
    let counters = database
        .rows("SELECT items, new, changed, done FROM run")
        .await;
    assert_eq!(counters, ["13 4 5 5"]);
}

async fn without_a_key_every_row_is_new(database: &Database) {
    let crawl = database.crawl().await;
    let books = schema("books", "title:text price:int", &[]);
    let mut commit = some_pages(&crawl, 1).await.remove(0);
    commit.records = vec![book(&books, "a", 1); 3];
    let receipt = crawl.commit(pages([commit])).await;
    assert_eq!(receipt.pages[0].items_new, 3);
    assert_eq!(database.rows("SELECT count(*) FROM books").await, ["3"]);
}

async fn values_stay_what_they_are(database: &Database) {
    let crawl = database.crawl().await;
    let columns = "text:text int:int real:real flag:bool list:json nothing:text?";
    let things = schema("things", columns, &["text", "real", "flag"]);
    let values = [
        vec![
            Value::Text("007".into()),
            Value::Integer(i64::MIN),
            Value::Real(1.0),
            Value::Boolean(true),
            Value::Json("5".into()),
            Value::Null,
        ],
        vec![
            Value::Text(String::new()),
            Value::Integer(0),
            Value::Real(-0.0),
            Value::Boolean(false),
            Value::Json(r#"["é\u0000",1e400]"#.into()),
            Value::Text("\u{0}x".into()),
        ],
    ];
    let record = |values: &Vec<Value>| Record::new(things.clone(), values.clone()).unwrap();
    let mut commits = some_pages(&crawl, 2).await;
    for sight in 0..2 {
        let mut commit = commits.remove(0);
        commit.records = values.iter().map(record).collect();
        let receipt = crawl.commit(pages([commit])).await.pages[0];
        assert_eq!(
            (receipt.items_new, receipt.items_same),
            [(2, 0), (0, 2)][sight]
        );
    }
    let is_postgres = database.is_postgres();
    let kind = if is_postgres { "pg_typeof" } else { "typeof" };
    let names = ["text", "int", "real", "flag", "list"];
    let kinds = names.map(|name| format!("{kind}({name})")).join(", ");
    let expected = if is_postgres {
        "text bigint double precision boolean jsonb"
    } else {
        "text integer real integer text"
    };
    let rows = database.rows(&format!("SELECT {kinds} FROM things")).await;
    assert_eq!(rows, [expected, expected]);
    let sql = "SELECT text, int, list, \"nothing\" FROM things ORDER BY text DESC";
    let rows = database.rows(sql).await;
    assert_eq!(rows[0], "007 -9223372036854775808 5 null");
    if is_postgres {
        // JSONB is no text: the number is written out, and there is no U+0000.
        let list = database.rows("SELECT list->>0, list->1 = '1e400' FROM things WHERE int = 0");
        assert_eq!(list.await, ["\u{e9}\u{fffd} true"]);
        assert!(rows[1].ends_with(" \u{fffd}x"), "{rows:?}");
    } else {
        assert_eq!(
            database
                .rows("SELECT list FROM things ORDER BY text DESC")
                .await[1],
            r#"["é\u0000",1e400]"#
        );
        assert!(rows[1].ends_with(" \u{0}x"), "{rows:?}");
    }
}

async fn a_row_tells_where_it_comes_from(database: &Database) {
    let crawl = database.crawl().await;
    let books = schema("books", "title:text price:int", &["title"]);
    let commits = some_pages(&crawl, 2).await;
    for (commit, price) in commits.into_iter().zip([1, 2]) {
        let page = commit.key.seq;
        let commit = PageCommit {
            records: vec![book(&books, "a", price)],
            ..commit
        };
        crawl.commit(pages([commit])).await;
        let sql = "SELECT _page, _run, _url FROM books
                   WHERE _first_seen <= _last_seen AND _last_seen > '2020-01-01'";
        let url = format!("http://a.example/{}", price - 1);
        let expected = format!("{page} {} {url}", crawl.opening.run.0);
        assert_eq!(database.rows(sql).await, [expected]);
        let changed = database
            .rows("SELECT _changed, _last_seen FROM books")
            .await;
        let (changed, seen) = changed[0].split_once(' ').unwrap();
        assert!(
            seen.starts_with("20") && seen.ends_with('Z') && seen.len() == 20,
            "{seen}"
        );
        assert_eq!(changed, if price == 1 { "null" } else { seen });
    }
}

/// Commits an item of `columns` and returns what becomes of its table.
async fn evolve(database: &Database, from: &str, to: &str) -> Result<Vec<String>, StoreError> {
    let crawl = database.crawl().await;
    let mut commits = some_pages(&crawl, 2).await;
    let record = |columns: &str| {
        let schema = schema("books", columns, &["title"]);
        let value = |column: &Column| match (column.nullable, column.kind) {
            (true, _) => Value::Null,
            (_, Kind::Text) => Value::Text("a".into()),
            _ => Value::Integer(1),
        };
        let values = schema.columns().iter().map(value).collect();
        Record::new(schema, values).unwrap()
    };
    for columns in [from, to] {
        let mut commit = commits.remove(0);
        commit.records = vec![record(columns)];
        crawl.store.commit(Arc::new(pages([commit]))).await?;
    }
    let columns = if database.is_postgres() {
        "SELECT column_name, CASE data_type WHEN 'bigint' THEN 'INTEGER' ELSE 'TEXT' END,
           CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END
         FROM information_schema.columns
         WHERE table_name = 'books' AND left(column_name, 1) <> '_' ORDER BY ordinal_position"
    } else {
        "SELECT name, type, \"notnull\" FROM pragma_table_info('books')
         WHERE name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY cid"
    };
    Ok(database.rows(columns).await)
}

async fn a_table_follows_its_struct(database: &Database) {
    let check = async |from: &str, to: &str, expected: &[&str]| {
        let database = database.another().await;
        let columns = evolve(&database, from, to).await.unwrap();
        assert_eq!(columns, expected, "{from} -> {to}");
        assert_eq!(database.rows("SELECT title FROM books").await, ["a"]);
    };
    let base = "title:text price:int";
    check(
        base,
        "price:int title:text",
        &["title TEXT 1", "price INTEGER 1"],
    )
    .await;
    let added = ["title TEXT 1", "price INTEGER 1", "stars INTEGER 0"];
    check(base, "title:text price:int stars:int", &added).await;
    check(base, "title:text price:int stars:int?", &added).await;
    check(
        base,
        "title:text price:int?",
        &["title TEXT 1", "price INTEGER 0"],
    )
    .await;
    let both = ["title TEXT 1", "price INTEGER 0", "more TEXT 0"];
    check(base, "title:text price:int? more:json?", &both).await;
    check("title:text price:int?", "title:text", &both[..2]).await;
}

async fn a_misfit_writes_nothing(database: &Database) {
    let crawl = database.crawl().await;
    let books = schema("books", "title:text price:int", &["title"]);
    let other = schema("books", "title:text price:text", &["title"]);
    let mut commits = some_pages(&crawl, 3).await;
    let mut first = commits.remove(0);
    first.records = vec![book(&books, "a", 1)];
    crawl.commit(pages([first])).await;

    let (mut good, mut bad) = (commits.remove(0), commits.remove(0));
    good.records = vec![book(&books, "b", 1)];
    good.requests = vec![crawl.request("http://a.example/new")];
    let values = vec![Value::Text("c".into()), Value::Text("1 Euro".into())];
    bad.records = vec![Record::new(other, values).unwrap()];
    let batch = Arc::new(pages([good.clone(), bad]));
    let error = crawl.store.commit(batch).await.unwrap_err();
    let StoreError::Schema { table, reason } = &error else {
        panic!("{error}");
    };
    assert_eq!(table, "books");
    assert!(
        reason.starts_with("column `price` holds integers, the field is text"),
        "{reason}"
    );
    assert!(
        reason.contains("ALTER TABLE books RENAME TO books_old"),
        "{reason}"
    );
    assert_eq!(database.rows("SELECT title FROM books").await, ["a"]);
    assert_eq!(crawl.paths(SITE, at(0)).await, ["/1", "/2"]);

    let receipt = crawl.commit(pages([good])).await.pages[0];
    assert_eq!(
        (receipt.written, receipt.fresh, receipt.items_new),
        (true, 1, 1)
    );
}

async fn names_and_values_are_never_sql(database: &Database) {
    // Text in PostgreSQL has no U+0000.
    let evil = if database.is_postgres() {
        "x'); DROP TABLE seen; --\"`[$1\\"
    } else {
        "x'); DROP TABLE seen; --\"`[\u{0}\\"
    };
    let spider = begin(evil);
    let crawl = Crawl::begin(database.open().await, spider).await;
    let select = schema("select", "order:text group:int", &["order"]);
    let mut commit = some_pages(&crawl, 1).await.remove(0);
    commit.records = vec![book(&select, evil, 1), book(&select, evil, 2)];
    let url = format!("http://a.example/{evil}?{evil}");
    commit.requests = vec![crawl.with(&url, |request| {
        request.step.name = evil.to_owned().into();
        request.step.args = Some(evil.into());
    })];
    let receipt = crawl.commit(pages([commit])).await.pages[0];
    assert_eq!(
        (receipt.fresh, receipt.items_new, receipt.items_changed),
        (1, 1, 1)
    );
    let ticket = crawl.take(SITE, at(0)).await.remove(0);
    assert_eq!(ticket.request.step.name, evil);
    assert_eq!(ticket.request.url, url.parse().unwrap());
    let rows = database
        .rows("SELECT \"order\", \"group\" FROM \"select\"")
        .await;
    assert_eq!(rows, [format!("{evil} 2")]);
    let again = Crawl::begin(crawl.store, begin(evil)).await;
    assert!(again.opening.resumed.is_some());
}
