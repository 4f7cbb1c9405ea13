//! Links that were not followed, and selectors that found nothing.

use super::super::{clean, count, plural, shorten};
use super::errors::{is_missing, missed_by};
use super::{Lines, SHOWN};
use crate::engine::{Problem, Report, SlowedCount, Statistics, Stop};
use crate::policy::traps;
use crate::store::PageState;

/// Links to pages that do not exist.
pub(super) fn missing(to: &mut Lines<'_>, run: &Statistics) {
    if let Some(group) = run
        .errors
        .iter()
        .find(|group| is_missing(group) && !group.seed)
    {
        let from = group.referrer.as_deref().map(clean);
        let from = from.map_or_else(String::new, |page| format!(" (on {page})"));
        to.note(&format!(
            "{} no page (404, 410), for example {}{from}",
            leads(run.missing, "lead"),
            clean(&group.sample)
        ));
    }
}

/// Hosts that were left alone for a while: those that still are, or that asked for it.
pub(super) fn slowed(to: &mut Lines<'_>, report: &Report) {
    let is_over = report.stop == Stop::Finished;
    let run = &report.statistics;
    let asked = |origin| run.hosts.get(origin).is_some_and(|host| host.refused > 0);
    let mut slowed: Vec<_> = run.slowed.iter().collect();
    let waits = |slowed: &SlowedCount| !is_over && slowed.in_a_row > 0;
    slowed.retain(|(origin, slowed)| waits(slowed) || asked(*origin));
    slowed.sort_by_key(|(_, slowed)| std::cmp::Reverse(slowed.count));
    for (origin, slowed) in slowed.into_iter().take(SHOWN) {
        let times = match slowed.count {
            1 => "once".to_owned(),
            times => format!("{} times", count(times)),
        };
        let (origin, why) = (clean(origin), shorten(&slowed.why, 200));
        if waits(slowed) {
            let until = slowed.until.strftime("%H:%M:%S UTC");
            to.warning(&format!(
                "{origin} was slowed down {times}: {why}; it is left alone until {until}"
            ));
        } else {
            to.note(&format!("{origin} was slowed down {times}: {why}"));
        }
    }
}

/// `1 link leads to`, `5 links lead to`.
fn leads(number: u64, verb: &str) -> String {
    let s = if number == 1 { "s" } else { "" };
    format!("{} {verb}{s} to", plural(number, "link"))
}

/// Links that left the scope or the limits.
pub(super) fn refused(to: &mut Lines<'_>, run: &Statistics) {
    let mut outside: Vec<(&str, u64)> = Vec::new();
    for (name, refused) in &run.refused {
        match name.split_once(' ') {
            Some(("scope", host)) => outside.push((host, refused.count)),
            _ => other_refused(to, name, refused.count, &refused.sample),
        }
    }
    if outside.is_empty() {
        return;
    }
    outside.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let total: u64 = outside.iter().map(|(_, number)| number).sum();
    let shown: Vec<_> = outside
        .iter()
        .take(SHOWN)
        .map(|(host, number)| format!("{} ({})", shorten(host, 80), count(*number)))
        .collect();
    let more = match outside.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {} more", plural(more as u64, "host")),
    };
    to.warning(&format!(
        "{} the allowed hosts and {} not followed: {}{more}",
        if total == 1 {
            "1 link left".to_owned()
        } else {
            format!("{} links left", count(total))
        },
        if total == 1 { "was" } else { "were" },
        shown.join(", ")
    ));
    let hosts: Vec<_> = outside
        .iter()
        .take(3)
        .map(|(host, _)| format!("\"{}\"", shorten(host, 80)))
        .collect();
    to.more(&format!("allow them:  hosts = [{}]", hosts.join(", ")));
}

fn other_refused(to: &mut Lines<'_>, name: &str, number: u64, sample: &str) {
    let why = match name.split(' ').next().unwrap_or_default() {
        "depth" => "deeper than max_depth",
        "links" => "beyond max_links of their page",
        "nofollow" => "on pages that ask robots not to follow them (robots_meta)",
        "length" => "longer than max_url_bytes",
        "invalid" => "no URLs",
        // Links like mailto: are no web pages, and nobody expects them to be crawled.
        "scheme" => return,
        "include" => "outside of what include names",
        "exclude" => &format!("excluded by {}", subject_of(name)),
        reason => match traps::setting_of(reason) {
            Some(setting) => return trap(to, setting, subject_of(name), number, sample),
            None => name,
        },
    };
    to.note(&format!(
        "{} {} {}, for example {}",
        plural(number, "link"),
        if number == 1 { "was" } else { "were" },
        clean(why),
        shorten(sample, 200)
    ));
}

/// The part of a name after the reason.
fn subject_of(name: &str) -> &str {
    name.split_once(' ').map_or("", |(_, subject)| subject)
}

/// Links that would have led into a site without an end.
fn trap(to: &mut Lines<'_>, setting: &str, subject: &str, number: u64, sample: &str) {
    let of = match subject {
        "" => String::new(),
        subject => format!(" of {}", shorten(subject, 100)),
    };
    to.warning(&format!(
        "a trap? {}{of} beyond {setting}, for example {}",
        plural(number, "link"),
        shorten(sample, 200)
    ));
    to.more(&format!(
        "explain:  nephila explain{} {}",
        to.db_flag,
        shorten(sample, 2_000)
    ));
}

/// Requests that were never sent, by reason.
pub(super) fn skipped(to: &mut Lines<'_>, run: &Statistics) {
    for group in run
        .errors
        .iter()
        .filter(|group| group.state == PageState::Skipped)
    {
        let url = url::Url::parse(&group.sample).ok();
        let host = url.as_ref().and_then(url::Url::host_str).unwrap_or("?");
        let number = plural(group.count, "URL");
        match group.reason.as_str() {
            "robots" => to.note(&format!(
                "robots.txt of {} forbids {number}: {}",
                clean(host),
                shorten(&group.message, 200)
            )),
            reason => to.note(&format!(
                "{number} skipped ({}): {}",
                clean(reason),
                shorten(&group.message, 200)
            )),
        }
        to.more(&format!(
            "explain:  nephila explain{} {}",
            to.db_flag,
            clean(&group.sample)
        ));
    }
}

/// Selectors that matched on no page, and columns that are empty in every row.
pub(super) fn selectors(to: &mut Lines<'_>, report: &Report) {
    let run = &report.statistics;
    if !report.problems.contains(&Problem::NothingScraped) {
        for (name, step) in run.steps.iter().filter(|(_, step)| step.pages > 1) {
            for (selector, pages) in missed_by(run, name).filter(|(_, n)| *n >= step.pages) {
                to.warning(&format!(
                    "`{}` matches nothing on any of {} of {}::{}",
                    shorten(selector, 100),
                    plural(pages, "page"),
                    clean(&run.spider),
                    clean(name)
                ));
            }
        }
    }
    for (table, items) in &run.items {
        let is_told = |name: &String| {
            let mut told = report.emptier.iter();
            told.any(|other| other.table == *table && other.column == *name)
        };
        for (column, _) in items
            .empty
            .iter()
            .filter(|(name, n)| **n == items.emitted && **n > 1 && !is_told(name))
        {
            to.warning(&format!(
                "`{}` of {} is empty in all {}",
                clean(column),
                clean(table),
                plural(items.emitted, "row")
            ));
        }
    }
}
