//! XPath 1.0 over a page's tree.
//!
//! What an expression may cost is bounded: every look at the tree is paid from what the page was given
//! when it came, and an expression that can't pay finds nothing.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use ego_tree::{NodeId, NodeRef};
use nephila_notation::XPath;
use scraper::{ElementRef, Node as Data};
use xpath_eval::{EvaluationContext, ExpandedName, Node, NodeKind, Value, evaluate};

use super::Page;
use super::dom;
use super::found::{At, Place};

/// What a comparison of two sets of nodes costs per node.
const COMPARED: u64 = 2_000;

/// Where the nodes of a tree stand in the document.
pub(super) type Order = HashMap<NodeId, u32>;

/// The nodes of the page's tree in document order.
pub(super) fn order(root: NodeRef<'_, Data>) -> Order {
    let nodes = root.descendants().map(|node| node.id());
    nodes.zip(0..).collect()
}

/// What an expression finds; what goes wrong is left on the page.
pub(super) fn find<'a>(page: &'a Page, at: At<'a>, xpath: &XPath) -> Vec<Place<'a>> {
    let root = page.html().tree.root();
    let node = match at {
        At::Element(element) => *element,
        _ => root,
    };
    let node = Own {
        page,
        node,
        attribute: None,
        surcharge: if xpath.compares_sets { COMPARED } else { 0 },
    };
    let value = evaluate(&xpath.expression, &EvaluationContext::new(node));
    if page.effort().is_spent() {
        return Vec::new();
    }
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let text = match value {
        Ok(Value::NodeSet(nodes)) => return nodes.into_iter().filter_map(Own::place).collect(),
        Ok(Value::Boolean(is)) => is.then(|| "true".to_owned()),
        Ok(Value::Number(number)) if number.is_nan() => None,
        Ok(value @ Value::Number(_)) => text(value.to_xpath_string()),
        Ok(Value::String(string)) => text(dom::folded(&string).into_owned()),
        Err(error) => {
            page.complain(error.to_string());
            None
        }
    };
    text.map(|text| Place::Text(text.into()))
        .into_iter()
        .collect()
}

/// A node as XPath sees it.
#[derive(Clone, Copy)]
struct Own<'a> {
    page: &'a Page,
    node: NodeRef<'a, Data>,
    /// Name and value, if it is an attribute of the node.
    attribute: Option<(&'a str, &'a str)>,
    surcharge: u64,
}

impl PartialEq for Own<'_> {
    fn eq(&self, other: &Self) -> bool {
        let name = |own: &Self| own.attribute.map(|(name, _)| name);
        self.node.id() == other.node.id() && name(self) == name(other)
    }
}

impl Eq for Own<'_> {}

impl<'a> Own<'a> {
    fn of(self, node: NodeRef<'a, Data>) -> Self {
        Self {
            node,
            attribute: None,
            ..self
        }
    }

    fn place(self) -> Option<Place<'a>> {
        if let Some((_, value)) = self.attribute {
            return Some(Place::Text(Cow::Borrowed(value.trim())));
        }
        match self.node.value() {
            Data::Document => Some(Place::Page),
            Data::Element(_) => ElementRef::wrap(self.node).map(Place::Element),
            Data::Text(text) => {
                let text = dom::folded(text);
                (!text.is_empty()).then_some(Place::Text(text))
            }
            Data::Comment(comment) => Some(Place::Text(Cow::Borrowed(comment.trim()))),
            _ => None,
        }
    }

    /// Document order of the node, then its attributes by name.
    fn rank(self) -> (u32, Option<&'a str>) {
        let order = self.page.order();
        let at = order.get(&self.node.id()).copied().unwrap_or(u32::MAX);
        (at, self.attribute.map(|(name, _)| name))
    }
}

impl<'a> Node<'a> for Own<'a> {
    fn kind(self) -> NodeKind {
        self.page.effort().look(1);
        match self.node.value() {
            _ if self.attribute.is_some() => NodeKind::Attribute,
            Data::Element(_) => NodeKind::Element,
            Data::Text(_) => NodeKind::Text,
            Data::Comment(_) => NodeKind::Comment,
            Data::ProcessingInstruction(_) => NodeKind::ProcessingInstruction,
            Data::Document | Data::Fragment | Data::Doctype(_) => NodeKind::Root,
        }
    }

    fn parent(self) -> Option<Self> {
        if !self.page.effort().look(1) {
            return None;
        }
        match self.attribute {
            Some(_) => Some(self.of(self.node)),
            None => self.node.parent().map(|parent| self.of(parent)),
        }
    }

    fn children(self) -> impl Iterator<Item = Self> + 'a {
        // What a template holds is not part of the document.
        let is_seen =
            |node: &NodeRef<'a, Data>| !matches!(node.value(), Data::Fragment | Data::Doctype(_));
        let children = self.attribute.is_none().then(|| self.node.children());
        children
            .into_iter()
            .flatten()
            .take_while(move |_| self.page.effort().look(1))
            .filter(is_seen)
            .map(move |node| self.of(node))
    }

    fn attributes(self) -> impl Iterator<Item = Self> + 'a {
        let element = self.node.value().as_element();
        let element = element.filter(|_| self.attribute.is_none());
        element
            .into_iter()
            .flat_map(|element| element.attrs())
            .take_while(move |_| self.page.effort().look(1))
            .map(move |attribute| Self {
                attribute: Some(attribute),
                ..self
            })
    }

    fn namespaces(self) -> impl Iterator<Item = Self> + 'a {
        std::iter::empty()
    }

    fn expanded_name(self) -> Option<ExpandedName> {
        let name = match self.attribute {
            Some((name, _)) => name,
            None => self.node.value().as_element()?.name(),
        };
        Some(ExpandedName {
            namespace_uri: None,
            local_name: name.to_owned(),
        })
    }

    fn string_value(self) -> String {
        let mut text = String::new();
        if let Some((_, value)) = self.attribute {
            text.push_str(value);
        } else if let Data::Comment(comment) = self.node.value() {
            text.push_str(comment);
        } else {
            for node in self.node.descendants() {
                if let Data::Text(piece) = node.value() {
                    text.push_str(piece);
                }
                if !self.page.effort().look(1) {
                    break;
                }
            }
        }
        self.page
            .effort()
            .look(1 + self.surcharge + text.len() as u64 / 16);
        text
    }

    fn document_order(self, other: Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn has_expanded_name(self, namespace: Option<&str>, name: &str) -> bool {
        self.page.effort().look(1);
        let own = match self.attribute {
            Some((own, _)) => Some(own),
            None => self
                .node
                .value()
                .as_element()
                .map(scraper::node::Element::name),
        };
        namespace.is_none() && own == Some(name)
    }

    fn is_id_attribute(self) -> bool {
        self.attribute.is_some_and(|(name, _)| name == "id")
    }
}

#[cfg(test)]
mod tests {
    use crate::page::Page;

    fn check(html: &str, selector: &str, expected: &[&str]) {
        let page = Page::from_html("http://e.x/", html).unwrap();
        let found: Vec<String> = page.get(selector).unwrap();
        assert_eq!(found, expected, "{selector}");
    }

    #[test]
    fn nodes_and_values() {
        let html = "<!-- c --><p class=a>One <b> two</b>\n</p><p> </p><a href=' /x '>x</a>";
        check(html, "xpath://p[@class='a']", &["One two"]);
        check(html, "xpath://p/text()", &["One"]);
        check(html, "xpath://a/@href", &["/x"]);
        check(html, "xpath:count(//p)", &["2"]);
        check(html, "xpath:string(//b)", &["two"]);
        check(html, "xpath:string(//i)", &[]);
        check(html, "xpath:number(//b)", &[]);
        check(html, "xpath:not(//i)", &["true"]);
        check(html, "xpath:boolean(//i)", &[]);
        check(html, "xpath://comment()", &["c"]);
        check(html, "p.a >> xpath:b/parent::p/b", &["two"]);
        check(html, "xpath://p >> b", &["two"]);
        check(
            html,
            "p:contains('One') >> xpath:.//text()",
            &["One", "two"],
        );
    }

    #[test]
    fn scopes() {
        let html = "<ul><li><a href=/1>1</a><li><a href=/2>2</a></ul>";
        let page = Page::from_html("http://e.x/", html).unwrap();
        let items = page.css("xpath://li").unwrap();
        let hrefs: Vec<String> = items
            .iter()
            .map(|item| item.get::<url::Url>("xpath:.//@href").unwrap().to_string())
            .collect();
        assert_eq!(hrefs, ["http://e.x/1", "http://e.x/2"]);
        let names: String = items[1].get("xpath:name(..)").unwrap();
        assert_eq!(names, "ul");
    }

    #[test]
    fn hostile_pages_do_not_stall() {
        let html = "<p>a".repeat(30_000);
        for selector in [
            "xpath://p[preceding-sibling::p[1] = 'b']",
            "xpath://p[. = //p/text()]/following::p",
            "xpath://p[count(//p) > 3]",
        ] {
            let page = Page::from_html("http://e.x/", html.as_str()).unwrap();
            let error = page.get::<Vec<String>>(selector).unwrap_err().to_string();
            assert!(error.contains(" costs too much: `xpath://p["), "{error}");
        }
    }
}
