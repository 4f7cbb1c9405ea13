//! Pages of many kinds, real ones among them, each read by a TOML spider of at most 25 lines and a Rust spider
//! of at most 40: the same rows from both.

mod book;
mod facts;
mod feed;
mod linked_data;
mod list;
mod map;
mod mdbook;
mod orders;
mod quotes;
mod texinfo;
mod zlib;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephila::Crawl;
use nephila::declared::Declared;
use nephila::parse::money;
use nephila::prelude::*;
use nephila::site::{Options, Site};
use nephila::spider::{Args, find};
use nephila::testing::Pages;
use serde::Deserialize;
use sqlx::{Connection, Row as _, SqliteConnection};

/// Kinds, the fewest rows of each, and whether it is one of Debian's documentation.
const KINDS: [(&str, usize, bool); 11] = [
    ("list", 60, false),
    ("book", 20, false),
    ("facts", 9, false),
    ("linked_data", 9, false),
    ("orders", 10, false),
    ("quotes", 100, false),
    ("map", 60, false),
    ("feed", 20, false),
    ("texinfo", 15, true),
    ("mdbook", 1, true),
    ("zlib", 20, true),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kinds")
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The rows of a crawl, without what the store adds.
async fn rows(spider: Arc<dyn Spider>, table: &str, is_doc: bool) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", dir.path().join("x.db").display());
    let mut crawl = Crawl::of(spider).db(&db);
    if is_doc {
        let mut pages = Pages::new();
        for name in ["texinfo", "mdbook", "zlib"] {
            let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/xpath");
            let html = read(data.join(format!("{name}.html")));
            pages = pages.html(&format!("http://docs.example/{name}.html"), html);
        }
        crawl = crawl.fetch(pages);
    }
    let report = crawl
        .with(|settings| {
            settings.secrets = [("password".to_owned(), "secret".into())].into();
        })
        .run()
        .await
        .unwrap();
    assert_eq!(
        report.exit_code(),
        0,
        "{table}: {:?}",
        report.statistics.errors
    );
    let mut connection = SqliteConnection::connect(&db).await.unwrap();
    let names = sqlx::query("SELECT name FROM pragma_table_info(?) WHERE name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY name")
        .bind(table.to_owned())
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let pairs: Vec<String> = names
        .iter()
        .map(|row| row.get::<String, _>(0))
        .map(|name| format!("'{name}', \"{name}\""))
        .collect();
    let sql = format!(
        "SELECT json_object({}) FROM \"{table}\" ORDER BY 1",
        pairs.join(", ")
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_from_toml_and_from_rust() {
    let options = Options {
        products: 60,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await.unwrap();
    for (kind, fewest, is_doc) in KINDS {
        let toml = read(folder().join(format!("{kind}.toml")));
        let rust = read(folder().join(format!("{kind}.rs")));
        assert!(toml.lines().count() <= 25, "{kind}.toml");
        assert!(rust.lines().count() <= 40, "{kind}.rs");
        let url = if is_doc {
            "http://docs.example/".to_owned()
        } else {
            site.url().to_string()
        };
        let args = Args::from([("site".to_owned(), url)]);
        let declared = Declared::parse(Path::new("kind.toml"), &toml).unwrap();
        let by_toml = rows(declared.spider(&args).unwrap(), kind, is_doc).await;
        let registration = find(&format!("kind_{kind}")).unwrap();
        let by_rust = rows((registration.make)(&args).unwrap(), kind, is_doc).await;
        assert!(by_rust.len() >= fewest, "{kind}: {}", by_rust.len());
        assert_eq!(by_toml, by_rust, "{kind}");
    }
}
