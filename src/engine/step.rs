//! One step on one page: it runs, and what it left behind becomes the page's commit.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use http::Method;
use url::Url;

use super::committer::Finished;
use super::executor::{Call, Job};
use super::life;
use super::shared::{Refusal, Shared};
use super::visits;
use super::watchdog::Held;
use crate::clock;
use crate::item::{Record, Value};
use crate::page::{
    Context, Emitted, FieldError, LinkLimits, Page, ParseLimits, ReadLimits, TooManyBadRows,
};
use crate::panics;
use crate::policy::redirect;
use crate::policy::robots::{Directives, product_token};
use crate::request::{Result, without_logins};
use crate::settings::Settings;
use crate::spider::{Failure, LoggedOut};
use crate::store::{PageState, Refused, Ticket, Verdict};

/// Why a page of a session failed that is logged out.
const LOGGED_OUT: &str = "login";

/// Runs a job to its end.
pub(super) async fn run(shared: &Shared, job: Job, held: &Held) -> Finished {
    let Job {
        ticket,
        response,
        took,
        call,
        pass,
    } = job;
    let (status, bytes) = (held.status, held.bytes);
    let context = Context {
        depth: ticket.request.depth,
        referrer: ticket.referrer.clone(),
        spider: shared.spider.type_of_steps(),
        known: Some(Arc::clone(&shared.known)),
        limits: limits(&shared.settings),
        reading: reading(&shared.settings),
        links: links(&shared.settings),
        bad_rows: shared.settings.max_bad_rows,
        redirects: ticket.request.redirects.clone(),
        session: ticket.request.session.clone(),
        sticky: shared.settings.sticky_sessions,
        traced: false,
    };
    let visit = match call {
        Call::Step => visits::next(shared, &ticket, &response, true),
        Call::Failed { .. } => None,
    };
    let page = Page::new(response, context);
    if matches!(call, Call::Step)
        && let Some(url) = leads_on(&shared.settings, &page)
    {
        let next = redirect::refresh(&ticket.request, url, shared.settings.max_redirects);
        // What comes next is told of this page.
        let next = next.map(|mut next| {
            next.referrer = None;
            next
        });
        let hop = life::Hop {
            next,
            status,
            took,
            bytes,
        };
        return life::follow(shared, &ticket, hop);
    }
    let trouble = match call {
        Call::Step => run_step(shared, &ticket, &page).await.err(),
        Call::Failed {
            reason, message, ..
        } => Some(Trouble {
            reason,
            message,
            field: None,
        }),
    };
    let Some(mut trouble) = trouble else {
        let row = life::page_row(PageState::Done, None, None, status, took, bytes);
        let mut finished = life::finished(&ticket, Verdict::Page(row), took);
        take_over(shared, &ticket, page, &mut finished);
        finished.commit.visit = visits::read_again(visit, &finished.commit.requests);
        finished.commit.stop_when_known = visits::stop_when_known(shared, &ticket);
        return finished;
    };
    if trouble.reason == LOGGED_OUT
        && let Some(pass) = pass
        && pass.expire(shared, &ticket)
    {
        let verdict = Verdict::Retry {
            due: clock::now(),
            message: trouble.message,
            counts: true,
        };
        return life::finished(&ticket, verdict, took);
    }
    // What a failed step left behind is void; its handler starts with a clean page.
    let missed = page.take_emitted().missed;
    if let Err(handler) = run_handler(shared, &ticket, &page, &trouble).await {
        page.take_emitted();
        trouble.message = format!("{} (and its handler: {})", trouble.message, handler.message);
    }
    let (reason, message) = (Some(trouble.reason), Some(trouble.message));
    let row = life::page_row(PageState::Failed, reason, message, status, took, bytes);
    let mut finished = life::finished(&ticket, Verdict::Page(row), took);
    take_over(shared, &ticket, page, &mut finished);
    finished.event.field = trouble.field;
    finished.event.missed.extend(missed);
    finished
}

/// Where a page leads by itself, so soon that it is no more than a redirect.
pub(crate) fn leads_on(settings: &Settings, page: &Page) -> Option<Url> {
    if !settings.follow_refresh || !page.status().is_success() {
        return None;
    }
    let (delay, url) = page.refresh()?;
    (delay <= settings.max_refresh_delay).then_some(url)
}

pub(crate) fn limits(settings: &Settings) -> ParseLimits {
    ParseLimits {
        time: settings.max_parse_time,
        nodes: settings.max_nodes,
        depth: settings.max_element_depth,
        attributes: settings.max_attributes,
        text: settings.max_body,
    }
}

pub(super) fn reading(settings: &Settings) -> ReadLimits {
    ReadLimits {
        looks: settings.max_looks,
        text: settings.max_text,
        json_values: settings.max_json_values,
    }
}

pub(super) fn links(settings: &Settings) -> LinkLimits {
    LinkLimits {
        count: settings.max_links,
        url_bytes: settings.max_url_bytes,
    }
}

/// Why a page failed.
struct Trouble {
    reason: &'static str,
    message: String,
    field: Option<FieldError>,
}

impl Trouble {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            field: None,
        }
    }
}

async fn run_step(
    shared: &Shared,
    ticket: &Ticket,
    page: &Page,
) -> std::result::Result<(), Trouble> {
    let step = &ticket.request.step;
    match shared
        .spider
        .run(&step.name, step.args.as_deref(), page.clone())
    {
        Some(future) => {
            let mut outcome = guard(shared, future).await;
            if outcome.is_ok() {
                outcome = run_pipeline(shared, page).await;
            }
            match page.too_costly() {
                // Whatever the step made of it: what it saw is not all there is.
                Some(excess) => Err(Trouble::new("costly", excess.to_string())),
                None => outcome,
            }
        }
        None => Err(Trouble::new(
            "unknown_step",
            format!("no step `{}`", step.name),
        )),
    }
}

async fn run_handler(
    shared: &Shared,
    ticket: &Ticket,
    page: &Page,
    trouble: &Trouble,
) -> std::result::Result<(), Trouble> {
    let failure = Failure::new(page.clone(), trouble.reason, trouble.message.clone());
    match shared.spider.failed(&ticket.request.step.name, failure) {
        Some(future) => {
            guard(shared, future).await?;
            run_pipeline(shared, page).await
        }
        None => Ok(()),
    }
}

/// Sends the items of a page through the spider's pipeline.
async fn run_pipeline(shared: &Shared, page: &Page) -> std::result::Result<(), Trouble> {
    if shared.pipelines.is_empty() {
        return Ok(());
    }
    let outcome = guard(shared, Box::pin(shared.pipelines.run(page))).await;
    outcome.map_err(|trouble| match trouble.reason {
        "step" | "field" => Trouble {
            reason: "pipeline",
            ..trouble
        },
        "step_timeout" => Trouble {
            message: trouble.message.replacen("the step", "the pipeline", 1),
            ..trouble
        },
        _ => trouble,
    })
}

/// Runs user code: errors, panics and delays become a [`Trouble`].
async fn guard(
    shared: &Shared,
    future: LocalBoxFuture<'_, Result>,
) -> std::result::Result<(), Trouble> {
    let limit = shared.settings.step_timeout;
    match tokio::time::timeout(limit, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(match error.downcast::<FieldError>() {
            Ok(field) => Trouble {
                reason: "field",
                message: field.to_string(),
                field: Some(*field),
            },
            Err(error) if error.is::<TooManyBadRows>() => bad_rows(&*error),
            Err(error) if error.is::<LoggedOut>() => Trouble::new(LOGGED_OUT, error.to_string()),
            Err(error) => Trouble::new("step", error.to_string()),
        }),
        Ok(Err(panic)) => Err(Trouble::new("panic", panics::described(&*panic))),
        Err(_) => {
            let message = format!("the step took longer than {} s", limit.as_secs_f32());
            Err(Trouble::new("step_timeout", message))
        }
    }
}

/// A page with too many bad rows; the first one's field is shown, if that was it.
fn bad_rows(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Trouble {
    let field = error.downcast_ref().and_then(TooManyBadRows::field);
    Trouble {
        field: field.cloned(),
        ..Trouble::new(
            if field.is_some() { "field" } else { "step" },
            error.to_string(),
        )
    }
}

/// Moves what the step left on the page into its commit. A page that nobody else holds is gone before
/// its requests are made of its links: both are large where a page is hostile.
fn take_over(shared: &Shared, ticket: &Ticket, page: Page, finished: &mut Finished) {
    let Emitted {
        requests,
        records,
        invalid_links,
        surplus,
        long,
        missed,
        bad_rows,
        dropped,
        ..
    } = page.take_emitted();
    let mut refusals = Refusals::default();
    let asked = asked_by(&page, &shared.settings);
    let request = &ticket.request;
    if request.method == Method::GET && request.body.is_none() && page.status().is_success() {
        shared.traps.read(&request.url, page.body());
    }
    finished.event.truncation = page.truncation();
    drop(page);
    let records = if asked.noindex {
        withhold(&records, finished);
        Vec::new()
    } else {
        records
    };
    if let Some((count, sample)) = invalid_links {
        refusals.add(Refusal("invalid", String::new()), count, || sample);
    }
    if let Some((count, sample)) = surplus {
        refusals.add(Refusal("links", String::new()), count, || {
            without_logins(&sample).into()
        });
    }
    for long in long {
        let refusal = match &*long.scheme {
            "http" | "https" => Refusal("length", String::new()),
            other => Refusal("scheme", other.to_owned()),
        };
        refusals.add(refusal, long.count, || without_logins(&long.sample).into());
    }
    let max_links = shared.settings.max_links;
    let mut known = HashSet::with_capacity(requests.len().min(max_links));
    for (number, request) in requests.into_iter().enumerate() {
        let request = shared.normalised(request);
        let refusal = match number {
            number if number >= max_links => Some(Refusal("links", String::new())),
            _ if asked.nofollow => Some(Refusal("nofollow", String::new())),
            _ => shared.refuse(&request),
        };
        if let Some(refusal) = refusal {
            refusals.add(refusal, 1, || without_logins(request.url.as_str()).into());
            continue;
        }
        let nonce = (ticket.key.seq as u64)
            .wrapping_mul(1 << 20)
            .wrapping_add(number as u64);
        if let Ok(new) = shared.identify(request, false, nonce)
            && known.insert((new.host, new.fingerprint))
        {
            finished.commit.requests.push(new);
        }
    }
    finished.commit.refused = refusals.0;
    finished.event.missed = missed;
    finished.event.bad_rows = bad_rows;
    finished.event.dropped = dropped;
    count(&records, finished);
    finished.commit.records = records;
}

/// What the page asks of robots, where that is obeyed.
fn asked_by(page: &Page, settings: &Settings) -> Directives {
    let mut asked = Directives::default();
    if !settings.robots_meta {
        return asked;
    }
    let token = product_token(&settings.user_agent);
    for value in page.headers().get_all("x-robots-tag") {
        asked.read_header(&String::from_utf8_lossy(value.as_bytes()), token);
    }
    let is_html = page
        .response()
        .header("content-type")
        .is_none_or(|kind| kind.contains("html"));
    if is_html {
        for (name, content) in page.named_metas() {
            asked.read_meta(name, content, token);
        }
    }
    asked
}

/// Drops the items of a page that wants none of itself to be kept, and says so in its row.
fn withhold(records: &[Record], finished: &mut Finished) {
    if let Verdict::Page(row) = &mut finished.commit.verdict
        && !records.is_empty()
        && row.reason.is_none()
    {
        let message = format!("{} item(s) not stored, as the page asks", records.len());
        (row.reason, row.message) = (Some("noindex"), Some(message.clone()));
        (finished.event.reason, finished.event.message) = (Some("noindex"), Some(message));
    }
}

fn count(records: &[Record], finished: &mut Finished) {
    for record in records {
        let table = record.schema().table();
        match finished
            .event
            .items
            .iter_mut()
            .find(|(known, _)| known == table)
        {
            Some((_, count)) => *count += 1,
            None => finished.event.items.push((table.to_owned(), 1)),
        }
        for (column, value) in record.schema().columns().iter().zip(record.values()) {
            if *value == Value::Null {
                finished
                    .event
                    .empty
                    .push((table.to_owned(), column.name.to_string()));
            }
        }
    }
}

/// Subjects of a page's refused links that are told apart; looking for one among them is linear.
const SUBJECTS: usize = 200;
/// What the rest is called, as in the store.
const OTHERS: &str = "(others)";

/// Refused links of a page, folded by reason and subject.
#[derive(Default)]
struct Refusals(Vec<Refused>);

impl Refusals {
    fn add(
        &mut self,
        Refusal(reason, subject): Refusal,
        count: u64,
        sample: impl FnOnce() -> String,
    ) {
        let find = |all: &[Refused], subject: &str| {
            all.iter()
                .position(|refused| refused.reason == reason && refused.subject == subject)
        };
        let known = find(&self.0, &subject);
        let is_one_more = known.is_none() && self.0.len() >= SUBJECTS;
        let subject = if is_one_more {
            OTHERS.to_owned()
        } else {
            subject
        };
        match known.or_else(|| find(&self.0, &subject)) {
            Some(at) => self.0[at].count += count,
            None => self.0.push(Refused {
                reason,
                subject,
                count,
                sample: sample(),
            }),
        }
    }
}
