//! Counting what a step's reading of a page costs.
//!
//! A selector like `q ~ p` compares every `<p>` with all that stands before it, and `div` takes the
//! innermost text once per `<div>` around it. On an honest page that is nothing; a page of 100,000
//! siblings, or one that nests 500 elements around a megabyte, makes minutes and gigabytes of it. So
//! reading is counted, by what is done and not by a clock: the same page costs the same everywhere.
//! A page that costs too much fails as a whole, since half of its matches would look like all of them.

use std::cell::{Cell, OnceCell};

use url::Url;

/// What reading one page may cost; see the settings of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Looks at elements.
    pub looks: u64,
    /// Bytes of text taken.
    pub text: usize,
    /// Values of JSON: of the answer, or of all that a page's texts have together.
    pub json_values: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            looks: 30_000_000,
            text: 32 * 1024 * 1024,
            json_values: 500_000,
        }
    }
}

/// A page that cost too much to read: what was read of it is not all there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "reading {url} costs too much: `{what}` went beyond {limit}; name less, or raise `{setting}` if \
     the page is honest"
)]
#[non_exhaustive]
pub struct TooCostly {
    /// The page.
    pub url: Url,
    /// The selector at which it became too much, or what else was read.
    pub what: Box<str>,
    /// What may be read, in words.
    pub limit: Box<str>,
    /// The setting that says how much is too much.
    pub setting: &'static str,
}

#[derive(Clone, Copy)]
enum Spent {
    Looks,
    Text,
}

/// Bytes that are passed over at the price of a look.
const BYTES_PER_LOOK: usize = 8;

/// What may still be spent on a page.
pub(super) struct Effort {
    limits: ReadLimits,
    looks: Cell<u64>,
    text: Cell<usize>,
    json_values: Cell<usize>,
    spent: Cell<Option<Spent>>,
    excess: OnceCell<TooCostly>,
}

impl Effort {
    pub(super) fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            looks: Cell::new(limits.looks),
            text: Cell::new(limits.text),
            json_values: Cell::new(0),
            spent: Cell::new(None),
            excess: OnceCell::new(),
        }
    }

    pub(super) fn limits(&self) -> &ReadLimits {
        &self.limits
    }

    /// Pays for looks at elements; false if they are not to be had.
    #[inline]
    pub(super) fn look(&self, count: u64) -> bool {
        match self.looks.get().checked_sub(count) {
            Some(left) => {
                self.looks.set(left);
                true
            }
            None => self.spend(Spent::Looks),
        }
    }

    /// Pays for a pass over a text; false if it is not to be had.
    #[inline]
    pub(super) fn read(&self, text: &str) -> bool {
        self.look(Self::of_text(text))
    }

    /// What a pass over a text costs, in looks.
    #[inline]
    pub(super) fn of_text(text: &str) -> u64 {
        (text.len() / BYTES_PER_LOOK) as u64
    }

    /// Pays for text; false if it is not to be had.
    #[inline]
    pub(super) fn take(&self, bytes: usize) -> bool {
        match self.text.get().checked_sub(bytes) {
            Some(left) => {
                self.text.set(left);
                true
            }
            None => self.spend(Spent::Text),
        }
    }

    #[cfg(test)]
    pub(super) fn looks_left(&self) -> u64 {
        self.looks.get()
    }

    /// Values of JSON that were kept, with `more` that are to be.
    pub(super) fn keep_json(&self, more: usize) -> usize {
        let count = self.json_values.get().saturating_add(more);
        self.json_values.set(count);
        count
    }

    #[cold]
    fn spend(&self, what: Spent) -> bool {
        self.looks.set(0);
        self.text.set(0);
        if self.spent.get().is_none() {
            self.spent.set(Some(what));
        }
        false
    }

    /// Whether too much was spent; what was found since is not all.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.spent.get().is_some()
    }

    /// Why nothing more is read, if so, naming what was being read as it came to that.
    pub(super) fn excess(&self, url: &Url, what: &str) -> Option<&TooCostly> {
        let spent = self.spent.get()?;
        let (setting, limit) = match spent {
            Spent::Looks => (
                "max_looks",
                format!("{} looks at elements", self.limits.looks),
            ),
            Spent::Text => ("max_text", format!("{} bytes of text", self.limits.text)),
        };
        Some(self.excess.get_or_init(|| TooCostly {
            url: url.clone(),
            what: what.into(),
            limit: limit.into(),
            setting,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Context, Page};
    use crate::request::{Response, Result};

    const LIMITS: ReadLimits = ReadLimits {
        looks: 20_000,
        text: 20_000,
        json_values: 1_000,
    };

    fn page(html: impl Into<String>) -> Page {
        let url = Url::parse("http://e.x/").unwrap();
        let context = Context {
            reading: LIMITS,
            ..Context::default()
        };
        Page::new(Response::new(url, html.into()), context)
    }

    /// Reads a page, which becomes too much; what was read is no matter then.
    fn costly(setting: &str, html: &str, read: impl FnOnce(&Page) -> Result) {
        let page = page(html);
        let _ = read(&page);
        let excess = page.too_costly().expect("too much was read");
        assert_eq!(excess.setting, setting, "{excess}");
        assert!(page.css("p").is_err(), "nothing more is read");
        assert!(page.get::<Option<String>>("p").is_err());
        assert!(page.get::<bool>("p").is_err());
    }

    #[test]
    fn whatever_reads_is_counted() {
        let flat = "<p>x".repeat(500);
        costly("max_looks", &flat, |page| page.css("q ~ p").map(drop));
        costly("max_looks", &flat, |page| {
            page.get::<Option<String>>("q ~ p").map(drop)
        });
        costly("max_looks", &flat, |page| {
            page.follow("q ~ p", crate::request::StepRef::named("a"))
                .map(drop)
        });
        costly("max_looks", &flat, |page| {
            for _ in 0..30 {
                page.root().text();
                page.root().html();
            }
            Ok(())
        });
        let deep = format!("{}{}", "<div>".repeat(100), "word ".repeat(200));
        costly("max_text", &deep, |page| {
            page.get::<Vec<String>>("div").map(drop)
        });
        let texts = |page: &Page| {
            page.css("div")
                .map(|all| all.iter().for_each(|div| drop(div.text())))
        };
        costly("max_text", &deep, texts);
        let htmls = |page: &Page| {
            page.css("div")
                .map(|all| all.iter().for_each(|div| drop(div.html())))
        };
        costly("max_text", &deep, htmls);
        costly(
            "max_text",
            &deep
                .replace("<div>", "<div><div title='aaaaaaaaaaaaaaaa bbbbbbbbbbb'>")
                .repeat(5),
            |page| {
                for _ in 0..20 {
                    page.get::<Vec<String>>("div::attr(title)")?;
                }
                Ok(())
            },
        );
        let cells = format!("<table><tr>{}", "<td colspan=1000>x".repeat(5));
        costly("max_text", &cells, |page| page.rows("table").map(drop));
        let base = format!(
            "<base href=/{}/>{}",
            "b".repeat(1_000),
            "<a href=x>".repeat(50)
        );
        costly("max_text", &base, |page| {
            page.get::<Vec<Url>>("a::attr(href)").map(drop)
        });
    }

    #[test]
    fn the_message_says_where_and_what_to_do() {
        let error = page("<p>x".repeat(500))
            .css("q ~ p")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "reading http://e.x/ costs too much: `q ~ p` went beyond 20000 looks at elements; name less, or \
             raise `max_looks` if the page is honest"
        );
    }

    #[test]
    fn an_honest_page_costs_little() {
        let page = page("<h1>t</h1>".to_owned() + &"<p class=a>x <b>y</b>".repeat(100));
        for _ in 0..10 {
            assert_eq!(page.css("p.a > b").unwrap().len(), 100);
            assert_eq!(page.get::<String>("h1").unwrap(), "t");
        }
        assert_eq!(page.too_costly(), None);
    }

    #[test]
    fn json_has_so_many_values() {
        let text = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert!(page(text(1_000)).json::<Vec<u8>>().is_ok());
        let error = page(text(1_001)).json::<Vec<u8>>().unwrap_err().to_string();
        assert!(
            error.starts_with("the answer has more than 1000 values of JSON"),
            "{error}"
        );
        let script = |count| format!("<script type=application/ld+json>{}</script>", text(count));
        let read = |html: String| page(html).json_ld::<u8>("P");
        assert!(read(script(500)).is_ok());
        let error = read(script(500).repeat(3)).unwrap_err().to_string();
        assert!(
            error.starts_with("the page has more than 1000 values"),
            "{error}"
        );
    }
}
