//! Spiders: what a user writes.
//!
//! A spider is a struct with steps, and a step is a method that reads a page. Write it as
//! `#[spider] impl`: the macro makes the [`Spider`] of it, and registers it under its name.
//!
//! ```
//! use nephila::prelude::*;
//!
//! #[derive(Item)]
//! struct Book {
//!     #[url] url: Url,
//!     #[css("h1")] title: String,
//! }
//!
//! #[derive(Default)]
//! struct Books;
//!
//! #[spider(start = "http://127.0.0.1:7788/")]
//! impl Books {
//!     async fn list(&self, page: Page) -> Result {
//!         page.follow("h3 a", Self::book)?;
//!         page.follow("li.next a", Self::list)?;
//!         Ok(())
//!     }
//!
//!     async fn book(&self, page: Page) -> Result<Book> {
//!         page.item()
//!     }
//! }
//!
//! # fn main() -> Result {
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! // A step is an ordinary method: a test needs a page and no engine.
//! let page = Page::from_html("http://shop.example/7", "<h1>Weaving</h1>")?;
//! let book = runtime.block_on(Books.book(page))?;
//! assert_eq!(book.title, "Weaving");
//! # Ok(())
//! # }
//! ```
//!
//! The frontier stores a request's step by name and its arguments as JSON; nothing else of the
//! program is stored, so a queue outlives a rebuild. A step that is renamed keeps its queue with
//! `#[step(was = "old")]`.

mod args;
mod login;
mod registry;
mod seeds;
mod step;

pub use args::{Args, ArgsError, Build, FromArgs, ViaDefault, ViaDeserialize, ViaNothing};
pub(crate) use login::NoSecret;
pub use login::{Ask, LoggedOut, Login};
pub use registry::{Package, Registration, find, packages, registered};
pub use seeds::Seeds;
pub use step::{Failure, Named, Yield};

use std::any::TypeId;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use crate::fetch::Middlewares;
use crate::item::Schema;
use crate::page::Page;
use crate::pipeline::Pipelines;
use crate::request::{Result, Revisit};

/// A set of steps and where they start. `#[spider]` implements it.
///
/// The engine holds one value for the whole crawl and calls it from all of its step threads; the
/// futures stay on the thread that made them and need not be `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a spider",
    note = "write `#[spider(start = \"https://..\")]` above an `impl {Self}` block with steps"
)]
pub trait Spider: Send + Sync + 'static {
    /// Its name in commands and in the database.
    fn name(&self) -> &str;

    /// Its steps, the first being the one that reads start URLs.
    fn steps(&self) -> &[StepInfo];

    /// Sends the first requests. Called at each run of a crawl, so it should name the same seeds each
    /// time; once all are stored, it is only asked which hosts and logins to trust, and may be cut
    /// short.
    fn seeds(&self, seeds: Seeds) -> LocalBoxFuture<'_, Result>;

    /// Runs a step on a page, or says that there is none of this name (`None`).
    fn run<'a>(
        &'a self,
        step: &str,
        args: Option<&str>,
        page: Page,
    ) -> Option<LocalBoxFuture<'a, Result>>;

    /// Runs the error handler of a step on a request that finally failed, if it has one.
    fn failed<'a>(&'a self, step: &str, failure: Failure) -> Option<LocalBoxFuture<'a, Result>> {
        let _ = (step, failure);
        None
    }

    /// Whether it has a login.
    fn logs_in(&self) -> bool {
        false
    }

    /// Logs one session in. Called only if it [logs in](Self::logs_in).
    fn login(&self, login: Login) -> LocalBoxFuture<'_, Result> {
        drop(login);
        Box::pin(async { Ok(()) })
    }

    /// The file that it was read from, if it was: who goes on with its crawl reads it again.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Its own settings as TOML.
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "a spider may have read its settings from a file"
    )]
    fn settings(&self) -> &str {
        ""
    }

    /// Stages between the crawl and the fetch, in order; asked for once per run. A method
    /// `fn middleware(&self) -> Middlewares` in a `#[spider] impl` is this one.
    fn middleware(&self) -> Middlewares {
        Middlewares::new()
    }

    /// What its items pass before they are stored, in order; asked for once per run. A method
    /// `fn pipeline(&self) -> Pipelines` in a `#[spider] impl` is this one.
    fn pipeline(&self) -> Pipelines {
        Pipelines::new()
    }

    /// The type whose steps its pages accept; none accepts all.
    fn type_of_steps(&self) -> Option<TypeId> {
        None
    }
}

/// What is known of a step without running it.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// Its name in the database.
    pub name: &'static str,
    /// Names it had before, oldest first: requests queued or done under them are its own.
    pub was: &'static [&'static str],
    /// HTTP statuses that it reads besides 2xx.
    pub accepts: &'static [u16],
    /// When it wants its pages again once the crawl has finished, where it was said.
    pub revisit: Option<Revisit>,
    /// Its pages lead to no others of it once so many of their items and other links were known.
    pub stop_when_known: Option<u32>,
    /// The pattern of URLs that it reads (`/book/{id}`), where it was said.
    pub url: Option<&'static str>,
    /// The tables of what it returns.
    pub tables: Tables,
}

/// The tables of what a step returns.
#[derive(Clone, Debug)]
pub enum Tables {
    /// Those of a type.
    Typed(fn() -> Vec<Arc<Schema>>),
    /// Those of a file.
    Known(Vec<Arc<Schema>>),
}

impl StepInfo {
    /// The tables of what it returns.
    pub fn tables(&self) -> Vec<Arc<Schema>> {
        match &self.tables {
            Tables::Typed(tables) => tables(),
            Tables::Known(tables) => tables.clone(),
        }
    }
}

/// Whether a spider says of any of its steps when it wants its pages again.
pub fn revisits(spider: &dyn Spider) -> bool {
    let says = |step: &StepInfo| step.revisit.is_some() || step.stop_when_known.is_some();
    spider.steps().iter().any(says)
}

/// The step of `spider` called `name`, or called so before.
pub fn step_named<'a>(spider: &'a dyn Spider, name: &str) -> Option<&'a StepInfo> {
    let steps = spider.steps();
    let now = steps.iter().find(|step| step.name == name);
    now.or_else(|| steps.iter().find(|step| step.was.contains(&name)))
}
