//! Elements of a page, without lifetimes.

use ego_tree::NodeId;
use scraper::ElementRef;

use super::read::Found;
use super::selector::Take;
use super::{AsSelector, Extract, FieldError, FromMatch, Page, Scope, Selector, dom};
use crate::request::Result;

/// An element of a page: a handle that may be kept as long as one likes.
#[derive(Clone)]
pub struct Element {
    page: Page,
    id: NodeId,
}

impl Element {
    pub(super) fn root(page: Page) -> Self {
        let id = page.html().root_element().id();
        Self { page, id }
    }

    /// Its tag, in lower case.
    pub fn name(&self) -> &str {
        self.node().value().name()
    }

    /// All text within, white space folded.
    pub fn text(&self) -> String {
        dom::text(self.node())
    }

    /// An attribute's value.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.node().attr(name)
    }

    /// The element's HTML, itself included.
    pub fn html(&self) -> String {
        self.node().html()
    }

    /// The elements within that match, in document order.
    ///
    /// # Errors
    /// If the selector does not parse.
    pub fn css(&self, selector: impl AsSelector) -> Result<Vec<Self>> {
        let selector = selector.as_selector()?;
        let found = Found::new(self.scope(), &selector);
        let elements = found.elements().map(|node| Self {
            page: self.page.clone(),
            id: node.id(),
        });
        Ok(elements.collect())
    }

    /// Reads a typed value from within: see [`Page::get`].
    ///
    /// # Errors
    /// [`FieldError`] if nothing matches and a value is needed, or if it can't be read.
    pub fn get<T: FromMatch>(&self, selector: impl AsSelector) -> Result<T> {
        let selector = selector.as_selector()?;
        T::from_match(&Found::new(self.scope(), &selector)).map_err(|miss| {
            let error = FieldError {
                field: String::new(),
                selector: selector.source().to_owned(),
                pattern: None,
                miss,
                closest: None,
            };
            error.into()
        })
    }

    /// Reads an item from within.
    ///
    /// # Errors
    /// The [`FieldError`] of the first field that is missing or unreadable.
    pub fn item<T: Extract>(&self) -> Result<T> {
        Ok(T::extract(&self.scope())?)
    }

    /// The raw links of the elements that match, each with its element.
    pub(super) fn hrefs<'a>(
        &'a self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = (&'a str, ElementRef<'a>)> {
        let href = |node: ElementRef<'a>| {
            let href = match &selector.take {
                Take::Attribute(name) => node.value().attr(name),
                _ => ["href", "src", "action"]
                    .iter()
                    .find_map(|name| node.value().attr(name)),
            };
            // What the URL standard strips; a no-break space is part of a URL.
            href.map(|href| (href.trim_matches(|c| c <= ' '), node))
        };
        Found::new(self.scope(), selector)
            .elements()
            .filter_map(href)
    }

    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            page: &self.page,
            element: self.node(),
        }
    }

    pub(super) fn node(&self) -> ElementRef<'_> {
        let node = self.page.html().tree.get(self.id);
        node.and_then(ElementRef::wrap)
            .expect("an element stays in its page's tree")
    }
}

impl std::fmt::Debug for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.name())
    }
}
