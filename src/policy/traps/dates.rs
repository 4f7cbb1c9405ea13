//! Dates in URLs that are so far away that only a calendar without an end has them.

use url::Url;

/// Years ahead that are not far.
const AHEAD: i16 = 2;
/// Years back that are not far.
const BACK: i16 = 30;
/// What is no year of these is no date of a calendar but a number.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2199;

/// Whether a URL has a date far from `this_year`: `/2035/07`, `2035-07-01`, `?year=2035&month=7`,
/// `date=20350701`.
pub(super) fn is_far(url: &Url, this_year: i16) -> bool {
    let far =
        |year: i16| YEARS.contains(&year) && (year > this_year + AHEAD || year < this_year - BACK);
    let text = url[url::Position::BeforePath..url::Position::AfterQuery].as_bytes();
    // Looked for once, however many years there are.
    let mut has_month = None;
    let mut is_year_of_month = |before: &[u8]| {
        is_named_year(before) && *has_month.get_or_insert_with(|| is_month_named(text))
    };
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let length = digits(&text[at..]);
        let number = &text[at..at + length];
        let before = &text[..at];
        let after = &text[at + length..];
        let year = match length {
            4 if is_month(after) || is_year_of_month(before) => year(number),
            6 | 8 if is_named_date(before) && is_compact(number) => year(&number[..4]),
            _ => None,
        };
        if year.is_some_and(far) {
            return true;
        }
        at += length;
    }
    false
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn year(digits: &[u8]) -> Option<i16> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A separator and two digits that are a month, and no third.
fn is_month(after: &[u8]) -> bool {
    let [b'-' | b'/' | b'.' | b'_', digits @ ..] = after else {
        return false;
    };
    self::digits(digits) == 2 && is_month_number(&digits[..2])
}

fn is_month_number(two: &[u8]) -> bool {
    matches!(two, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2'])
}

/// `year=` before it.
fn is_named_year(before: &[u8]) -> bool {
    let names = [&b"year="[..], b"yr=", b"y="];
    names.iter().any(|name| before.ends_with(name))
}

/// `month=` among the parameters.
fn is_month_named(text: &[u8]) -> bool {
    let names = [&b"month="[..], b"mon=", b"m="];
    let mut parameters = text.split(|byte| matches!(byte, b'?' | b'&')).skip(1);
    parameters.any(|parameter| names.iter().any(|name| parameter.starts_with(name)))
}

/// `date=` or the like before it.
fn is_named_date(before: &[u8]) -> bool {
    let names = [&b"date="[..], b"day=", b"month=", b"ym=", b"ymd="];
    names.iter().any(|name| before.ends_with(name))
}

/// `YYYYMM` or `YYYYMMDD`.
fn is_compact(digits: &[u8]) -> bool {
    let day = digits
        .get(6..8)
        .and_then(|day| str::from_utf8(day).ok()?.parse::<u8>().ok());
    is_month_number(&digits[4..6]) && day.is_none_or(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_dates() {
        let check = |path: &str, expected| {
            let url = format!("http://e.x{path}").parse().unwrap();
            assert_eq!(is_far(&url, 2026), expected, "{path}");
        };
        for far in [
            "/2035/07",
            "/cal/2029-01-31",
            "/1990.12/x",
            "/2199_01",
            "/?d=2035-07",
            "/?year=2035&month=7",
            "/?m=3&y=1950",
            "/?date=20350731",
            "/x?month=203507",
        ] {
            check(far, true);
        }
        for near in [
            "/",
            "/2026/07",
            "/2028/12/31",
            "/1996/01",
            "/2035",
            "/2035/13",
            "/2035/007",
            "/2035/7",
            "/12035-07",
            "/1851/09/18",
            "/2200/01",
            "/p/20350731",
            "/?id=20350731",
            "/?date=20351331",
            "/?date=20350700",
            "/?year=2035",
            "/?my=2035&amount=7",
            "/9999-12",
        ] {
            check(near, false);
        }
    }
}
