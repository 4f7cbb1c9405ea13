//! The report of a crawl that several processes have worked on: of all of them, and the same in each.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::event::Stop;
use super::report::{
    ErrorGroup, Extreme, MAX_GROUPS, Report, Statistics, WorkerCount, bounded, pattern_of,
};
use crate::settings::Settings;
use crate::store::{ErrorGroup as Lost, PageState, RunRow, Worker};

impl Report {
    /// The report of a crawl that has finished, by what its processes have left. `before` are the reports
    /// of the last runs, as JSON.
    pub(super) fn together(workers: &[Worker], before: &[String], settings: &Settings) -> Self {
        let mut all = Statistics::default();
        for worker in workers {
            let is_first = all.workers.is_empty();
            let statistics = statistics_of(worker);
            if is_first {
                all.run = statistics.run;
                all.spider.clone_from(&statistics.spider);
                all.resumed = statistics.resumed;
                all.round = statistics.round;
            }
            all.add(statistics);
            all.workers.push(count_of(&worker.run));
        }
        let started = workers.iter().map(|worker| worker.run.started).min();
        let ended = workers
            .iter()
            .map(|worker| worker.run.ended.unwrap_or(worker.run.beat));
        let elapsed = started.zip(ended.max());
        let elapsed = elapsed.and_then(|(from, to)| to.duration_since(from).try_into().ok());
        let mut report = Self::new(Stop::Finished, elapsed.unwrap_or_default(), all, settings);
        let is_earlier = |report: &&String| !is_of(report, workers);
        let earlier: Vec<String> = before.iter().filter(is_earlier).cloned().collect();
        report.compare(&earlier, settings);
        report
    }
}

/// Whether a report is of one of the workers.
fn is_of(report: &str, workers: &[Worker]) -> bool {
    #[derive(Deserialize)]
    struct Of {
        run: i64,
    }
    let of = serde_json::from_str::<Of>(report).ok();
    of.is_some_and(|of| workers.iter().any(|worker| worker.run.id.0 == of.run))
}

/// What a process said of itself, or what the store knows of it.
fn statistics_of(worker: &Worker) -> Statistics {
    let said = worker.run.report.as_deref();
    let said = said.and_then(|said| serde_json::from_str::<Statistics>(said).ok());
    let Some(mut statistics) = said else {
        return killed(worker);
    };
    let of_counts = statistics.of_truncated();
    statistics
        .warnings
        .retain(|warning| !of_counts.contains(warning));
    statistics
}

/// What is known of a process that died.
fn killed(Worker { run, lost }: &Worker) -> Statistics {
    let mut statistics = Statistics {
        spider: run.spider.clone(),
        run: run.id.0,
        pages: run.done.saturating_sub(run.redirects + run.unchanged),
        failed: run.failed,
        skipped: run.skipped,
        redirects: run.redirects,
        unchanged: run.unchanged,
        retries: run.retries,
        queued: run.known,
        bytes: run.bytes,
        items_of_killed: run.items,
        ..Statistics::default()
    };
    for (state, group) in lost {
        if *state == PageState::Failed && matches!(group.status, 404 | 410) {
            statistics.missing += group.count;
        }
        statistics.errors.push(group_of(*state, group));
    }
    statistics
}

fn group_of(state: PageState, lost: &Lost) -> ErrorGroup {
    ErrorGroup {
        state,
        reason: lost.reason.clone(),
        step: lost.step.clone(),
        pattern: pattern_of(&lost.sample),
        message: lost.sample.clone(),
        count: lost.count,
        sample: lost.url.clone(),
        referrer: lost.referrer.clone(),
        selector: None,
        // A page that was found on no other.
        seed: lost.referrer.is_none(),
    }
}

fn count_of(run: &RunRow) -> WorkerCount {
    let stop = run.stop.as_deref().unwrap_or_default();
    let said = serde_json::from_str::<serde_json::Value>(stop).ok();
    let why = said.as_ref().and_then(|said| said["why"].as_str());
    WorkerCount {
        run: run.id.0,
        pid: run.pid,
        stop: match run.ended {
            Some(_) => why.unwrap_or(stop).to_owned(),
            None => String::new(),
        },
        pages: run.done.saturating_sub(run.redirects),
        failed: run.failed,
        items: run.items,
    }
}

impl Statistics {
    /// Adds what another process of the same crawl counted.
    fn add(&mut self, other: Self) {
        let counts = [
            (&mut self.pages, other.pages),
            (&mut self.failed, other.failed),
            (&mut self.missing, other.missing),
            (&mut self.skipped, other.skipped),
            (&mut self.redirects, other.redirects),
            (&mut self.unchanged, other.unchanged),
            (&mut self.retries, other.retries),
            (&mut self.queued, other.queued),
            (&mut self.cached, other.cached),
            (&mut self.bytes, other.bytes),
            (&mut self.items_of_killed, other.items_of_killed),
        ];
        for (sum, count) in counts {
            *sum += count;
        }
        // Each process that came early enough has asked the spider for the same seeds.
        self.seeds = self.seeds.max(other.seeds);
        add(&mut self.steps, other.steps, |step, more| {
            step.pages += more.pages;
            step.items += more.items;
            step.fewest = extreme(step.fewest.take(), more.fewest, |one, other| one <= other);
            step.most = extreme(step.most.take(), more.most, |one, other| one >= other);
        });
        add(&mut self.items, other.items, |table, more| {
            table.emitted += more.emitted;
            add(&mut table.empty, more.empty, |empty, more| *empty += more);
        });
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        add(&mut self.hosts, other.hosts, |host, more| {
            host.answered += more.answered;
            host.unanswered += more.unanswered;
            host.refused += more.refused;
            host.took_ms += more.took_ms;
            host.bytes += more.bytes;
        });
        add(&mut self.refused, other.refused, |refused, more| {
            refused.count += more.count;
            keep_first(&mut refused.sample, more.sample);
        });
        add(&mut self.slowed, other.slowed, |slowed, more| {
            slowed.count += more.count;
            slowed.in_a_row += more.in_a_row;
            slowed.used_up |= more.used_up;
            if more.until >= slowed.until {
                (slowed.why, slowed.until) = (more.why, more.until);
            }
        });
        add(&mut self.truncated, other.truncated, |truncated, more| {
            truncated.count += more.count;
            keep_first(&mut truncated.sample, more.sample);
        });
        add(&mut self.missed, other.missed, |missed, more| {
            *missed += more;
        });
        add(&mut self.bad_rows, other.bad_rows, |rows, more| {
            rows.count += more.count;
            if rows.pages == 0 {
                (rows.message, rows.selector, rows.sample) =
                    (more.message, more.selector, more.sample);
            }
            rows.pages += more.pages;
        });
        add(&mut self.dropped, other.dropped, |dropped, more| {
            dropped.count += more.count;
            keep_first(&mut dropped.sample, more.sample);
        });
        add(&mut self.limited_ms, other.limited_ms, |ms, more| {
            *ms += more;
        });
        for group in other.errors {
            self.add_group(group);
        }
        for (said, more) in [
            (&mut self.start_failed, other.start_failed),
            (&mut self.warnings, other.warnings),
        ] {
            for line in more {
                if said.len() < MAX_GROUPS && !said.contains(&line) {
                    said.push(line);
                }
            }
        }
    }

    fn add_group(&mut self, group: ErrorGroup) {
        let known = self.errors.iter().position(|known| {
            (known.state, &known.reason, &known.step, &known.pattern)
                == (group.state, &group.reason, &group.step, &group.pattern)
        });
        match known {
            Some(at) => {
                let known = &mut self.errors[at];
                known.count += group.count;
                known.seed |= group.seed;
                if group.sample < known.sample {
                    let (count, seed) = (known.count, known.seed);
                    *known = ErrorGroup {
                        count,
                        seed,
                        ..group
                    };
                }
            }
            None if self.errors.len() < MAX_GROUPS => self.errors.push(group),
            None => {}
        }
    }
}

fn add<T: Default>(
    all: &mut BTreeMap<String, T>,
    more: BTreeMap<String, T>,
    fold: impl Fn(&mut T, T),
) {
    for (name, count) in more {
        fold(bounded(all, &name), count);
    }
}

/// Of two pages the one whose number is further out.
fn extreme(
    one: Option<Extreme>,
    other: Option<Extreme>,
    is_further: fn(u64, u64) -> bool,
) -> Option<Extreme> {
    match (one, other) {
        (Some(one), Some(other)) if is_further(other.items, one.items) => Some(other),
        (one, other) => one.or(other),
    }
}

fn keep_first(sample: &mut String, other: String) {
    if sample.is_empty() || other < *sample {
        *sample = other;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::engine::ItemCount;
    use crate::store::RunId;

    fn run(id: i64, report: Option<&Statistics>) -> RunRow {
        let at = |second| Timestamp::from_second(second).unwrap();
        RunRow {
            id: RunId(id),
            crawl: 1,
            spider: "books".into(),
            args: "{}".into(),
            pid: 100 + id as u32,
            version: String::new(),
            steps: Vec::new(),
            lives: false,
            started: at(id),
            beat: at(10 + id),
            ended: Some(at(10 + id)),
            stop: Some(
                report
                    .map_or("killed", |_| "{\"why\":\"finished\"}")
                    .to_owned(),
            ),
            done: 7,
            failed: 2,
            skipped: 0,
            redirects: 1,
            retries: 3,
            known: 9,
            items: 5,
            new: 5,
            changed: 0,
            unchanged: 0,
            requeued: 0,
            forgotten: 0,
            bytes: 10,
            settings: String::new(),
            report: report.map(|report| serde_json::to_string(report).unwrap()),
        }
    }

    fn said(id: i64) -> Statistics {
        let books = ItemCount {
            emitted: 5,
            empty: [("stars".to_owned(), 2)].into(),
        };
        Statistics {
            spider: "books".into(),
            run: id,
            pages: 6,
            failed: 2,
            redirects: 1,
            retries: 3,
            queued: 9,
            seeds: 1,
            items: [("books".to_owned(), books)].into(),
            statuses: [(200, 7)].into(),
            ..Statistics::default()
        }
    }

    #[test]
    fn all_of_them_are_one() {
        let lost = Lost {
            reason: "status".into(),
            step: "book".into(),
            message: "answered *".into(),
            count: 2,
            url: "http://a.example/1".into(),
            page: 1,
            status: 404,
            sample: "answered 404 Not Found".into(),
            referrer: Some("http://a.example/".into()),
        };
        let workers = [
            Worker {
                run: run(1, Some(&said(1))),
                lost: Vec::new(),
            },
            Worker {
                run: run(2, None),
                lost: vec![(PageState::Failed, lost)],
            },
            Worker {
                run: run(3, Some(&said(3))),
                lost: Vec::new(),
            },
        ];
        let before = [r#"{"run":3,"items":{}}"#.to_owned()];
        let report = Report::together(&workers, &before, &Settings::default());
        let all = &report.statistics;
        assert_eq!((all.run, all.pages, all.failed, all.retries), (1, 18, 6, 9));
        assert_eq!(
            (all.item_count(), all.items["books"].empty["stars"]),
            (15, 4)
        );
        assert_eq!((all.missing, all.seeds, all.statuses[&200]), (2, 1, 14));
        assert_eq!(report.elapsed.as_secs(), 12);
        let stops: Vec<_> = all.workers.iter().map(|worker| &*worker.stop).collect();
        assert_eq!(stops, ["finished", "killed", "finished"]);
        assert!(is_of(&before[0], &workers));
        // Each process comes to the same.
        let again = Report::together(&workers, &[], &Settings::default());
        let json = |report: &Report| serde_json::to_value(report).unwrap();
        assert_eq!(json(&again), json(&report));
    }

    #[test]
    fn what_was_left_out_is_of_all() {
        let of = |id: i64, items: u64| {
            let mut statistics = said(id);
            let extreme = |items| {
                let sample = format!("http://a.example/{items}");
                Some(Extreme { items, sample })
            };
            let step = statistics.steps.entry("list".to_owned()).or_default();
            (step.fewest, step.most) = (extreme(items), extreme(items + 10));
            let bad = statistics.bad_rows.entry("list: x".to_owned()).or_default();
            (bad.count, bad.pages, bad.message) = (2, 1, format!("x {id}"));
            let dropped = statistics.dropped.entry("books: y".to_owned()).or_default();
            (dropped.count, dropped.sample) = (id as u64, format!("http://a.example/{id}"));
            statistics
        };
        let worker = |id, items| Worker {
            run: run(id, Some(&of(id, items))),
            lost: Vec::new(),
        };
        let workers = [worker(1, 7), worker(2, 3)];
        let settings = Settings {
            expect: vec!["list: items >= 4".to_owned(), "dropped <= 2".to_owned()],
            ..Settings::default()
        };
        let report = Report::together(&workers, &[], &settings);
        let all = &report.statistics;
        let step = &all.steps["list"];
        let items = |extreme: &Option<Extreme>| extreme.as_ref().unwrap().items;
        assert_eq!((items(&step.fewest), items(&step.most)), (3, 17));
        let bad = &all.bad_rows["list: x"];
        assert_eq!((bad.count, bad.pages, bad.message.as_str()), (4, 2, "x 1"));
        assert_eq!(all.dropped["books: y"].count, 3);
        assert_eq!(all.dropped["books: y"].sample, "http://a.example/1");
        let found: Vec<_> = report
            .unmet
            .iter()
            .map(|unmet| unmet.found.as_str())
            .collect();
        assert_eq!(found, ["3", "3"]);
    }
}
