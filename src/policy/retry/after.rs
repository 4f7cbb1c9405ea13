//! `Retry-After`: how long a host asks to be left alone.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::LONGEST;

/// The wait that a `Retry-After` value asks for (RFC 9110 10.2.3): seconds, or a date in one of
/// the three forms of HTTP. A date in the past is no wait; a wait beyond [`LONGEST`] is
/// [`LONGEST`], so cap it; `None` for a value that is neither.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().map_or(LONGEST, Duration::from_secs);
        return Some(seconds.min(LONGEST));
    }
    let until = http_date(value, now)?.duration_since(now);
    Some(Duration::try_from(until).unwrap_or_default().min(LONGEST))
}

/// RFC 9110 5.6.7. Not the `httpdate` crate, which refuses a date whose day of the week is wrong
/// and knows no century but two: the day of the week is a courtesy, a host that gets it wrong
/// still means the date.
fn http_date(value: &str, now: Timestamp) -> Option<Timestamp> {
    let (day_name, rest) = value.split_once(' ')?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let (day_name, date) = match (day_name.strip_suffix(','), fields.as_slice()) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        (Some(name), [day, month, year, clock, "GMT"]) => (
            name,
            date_time(digits(year, 4)?, month, digits(day, 2)?, clock)?,
        ),
        // Sunday, 06-Nov-94 08:49:37 GMT
        (Some(name), [date, clock, "GMT"]) => {
            let (day, month_year) = date.split_once('-')?;
            let (month, year) = month_year.split_once('-')?;
            (
                name,
                of_short_year(digits(year, 2)?, month, digits(day, 2)?, clock, now)?,
            )
        }
        // Sun Nov  6 08:49:37 1994
        (None, [month, "", day, clock, year]) => (
            day_name,
            date_time(digits(year, 4)?, month, digits(day, 1)?, clock)?,
        ),
        (None, [month, day, clock, year]) => (
            day_name,
            date_time(digits(year, 4)?, month, digits(day, 2)?, clock)?,
        ),
        _ => return None,
    };
    let is_day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        .iter()
        .any(|name| day_name.starts_with(name));
    is_day.then(|| timestamp(date))?
}

/// The year of two digits that is at most 50 years ahead of now.
fn of_short_year(
    year: i16,
    month: &str,
    day: i16,
    clock: &str,
    now: Timestamp,
) -> Option<DateTime> {
    let latest = now
        .to_zoned(TimeZone::UTC)
        .datetime()
        .checked_add(50.years())
        .ok()?;
    let century = latest.year() - latest.year().rem_euclid(100);
    let in_century = |century: i16| date_time(century + year, month, day, clock);
    match in_century(century) {
        Some(date) if date <= latest => Some(date),
        // 29 February may exist in one century only.
        _ => in_century(century - 100),
    }
}

fn date_time(year: i16, month: &str, day: i16, clock: &str) -> Option<DateTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = MONTHS
        .iter()
        .zip(1_i8..)
        .find(|(name, _)| **name == month)?
        .1;
    let mut parts = clock.split(':').map(|part| digits(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || second > 60 {
        return None;
    }
    // A leap second is valid in HTTP; a second more or less does not matter here.
    let second = second.min(59);
    DateTime::new(
        year,
        month,
        day as i8,
        hour as i8,
        minute as i8,
        second as i8,
        0,
    )
    .ok()
}

fn timestamp(date: DateTime) -> Option<Timestamp> {
    // The last day of the year 9999 is a valid date but beyond a Timestamp's range.
    let zoned = date
        .min(DateTime::constant(9999, 12, 30, 0, 0, 0, 0))
        .to_zoned(TimeZone::UTC);
    zoned.ok().map(|zoned| zoned.timestamp())
}

/// Exactly `count` decimal digits, at most four.
fn digits(text: &str, count: usize) -> Option<i16> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    fn now() -> Timestamp {
        Timestamp::constant(1_700_000_000, 0)
    }

    #[test]
    fn retry_after_values() {
        let check = |value: &str, expected: Option<u64>| {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(parse_retry_after(value, now()), expected, "{value:?}");
        };
        check("0", Some(0));
        check("0090", Some(90));
        check("\t 90 ", Some(90));
        check("4294967296", Some(u64::from(u32::MAX)));
        check(&"9".repeat(99), Some(u64::from(u32::MAX)));
        check("Tue, 14 Nov 2023 22:14:20 GMT", Some(60));
        check("Tuesday, 14-Nov-23 22:14:20 GMT", Some(60));
        check("Tue Nov 14 22:14:20 2023", Some(60));
        check("Fri Dec  1 22:13:20 2023", Some(17 * 86_400));
        check("Sat, 14 Nov 2023 22:14:20 GMT", Some(60));
        check("Tue, 14 Nov 2023 22:14:60 GMT", Some(99));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        check("Wed, 01 Jan 0000 00:00:00 GMT", Some(0));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(u64::from(u32::MAX)));
        // two digits: at most 50 years ahead, to the second
        check("Tuesday, 14-Nov-73 22:13:20 GMT", Some(1_577_923_200));
        check("Tuesday, 14-Nov-73 22:13:21 GMT", Some(0));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(0));
        for bad in [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "1 2",
            "1,2",
            "\u{661}",
            "1\u{a0}",
            "soon",
            "Tue, 14 Nov 2023 22:14:20",
            "Tue, 14 Nov 2023 22:14:20 UTC",
            "Tue,  14 Nov 2023 22:14:20 GMT",
            "Tue, 1 Nov 2023 22:14:20 GMT",
            "Tue, 14 nov 2023 22:14:20 GMT",
            "Xyz, 14 Nov 2023 22:14:20 GMT",
            "Tue, 30 Feb 2024 22:14:20 GMT",
            "Tue, 14 Nov 2023 24:14:20 GMT",
            "Tue, 14 Nov 2023 22:14:61 GMT",
            "Tue, 14 Nov 2023 22:14 GMT",
            "Tue, 14 Nov 2023 22:14:20:00 GMT",
            "Tue, 14 Nov 99999 22:14:20 GMT",
            "Tue, +4 Nov 2023 22:14:20 GMT",
            "Tuesday, 14-Nov-2023 22:14:20 GMT",
            "Tue Nov 1 22:14:20 2023",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn short_years_at_the_end_of_a_century() {
        let now: Timestamp = "2099-06-01T00:00:00Z".parse().unwrap();
        let wait = parse_retry_after("Tuesday, 01-Jun-00 00:00:00 GMT", now);
        assert_eq!(wait, Some(Duration::from_hours(365 * 24)));
        // 2100 has no 29 February, 2000 had one.
        assert_eq!(
            parse_retry_after("Tuesday, 29-Feb-00 00:00:00 GMT", now),
            Some(Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn never_panics(value in "[A-Z][a-z]{2},? [0-9A-Za-z: -]{0,30}|.*") {
            let wait = parse_retry_after(&value, now());
            prop_assert!(wait.unwrap_or_default() <= LONGEST);
        }
    }
}
