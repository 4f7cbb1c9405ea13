//! Durations, sizes and rates as people write them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ErrorBudget;

/// Reads `"250ms"`, `"2s"`, `"1.5m"`, `"6h"`, `"7d"`; a bare number is seconds.
///
/// # Errors
/// A sentence with what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => {
            return Err(format!(
                "`{text}` is no duration: write 500ms, 2s, 10m, 6h or 7d"
            ));
        }
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * seconds_per_unit).ok())
        .ok_or_else(|| format!("`{text}` is no duration: write 500ms, 2s, 10m, 6h or 7d"))
}

/// Reads `"16 MiB"`, `"500 KB"` or a bare number of bytes.
///
/// # Errors
/// A sentence with what was expected.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1_048_576.0,
        "gib" | "g" => 1_073_741_824.0,
        _ => {
            return Err(format!(
                "`{text}` is no size: write 65536, 500 KB or 16 MiB"
            ));
        }
    };
    number
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number >= 0.0)
        .map(|number| (number * factor) as usize)
        .ok_or_else(|| format!("`{text}` is no size: write 65536, 500 KB or 16 MiB"))
}

/// Reads a rate (`"5/s"`, `"30/m"`) as the delay between two requests.
///
/// # Errors
/// A sentence with what was expected.
pub fn parse_rate(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no rate: write 5/s, 30/m or 1000/h");
    let (count, unit) = text.split_once('/').ok_or_else(error)?;
    let count = count
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|n| *n > 0.0)
        .ok_or_else(error)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(error()),
    };
    Duration::try_from_secs_f64(seconds / count).map_err(|_| error())
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let whole = units
        .iter()
        .find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

/// A number or a text, as TOML and the command line give them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Integer(u64),
    Real(f64),
    Text(String),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Real(real) => real.to_string(),
            Self::Text(text) => text,
        }
    }
}

pub(super) mod duration {
    use super::{Deserialize, Duration, Scalar, format_duration, parse_duration};

    pub(in crate::settings) fn serialize<S: serde::Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }

    pub(in crate::settings) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        parse_duration(&Scalar::deserialize(deserializer)?.text()).map_err(serde::de::Error::custom)
    }
}

pub(super) mod optional_duration {
    use super::{Deserialize, Duration, Scalar, format_duration, parse_duration};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::settings) fn serialize<S: serde::Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_str(&format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::settings) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<Scalar>::deserialize(deserializer)?
            .map(|scalar| parse_duration(&scalar.text()).map_err(serde::de::Error::custom))
            .transpose()
    }
}

pub(super) mod bytes {
    use super::{Deserialize, Scalar, parse_bytes};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::settings) fn serialize<S: serde::Serializer>(
        bytes: &usize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*bytes as u64)
    }

    pub(in crate::settings) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<usize, D::Error> {
        parse_bytes(&Scalar::deserialize(deserializer)?.text()).map_err(serde::de::Error::custom)
    }
}

pub(super) mod optional_bytes {
    use super::{Deserialize, Scalar, parse_bytes};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::settings) fn serialize<S: serde::Serializer>(
        bytes: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_u64(*bytes),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::settings) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        Option::<Scalar>::deserialize(deserializer)?
            .map(|scalar| {
                let bytes = parse_bytes(&scalar.text()).map_err(serde::de::Error::custom)?;
                Ok(bytes as u64)
            })
            .transpose()
    }
}

/// An [`ErrorBudget`] as written: `5` or `"1%"`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RawBudget {
    Pages(u64),
    Text(String),
}

impl TryFrom<RawBudget> for ErrorBudget {
    type Error = String;

    fn try_from(raw: RawBudget) -> Result<Self, String> {
        let text = match raw {
            RawBudget::Pages(pages) => return Ok(Self::Pages(pages)),
            RawBudget::Text(text) => text,
        };
        let error = || format!("`{text}` is no error budget: write 5 or 1%");
        match text.trim().strip_suffix('%') {
            None => text.trim().parse().map(Self::Pages).map_err(|_| error()),
            Some(share) => match share.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
                _ => Err(error()),
            },
        }
    }
}

impl From<ErrorBudget> for RawBudget {
    fn from(budget: ErrorBudget) -> Self {
        match budget {
            ErrorBudget::Pages(pages) => Self::Pages(pages),
            ErrorBudget::Share(share) => Self::Text(format!("{}%", share * 100.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text, millis: Option<u64>| {
            assert_eq!(
                parse_duration(text).ok(),
                millis.map(Duration::from_millis),
                "{text}"
            );
        };
        check("500ms", Some(500));
        check("2", Some(2_000));
        check("1.5m", Some(90_000));
        check(" 7 d", Some(604_800_000));
        check("-1s", None);
        check("1y", None);
        check("", None);
        check("1e999", None);
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        let check = |text: &str| {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        };
        check("0ms");
        check("250ms");
        check("90s");
        check("10m");
        check("6h");
        check("7d");
    }

    #[test]
    fn sizes() {
        let check = |text, bytes| assert_eq!(parse_bytes(text).ok(), bytes, "{text}");
        check("16 MiB", Some(16 << 20));
        check("500KB", Some(500_000));
        check("7", Some(7));
        check("7 lb", None);
    }

    #[test]
    fn rates() {
        let check = |text, millis: Option<u64>| {
            assert_eq!(
                parse_rate(text).ok(),
                millis.map(Duration::from_millis),
                "{text}"
            );
        };
        check("5/s", Some(200));
        check("30/m", Some(2_000));
        check("0/s", None);
        check("5", None);
    }

    #[test]
    fn budgets() {
        let check = |text: &str, failed, pages, allowed: Option<bool>| {
            let budget = ErrorBudget::try_from(RawBudget::Text(text.into()));
            assert_eq!(
                budget.ok().map(|budget| budget.allows(failed, pages)),
                allowed,
                "{text}"
            );
        };
        check("5", 5, 10, Some(true));
        check("5", 6, 10, Some(false));
        check("1%", 1, 100, Some(true));
        check("1%", 2, 100, Some(false));
        check("101%", 0, 1, None);
        check("some", 0, 1, None);
    }
}
