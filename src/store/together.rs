//! Which runs worked on a crawl together.

use jiff::Timestamp;

use super::{ErrorGroup, PageState, RunId, RunRow};

/// A run that worked on a crawl together with others.
#[derive(Clone, Debug)]
pub struct Worker {
    /// What it did.
    pub run: RunRow,
    /// Why pages of it failed or were skipped, if it left no report of its own.
    pub lost: Vec<(PageState, ErrorGroup)>,
}

/// The runs that worked together with run `id`, itself included, oldest first: of the same crawl, and
/// without a gap between them in which nobody worked on it.
pub fn together(runs: &[RunRow], id: RunId) -> Vec<&RunRow> {
    let Some(own) = runs.iter().find(|run| run.id == id) else {
        return Vec::new();
    };
    let mut all: Vec<_> = runs.iter().filter(|run| run.crawl == own.crawl).collect();
    all.sort_by_key(|run| (run.started, run.id.0));
    let mut group: Vec<&RunRow> = Vec::new();
    let mut until = Timestamp::MIN;
    for run in all {
        if run.started > until {
            if group.iter().any(|run| run.id == id) {
                break;
            }
            group.clear();
        }
        until = until.max(run.ended.unwrap_or(Timestamp::MAX));
        group.push(run);
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: i64, crawl: i64, started: i64, ended: Option<i64>) -> RunRow {
        let at = |second| Timestamp::from_second(second).unwrap();
        RunRow {
            id: RunId(id),
            crawl,
            spider: String::new(),
            args: String::new(),
            pid: 0,
            version: String::new(),
            steps: Vec::new(),
            lives: false,
            started: at(started),
            beat: at(started),
            ended: ended.map(at),
            stop: None,
            done: 0,
            failed: 0,
            skipped: 0,
            redirects: 0,
            retries: 0,
            known: 0,
            items: 0,
            new: 0,
            changed: 0,
            unchanged: 0,
            requeued: 0,
            forgotten: 0,
            bytes: 0,
            settings: String::new(),
            report: None,
        }
    }

    #[test]
    fn a_gap_parts_them() {
        let runs = [
            run(1, 1, 0, Some(10)),
            run(2, 1, 20, Some(50)),
            run(3, 2, 20, Some(90)),
            run(4, 1, 40, Some(60)),
            run(5, 1, 21, Some(22)),
            run(6, 1, 60, Some(61)),
            run(7, 1, 70, None),
            run(8, 1, 1_000, Some(1_001)),
        ];
        let check = |id, expected: &[i64]| {
            let ids: Vec<_> = together(&runs, RunId(id))
                .iter()
                .map(|run| run.id.0)
                .collect();
            assert_eq!(ids, expected, "{id}");
        };
        check(1, &[1]);
        for id in [2, 4, 5, 6] {
            check(id, &[2, 5, 4, 6]);
        }
        check(3, &[3]);
        check(7, &[7, 8]);
        check(9, &[]);
    }
}
