//! Selectors: CSS, XPath and JSON paths in one notation.

use std::cell::RefCell;
use std::rc::Rc;

use nephila_notation::{Notation, Part, Take};
use rustc_hash::FxHashMap;

/// A parsed selector: what to find, and what to take of it.
///
/// | written | takes |
/// |---|---|
/// | `p.price` | of the elements that match: all text within, white space folded |
/// | `p.price::text` | an element's own text, without that of its children |
/// | `a::attr(href)` | an attribute's value; elements without it do not match |
/// | `div.text::html` | an element's HTML |
/// | `article::markdown` | what people read of it, as Markdown |
/// | `::attr(href)` | the attribute of the scope itself |
/// | `th:contains("UPC") + td` | CSS that looks at an element's text |
/// | `xpath://p[@class]/text()` | nodes or a value, by XPath 1.0; within an item begin with `.//` |
/// | `json:$.books[*].title` | values of a JSON answer, by JSONPath (RFC 9535); `json:title` is `json:$.title` |
/// | `ld:Product` | the things of a type in the page's JSON-LD |
/// | `micro:Product` | the things of a type in the page's microdata |
/// | `feed:` | the entries of RSS, Atom or JSON Feed: `title`, `url`, `published`… |
/// | `xml:item` | the elements of a name in XML |
/// | `csv:` | the rows of a text with separated values, by its header |
/// | `table:table.specs` | the rows of tables, by their headings |
/// | `meta:og:title` | the content of `<meta>` of a name: Open Graph, `description` |
/// | `link:next` | where the page as a whole leads: by a `Link` header, or a `<link>` element |
/// | `main:` | the page's main content (a guess, where it does not say it), as Markdown |
/// | `script#data >> json:$.books[*]` | the right side within what the left side finds |
///
/// What a JSON path is looked for in may be the page, a text, an attribute, or a script: there it is the
/// largest value that stands in it, as in `window.data = {..};`. What `ld:`, `micro:`, `feed:`, `xml:`, `csv:` and
/// `table:` find are JSON values, too: their fields are read by `json:`.
///
/// Wherever a selector is wanted, text will do: it is parsed once per thread. [`css!`](crate::css)
/// has it checked by the compiler.
///
/// ```
/// use nephila::prelude::*;
///
/// let page = Page::from_html("http://shop.example/", "<a href=/2 rel=next>next <b>page</b></a>")?;
/// assert_eq!(page.get::<String>("a")?, "next page");
/// assert_eq!(page.get::<String>("a::text")?, "next");
/// assert_eq!(page.get::<Option<String>>(css!("a[rel=next]::attr(href)"))?.as_deref(), Some("/2"));
/// assert_eq!(page.get::<u8>("xpath:count(//a[@rel='next']/b)")?, 1);
///
/// let html = r#"<script>var shop = {"books": [{"title": "Silk"}]};</script>"#;
/// let page = Page::from_html("http://shop.example/", html)?;
/// assert_eq!(page.get::<Vec<String>>("script >> json:$.books[*].title")?, ["Silk"]);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Selector {
    parts: Box<[Part]>,
    source: Box<str>,
}

/// A selector that can't be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} `{source_text}`: {reason}")]
pub struct SelectorError {
    /// The selector as written.
    pub source_text: String,
    /// `CSS selector`, `XPath` or `JSON path`.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(source: &str) -> Result<Self, SelectorError> {
        let notation = Notation::parse(source).map_err(|invalid| SelectorError {
            source_text: source.to_owned(),
            what: invalid.what,
            reason: invalid.reason,
        })?;
        Ok(Self {
            parts: notation.parts.into(),
            source: source.into(),
        })
    }

    /// The selector as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What is taken of what is found.
    pub(super) fn take(&self) -> &Take {
        self.parts.last().map_or(&Take::AllText, |part| &part.take)
    }
}

/// Something that names a selector: text, or one parsed before.
pub trait AsSelector {
    /// The parsed selector; text is parsed once per thread and kept.
    ///
    /// # Errors
    /// What is wrong with it.
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError>;
}

/// How many different selectors a thread keeps; beyond that they are parsed each time.
const KEPT: usize = 512;
/// Places where one is looked for before all of them.
const NEAR: usize = 64;

/// The selectors that a thread has parsed.
struct Kept {
    /// By a few bytes of their texts: a hash of all takes longer than to find an element.
    near: [Option<Rc<Selector>>; NEAR],
    all: FxHashMap<Box<str>, Rc<Selector>>,
}

thread_local! {
    static PARSED: RefCell<Kept> = const { RefCell::new(Kept {
        near: [const { None }; NEAR],
        all: FxHashMap::with_hasher(rustc_hash::FxBuildHasher),
    }) };
}

/// Its place among those that are near.
#[inline]
fn place(source: &str) -> usize {
    let bytes = source.as_bytes();
    let byte = |at: usize| bytes.get(at).map_or(0, |byte| usize::from(*byte));
    let sum = bytes.len() * 7 + byte(0) + byte(bytes.len() / 2) * 3 + byte(bytes.len() - 1) * 5;
    sum % NEAR
}

impl AsSelector for str {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        if self.is_empty() {
            return Ok(Rc::new(Selector::parse(self)?));
        }
        let place = place(self);
        let known = PARSED.with_borrow_mut(|Kept { near, all }| {
            if let Some(selector) = &near[place]
                && *selector.source == *self
            {
                return Some(Rc::clone(selector));
            }
            let selector = all.get(self)?;
            near[place] = Some(Rc::clone(selector));
            Some(Rc::clone(selector))
        });
        if let Some(selector) = known {
            return Ok(selector);
        }
        let selector = Rc::new(Selector::parse(self)?);
        PARSED.with_borrow_mut(|Kept { all, .. }| {
            if all.len() < KEPT {
                all.insert(self.into(), Rc::clone(&selector));
            }
        });
        Ok(selector)
    }
}

impl AsSelector for String {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        self.as_str().as_selector()
    }
}

impl AsSelector for Rc<Selector> {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        Ok(Rc::clone(self))
    }
}

impl<T: AsSelector + ?Sized> AsSelector for &T {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        (**self).as_selector()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_notation() {
        let check = |source: &str, expected: &str| {
            assert_eq!(Selector::parse(source).unwrap_err().to_string(), expected);
        };
        check("p..a", "invalid CSS selector `p..a`: no name after `.`");
        check(
            "xpath://a[foo()]",
            "invalid XPath `xpath://a[foo()]`: XPath 1.0 has no function `foo`",
        );
    }
}
