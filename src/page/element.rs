//! Elements of a page, without lifetimes.

use ego_tree::NodeId;
use scraper::ElementRef;

use super::found::{At, Found, Scope};
use super::{AsSelector, Extract, FieldError, FromMatch, Page, dom};
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

    pub(super) fn of_node(page: &Page, node: ElementRef<'_>) -> Self {
        Self {
            page: page.clone(),
            id: node.id(),
        }
    }

    /// Its tag, in lower case.
    pub fn name(&self) -> &str {
        self.node().value().name()
    }

    /// All text within, white space folded.
    pub fn text(&self) -> String {
        dom::text(self.node(), self.page.effort()).into_owned()
    }

    /// An attribute's value.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.node().attr(name)
    }

    /// Its attributes, names and values.
    pub fn attrs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.node().value().attrs()
    }

    /// Its classes, in the order in which they are written.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.attr("class")
            .unwrap_or_default()
            .split_ascii_whitespace()
    }

    /// The elements right within it.
    pub fn children(&self) -> Vec<Self> {
        let children = self.node().child_elements();
        children.map(|child| self.of(child.id())).collect()
    }

    /// The element that it stands in; none of the page's root.
    pub fn parent(&self) -> Option<Self> {
        let parent = self.node().parent().and_then(ElementRef::wrap)?;
        Some(self.of(parent.id()))
    }

    fn of(&self, id: NodeId) -> Self {
        Self {
            page: self.page.clone(),
            id,
        }
    }

    /// The element's HTML, itself included.
    pub fn html(&self) -> String {
        dom::html(self.node(), self.page.effort())
    }

    /// The elements within that match, in document order.
    ///
    /// # Errors
    /// If the selector does not parse.
    pub fn css(&self, selector: impl AsSelector) -> Result<Vec<Self>> {
        let selector = selector.as_selector()?;
        let found = Found::new(self.scope(), &selector);
        let elements = found.elements().map(|node| self.of(node.id()));
        let elements = elements.collect();
        self.page.check(elements, &selector)
    }

    /// Reads a typed value from within: see [`Page::get`].
    ///
    /// # Errors
    /// [`FieldError`] if nothing matches and a value is needed, or if it can't be read.
    pub fn get<T: FromMatch>(&self, selector: impl AsSelector) -> Result<T> {
        get(self.scope(), selector)
    }

    /// Reads an item from within.
    ///
    /// # Errors
    /// The [`FieldError`] of the first field that is missing or unreadable.
    pub fn item<T: Extract>(&self) -> Result<T> {
        Ok(T::extract(&self.scope())?)
    }

    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            page: &self.page,
            at: At::Element(self.node()),
        }
    }

    pub(super) fn node(&self) -> ElementRef<'_> {
        let node = self.page.html().tree.get(self.id);
        node.and_then(ElementRef::wrap)
            .expect("an element stays in its page's tree")
    }
}

/// A typed value from a scope.
pub(super) fn get<T: FromMatch>(scope: Scope<'_>, selector: impl AsSelector) -> Result<T> {
    let selector = selector.as_selector()?;
    let found = Found::new(scope, &selector);
    scope.page.trace(None, &selector, &found);
    let read = T::from_match(&found);
    scope.page.check(read, &selector)?.map_err(|miss| {
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

/// Equal are handles of one element.
impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.page.is_same(&other.page) && self.id == other.id
    }
}

impl Eq for Element {}

impl std::fmt::Debug for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.name())
    }
}
