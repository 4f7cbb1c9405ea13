//! When a step wants its pages again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// When a page is asked for again once its crawl has finished, and whether its step reads an answer
/// that is as before. `#[step(revisit = "...")]` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revisit {
    /// `"always"`: in every round, and its step always reads it.
    Always,
    /// `"changed"`: in every round; the step is spared a page that has not changed.
    Changed,
    /// `"every 7d"`: as `changed`, but only once so much time has passed.
    Every(Duration),
    /// `"1h to 30d"`: as `every`, with a time between these two that follows the page: shorter each
    /// time that it has changed, longer each time that it has not.
    Between(Duration, Duration),
    /// `"lastmod"`: as `changed`, but only if a sitemap (or whatever gave its link a
    /// [`lastmod`](super::Request::lastmod)) says that it has changed since it was last asked for.
    Lastmod,
    /// `"never"`: a page that was read once is not asked for again.
    Never,
}

impl Revisit {
    /// Whether the step is spared a page that has not changed.
    pub fn spares(self) -> bool {
        !matches!(self, Self::Always)
    }

    /// The time from one visit to the next, where that adapts: halved by a change, half as long again
    /// without one.
    pub fn adapt(self, before: Option<Duration>, changed: bool) -> Option<Duration> {
        let Self::Between(least, most) = self else {
            return None;
        };
        Some(match before {
            None => least,
            Some(every) if changed => (every / 2).clamp(least, most),
            Some(every) => (every + every / 2).clamp(least, most),
        })
    }

    /// Whether a page that was asked for at `at` is due at `now`, whatever is found of it later.
    pub fn is_due(self, at: Timestamp, every: Option<Duration>, now: Timestamp) -> bool {
        let wait = match self {
            Self::Always | Self::Changed => return true,
            Self::Never | Self::Lastmod => return false,
            Self::Every(wait) => wait,
            Self::Between(least, _) => every.unwrap_or(least),
        };
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        at.saturating_add(wait).is_ok_and(|due| due <= now)
    }

    /// A page that was found again is due if it was last asked for before this moment. Most sitemaps
    /// give a day, which says nothing of the hour: such a page may have changed until the day's end.
    pub fn renews(self, lastmod: Timestamp) -> Option<Timestamp> {
        const DAY: SignedDuration = SignedDuration::from_hours(24);
        (self == Self::Lastmod).then(|| {
            let is_day = lastmod.as_second().rem_euclid(86_400) == 0;
            let end = lastmod.checked_add(DAY).unwrap_or(Timestamp::MAX);
            if is_day { end } else { lastmod }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_time_between_visits_follows_the_page() {
        let between = Revisit::Between(HOUR, HOUR * 10);
        let check = |before, changed, expected: Duration| {
            assert_eq!(between.adapt(before, changed), Some(expected));
        };
        check(None, true, HOUR);
        check(Some(HOUR), false, HOUR + HOUR / 2);
        check(Some(HOUR * 8), false, HOUR * 10);
        check(Some(HOUR * 10), true, HOUR * 5);
        check(Some(HOUR), true, HOUR);
        assert_eq!(Revisit::Every(HOUR).adapt(Some(HOUR), true), None);
    }

    #[test]
    fn what_is_due() {
        let at = Timestamp::from_second(1_000_000).unwrap();
        let check = |revisit: Revisit, every: Option<Duration>, after: i64, due: bool| {
            let now = at + SignedDuration::from_secs(after);
            assert_eq!(revisit.is_due(at, every, now), due, "{revisit:?} {after}");
        };
        check(Revisit::Always, None, 0, true);
        check(Revisit::Changed, None, 0, true);
        check(Revisit::Never, None, 1_000_000, false);
        check(Revisit::Every(HOUR), None, 3_599, false);
        check(Revisit::Every(HOUR), None, 3_600, true);
        let between = Revisit::Between(HOUR, HOUR * 10);
        check(between, Some(HOUR * 2), 3_600, false);
        check(between, Some(HOUR * 2), 7_200, true);
        check(between, None, 3_600, true);
        check(Revisit::Every(Duration::MAX), None, 1_000_000, false);
        check(Revisit::Lastmod, None, 1_000_000, false);
    }

    #[test]
    fn what_lastmod_renews() {
        let check = |lastmod: &str, expected: &str| {
            let renews = Revisit::Lastmod.renews(lastmod.parse().unwrap());
            assert_eq!(renews.map(|at| at.to_string()).as_deref(), Some(expected));
        };
        check("2026-11-30T10:00:00Z", "2026-11-30T10:00:00Z");
        check("2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z");
        let max = Timestamp::MAX;
        assert_eq!(Revisit::Lastmod.renews(max), Some(max));
        assert_eq!(Revisit::Changed.renews(max), None);
    }
}
