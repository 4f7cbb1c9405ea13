//! Pipelines: what becomes of items between the step that made them and the database.
//!
//! Stages are ordered, and each item of a page goes through all of them: one checks it, one changes it,
//! one asks somebody for more. A stage keeps the item or drops it with a reason, which the verdict counts.
//!
//! ```text
//! step ─▶ first ─▶ second ─▶ … ─▶ commit of the page
//!            └ dropped: "no price"
//! ```
//!
//! They run when the step has ended well and before the page is committed, so what they do belongs to the
//! page's transaction: a stage that fails costs the page, and nothing of it is stored.
//!
//! ```
//! use nephila::pipeline::{Pipelines, Processed};
//! use nephila::prelude::*;
//!
//! #[derive(Item)]
//! #[item(table = "books")]
//! struct Book {
//!     #[css("h1")]
//!     title: String,
//!     #[css("p.price", parse = nephila::parse::money)]
//!     price: Option<f64>,
//! }
//!
//! #[derive(Default)]
//! struct Books;
//!
//! #[spider(start = "http://127.0.0.1:7788/book/1")]
//! impl Books {
//!     fn pipeline(&self) -> Pipelines {
//!         Pipelines::new()
//!             .of::<Book>(async |item, _| match item.number("price") {
//!                 None => Ok(Processed::drop("no price")),
//!                 Some(_) => Ok(item.into()),
//!             })
//!             .of::<Book>(async |mut item, _| {
//!                 let title = item.text("title").unwrap_or_default().to_uppercase();
//!                 item.set("title", title)?;
//!                 Ok(item.into())
//!             })
//!     }
//!
//!     async fn book(&self, page: Page) -> Result<Book> {
//!         page.item()
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result {
//! // A test needs neither an engine nor a network.
//! let page = Page::from_html("http://shop.example/7", "<h1>Weaving</h1><p class=price>£7")?;
//! page.emit(Books.book(page.clone()).await?)?;
//! Books.pipeline().run(&page).await?;
//! assert_eq!(page.emitted().records[0].text("title"), Some("WEAVING"));
//! # Ok(())
//! # }
//! ```

mod download;

pub use download::Download;

use std::future::Future;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use crate::item::{Item, Record};
use crate::page::Page;
use crate::request::Result;

/// A stage that items pass.
///
/// Called once per item of a page, in the order of emission, on the thread that ran the page's step: it
/// need not be `Send`, and may await. All stages of a page together have the `step_timeout`. It may be
/// dropped at any await; it is called again if the page is fetched again, so what it does elsewhere must
/// bear that.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stage of a pipeline",
    label = "expected a `Pipeline`",
    note = "implement `Pipeline` for it, or give a closure to `Pipelines::each` or `Pipelines::of`"
)]
pub trait Pipeline: Send + Sync + 'static {
    /// Keeps `item`, changed or not, or drops it.
    ///
    /// Requests made on `page` are stored with it, like those of its step.
    ///
    /// # Errors
    /// What costs the whole page: nothing of it is stored.
    fn process(&self, item: Record, page: &Page) -> impl Future<Output = Result<Processed>>;
}

/// What a stage makes of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Processed {
    /// It goes on to the next stage: write `item.into()`.
    Keep(Record),
    /// It is not stored, for this reason. Reasons are counted: name the kind, not the item.
    Drop(String),
}

impl Processed {
    /// Not to be stored, for this reason.
    pub fn drop(reason: impl Into<String>) -> Self {
        Self::Drop(reason.into())
    }
}

impl From<Record> for Processed {
    fn from(item: Record) -> Self {
        Self::Keep(item)
    }
}

/// The boxed twin of [`Pipeline`].
trait DynPipeline: Send + Sync + 'static {
    fn process<'a>(&'a self, item: Record, page: &'a Page)
    -> LocalBoxFuture<'a, Result<Processed>>;
}

impl<P: Pipeline> DynPipeline for P {
    fn process<'a>(
        &'a self,
        item: Record,
        page: &'a Page,
    ) -> LocalBoxFuture<'a, Result<Processed>> {
        Box::pin(Pipeline::process(self, item, page))
    }
}

/// A closure, for the items of one table or of all.
struct Closure<F> {
    table: Option<String>,
    process: F,
}

impl<F> Pipeline for Closure<F>
where
    F: AsyncFn(Record, &Page) -> Result<Processed> + Send + Sync + 'static,
{
    async fn process(&self, item: Record, page: &Page) -> Result<Processed> {
        let table = item.schema().table();
        if self.table.as_ref().is_some_and(|wanted| wanted != table) {
            return Ok(item.into());
        }
        (self.process)(item, page).await
    }
}

/// Stages in order.
#[derive(Clone, Default)]
pub struct Pipelines(Vec<Arc<dyn DynPipeline>>);

impl Pipelines {
    /// None: every item is stored as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// These, and then `stage`.
    #[must_use]
    pub fn with(mut self, stage: impl Pipeline) -> Self {
        self.0.push(Arc::new(stage));
        self
    }

    /// These, and then a closure that sees every item.
    #[must_use]
    pub fn each<F>(self, process: F) -> Self
    where
        F: AsyncFn(Record, &Page) -> Result<Processed> + Send + Sync + 'static,
    {
        self.with(Closure {
            table: None,
            process,
        })
    }

    /// These, and then a closure that sees the items of one type: the rows of its table.
    #[must_use]
    pub fn of<T: Item>(
        self,
        process: impl AsyncFn(Record, &Page) -> Result<Processed> + Send + Sync + 'static,
    ) -> Self {
        self.with(Closure {
            table: Some(T::schema().table().to_owned()),
            process,
        })
    }

    /// These, and then `others`.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends the items that were emitted on `page` so far through all stages; those that are kept are
    /// emitted in their place. The engine does this; tests of pipelines do, too.
    ///
    /// # Errors
    /// Those of the first stage that fails.
    ///
    /// # Cancel safety
    /// A dropped call may have taken items from the page.
    pub async fn run(&self, page: &Page) -> Result {
        if self.is_empty() {
            return Ok(());
        }
        for item in page.take_records() {
            let schema = Arc::clone(item.schema());
            match self.pass(item, page).await? {
                Processed::Keep(item) => page.emit_record(item),
                Processed::Drop(reason) => page.count_dropped(schema.table().to_owned(), reason),
            }
        }
        Ok(())
    }

    async fn pass(&self, mut item: Record, page: &Page) -> Result<Processed> {
        for stage in &self.0 {
            match stage.process(item, page).await? {
                Processed::Keep(kept) => item = kept,
                dropped @ Processed::Drop(_) => return Ok(dropped),
            }
        }
        Ok(item.into())
    }
}

impl std::fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pipelines({})", self.0.len())
    }
}

#[cfg(test)]
mod tests;
