//! `:contains("text")` in CSS.
//!
//! The parser has written it as a test of an attribute that no page has; here such a test looks at the
//! element's text instead, and all else is left to scraper.

use html5ever::Namespace;
use nephila_notation::{CONTAINS, SelectorList};
use scraper::ElementRef;
use scraper::selector::{CssLocalName, CssString, NonTSPseudoClass, PseudoElement, Simple};
use selectors::attr::{AttrSelectorOperation, CaseSensitivity, NamespaceConstraint};
use selectors::bloom::BloomFilter;
use selectors::matching::{
    ElementSelectorFlags, MatchingContext, MatchingForInvalidation, MatchingMode,
    NeedsSelectorFlags, QuirksMode, SelectorCaches, matches_selector,
};
use selectors::{Element, OpaqueElement};

use super::dom;

/// Elements within `scope` that match, in document order.
pub(super) fn select<'a>(
    scope: ElementRef<'a>,
    list: &SelectorList<Simple>,
) -> Vec<ElementRef<'a>> {
    let mut caches = SelectorCaches::default();
    let mut context = MatchingContext::new(
        MatchingMode::Normal,
        None,
        &mut caches,
        QuirksMode::NoQuirks,
        NeedsSelectorFlags::No,
        MatchingForInvalidation::No,
    );
    context.scope_element = Some(Reading(scope).opaque());
    let within = scope.descendants().skip(1).filter_map(ElementRef::wrap);
    within
        .filter(|element| {
            let mut all = list.slice().iter();
            all.any(|selector| {
                matches_selector(selector, 0, None, &Reading(*element), &mut context)
            })
        })
        .collect()
}

/// An element whose text can be tested.
#[derive(Clone, Debug)]
struct Reading<'a>(ElementRef<'a>);

impl Element for Reading<'_> {
    type Impl = Simple;

    fn attr_matches(
        &self,
        ns: &NamespaceConstraint<&Namespace>,
        local_name: &CssLocalName,
        operation: &AttrSelectorOperation<&CssString>,
    ) -> bool {
        if &*local_name.0 == CONTAINS {
            operation.eval_str(&dom::text(self.0))
        } else {
            self.0.attr_matches(ns, local_name, operation)
        }
    }

    fn opaque(&self) -> OpaqueElement {
        self.0.opaque()
    }
    fn parent_element(&self) -> Option<Self> {
        Element::parent_element(&self.0).map(Self)
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
    fn prev_sibling_element(&self) -> Option<Self> {
        Element::prev_sibling_element(&self.0).map(Self)
    }
    fn next_sibling_element(&self) -> Option<Self> {
        Element::next_sibling_element(&self.0).map(Self)
    }
    fn first_element_child(&self) -> Option<Self> {
        Element::first_element_child(&self.0).map(Self)
    }
    fn is_html_element_in_html_document(&self) -> bool {
        self.0.is_html_element_in_html_document()
    }
    fn has_local_name(&self, name: &CssLocalName) -> bool {
        self.0.has_local_name(name)
    }
    fn has_namespace(&self, namespace: &Namespace) -> bool {
        self.0.has_namespace(namespace)
    }
    fn is_same_type(&self, other: &Self) -> bool {
        self.0.is_same_type(&other.0)
    }
    fn match_non_ts_pseudo_class(
        &self,
        class: &NonTSPseudoClass,
        _: &mut MatchingContext<'_, Simple>,
    ) -> bool {
        match *class {}
    }
    fn match_pseudo_element(
        &self,
        element: &PseudoElement,
        _: &mut MatchingContext<'_, Simple>,
    ) -> bool {
        match *element {}
    }
    fn apply_selector_flags(&self, _: ElementSelectorFlags) {}
    fn is_link(&self) -> bool {
        self.0.is_link()
    }
    fn is_html_slot_element(&self) -> bool {
        self.0.is_html_slot_element()
    }
    fn has_id(&self, id: &CssLocalName, case: CaseSensitivity) -> bool {
        self.0.has_id(id, case)
    }
    fn has_class(&self, name: &CssLocalName, case: CaseSensitivity) -> bool {
        Element::has_class(&self.0, name, case)
    }
    fn has_custom_state(&self, _: &CssLocalName) -> bool {
        false
    }
    fn imported_part(&self, _: &CssLocalName) -> Option<CssLocalName> {
        None
    }
    fn is_part(&self, _: &CssLocalName) -> bool {
        false
    }
    fn is_empty(&self) -> bool {
        Element::is_empty(&self.0)
    }
    fn is_root(&self) -> bool {
        Element::is_root(&self.0)
    }
    fn add_element_unique_hashes(&self, _: &mut BloomFilter) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use crate::page::Page;

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
}
