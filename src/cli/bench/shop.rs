//! The spider of the bench: every page, and the books.
//!
//! Written out instead of by `#[spider]`, which would register it: it is no spider of the user's.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::item::Schema;
use crate::prelude::*;
use crate::request::StepRef;
use crate::spider::{StepInfo, Tables};

#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.price")]
    #[re(r"([\d.]+)")]
    price: f64,
    #[css("p.stars::attr(data-n)")]
    stars: Option<u8>,
}

/// Its one step.
const PAGE: &str = "page";

static STEPS: [StepInfo; 1] = [StepInfo {
    name: PAGE,
    was: &[],
    accepts: &[],
    revisit: None,
    stop_when_known: None,
    url: None,
    tables: Tables::Typed(tables),
}];

fn tables() -> Vec<Arc<Schema>> {
    vec![Book::schema()]
}

pub(super) struct Shop {
    site: String,
}

impl Shop {
    pub(super) fn new(site: &str) -> Self {
        let site = site.to_owned();
        Self { site }
    }
}

impl Spider for Shop {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's")]
    fn name(&self) -> &str {
        "bench"
    }

    fn steps(&self) -> &[StepInfo] {
        &STEPS
    }

    fn seeds(&self, seeds: Seeds) -> LocalBoxFuture<'_, Result> {
        async move { seeds.push(&self.site, StepRef::named(PAGE)).await }.boxed_local()
    }

    fn run<'a>(
        &'a self,
        step: &str,
        _: Option<&str>,
        page: Page,
    ) -> Option<LocalBoxFuture<'a, Result>> {
        (step == PAGE).then(|| async move { read(&page) }.boxed_local())
    }
}

fn read(page: &Page) -> Result {
    page.follow("a[href]", StepRef::named(PAGE))?;
    if page.url().path().starts_with("/book/") {
        page.emit(page.item::<Book>()?)?;
    }
    Ok(())
}
