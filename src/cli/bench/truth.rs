//! Rows against the truth: what the shop's pages say is known without asking them.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;

use crate::item::Value;
use crate::site::Product;
use crate::ui::count;

/// A book as somebody has scraped it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Row {
    pub(super) url: String,
    pub(super) title: String,
    pub(super) price: f64,
    pub(super) stars: Option<u8>,
}

impl Row {
    /// From the columns `url`, `title`, `price` and `stars`.
    pub(super) fn from_values(values: &[Value]) -> Option<Self> {
        let [Value::Text(url), Value::Text(title), price, stars] = values else {
            return None;
        };
        let price = match price {
            Value::Real(price) => *price,
            Value::Integer(price) => *price as f64,
            _ => return None,
        };
        Some(Self {
            url: url.clone(),
            title: title.clone(),
            price,
            stars: match stars {
                Value::Integer(stars) => u8::try_from(*stars).ok(),
                _ => None,
            },
        })
    }

    fn id(&self) -> Option<usize> {
        self.url.rsplit_once("/book/")?.1.parse().ok()
    }

    fn is_true(&self, product: &Product) -> bool {
        let pence = (self.price * 100.0).round() as u32;
        (&*self.title, pence, self.stars) == (&*product.title, product.pence, product.stars)
    }
}

/// What rows are worth.
pub(super) struct Truth {
    books: usize,
    right: usize,
    /// Rows that are no book's, say something else, or come twice; and one of them.
    wrong: usize,
    sample: Option<Row>,
}

impl Truth {
    pub(super) fn of(books: usize, rows: Vec<Row>) -> Self {
        let mut truth = Self {
            books,
            right: 0,
            wrong: 0,
            sample: None,
        };
        let mut had = HashSet::with_capacity(books);
        for row in rows {
            let id = row.id().filter(|id| (1..=books).contains(id));
            if id.is_some_and(|id| row.is_true(&Product::of(id, 0)) && had.insert(id)) {
                truth.right += 1;
            } else {
                truth.wrong += 1;
                truth.sample.get_or_insert(row);
            }
        }
        truth
    }

    /// Whether the rows are all books, each once, and nothing else.
    pub(super) fn is_whole(&self) -> bool {
        self.right == self.books && self.wrong == 0
    }

    /// The code to end with.
    pub(super) fn code(&self) -> u8 {
        u8::from(!self.is_whole())
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (right, books) = (count(self.right as u64), count(self.books as u64));
        if self.is_whole() {
            return write!(f, "{right} of {books} rows true");
        }
        let wrong = count(self.wrong as u64);
        write!(f, "VOID: {right} of {books} rows true, {wrong} wrong")?;
        match &self.sample {
            Some(row) => write!(f, ", one of them {row:?}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: usize) -> Row {
        let product = Product::of(id, 0);
        Row {
            url: format!("http://127.0.0.1:1/book/{id}"),
            title: product.title,
            price: f64::from(product.pence) / 100.0,
            stars: product.stars,
        }
    }

    #[test]
    fn only_all_books_each_once_are_the_truth() {
        let check = |rows: Vec<Row>, right, wrong| {
            let truth = Truth::of(30, rows);
            assert_eq!((truth.right, truth.wrong), (right, wrong), "{truth}");
            assert_eq!(truth.code(), u8::from((right, wrong) != (30, 0)));
        };
        let all: Vec<_> = (1..=30).map(row).collect();
        let and = |more: Row| all.iter().cloned().chain([more]).collect();
        check(all.clone(), 30, 0);
        check(all[1..].to_vec(), 29, 0);
        check(and(row(7)), 30, 1);
        check(and(row(31)), 30, 1);
        let change = |change: fn(&mut Row)| {
            let mut rows = all.clone();
            change(&mut rows[4]);
            rows
        };
        check(change(|row| row.price += 0.01), 29, 1);
        check(change(|row| row.title.push('!')), 29, 1);
        check(change(|row| row.stars = Some(9)), 29, 1);
        check(change(|row| row.url.push('x')), 29, 1);
    }
}
