//! The items of a crawl as a stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::report::Report;
use super::{Crawl, CrawlError};
use crate::item::{Item, Record};

/// Items as they are stored. The crawl goes no faster than they are taken; dropping the stream
/// stops it, resumable.
pub struct Items<T> {
    records: mpsc::Receiver<Record>,
    crawl: JoinHandle<Result<Report, CrawlError>>,
    table: String,
    item: PhantomData<fn() -> T>,
}

impl Crawl {
    /// Crawls, and yields the items of one type once their page is stored; items of other types are
    /// stored only.
    ///
    /// Needs a tokio runtime.
    pub fn stream<T: Item + DeserializeOwned>(self) -> Items<T> {
        let (outlet, records) = mpsc::channel(64);
        let table = T::schema().table().to_owned();
        let crawl = tokio::spawn(self.run_into(Some(outlet)));
        Items {
            records,
            crawl,
            table,
            item: PhantomData,
        }
    }
}

impl<T> Items<T> {
    /// The report, once the crawl has ended; items not taken yet are dropped.
    ///
    /// # Errors
    /// If the crawl could not begin.
    pub async fn report(mut self) -> Result<Report, CrawlError> {
        while self.records.recv().await.is_some() {}
        (&mut self.crawl).await.unwrap_or_else(|error| {
            Err(CrawlError::Store(crate::store::StoreError::Database(
                error.to_string(),
            )))
        })
    }
}

impl<T: DeserializeOwned> Stream for Items<T> {
    type Item = Result<T, serde_json::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match self.records.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(record)) if record.schema().table() == self.table => {
                    Poll::Ready(Some(serde_json::from_value(record.to_json())))
                }
                Poll::Ready(Some(_)) => continue,
            };
        }
    }
}

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        self.crawl.abort();
    }
}

impl<T> std::fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Items(of {})", self.table)
    }
}
