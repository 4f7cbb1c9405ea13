//! What a look at a database's health finds.

use serde::Serialize;

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `server`, `snapshot`, `lease`...
    pub subject: &'static str,
    /// Whether somebody should do something about it.
    pub is_trouble: bool,
    /// What was found.
    pub found: String,
    /// What to do next; empty: nothing.
    pub advice: String,
}

impl Finding {
    /// All is well.
    pub(super) fn well(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            subject,
            is_trouble: false,
            found: found.into(),
            advice: String::new(),
        }
    }

    /// Something is to be done.
    pub(super) fn trouble(
        subject: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            subject,
            is_trouble: true,
            found: found.into(),
            advice: advice.into(),
        }
    }

    /// Well or not.
    pub(super) fn of(
        subject: &'static str,
        found: impl Into<String>,
        advice: Option<String>,
    ) -> Self {
        match advice {
            None => Self::well(subject, found),
            Some(advice) => Self::trouble(subject, found, advice),
        }
    }
}

/// What must be true after any crash: every request that is known is queued or done.
pub(super) fn conservation(seen: i64, queue: i64, page: i64) -> Finding {
    let found = format!("{seen} requests known, {queue} queued, {page} done");
    let advice = (seen != queue + page).then(|| {
        "known = queued + done does not hold: another program has changed the tables".to_owned()
    });
    Finding::of("requests", found, advice)
}

/// Bytes as people read them.
pub(super) fn size(bytes: i64) -> String {
    let bytes = bytes.max(0) as f64;
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// Seconds as people read them.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!(
            [size(12), size(1_500), size(2_300_000_000)],
            ["12 B", "1.5 kB", "2.3 GB"]
        );
        assert_eq!(
            [age(3.2), age(600.0), age(90_000.0)],
            ["3 s", "10 min", "25.0 h"]
        );
    }
}
