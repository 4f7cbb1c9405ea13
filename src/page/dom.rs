//! The few operations on the tree that everything else is made of.

use html5ever::ns;
use scraper::node::Element;
use scraper::{ElementRef, Html, Node};

use crate::request::ReferrerPolicy;

/// Elements within `scope` that match, in document order.
pub(super) fn select<'a>(
    scope: ElementRef<'a>,
    css: &'a scraper::Selector,
) -> impl Iterator<Item = ElementRef<'a>> {
    scope.select(css)
}

/// The `href` of the first `<base>` of the document that has one, wherever it stands.
pub(super) fn base_href(html: &Html) -> Option<&str> {
    find_all(html, "base", |base| base.attr("href").is_some())
        .first()
        .and_then(|base| base.attr("href"))
}

/// The contents of all `<meta http-equiv=refresh>`.
pub(super) fn refreshes(html: &Html) -> Vec<&str> {
    let is_refresh = |meta: &Element| {
        let kind = meta.attr("http-equiv");
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("refresh"))
    };
    let metas = find_all(html, "meta", is_refresh);
    metas
        .iter()
        .filter_map(|meta| meta.attr("content"))
        .collect()
}

/// HTML elements of a name that `fits`, in document order, those in templates left out.
fn find_all<'a>(html: &'a Html, name: &str, fits: impl Fn(&Element) -> bool) -> Vec<&'a Element> {
    let fits = |node: &Node| {
        node.as_element().is_some_and(|element| {
            element.name() == name && element.name.ns == ns!(html) && fits(element)
        })
    };
    // In the order of their making, which is quick; most pages have none.
    if !html.tree.values().any(&fits) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut template = None;
    for edge in html.tree.root().traverse() {
        match edge {
            ego_tree::iter::Edge::Open(node) if template.is_none() => {
                let element = node.value().as_element();
                if element.is_some_and(|element| element.name() == "template") {
                    template = Some(node.id());
                } else if fits(node.value()) {
                    found.extend(element);
                }
            }
            ego_tree::iter::Edge::Close(node) if template == Some(node.id()) => template = None,
            _ => {}
        }
    }
    found
}

/// The policy of the last `<meta name=referrer>` that has a known one.
pub(super) fn referrer_policy(html: &Html) -> Option<ReferrerPolicy> {
    let metas = in_head(html, "meta").filter(|meta| {
        meta.attr("name")
            .is_some_and(|name| name.eq_ignore_ascii_case("referrer"))
    });
    metas
        .filter_map(|meta| ReferrerPolicy::parse(meta.attr("content")?))
        .last()
}

/// Whether a link says that its target is not to be told where it stands.
pub(super) fn is_noreferrer(link: ElementRef<'_>) -> bool {
    let tokens = link
        .attr("rel")
        .unwrap_or_default()
        .split_ascii_whitespace();
    tokens
        .into_iter()
        .any(|token| token.eq_ignore_ascii_case("noreferrer"))
}

fn in_head<'a>(html: &'a Html, name: &'a str) -> impl Iterator<Item = ElementRef<'a>> {
    let root = html.root_element();
    let head = root
        .child_elements()
        .find(|child| child.value().name() == "head");
    let children = head.into_iter().flat_map(|head| head.child_elements());
    children.filter(move |child| child.value().name() == name)
}

/// All text within, white space folded to single spaces; scripts and styles left out.
pub(super) fn text(element: ElementRef<'_>) -> String {
    let mut out = String::new();
    let mut skip_until = None;
    for edge in element.traverse() {
        match edge {
            ego_tree::iter::Edge::Open(node) if skip_until.is_none() => match node.value() {
                Node::Text(text) => push_folded(&mut out, text),
                Node::Element(inner)
                    if matches!(inner.name(), "script" | "style" | "template")
                        && node.id() != element.id() =>
                {
                    skip_until = Some(node.id());
                }
                Node::Element(inner) if is_block(inner.name()) => push_space(&mut out),
                _ => {}
            },
            ego_tree::iter::Edge::Close(node) => {
                if skip_until == Some(node.id()) {
                    skip_until = None;
                } else if skip_until.is_none()
                    && let Node::Element(inner) = node.value()
                    && is_block(inner.name())
                {
                    push_space(&mut out);
                }
            }
            ego_tree::iter::Edge::Open(_) => {}
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The element's own text nodes, white space folded.
pub(super) fn own_text(element: ElementRef<'_>) -> String {
    let mut out = String::new();
    for child in element.children() {
        if let Node::Text(text) = child.value() {
            push_folded(&mut out, text);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A text with its white space folded.
pub(super) fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_folded(&mut out, text.trim());
    out
}

fn push_folded(out: &mut String, text: &str) {
    for (position, word) in text.split_whitespace().enumerate() {
        if position > 0 || text.starts_with(char::is_whitespace) {
            push_space(out);
        }
        out.push_str(word);
    }
    if text.ends_with(char::is_whitespace) {
        push_space(out);
    }
}

fn push_space(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

/// Elements that start a new line when rendered, so that their text does not run together.
fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "br"
            | "dd"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "p"
            | "pre"
            | "section"
            | "table"
            | "td"
            | "th"
            | "tr"
            | "ul"
            | "option"
    )
}
