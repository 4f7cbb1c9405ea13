//! Numbers, money and dates as pages write them.
//!
//! Functions for `#[css("..", parse = function)]`, and the `parse` of a TOML spider. They find what they
//! are named after in a text that may hold other things; what could mean two things is an error.
//!
//! ```
//! use nephila::parse::{date, integer, money, number};
//!
//! assert_eq!(money("from 1.234,50 €")?, 1234.5);
//! assert_eq!(number("−3.5 °C")?, -3.5);
//! assert_eq!(integer("1,204 reviews")?, 1204);
//! assert_eq!(date("Published on March 3rd, 2026")?, jiff::civil::date(2026, 3, 3));
//! assert!(date("03/04/2026").is_err()); // the 3rd of April, or the 4th of March?
//! # Ok::<(), nephila::parse::Unclear>(())
//! ```

use jiff::civil::Date;

/// A text that does not hold what was looked for, or not clearly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unclear(String);

/// A parse function by its name: what a TOML spider's `parse` may be.
#[derive(Clone, Copy, Debug)]
pub enum Parser {
    /// Gives numbers.
    Real(fn(&str) -> Result<f64, Unclear>),
    /// Gives whole numbers.
    Integer(fn(&str) -> Result<i64, Unclear>),
    /// Gives dates.
    Date(fn(&str) -> Result<Date, Unclear>),
}

/// All of them by name.
pub const PARSERS: [(&str, Parser); 6] = [
    ("number", Parser::Real(number)),
    ("money", Parser::Real(money)),
    ("integer", Parser::Integer(integer)),
    ("date", Parser::Date(date)),
    ("date_day_first", Parser::Date(date_day_first)),
    ("date_month_first", Parser::Date(date_month_first)),
];

/// The first number of a text: `1,234.5`, `1.234,5`, `1 234,5`, `1'234.5`, `-3`, `−3`. One separator
/// before three digits is a decimal point if it is a point, else it parts thousands.
///
/// # Errors
/// If there is none.
pub fn number(text: &str) -> Result<f64, Unclear> {
    read(text, false)
}

/// The first amount of a text, whatever the currency. As [`number`], but three digits after the only
/// separator are thousands: `1.234 €` is 1234.
///
/// # Errors
/// If there is none.
pub fn money(text: &str) -> Result<f64, Unclear> {
    read(text, true)
}

/// The first whole number of a text: `(1,204 reviews)` is 1204.
///
/// # Errors
/// If there is none, or it has a fraction.
pub fn integer(text: &str) -> Result<i64, Unclear> {
    let number = read(text, true)?;
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Ok(number as i64)
    } else {
        Err(Unclear(format!("{number} is no whole number")))
    }
}

/// The first date of a text: `2026-03-12`, `12 March 2026`, `Mar 12th, 2026`, `12.3.2026`, and
/// `12/31/2026` or `31/12/2026`, where only one reading is a date.
///
/// # Errors
/// If there is none, or it has two readings.
pub fn date(text: &str) -> Result<Date, Unclear> {
    find_date(text, None)
}

/// As [`date`]; `03/04/2026` is the 3rd of April.
///
/// # Errors
/// If there is none.
pub fn date_day_first(text: &str) -> Result<Date, Unclear> {
    find_date(text, Some(true))
}

/// As [`date`]; `03/04/2026` is the 4th of March.
///
/// # Errors
/// If there is none.
pub fn date_month_first(text: &str) -> Result<Date, Unclear> {
    find_date(text, Some(false))
}

/// What parts thousands or decimals.
fn is_separator(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | '\'' | '’' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'
    )
}

fn read(text: &str, thousands: bool) -> Result<f64, Unclear> {
    let none = || Unclear("no number in it".to_owned());
    let start = text.find(|c: char| c.is_ascii_digit()).ok_or_else(none)?;
    let before = &text[..start];
    let (mut groups, mut separators) = (vec![String::new()], Vec::new());
    let mut rest = text[start..].chars().peekable();
    while let Some(c) = rest.next() {
        let c = if c.is_whitespace() { ' ' } else { c };
        let follows = rest.peek().is_some_and(char::is_ascii_digit);
        if c.is_ascii_digit() {
            if let Some(group) = groups.last_mut() {
                group.push(c);
            }
        } else if is_separator(c) && follows && goes_on(c, &separators, &groups, rest.clone()) {
            separators.push(c);
            groups.push(String::new());
        } else {
            break;
        }
    }
    // `.5` is half; a minus counts if nothing but a currency stands between.
    let leading_point = before.ends_with('.')
        && separators.is_empty()
        && !before
            .trim_end_matches('.')
            .ends_with(char::is_alphanumeric);
    let currency = |c: char| c.is_whitespace() || "$€£¥₹".contains(c);
    let sign = before.trim_end_matches('.').trim_end_matches(currency);
    let is_minus = sign.ends_with(['-', '−', '–'])
        && !sign
            .trim_end_matches(['-', '−', '–'])
            .ends_with(char::is_alphanumeric);
    let decimals = has_decimals(&groups, &separators, thousands);
    let last = if decimals { groups.pop() } else { None };
    let whole = if leading_point {
        format!("0.{}", groups.concat())
    } else {
        format!("{}.{}", groups.concat(), last.unwrap_or_default() + "0")
    };
    let number: f64 = whole.parse().map_err(|_| none())?;
    Ok(if is_minus { -number } else { number })
}

/// Whether a separator belongs to the number that was read so far: a space only before three digits.
fn goes_on(
    separator: char,
    separators: &[char],
    groups: &[String],
    rest: impl Iterator<Item = char>,
) -> bool {
    let digits = rest.take_while(char::is_ascii_digit).count();
    let last = groups.last().map_or(0, String::len);
    let is_space = separator.is_whitespace();
    let after_other = separators.last().is_some_and(|&before| before != separator);
    // Once another separator has come, what follows are decimals, and nothing follows them.
    let decimals_begun = separators.len() > 1 && {
        let n = separators.len();
        separators[n - 1] != separators[n - 2]
    };
    !(decimals_begun || is_space && (digits != 3 || last > 3 || after_other))
}

fn has_decimals(groups: &[String], separators: &[char], thousands: bool) -> bool {
    let Some((&last, others)) = separators.split_last() else {
        return false;
    };
    if last.is_whitespace() || matches!(last, '\'' | '’') {
        return false;
    }
    let after = groups.last().map_or(0, String::len);
    match others.last() {
        Some(&other) => other != last,
        None if after != 3 => true,
        None => last == '.' && (!thousands || groups[0] == "0"),
    }
}

/// Months as languages around here write them, by their first letters.
const MONTHS: [(&str, i8); 33] = [
    ("jan", 1),
    ("jän", 1),
    ("ene", 1),
    ("gen", 1),
    ("feb", 2),
    ("fév", 2),
    ("fev", 2),
    ("mar", 3),
    ("mär", 3),
    ("mrz", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("juni", 6),
    ("jun", 6),
    ("juin", 6),
    ("giu", 6),
    ("juil", 7),
    ("jul", 7),
    ("lug", 7),
    ("aug", 8),
    ("août", 8),
    ("ago", 8),
    ("sep", 9),
    ("set", 9),
    ("oct", 10),
    ("okt", 10),
    ("ott", 10),
    ("nov", 11),
    ("dec", 12),
];

fn month(word: &str) -> Option<i8> {
    let word = word.to_lowercase();
    let word = word
        .replace("déc", "dec")
        .replace("dez", "dec")
        .replace("dic", "dec");
    let known = MONTHS.iter().find(|(start, _)| word.starts_with(start));
    known.map(|&(_, month)| month)
}

/// A word of a text, and what stood before it.
struct Word<'a> {
    text: &'a str,
    before: &'a str,
}

impl Word<'_> {
    /// As a number, perhaps an ordinal: `3rd`.
    fn number(&self) -> Option<i16> {
        let digits = self.text.trim_end_matches(|c: char| c.is_alphabetic());
        let ending = &self.text[digits.len()..];
        let is_ordinal = matches!(
            ending.to_lowercase().as_str(),
            "" | "st" | "nd" | "rd" | "th" | "er" | "t"
        );
        (is_ordinal && digits.len() <= 4).then(|| digits.parse().ok())?
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut end) = (Vec::new(), 0);
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(begin)) => {
                words.push(Word {
                    text: &text[begin..at],
                    before: &text[end..begin],
                });
                (start, end) = (None, at);
            }
            _ => {}
        }
    }
    words
}

fn find_date(text: &str, day_first: Option<bool>) -> Result<Date, Unclear> {
    for three in words(text).windows(3) {
        let [a, b, c] = three else { continue };
        let numbers = (a.number(), b.number(), c.number());
        let same = b.before.trim() == c.before.trim();
        let date = match numbers {
            // 2026-03-12T10:00 has its T in the third word.
            (Some(year), Some(month), day) if a.text.len() == 4 && same => {
                let day = day.or_else(|| c.text.get(..2)?.parse().ok());
                day.and_then(|day| new(year, month, day))
            }
            (Some(one), Some(two), Some(year)) if same && c.text.len() == 4 => {
                numeric(one, two, year, b.before.trim(), day_first)?
            }
            (Some(day), None, Some(year)) if c.text.len() == 4 => {
                month(b.text).and_then(|month| new(year, month.into(), day))
            }
            (None, Some(day), Some(year)) if c.text.len() == 4 => {
                month(a.text).and_then(|month| new(year, month.into(), day))
            }
            _ => None,
        };
        if let Some(date) = date {
            return Ok(date);
        }
    }
    // Spanish: 12 de marzo de 2026
    let plain = text.replace(" de ", " ");
    if plain.len() < text.len() {
        return find_date(&plain, day_first);
    }
    Err(Unclear("no date in it".to_owned()))
}

fn new(year: i16, month: i16, day: i16) -> Option<Date> {
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// `12.3.2026`, `12/31/2026`, `31-12-2026`
fn numeric(
    one: i16,
    two: i16,
    year: i16,
    separator: &str,
    day_first: Option<bool>,
) -> Result<Option<Date>, Unclear> {
    let (day_month, month_day) = (new(year, two, one), new(year, one, two));
    match (separator, day_first) {
        (".", _) | ("/" | "-", Some(true)) => Ok(day_month),
        ("/" | "-", Some(false)) => Ok(month_day),
        ("/" | "-", None) => match (day_month, month_day) {
            (Some(one), Some(other)) if one != other => Err(Unclear(format!(
                "{one} or {other}: say date_day_first or date_month_first"
            ))),
            (one, other) => Ok(one.or(other)),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |text: &str, as_number: f64, as_money: f64| {
            assert_eq!(number(text), Ok(as_number), "{text} as a number");
            assert_eq!(money(text), Ok(as_money), "{text} as money");
        };
        let both = |text: &str, expected: f64| check(text, expected, expected);
        both("£51.77", 51.77);
        both("1,234.50 USD", 1234.5);
        both("1.234,50 €", 1234.5);
        both("1.234.567", 1_234_567.0);
        both("1,234,567.8", 1_234_567.8);
        both("CHF 1'234.05", 1234.05);
        both("1 234,50 zł", 1234.5);
        both("1\u{a0}234\u{202f}567", 1_234_567.0);
        both("12,5 %", 12.5);
        both("1,234", 1234.0);
        check("1.234", 1.234, 1234.0);
        both("0.125", 0.125);
        both("-3", -3.0);
        both("−3.5 °C", -3.5);
        both("-$ 7", -7.0);
        both("a-3", 3.0);
        both("from .5 up", 0.5);
        both("3 for 2", 3.0);
        both("2 1000", 2.0);
        both("(22 available)", 22.0);
        both("no. 7.", 7.0);
        both("1.5.", 1.5);
        assert!(number("Call us").is_err());
        assert_eq!(integer("1,204 reviews"), Ok(1204));
        assert_eq!(integer("1.204 reviews"), Ok(1204));
        assert!(integer("1.5").is_err());
    }

    #[test]
    fn dates() {
        let check = |text: &str, expected: Option<(i16, i8, i8)>| {
            let expected = expected.map(|(year, month, day)| jiff::civil::date(year, month, day));
            assert_eq!(date(text).ok(), expected, "{text}");
        };
        let march = Some((2026, 3, 12));
        check("2026-03-12", march);
        check("2026-03-12T10:11:12Z", march);
        check("2026/03/12", march);
        check("12 March 2026", march);
        check("Thursday, March 12th, 2026 at 10:00", march);
        check("Mar. 12, 2026", march);
        check("12.03.2026", march);
        check("12. März 2026", march);
        check("12 mars 2026", march);
        check("12 de marzo de 2026", march);
        check("31/12/2026", Some((2026, 12, 31)));
        check("12/31/2026", Some((2026, 12, 31)));
        check("1er août 2026", Some((2026, 8, 1)));
        check("5 juillet 2026", Some((2026, 7, 5)));
        check("24 déc. 2026", Some((2026, 12, 24)));
        check("03/04/2026", None);
        check("04/04/2026", Some((2026, 4, 4)));
        check("32 March 2026", None);
        check("yesterday", None);
        let third = jiff::civil::date(2026, 4, 3);
        assert_eq!(date_day_first("03/04/2026"), Ok(third));
        assert_eq!(date_month_first("04/03/2026"), Ok(third));
    }
}
