//! One step on one page, without a crawl: what it would have left behind.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::step;
use crate::page::{Context, Emitted, Page, Traced};
use crate::panics;
use crate::request::Response;
use crate::settings::Settings;
use crate::spider::Spider;

/// What a step made of a page.
#[derive(Debug)]
pub struct Tried {
    /// Items and requests, those of a step that failed later included.
    pub emitted: Emitted,
    /// What its selectors looked for, and found.
    pub traced: Vec<Traced>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// A page's context without a crawl.
pub(crate) fn context(settings: &Settings) -> Context {
    Context {
        limits: step::limits(settings),
        reading: step::reading(settings),
        links: step::links(settings),
        bad_rows: settings.max_bad_rows,
        ..Context::default()
    }
}

/// Runs a step on an answer and stores nothing; none if the spider has no such step.
///
/// # Cancel safety
/// A dropped call has left nothing behind.
pub async fn try_step(
    spider: &dyn Spider,
    settings: &Settings,
    step: &str,
    args: Option<&str>,
    response: Response,
) -> Option<Tried> {
    let context = Context {
        spider: spider.type_of_steps(),
        traced: true,
        ..context(settings)
    };
    let page = Page::new(response, context);
    let running = spider.run(step, args, page.clone())?;
    let running = async {
        running.await?;
        spider.pipeline().run(&page).await
    };
    let running = AssertUnwindSafe(running).catch_unwind();
    let failure = match tokio::time::timeout(settings.step_timeout, running).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(panic)) => Some(panics::described(&*panic)),
        Err(_) => Some(format!(
            "the step took longer than {} s",
            settings.step_timeout.as_secs_f32()
        )),
    };
    let excess = page.too_costly().map(ToString::to_string);
    Some(Tried {
        emitted: page.take_emitted(),
        traced: page.traced(),
        failure: excess.or(failure),
    })
}
