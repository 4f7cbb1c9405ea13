//! Columns that were fuller in an earlier run: a site has changed, and a selector has not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::ItemCount;

/// Fewer items say nothing about a share.
const ENOUGH: u64 = 20;
/// Percent points that are no chance.
const FALL: u64 = 10;

/// A column that is emptier than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emptier {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// In how many percent of the items it has a value.
    pub filled: u64,
    /// In how many percent it had one.
    pub before: u64,
    /// In this run.
    pub run: i64,
}

/// What counts of a report.
#[derive(Deserialize)]
struct Before {
    run: i64,
    items: BTreeMap<String, ItemCount>,
}

/// Compares each column with the fullest it was in the reports that have enough of its items, so that
/// it is told again until it is mended. The reports are JSON, newest first; what is none is left out.
pub(super) fn emptier(now: &BTreeMap<String, ItemCount>, before: &[String]) -> Vec<Emptier> {
    let read = |report: &String| serde_json::from_str::<Before>(report).ok();
    let before: Vec<Before> = before.iter().filter_map(read).collect();
    let mut found = Vec::new();
    for (table, now) in now.iter().filter(|(_, now)| now.emitted >= ENOUGH) {
        let before = before.iter().rev().filter_map(|before| {
            let items = before.items.get(table);
            Some((before.run, items.filter(|items| items.emitted >= ENOUGH)?))
        });
        // Columns that have no empty cell now can't be emptier.
        for column in now.empty.keys() {
            let then = before
                .clone()
                .map(|(run, items)| (filled(items, column), run));
            let filled = filled(now, column);
            if let Some((was, run)) = then.max_by_key(|(was, _)| *was)
                && filled + FALL <= was
            {
                found.push(Emptier {
                    table: table.clone(),
                    column: column.clone(),
                    filled,
                    before: was,
                    run,
                });
            }
        }
    }
    found
}

/// In how many percent of the items a column has a value; 0 only if in none.
fn filled(items: &ItemCount, column: &str) -> u64 {
    let empty = items.empty.get(column).copied().unwrap_or_default();
    let full = items.emitted.saturating_sub(empty);
    (full * 100 / items.emitted.max(1)).max(u64::from(full > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(emitted: u64, stars: u64) -> BTreeMap<String, ItemCount> {
        let empty = [("stars".to_owned(), emitted - stars)].into();
        [("books".to_owned(), ItemCount { emitted, empty })].into()
    }

    fn report(run: i64, emitted: u64, stars: u64) -> String {
        let items = books(emitted, stars);
        serde_json::json!({ "run": run, "stop": { "why": "finished" }, "items": items }).to_string()
    }

    #[test]
    fn columns_that_are_emptier_than_they_were() {
        let check = |now: (u64, u64), before: &[String], expected: Option<(u64, u64, i64)>| {
            let found = emptier(&books(now.0, now.1), before);
            let found: Vec<_> = found
                .iter()
                .map(|column| (column.filled, column.before, column.run))
                .collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{now:?}");
        };
        check((100, 61), &[report(41, 100, 90)], Some((61, 90, 41)));
        check((1000, 1), &[report(41, 100, 90)], Some((1, 90, 41)));
        check((100, 0), &[report(41, 100, 10)], Some((0, 10, 41)));
        check((100, 81), &[report(41, 100, 90)], None);
        check((100, 100), &[report(41, 100, 90)], None);
        check((19, 0), &[report(41, 100, 90)], None);
        check((100, 0), &[], None);
        check((100, 0), &["{}".to_owned(), "no JSON".to_owned()], None);
        // The fullest with enough items counts, the newest of those.
        let reports = [
            report(44, 5, 5),
            report(43, 50, 10),
            report(42, 50, 40),
            report(41, 50, 40),
        ];
        check((100, 50), &reports, Some((50, 80, 42)));
    }
}
