//! Moments as sitemaps and feeds write them.

use jiff::civil::{Date, DateTime};
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

/// A W3C date and time, whole or in part (`2004`, `2004-10`, `2004-10-01`, `2004-10-01T18:23Z`), or one
/// as mail has it (`Fri, 01 Oct 2004 18:23:17 GMT`). What has no zone is in UTC.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let in_utc = |moment: DateTime| moment.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    if let Some(date) = day(text) {
        return in_utc(date.to_datetime(civil::Time::midnight()));
    }
    if let Ok(moment) = text.parse() {
        return in_utc(moment);
    }
    let mail = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    mail.parse_timestamp(text).ok()
}

/// A day; of a month or a year the first.
fn day(text: &str) -> Option<Date> {
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-')
    {
        return None;
    }
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let mut number = || parts.next().map_or(Ok(1), str::parse);
    let (month, day) = (number().ok()?, number().ok()?);
    let date = Date::new(year, month, day).ok()?;
    parts.next().is_none().then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let check = |text: &str, expected: Option<&str>| {
            let found = moment(text).map(|moment| moment.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("2004-10-01T18:23:17+00:00", Some("2004-10-01T18:23:17Z"));
        check("2015-05-03T18:51:50+01:00", Some("2015-05-03T17:51:50Z"));
        check(" 2005-01-01\n", Some("2005-01-01T00:00:00Z"));
        check("2005-02", Some("2005-02-01T00:00:00Z"));
        check("2005", Some("2005-01-01T00:00:00Z"));
        check("2005-01-01T10:00", Some("2005-01-01T10:00:00Z"));
        check("2005-01-01 10:00:07", Some("2005-01-01T10:00:07Z"));
        check("2005-01-01T10:00Z", Some("2005-01-01T10:00:00Z"));
        check("2005-01-01T10:00:00.5Z", Some("2005-01-01T10:00:00.5Z"));
        check(
            "Sat, 01 Jan 2005 10:00:07 GMT",
            Some("2005-01-01T10:00:07Z"),
        );
        check(
            "Mon, 01 Jan 2005 10:00:07 +0100",
            Some("2005-01-01T09:00:07Z"),
        );
        for none in [
            "",
            "20",
            "2005-13",
            "2005-02-30",
            "yesterday",
            "2005-1-1-1",
            "-2005",
        ] {
            check(none, None);
        }
    }
}
