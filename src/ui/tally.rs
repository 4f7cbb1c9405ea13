//! The figures of a running crawl: statistics, and how they change.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::{Event, Statistics};

/// Beats that a speed is averaged over, and that the curve shows.
const BEATS: usize = 10;

/// A fold over the events of a run, and its pulse.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) statistics: Statistics,
    pub(super) new: u64,
    pub(super) changed: u64,
    pub(super) same: u64,
    pub(super) stopping: bool,
    /// Pages ended and requests known, beat by beat; the newest last.
    pulse: VecDeque<(u64, u64)>,
    every: Duration,
}

impl Tally {
    /// A tally that is going to be beaten once in a while of this length.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            statistics: Statistics::default(),
            new: 0,
            changed: 0,
            same: 0,
            stopping: false,
            pulse: VecDeque::with_capacity(BEATS + 1),
            every,
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Page(page) => {
                self.new += u64::from(page.receipt.items_new);
                self.changed += u64::from(page.receipt.items_changed);
                self.same += u64::from(page.receipt.items_same);
            }
            Event::Stopping { .. } => self.stopping = true,
            _ => {}
        }
        self.statistics.apply(event);
    }

    /// Hosts that are left alone, in a few words.
    pub(super) fn paused(&self) -> Option<String> {
        let hosts = self.statistics.slowed.iter();
        let mut paused = hosts.filter(|(_, host)| host.in_a_row > 0);
        let (origin, host) = paused.next()?;
        let until = host.until.strftime("%H:%M:%S UTC");
        Some(match paused.count() {
            0 => format!("paused {origin} until {until}: {}", host.why),
            more => format!(
                "paused {} hosts, {origin} until {until}: {}",
                more + 1,
                host.why
            ),
        })
    }

    /// Takes the pulse.
    pub(super) fn beat(&mut self) {
        if self.pulse.len() > BEATS {
            self.pulse.pop_front();
        }
        self.pulse.push_back((self.ended(), self.known()));
    }

    /// Pages that are done, failed or skipped, those of earlier runs included.
    pub(super) fn ended(&self) -> u64 {
        let run = &self.statistics;
        let before = run.resumed.map_or(0, |resumed| resumed.pages);
        before + run.pages + run.unchanged + run.failed + run.skipped + run.redirects
    }

    /// Requests known so far.
    pub(super) fn known(&self) -> u64 {
        self.ended() + self.statistics.left()
    }

    /// Pages per second, lately; over the whole run as long as there is no pulse.
    pub(super) fn speed(&self, elapsed: Duration) -> f64 {
        match (self.pulse.front(), self.pulse.back()) {
            (Some(first), Some(last)) if self.pulse.len() > 1 => {
                let seconds = self.every.as_secs_f64() * (self.pulse.len() - 1) as f64;
                last.0.saturating_sub(first.0) as f64 / seconds
            }
            _ => {
                let before = self.statistics.resumed.map_or(0, |resumed| resumed.pages);
                let seconds = elapsed.as_secs_f64().max(0.25);
                self.ended().saturating_sub(before) as f64 / seconds
            }
        }
    }

    /// How much the frontier grew lately, in percent.
    pub(super) fn growth(&self) -> u64 {
        match (self.pulse.front(), self.pulse.back()) {
            (Some(first), Some(last)) if first.1 > 0 => {
                last.1.saturating_sub(first.1) * 100 / first.1
            }
            _ => 0,
        }
    }

    /// The time that what is known will take at this speed.
    pub(super) fn eta(&self, elapsed: Duration) -> Option<Duration> {
        let speed = self.speed(elapsed);
        let seconds = self.statistics.left() as f64 / speed;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Pages of each of the last beats as a curve of blocks.
    pub(super) fn curve(&self) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let pairs = self.pulse.iter().zip(self.pulse.iter().skip(1));
        let speeds: Vec<u64> = pairs.map(|(a, b)| b.0.saturating_sub(a.0)).collect();
        let top = speeds.iter().copied().max().unwrap_or(0).max(1);
        let block = |speed: &u64| BLOCKS[(speed * 7 / top) as usize];
        speeds.iter().map(block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pulse() {
        let mut tally = Tally::new(Duration::from_secs(1));
        for pages in [0, 10, 30, 70] {
            tally.statistics.queued = 100 + pages;
            tally.statistics.pages = pages;
            tally.beat();
        }
        let elapsed = Duration::from_secs(3);
        assert!((tally.speed(elapsed) - 70.0 / 3.0).abs() < 1e-9);
        assert_eq!(tally.curve(), "▂▄█");
        assert_eq!(tally.growth(), 70);
        assert_eq!(tally.eta(elapsed).map(|eta| eta.as_secs()), Some(4));
        for _ in 0..30 {
            tally.beat();
        }
        assert!(tally.speed(elapsed) < f64::EPSILON);
        assert_eq!(tally.eta(elapsed), None);
        assert_eq!(tally.curve().chars().count(), BEATS);
    }
}
