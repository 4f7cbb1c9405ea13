//! What failed.

use super::super::{clean, count, plural, shorten};
use super::{Lines, SHOWN};
use crate::engine::{ErrorGroup, Problem, Report, Statistics};
use crate::store::{PageState, error_id};

/// Pages that failed, start URLs first.
pub(super) fn errors(to: &mut Lines<'_>, report: &Report) {
    let run = &report.statistics;
    let mut groups: Vec<_> = run
        .errors
        .iter()
        .filter(|group| group.state == PageState::Failed && (group.seed || !is_missing(group)))
        .collect();
    groups.sort_by_key(|group| (!group.seed, std::cmp::Reverse(group.count)));
    for group in groups.iter().take(SHOWN) {
        if group.seed {
            seed(to, group, run);
        } else {
            pages(to, group, run);
        }
    }
    let rest: u64 = groups.iter().skip(SHOWN).map(|group| group.count).sum();
    if rest > 0 {
        let kinds = groups.len() - SHOWN;
        let ways = if kinds == 1 {
            "another way"
        } else {
            "other ways"
        };
        to.error(&format!("{} failed in {ways}", plural(rest, "page")));
        to.more(&format!(
            "see them:  nephila query{} \"select * from url where state = 'failed'\"",
            to.db_flag
        ));
    }
}

/// A start URL that failed.
fn seed(to: &mut Lines<'_>, group: &ErrorGroup, run: &Statistics) {
    let url = url::Url::parse(&group.sample).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or("?");
    let (message, sample) = (shorten(&group.message, 300), clean(&group.sample));
    let nothing = if run.pages == 0 {
        "; nothing was crawled"
    } else {
        ""
    };
    match group.reason.as_str() {
        // The robots.txt of a host that does not exist can't be had either.
        "dns" | "connect" if message.starts_with("no such host") => {
            to.error(&format!("no such host: {}{nothing}", clean(host)));
        }
        "connect" => {
            let port = url.as_ref().and_then(url::Url::port_or_known_default);
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            to.error(&format!(
                "can't connect to {}{port}: {message}{nothing}",
                clean(host)
            ));
            if matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
                to.more("nothing listens there. If it is the demo shop: nephila demo --serve");
            }
        }
        "tls" => {
            to.error(&format!("start URL {sample} failed: {message}{nothing}"));
            to.more(&format!(
                "if it is yours:  -s tls_ca=FILE.pem, or -s tls_insecure={} to trust it blindly",
                clean(host)
            ));
        }
        "blocked" => {
            to.error(&format!(
                "{} may not be asked: {message}{nothing}",
                clean(host)
            ));
            to.more(&format!(
                "if it is yours:  -s hosts={}  (or private_networks, in nephila.toml)",
                clean(host)
            ));
        }
        "status" => to.error(&format!("start URL {sample} {message}{nothing}")),
        _ => {
            to.error(&format!("start URL {sample} failed: {message}{nothing}"));
            field(to, group);
        }
    }
    if group.count > 1 {
        to.more(&format!(
            "and so did {} more",
            plural(group.count - 1, "page")
        ));
    }
}

/// Pages that failed alike.
fn pages(to: &mut Lines<'_>, group: &ErrorGroup, run: &Statistics) {
    let read = run.steps.get(&group.step).map_or(0, |step| step.pages);
    let failed: u64 = run
        .errors
        .iter()
        .filter(|other| other.state == PageState::Failed && other.step == group.step)
        .map(|other| other.count)
        .sum();
    let (step, spider) = (clean(&group.step), clean(&run.spider));
    let message = shorten(&group.message, 300);
    to.error(&format!(
        "{spider}::{step} failed on {} of {}: {message}",
        count(group.count),
        plural(read + failed, "page"),
    ));
    field(to, group);
    let from = group.referrer.as_deref().map(clean);
    let from = from.map_or_else(String::new, |page| format!("  (from {page})"));
    to.more(&format!("page      {}{from}", clean(&group.sample)));
    if group.reason == "field" {
        to.more("fix       make it optional, or widen its selector or pattern");
    }
    to.more(&format!(
        "again     nephila retry{} {} --error {}",
        to.db_flag,
        run.run,
        error_id(&group.reason, &group.step, &group.message)
    ));
}

fn field(to: &mut Lines<'_>, group: &ErrorGroup) {
    if let Some(selector) = &group.selector {
        to.more(&format!("selector  {}", shorten(selector, 200)));
    }
}

/// The group holds links to pages that do not exist.
pub(super) fn is_missing(group: &ErrorGroup) -> bool {
    group.reason == "status"
        && ["answered 404", "answered 410"]
            .iter()
            .any(|text| group.message.starts_with(text))
}

/// A crawl without items, and what its steps did.
pub(super) fn nothing(to: &mut Lines<'_>, report: &Report) {
    let run = &report.statistics;
    if !report.problems.contains(&Problem::NothingScraped) || run.pages == 0 {
        return;
    }
    to.error(&format!(
        "nothing was scraped: {}, 0 items",
        plural(run.pages, "page")
    ));
    for (name, step) in run.steps.iter().take(SHOWN) {
        let missed: Vec<_> = missed_by(run, name)
            .take(3)
            .map(|(selector, pages)| {
                let selector = shorten(selector, 80);
                format!("; {} x `{selector}` matches nothing", count(pages))
            })
            .collect();
        to.more(&format!(
            "{}::{} ran on {} and returned no item{}",
            clean(&run.spider),
            clean(name),
            plural(step.pages, "page"),
            missed.concat(),
        ));
    }
    let dropped: u64 = run.dropped.values().map(|items| items.count).sum();
    if dropped > 0 {
        to.more(&format!(
            "the pipeline dropped {} (see below)",
            plural(dropped, "item")
        ));
    }
    to.more("--allow-empty if that is meant");
}

/// Selectors of a step that matched nothing, and on how many pages.
pub(super) fn missed_by<'a>(
    run: &'a Statistics,
    step: &'a str,
) -> impl Iterator<Item = (&'a str, u64)> {
    run.missed.iter().filter_map(move |(name, pages)| {
        let (of, selector) = name.split_once(' ')?;
        (of == step).then_some((selector, *pages))
    })
}
