//! What a crawl is expected to find.

use std::fmt;
use std::str::FromStr;

/// What must hold at the end of a crawl, as the setting `expect` writes it.
///
/// ```
/// use nephila::settings::{Expectation, Subject};
///
/// let expected: Expectation = "books.price >= 95%".parse()?;
/// assert_eq!(expected.subject, Subject::Column("books".into(), "price".into()));
/// assert!(expected.holds(96.0));
/// assert!("books are 7".parse::<Expectation>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// What is counted.
    pub subject: Subject,
    /// Whether the number is the least, or the most, that is expected.
    pub bound: Bound,
    /// The number; of a column percent.
    pub number: f64,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `items`: of all tables.
    Items,
    /// `pages`: those that a step has read.
    Pages,
    /// `failed`: pages that failed, missing ones included.
    Failed,
    /// `bad_rows`: rows that were left out.
    BadRows,
    /// `dropped`: items that a pipeline dropped.
    Dropped,
    /// `books`: items of this table.
    Table(String),
    /// `books.price`: how many of a table's items have a value there.
    Column(String, String),
    /// `list: items`: of each page of this step.
    PerPage(String),
}

/// Which side of a number is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
}

impl Expectation {
    /// Whether `found` is as expected.
    pub fn holds(&self, found: f64) -> bool {
        match self.bound {
            Bound::AtLeast => found >= self.number,
            Bound::AtMost => found <= self.number,
        }
    }
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no expectation: write `items >= 900`, `books.price >= 95%`, or \
                 `list: items >= 1`"
            )
        };
        let (subject, bound, number) = match (text.split_once(">="), text.split_once("<=")) {
            (Some((subject, number)), None) => (subject, Bound::AtLeast, number),
            (None, Some((subject, number))) => (subject, Bound::AtMost, number),
            _ => return Err(wrong()),
        };
        let subject = Subject::parse(subject.trim()).ok_or_else(wrong)?;
        let number = number.trim();
        let is_share = matches!(subject, Subject::Column(..));
        let digits = match number.strip_suffix('%') {
            Some(share) if is_share => share,
            None if !is_share => number,
            _ => return Err(wrong()),
        };
        let number: f64 = digits
            .trim()
            .replace('_', "")
            .parse()
            .map_err(|_| wrong())?;
        let most = if is_share { 100.0 } else { f64::MAX };
        if !(0.0..=most).contains(&number) {
            return Err(wrong());
        }
        Ok(Self {
            subject,
            bound,
            number,
        })
    }
}

impl Subject {
    fn parse(text: &str) -> Option<Self> {
        let is_name = |name: &str| {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
            !name.is_empty() && name.chars().all(plain)
        };
        if let Some((step, items)) = text.split_once(':') {
            let step = step.trim();
            return (items.trim() == "items" && is_name(step))
                .then(|| Self::PerPage(step.to_owned()));
        }
        if let Some((table, column)) = text.split_once('.') {
            return (is_name(table) && is_name(column))
                .then(|| Self::Column(table.to_owned(), column.to_owned()));
        }
        Some(match text {
            "items" => Self::Items,
            "pages" => Self::Pages,
            "failed" => Self::Failed,
            "bad_rows" => Self::BadRows,
            "dropped" => Self::Dropped,
            table if is_name(table) => Self::Table(table.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = match &self.subject {
            Subject::Items => f.write_str("items").map(|()| "")?,
            Subject::Pages => f.write_str("pages").map(|()| "")?,
            Subject::Failed => f.write_str("failed").map(|()| "")?,
            Subject::BadRows => f.write_str("bad_rows").map(|()| "")?,
            Subject::Dropped => f.write_str("dropped").map(|()| "")?,
            Subject::Table(table) => f.write_str(table).map(|()| "")?,
            Subject::Column(table, column) => write!(f, "{table}.{column}").map(|()| "%")?,
            Subject::PerPage(step) => write!(f, "{step}: items").map(|()| "")?,
        };
        let sign = match self.bound {
            Bound::AtLeast => ">=",
            Bound::AtMost => "<=",
        };
        write!(f, " {sign} {}{percent}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_are_written() {
        let check = |text: &str, written: Option<&str>| {
            let read = text.parse::<Expectation>().ok();
            let read = read.map(|expected| expected.to_string());
            assert_eq!(read.as_deref(), written, "{text}");
        };
        check("items>=90", Some("items >= 90"));
        check(" books >= 1_000 ", Some("books >= 1000"));
        check("books.price >= 95.5 %", Some("books.price >= 95.5%"));
        check("list: items >= 20", Some("list: items >= 20"));
        check("failed <= 3", Some("failed <= 3"));
        for wrong in [
            "",
            "items",
            "items > 3",
            "items >= many",
            "items >= -1",
            "items >= 5%",
            "books.price >= 5",
            "books.price >= 101%",
            "list: books >= 3",
            ">= 3",
            "a b >= 3",
            "1 <= items >= 3",
        ] {
            check(wrong, None);
        }
    }
}
