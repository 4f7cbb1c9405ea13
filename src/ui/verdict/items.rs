//! Items: what was expected of them, and those that are not there.

use super::super::{clean, count, plural, shorten};
use super::{Lines, SHOWN};
use crate::engine::{Problem, Report, Statistics};

/// Expectations that were not met.
pub(super) fn unmet(to: &mut Lines<'_>, report: &Report) {
    for unmet in &report.unmet {
        to.error(&format!(
            "expected {}, found {}",
            clean(&unmet.expected),
            clean(&unmet.found)
        ));
        if let Some(sample) = &unmet.sample {
            to.more(&format!("page      {}", clean(sample)));
        }
    }
}

/// Columns that were fuller in an earlier run.
pub(super) fn emptier(to: &mut Lines<'_>, report: &Report) {
    for column in report.emptier.iter().take(SHOWN) {
        let name = format!("`{}` of {}", clean(&column.column), clean(&column.table));
        let before = format!("{} % in run {}", column.before, column.run);
        if column.filled > 0 {
            let filled = column.filled;
            to.warning(&format!(
                "{name} was found in {filled} % of the items ({before})"
            ));
        } else if report.problems.contains(&Problem::LostField) {
            to.error(&format!("{name} was found in no item ({before})"));
            to.more(
                "the site may have changed: look at its selector; --allow-empty if that is meant",
            );
        } else {
            to.warning(&format!("{name} was found in no item ({before})"));
        }
    }
}

/// Rows that were left out of their pages.
pub(super) fn bad_rows(to: &mut Lines<'_>, run: &Statistics) {
    let mut all: Vec<_> = run.bad_rows.iter().collect();
    all.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.count));
    for (name, rows) in all.iter().take(SHOWN) {
        let step = name.split(':').next().unwrap_or_default();
        to.warning(&format!(
            "{}::{} left out {} of {}: {}",
            clean(&run.spider),
            clean(step),
            plural(rows.count, "row"),
            plural(rows.pages, "page"),
            shorten(&rows.message, 300)
        ));
        if let Some(selector) = &rows.selector {
            to.more(&format!("selector  {}", shorten(selector, 200)));
        }
        to.more(&format!("page      {}", clean(&rows.sample)));
    }
    let rest = all.iter().skip(SHOWN).map(|(_, rows)| rows.count).sum();
    if rest > 0 {
        to.warning(&format!(
            "{} left out for other reasons",
            plural(rest, "row")
        ));
    }
}

/// Items that a pipeline dropped.
pub(super) fn dropped(to: &mut Lines<'_>, run: &Statistics) {
    let mut all: Vec<_> = run.dropped.iter().collect();
    all.sort_by_key(|(_, items)| std::cmp::Reverse(items.count));
    for (name, items) in all.iter().take(SHOWN) {
        let (table, reason) = name.split_once(": ").unwrap_or((name, ""));
        to.note(&format!(
            "the pipeline dropped {} of {}: {}, for example on {}",
            count(items.count),
            clean(table),
            shorten(reason, 200),
            clean(&items.sample)
        ));
    }
    let rest = all.iter().skip(SHOWN).map(|(_, items)| items.count).sum();
    if rest > 0 {
        to.note(&format!(
            "{} dropped for other reasons",
            plural(rest, "item")
        ));
    }
}
