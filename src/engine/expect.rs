//! What a crawl was expected to find, and what it found.

use serde::Serialize;

use super::event::Stop;
use super::report::Statistics;
use crate::settings::{Bound, Expectation, Settings, Subject, closest};
use crate::spider::{Spider, StepInfo};

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// As it was written: `books.price >= 95%`.
    pub expected: String,
    /// What was found: `61%`.
    pub found: String,
    /// A page that shows it, where one does.
    pub sample: Option<String>,
}

/// The expectations of the settings that were not met.
///
/// A crawl that was cut short, resumed or done again has not found all there is by itself: of it no least
/// number is expected.
pub(super) fn unmet(statistics: &Statistics, stop: &Stop, settings: &Settings) -> Vec<Unmet> {
    let is_part = statistics.resumed.is_some() || statistics.round.is_some();
    let is_whole = *stop == Stop::Finished && !is_part;
    let all = settings.expect.iter().filter_map(|text| text.parse().ok());
    all.filter_map(|expected: Expectation| {
        let (found, sample) = found(statistics, &expected)?;
        let is_share = matches!(expected.subject, Subject::Column(..) | Subject::PerPage(_));
        let counts = is_whole || is_share || expected.bound == Bound::AtMost;
        (counts && !expected.holds(found)).then(|| Unmet {
            expected: expected.to_string(),
            found: match &expected.subject {
                Subject::Column(..) => format!("{:.0}%", found.floor()),
                _ => found.to_string(),
            },
            sample,
        })
    })
    .collect()
}

/// The number that an expectation speaks of; none if there is nothing to count.
fn found(run: &Statistics, expected: &Expectation) -> Option<(f64, Option<String>)> {
    let number = match &expected.subject {
        Subject::Items => run.item_count(),
        Subject::Pages => run.pages,
        Subject::Failed => run.failed,
        Subject::BadRows => run.bad_rows.values().map(|rows| rows.count).sum(),
        Subject::Dropped => run.dropped.values().map(|items| items.count).sum(),
        Subject::Table(table) => run.items.get(table).map_or(0, |items| items.emitted),
        Subject::Column(table, column) => {
            let items = run.items.get(table).filter(|items| items.emitted > 0)?;
            let empty = items.empty.get(column).copied().unwrap_or_default();
            let filled = items.emitted - empty;
            return Some((filled as f64 * 100.0 / items.emitted as f64, None));
        }
        Subject::PerPage(step) => {
            let step = run.steps.get(step)?;
            let extreme = match expected.bound {
                Bound::AtLeast => step.fewest.as_ref()?,
                Bound::AtMost => step.most.as_ref()?,
            };
            return Some((extreme.items as f64, Some(extreme.sample.clone())));
        }
    };
    Some((number as f64, None))
}

/// Whether all that is expected can be counted: tables, columns and steps are the spider's.
///
/// # Errors
/// The first name that is none.
pub(super) fn check(settings: &Settings, spider: &dyn Spider) -> Result<(), String> {
    let steps = spider.steps();
    let tables: Vec<_> = steps.iter().flat_map(StepInfo::tables).collect();
    let names = || tables.iter().map(|schema| schema.table());
    for text in &settings.expect {
        let expected: Expectation = text.parse()?;
        let unknown = |what: &str, name: &str, known: Vec<&str>| {
            let meant = match closest(name, known.iter().copied()) {
                Some(known) => format!("; did you mean `{known}`?"),
                None if known.is_empty() => String::new(),
                None => format!("; there are {}", known.join(", ")),
            };
            Err(format!("expectation `{text}`: no {what} `{name}`{meant}"))
        };
        match &expected.subject {
            // A step may return items of a type that nobody knows before.
            Subject::Table(_) | Subject::Column(..) if tables.is_empty() => {}
            Subject::Table(table) if !names().any(|known| known == table) => {
                return unknown("table", table, names().collect());
            }
            Subject::Column(table, column) => {
                let Some(schema) = tables.iter().find(|schema| schema.table() == table) else {
                    return unknown("table", table, names().collect());
                };
                let columns: Vec<&str> = schema.columns().iter().map(|c| &*c.name).collect();
                if !columns.contains(&column.as_str()) {
                    return unknown("column", column, columns);
                }
            }
            Subject::PerPage(step) if !steps.iter().any(|known| known.name == step) => {
                return unknown("step", step, steps.iter().map(|step| step.name).collect());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Resumed;

    /// How many of the expectations are not met by a crawl that found nothing.
    fn check(expect: &[&str], stop: &Stop, is_resumed: bool, expected: usize) {
        let settings = Settings {
            expect: expect.iter().map(|&text| text.to_owned()).collect(),
            ..Settings::default()
        };
        let statistics = Statistics {
            resumed: is_resumed.then_some(Resumed {
                pages: 1,
                queued: 0,
                since: jiff::Timestamp::UNIX_EPOCH,
                others: 0,
            }),
            failed: 3,
            ..Statistics::default()
        };
        let unmet = unmet(&statistics, stop, &settings);
        assert_eq!(unmet.len(), expected, "{expect:?} {stop:?} {is_resumed}");
    }

    #[test]
    fn a_part_of_a_crawl_need_not_find_all() {
        let limit = Stop::Limit("max_pages");
        check(&["items >= 5"], &Stop::Finished, false, 1);
        check(&["items >= 5"], &Stop::Finished, true, 0);
        check(&["items >= 5"], &limit, false, 0);
        // What is too much of a part is too much of the whole.
        check(&["failed <= 2"], &limit, true, 1);
        check(&["items >= 0", "failed <= 3"], &Stop::Finished, false, 0);
    }
}
