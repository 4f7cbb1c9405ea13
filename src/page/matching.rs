//! Matching selectors, counted.
//!
//! scraper's tree, and the selectors of the `selectors` crate, as scraper has them. But every step
//! from one element to another is paid for, and once nothing is left there is nowhere to go: so
//! whatever a selector looks for, it ends.
//!
//! The parser has written `:contains("text")` as a test of an attribute that no page has; here such a
//! test looks at the element's text.

mod plain;

use std::fmt;

use ego_tree::NodeRef;
use html5ever::tendril::StrTendril;
use html5ever::{LocalName, Namespace, QualName, local_name, ns};
use nephila_notation::{CONTAINS, Compound, Css, One};
use scraper::node::Element as Data;
use scraper::selector::{CssLocalName, CssString, NonTSPseudoClass, PseudoElement, Simple};
use scraper::{ElementRef, Node};
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::context::{
    MatchingContext, MatchingForInvalidation, MatchingMode, NeedsSelectorFlags, QuirksMode,
    SelectorCaches,
};
use selectors::matching::{ElementSelectorFlags, matches_selector};
use selectors::parser::Selector;
use selectors::{Element, OpaqueElement};

use super::dom;
use super::effort::Effort;

/// The elements within a scope that match, in document order; it ends early if too much was spent.
pub(super) struct Matches<'a> {
    scope: NodeRef<'a, Node>,
    /// The node that was looked at last; none when all were.
    last: Option<NodeRef<'a, Node>>,
    list: &'a [One],
    needs: Needs<'a>,
    effort: &'a Effort,
    /// Made for what needs them.
    caches: Option<Box<SelectorCaches>>,
}

/// What can be seen of an element at once: most are passed over by it.
#[derive(Clone, Copy)]
enum Needs<'a> {
    /// A tag.
    Tag(&'a LocalName),
    /// One that is not written in lower case, and that: which of them, an element's namespace says.
    Either(&'a LocalName, &'a LocalName),
    Id(&'a str),
    Class(&'a str),
    /// A closer look.
    More,
}

impl<'a> Needs<'a> {
    fn of(list: &'a [One]) -> Self {
        let [one] = list else { return Self::More };
        match one.tag() {
            Some((written, lower)) if written == lower => return Self::Tag(lower),
            Some((written, lower)) => return Self::Either(written, lower),
            None => {}
        }
        let One::Plain(compounds) = one else {
            return Self::More;
        };
        match compounds.first() {
            Some(Compound { id: Some(id), .. }) => Self::Id(id),
            Some(Compound { classes, .. }) if !classes.is_empty() => Self::Class(&classes[0]),
            _ => Self::More,
        }
    }

    /// Whether an element has it, and how many looks it takes to see that.
    #[inline]
    fn see(self, data: &Data) -> (bool, u64) {
        let price = 1 + (data.attrs.len() / ATTRIBUTES_PER_LOOK) as u64;
        match self {
            Self::Tag(tag) => (data.name.local == *tag, 1),
            Self::Either(written, lower) => {
                let is_it = data.name.local == *lower || data.name.local == *written;
                (is_it, 1)
            }
            // Which scraper remembers.
            Self::Id(id) => (data.id() == Some(id), price),
            Self::Class(class) => match data
                .attrs
                .iter()
                .find(|(own, _)| own.local == local_name!("class"))
            {
                Some((_, own)) => (has_word(own, class), price + Effort::of_text(own)),
                None => (false, price),
            },
            Self::More => (true, 1),
        }
    }
}

/// Whether a word stands in a text, between white space.
#[inline]
fn has_word(text: &str, word: &str) -> bool {
    // Most elements have one class.
    if text.len() <= word.len() {
        return text == word;
    }
    text.split_ascii_whitespace().any(|own| own == word)
}

impl<'a> Matches<'a> {
    pub(super) fn new(scope: ElementRef<'a>, css: &'a Css, effort: &'a Effort) -> Self {
        Self {
            scope: *scope,
            last: Some(*scope),
            list: css.list(),
            needs: Needs::of(css.list()),
            effort,
            caches: None,
        }
    }

    fn is_match(&mut self, element: Paid<'a>) -> bool {
        let list = self.list;
        let mut candidates = list.iter().filter(|one| match one.tag() {
            Some((written, lower)) => {
                element.data.name.local == *lower || element.data.name.local == *written
            }
            None => true,
        });
        candidates.any(|one| match one {
            One::Plain(compounds) => plain::is_match(element, compounds),
            One::Other { selector, .. } => self.is_other(&element, selector),
        })
    }

    fn is_other(&mut self, element: &Paid<'a>, selector: &Selector<Simple>) -> bool {
        let mut context = MatchingContext::new(
            MatchingMode::Normal,
            None,
            self.caches.get_or_insert_default(),
            QuirksMode::NoQuirks,
            NeedsSelectorFlags::No,
            MatchingForInvalidation::No,
        );
        let scope = self.scope.value().as_element();
        context.scope_element = scope.map(OpaqueElement::new);
        matches_selector(selector, 0, None, element, &mut context)
    }

    /// The next element, in document order, that has what is needed. Each node on the way is a look; they are paid
    /// together.
    fn step(&mut self) -> Option<(NodeRef<'a, Node>, &'a Data)> {
        if self.effort.is_spent() {
            return None;
        }
        let (needs, mut passed) = (self.needs, 0);
        let mut node = self.last?;
        let found = loop {
            let Some(next) = after(node, self.scope) else {
                break None;
            };
            node = next;
            let Node::Element(data) = next.value() else {
                passed += 1;
                continue;
            };
            let (is_it, price) = needs.see(data);
            passed += price;
            if is_it {
                break Some((next, data));
            }
        };
        self.last = found.map(|(node, _)| node);
        let is_paid = self.effort.look(passed);
        found.filter(|_| is_paid)
    }
}

/// The node after another one, in document order, within a scope.
#[inline]
fn after<'a>(node: NodeRef<'a, Node>, scope: NodeRef<'a, Node>) -> Option<NodeRef<'a, Node>> {
    if let Some(child) = node.first_child() {
        return Some(child);
    }
    let mut from = node;
    while from.id() != scope.id() {
        if let Some(sibling) = from.next_sibling() {
            return Some(sibling);
        }
        from = from.parent()?;
    }
    None
}

impl<'a> Iterator for Matches<'a> {
    type Item = ElementRef<'a>;

    fn next(&mut self) -> Option<ElementRef<'a>> {
        while let Some((node, data)) = self.step() {
            let effort = self.effort;
            let element = Paid { node, data, effort };
            let is_match = match self.list {
                [One::Plain(compounds)] => plain::is_match(element, compounds),
                _ => self.is_match(element),
            };
            if effort.is_spent() {
                return None;
            }
            if is_match {
                return ElementRef::wrap(node);
            }
        }
        None
    }
}

/// Attributes that are passed at the price of a look.
const ATTRIBUTES_PER_LOOK: usize = 4;

/// An element whose neighbours are to be paid for.
#[derive(Clone, Copy)]
struct Paid<'a> {
    node: NodeRef<'a, Node>,
    data: &'a Data,
    effort: &'a Effort,
}

impl<'a> Paid<'a> {
    fn at(self, node: NodeRef<'a, Node>) -> Option<Self> {
        let data = node.value().as_element()?;
        Some(Self { node, data, ..self })
    }

    /// The first element from `node` on, by steps of `next`.
    fn first(
        self,
        mut node: Option<NodeRef<'a, Node>>,
        next: impl Fn(&NodeRef<'a, Node>) -> Option<NodeRef<'a, Node>>,
    ) -> Option<Self> {
        while let Some(here) = node {
            if !self.effort.look(1) {
                return None;
            }
            if let Some(element) = self.at(here) {
                return Some(element);
            }
            node = next(&here);
        }
        None
    }

    fn attribute(&self, name: &LocalName) -> Option<&'a str> {
        let mut attributes = self.attributes();
        let found = attributes.find(|(own, _)| own.local == *name);
        found.map(|(_, value)| &**value)
    }

    /// Whether this is its id.
    fn is_called(&self, id: &str) -> bool {
        let price = 1 + self.data.attrs.len() / ATTRIBUTES_PER_LOOK;
        self.effort.look(price as u64) && self.data.id() == Some(id)
    }

    /// Whether it has this class.
    fn is_classed(&self, class: &str) -> bool {
        // A page's classes are read once or twice: to keep them as a list, as scraper does, takes more
        // time than that, and 100 MB for an attribute of 16.
        self.attribute(&local_name!("class"))
            .is_some_and(|own| self.effort.read(own) && has_word(own, class))
    }

    /// Its attributes, paid for; none if they can't be.
    fn attributes(&self) -> impl Iterator<Item = &'a (QualName, StrTendril)> + use<'a> {
        let all = &self.data.attrs;
        let price = 1 + all.len() / ATTRIBUTES_PER_LOOK;
        let is_paid = self.effort.look(price as u64);
        all.iter().take(if is_paid { all.len() } else { 0 })
    }
}

impl fmt::Debug for Paid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}

impl Element for Paid<'_> {
    type Impl = Simple;

    fn opaque(&self) -> OpaqueElement {
        OpaqueElement::new(self.data)
    }

    fn parent_element(&self) -> Option<Self> {
        if !self.effort.look(1) {
            return None;
        }
        self.at(self.node.parent()?)
    }

    fn parent_node_is_shadow_root(&self) -> bool {
        false
    }

    fn containing_shadow_host(&self) -> Option<Self> {
        None
    }

    fn is_pseudo_element(&self) -> bool {
        false
    }

    fn is_part(&self, _name: &CssLocalName) -> bool {
        false
    }

    fn imported_part(&self, _name: &CssLocalName) -> Option<CssLocalName> {
        None
    }

    fn is_same_type(&self, other: &Self) -> bool {
        self.data.name == other.data.name
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        self.first(self.node.prev_sibling(), NodeRef::prev_sibling)
    }

    fn next_sibling_element(&self) -> Option<Self> {
        self.first(self.node.next_sibling(), NodeRef::next_sibling)
    }

    fn first_element_child(&self) -> Option<Self> {
        self.first(self.node.first_child(), NodeRef::next_sibling)
    }

    fn is_html_element_in_html_document(&self) -> bool {
        self.data.name.ns == ns!(html)
    }

    fn has_local_name(&self, name: &CssLocalName) -> bool {
        self.data.name.local == name.0
    }

    fn has_namespace(&self, namespace: &Namespace) -> bool {
        self.data.name.ns == *namespace
    }

    fn attr_matches(
        &self,
        namespace: &NamespaceConstraint<&Namespace>,
        name: &CssLocalName,
        operation: &AttrSelectorOperation<&CssString>,
    ) -> bool {
        if &*name.0 == CONTAINS {
            let text = ElementRef::wrap(self.node).map(|own| dom::text_seen(own, self.effort));
            return text.is_some_and(|text| operation.eval_str(&text));
        }
        self.attributes().any(|(own, value)| {
            own.local == name.0
                && !matches!(namespace, NamespaceConstraint::Specific(other) if **other != own.ns)
                && (matches!(operation, AttrSelectorOperation::Exists)
                    || self.effort.read(value) && operation.eval_str(value))
        })
    }

    fn match_non_ts_pseudo_class(
        &self,
        _class: &NonTSPseudoClass,
        _context: &mut MatchingContext<'_, Simple>,
    ) -> bool {
        false
    }

    fn match_pseudo_element(
        &self,
        _element: &PseudoElement,
        _context: &mut MatchingContext<'_, Simple>,
    ) -> bool {
        false
    }

    fn is_link(&self) -> bool {
        false
    }

    fn is_html_slot_element(&self) -> bool {
        false
    }

    fn has_id(&self, id: &CssLocalName, _: CaseSensitivity) -> bool {
        self.is_called(&id.0)
    }

    fn has_class(&self, name: &CssLocalName, _: CaseSensitivity) -> bool {
        self.is_classed(&name.0)
    }

    fn has_custom_state(&self, _name: &CssLocalName) -> bool {
        false
    }

    fn is_empty(&self) -> bool {
        let mut children = self.node.children();
        !children.any(|child| {
            !self.effort.look(1) || child.value().is_element() || child.value().is_text()
        })
    }

    fn is_root(&self) -> bool {
        let parent = self.node.parent();
        parent.is_some_and(|parent| parent.value().is_document())
    }

    fn apply_selector_flags(&self, _flags: ElementSelectorFlags) {}

    fn add_element_unique_hashes(&self, _filter: &mut BloomFilter) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use scraper::{Html, Selector};

    use super::*;
    use crate::page::{Page, ReadLimits};

    const HTML: &str = "<html lang=en-GB><body class='A b'><h1 id=top>t</h1><div class=\"row one\n two\"><p>1<p \
        class=b>2<b>3</b><!-- x --><p></p></div><div class=row><ul><li>a<li class=b>b<li>c</ul><svg><path \
        id=p xlink:href=#x /></svg><a href=/x/y.html title='one two'>x</a><a href=mailto:q>y</a><template><p \
        class=b></template></div><p class=B><i><b class='b c'>z</b></i>\
        <input type=Text name=n><svg viewBox=a></svg>";

    /// scraper's own matching is what ours is held against.
    #[test]
    fn as_scraper_does_it() {
        let html = Html::parse_document(HTML);
        for source in [
            "*",
            "p",
            "P",
            ".b",
            ".B",
            "#top",
            ".row.two",
            "div p",
            "div > p",
            "p + p",
            "p ~ p",
            "h1 ~ p b",
            "p:empty",
            "p:not(.b)",
            "li:nth-child(2n+1)",
            "li:nth-last-child(1)",
            "p:nth-of-type(2)",
            "p:first-child",
            "b:only-child",
            "div:has(li.b)",
            "div:has(> ul)",
            "p:has(+ p)",
            "p:has(~ p b)",
            "body:has(svg) a",
            ":is(h1, li.b)",
            ":where(ul, i) > *",
            ":root",
            "html[lang|=en]",
            "a[href^='/']",
            "a[href$=html]",
            "a[href*='y.']",
            "a[title~=two]",
            "a[title='ONE two' i]",
            "[href]",
            "path",
            "svg *",
            "h1, li, p.b",
            "div:not(:has(p)) li:nth-child(2)",
            ":scope > body",
            "template p",
            "nothing b",
            "[type=text]",
            "INPUT[TYPE=text]",
            "[name=N]",
            "[viewBox]",
            "[VIEWBOX=a]",
            "[class~=two]",
            "[title='']",
            "a[href^='']",
            "div a[title][href]",
            "h1#top.x",
            "#top#top",
            "[id='TOP' i]",
            ".row > ul > .b",
            "body > div.row ul li",
            "html > div li",
            "div.one > div > ul > li",
            "body div div li.b",
            "svg > [id=p]",
            "*.b",
            "* > b",
        ] {
            let (theirs, ours) = (
                Selector::parse(source).unwrap(),
                Css::parse(source).unwrap(),
            );
            let effort = Effort::new(ReadLimits::default());
            let root = html.root_element();
            for scope in [root, root.child_elements().last().unwrap()] {
                let theirs: Vec<_> = scope.select(&theirs).map(|element| element.id()).collect();
                let ours: Vec<_> = Matches::new(scope, &ours, &effort)
                    .map(|element| element.id())
                    .collect();
                assert_eq!(ours, theirs, "{source}");
            }
        }
    }

    /// What a selector costs on a page, in looks.
    fn looks(source: &str, html: &str) -> u64 {
        let html = Html::parse_document(html);
        let (css, effort) = (
            Css::parse(source).unwrap(),
            Effort::new(ReadLimits::default()),
        );
        assert_eq!(
            Matches::new(html.root_element(), &css, &effort).count(),
            0,
            "{source}"
        );
        effort.limits().looks - effort.looks_left()
    }

    #[test]
    fn texts_are_looked_at() {
        let html = "<table><tr><th>UPC<td>a1<tr><th>Tax &amp; co<td>3</table><p class=x>In <b>stock</b></p>\
                    <p>In stoc</p>";
        let page = Page::from_html("http://e.x/", html).unwrap();
        let check = |selector: &str, expected: &[&str]| {
            let found: Vec<String> = page.get(selector).unwrap();
            assert_eq!(found, expected, "{selector}");
        };
        check("th:contains(UPC) + td", &["a1"]);
        check("th:contains('Tax & co') + td", &["3"]);
        check("p:contains(\"In stock\")", &["In stock"]);
        check("p:not(:contains('stock'))", &["In stoc"]);
        check("tr:has(th:contains(UPC)) td", &["a1"]);
        check("p:contains('in stock')", &[]);
        check("p:contains('In'):contains('k')::attr(class)", &["x"]);
    }

    #[test]
    fn what_is_quadratic_is_seen_to_be() {
        let check = |source: &str, page: &dyn Fn(usize) -> String| {
            let (once, twice) = (looks(source, &page(200)), looks(source, &page(400)));
            assert!(twice > 3 * once, "{source}: {once} {twice}");
        };
        let flat = |count| "<p>x".repeat(count);
        check("q ~ p", &flat);
        check("p:has(~ q)", &flat);
        let deep = |count| "<div class=a title=b>".repeat(count);
        check("q div", &deep);
        check(".b .a", &deep);
        check("[title=c] div", &deep);
        let long = |count: usize| {
            let (words, attributes) = ("w ".repeat(100 * count), "<p>x".repeat(count));
            format!("<div class='{words}' title='{words}' id='{words}'>{attributes}")
        };
        check("div:contains(y)", &deep);
        check(".x p", &long);
        check("[title~=x] p", &long);
        let (once, twice) = (looks("q", &flat(200)), looks("q", &flat(400)));
        assert!(twice < 3 * once, "{once} {twice}");
    }
}
