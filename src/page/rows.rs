//! Rows of a page, some of which may be bad: the good ones are kept, up to a limit.

use std::error::Error;
use std::fmt;

use super::{FieldError, Page};
use crate::request::Result;

/// Rows of a page that could not be read or stored, and were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRows {
    /// How many.
    pub count: u64,
    /// What was wrong with the first of them.
    pub message: String,
    /// The selector of its field, if one could not be read.
    pub selector: Option<String>,
}

/// More bad rows than the setting `max_bad_rows` lets a page have.
#[derive(Debug)]
pub struct TooManyBadRows {
    bad: u64,
    all: u64,
    first: Box<dyn Error + Send + Sync>,
}

impl TooManyBadRows {
    /// What was wrong with the first of them, if it was a field.
    pub fn field(&self) -> Option<&FieldError> {
        self.first.downcast_ref()
    }
}

impl fmt::Display for TooManyBadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bad, all, first } = self;
        if *all > 1 {
            write!(f, "{bad} of {all} rows are bad (max_bad_rows): ")?;
        }
        first.fmt(f)
    }
}

impl Error for TooManyBadRows {}

/// Kinds of bad rows of a page that are told apart.
const KINDS: usize = 50;

/// Bad rows among others.
#[derive(Default)]
pub(crate) struct Rows {
    all: u64,
    bad: u64,
    first: Option<Box<dyn Error + Send + Sync>>,
    kinds: Vec<(String, BadRows)>,
}

impl Rows {
    /// Takes account of a row: its value, unless it is bad.
    pub(crate) fn row<T, E>(&mut self, read: std::result::Result<T, E>) -> Option<T>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.all += 1;
        match read {
            Ok(row) => Some(row),
            Err(error) => {
                self.bad(error.into());
                None
            }
        }
    }

    fn bad(&mut self, error: Box<dyn Error + Send + Sync>) {
        self.bad += 1;
        let field = error.downcast_ref::<FieldError>();
        let kind = field.map_or_else(String::new, |error| error.field.clone());
        let known = self.kinds.iter().position(|(name, _)| *name == kind);
        match known {
            Some(at) => self.kinds[at].1.count += 1,
            None if self.kinds.len() < KINDS => {
                let rows = BadRows {
                    count: 1,
                    message: error.to_string(),
                    selector: field.map(FieldError::written),
                };
                self.kinds.push((kind, rows));
            }
            None => {}
        }
        self.first.get_or_insert(error);
    }

    /// Has the bad rows counted on the page.
    ///
    /// # Errors
    /// If there are more than the page may have.
    pub(crate) fn end(self, page: &Page) -> Result {
        let Self {
            all,
            bad,
            first,
            kinds,
        } = self;
        match first {
            Some(first) if !page.may_have_bad_rows(bad, all) => {
                // A page of one row says what is wrong with it, as if it were read alone.
                match first.downcast::<FieldError>() {
                    Ok(field) if all == 1 => Err(field),
                    Ok(first) => Err(Box::new(TooManyBadRows { bad, all, first })),
                    Err(first) => Err(Box::new(TooManyBadRows { bad, all, first })),
                }
            }
            _ => {
                page.count_bad_rows(kinds.into_iter().map(|(_, rows)| rows));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::page::{BadRows, Context, Page};
    use crate::prelude::*;
    use crate::request::Response;
    use crate::settings::ErrorBudget;

    #[derive(Debug, Item)]
    #[item(table = "rows", validate = Row::check)]
    struct Row {
        #[css("b")]
        name: String,
        #[css("i")]
        price: f64,
    }

    impl Row {
        fn check(&self) -> std::result::Result<(), String> {
            if self.price < 0.0 {
                return Err(format!("{} is below zero", self.price));
            }
            Ok(())
        }
    }

    fn page(rows: &[&str], limit: ErrorBudget) -> Page {
        let html = rows
            .iter()
            .map(|price| format!("<li><b>x</b><i>{price}</i>"));
        let url = Url::parse("http://e.x/").unwrap();
        let html = format!("<ul>{}</ul>", html.collect::<String>());
        let context = Context {
            bad_rows: limit,
            ..Context::default()
        };
        Page::new(Response::new(url, html), context)
    }

    /// The good rows, or the error; and the bad ones.
    fn check(
        rows: &[&str],
        limit: ErrorBudget,
        good: std::result::Result<usize, &str>,
        bad: &[u64],
    ) {
        let page = page(rows, limit);
        let read = page.items::<Row>("li").and_then(|rows| {
            crate::spider::Yield::leave_on(rows, &page)?;
            Ok(page.emitted().records.len())
        });
        let read = read.map_err(|error| error.to_string());
        assert_eq!(
            read.as_ref().map_err(String::as_str),
            good.as_ref().map_err(|e| *e)
        );
        let emitted = page.emitted();
        let counts: Vec<u64> = emitted.bad_rows.iter().map(|rows| rows.count).collect();
        assert_eq!(counts, bad, "{rows:?}");
    }

    #[test]
    fn one_bad_row_keeps_the_good_ones() {
        let half = ErrorBudget::Share(0.5);
        check(&["1", "2", "3"], half, Ok(3), &[]);
        check(&["1", "x", "3"], half, Ok(2), &[1]);
        check(&["1", "x", "3", "y"], half, Ok(2), &[2]);
        check(&["1", "x", "-3", "4"], half, Ok(2), &[1, 1]);
        let too_many = "2 of 3 rows are bad (max_bad_rows): field `price`: can't read \"x\" as f64";
        check(&["1", "x", "y"], half, Err(too_many), &[]);
        let one = "field `price`: can't read \"x\" as f64";
        check(&["x"], half, Err(one), &[]);
        let refused =
            "2 of 3 rows are bad (max_bad_rows): item of `rows` refused: -1 is below zero";
        check(&["-1", "2", "-3"], half, Err(refused), &[]);
        let none = ErrorBudget::Pages(0);
        let one = "1 of 2 rows are bad (max_bad_rows): field `price`: can't read \"x\" as f64";
        check(&["1", "x"], none, Err(one), &[]);
        check(&["x"], ErrorBudget::Share(1.0), Ok(0), &[1]);
    }

    #[test]
    fn what_was_wrong_is_told() {
        let page = page(&["1", "Call us", "3", ""], ErrorBudget::Share(0.5));
        page.items::<Row>("li").unwrap();
        let bad = &page.emitted().bad_rows;
        let told = BadRows {
            count: 2,
            message: "field `price`: can't read \"Call us\" as f64".to_owned(),
            selector: Some("i".to_owned()),
        };
        assert_eq!(bad[..], [told]);
    }
}
