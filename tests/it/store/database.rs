//! A database for one test.

use std::sync::Arc;

use nephila::item::Value;
use nephila::store::{self, Begin, Reader, Store};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::steps::Crawl;

/// A database that lives as long as its test.
pub(super) struct Database {
    pub(super) url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("crawl.db").display());
        Self {
            url,
            _folder: Some(folder),
        }
    }

    /// None, where there is no PostgreSQL.
    pub(super) async fn postgres() -> Option<Self> {
        let url = crate::postgres::database().await?;
        Some(Self { url, _folder: None })
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// Another one of the same kind.
    pub(super) async fn another(&self) -> Self {
        if self.is_postgres() {
            Self::postgres().await.unwrap()
        } else {
            Self::sqlite()
        }
    }

    /// Runs a statement past the store.
    pub(super) async fn run(&self, sql: &'static str) {
        let mut db = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    }

    pub(super) async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.url).await.unwrap()
    }

    /// Opens it and begins or resumes the crawl of spider `books`.
    pub(super) async fn crawl(&self) -> Crawl {
        self.begin(begin("books")).await
    }

    pub(super) async fn reader(&self) -> Arc<dyn Reader> {
        store::open_reader(&self.url).await.unwrap()
    }

    /// The rows of a query, cells with a blank between them.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let reader = self.reader().await;
        let (_, rows) = store::collect(&*reader, sql).await.unwrap();
        let cell = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            other => other.to_json().to_string(),
        };
        rows.iter()
            .map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// Opens it and begins. Whoever had it before is gone, and its lease has ended.
    pub(super) async fn begin(&self, begin: Begin) -> Crawl {
        let store = self.open().await;
        if self.is_postgres() {
            self.run("UPDATE run SET beat = 0 WHERE ended IS NULL")
                .await;
        }
        Crawl::begin(store, begin).await
    }
}

/// A beginning without arguments.
pub(super) fn begin(spider: &str) -> Begin {
    Begin {
        spider: spider.into(),
        args: "{}".into(),
        settings: "{}".into(),
        fresh: false,
        steps: Vec::new(),
        lease: std::time::Duration::from_secs(30),
        finished: nephila::store::Finished::Replace,
    }
}

/// The same, without what an earlier crawl left.
pub(super) fn fresh(spider: &str) -> Begin {
    Begin {
        fresh: true,
        ..begin(spider)
    }
}
