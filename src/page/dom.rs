//! The few operations on the tree that everything else is made of.

use std::io;

use html5ever::ns;
use html5ever::serialize::{SerializeOpts, TraversalScope, serialize};
use scraper::node::Element;
use scraper::{ElementRef, Html as Tree, Node};

use super::effort::Effort;
use crate::request::ReferrerPolicy;

/// The `href` of the first `<base>` of the document that has one, wherever it stands.
pub(super) fn base_href(html: &Tree) -> Option<&str> {
    find_all(html, "base", |base| base.attr("href").is_some())
        .first()
        .and_then(|base| base.attr("href"))
}

/// The contents of all `<meta http-equiv=refresh>`.
pub(super) fn refreshes(html: &Tree) -> Vec<&str> {
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
fn find_all<'a>(html: &'a Tree, name: &str, fits: impl Fn(&Element) -> bool) -> Vec<&'a Element> {
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
pub(super) fn referrer_policy(html: &Tree) -> Option<ReferrerPolicy> {
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

fn in_head<'a>(html: &'a Tree, name: &'a str) -> impl Iterator<Item = ElementRef<'a>> {
    let root = html.root_element();
    let head = root
        .child_elements()
        .find(|child| child.value().name() == "head");
    let children = head.into_iter().flat_map(|head| head.child_elements());
    children.filter(move |child| child.value().name() == name)
}

/// Names and contents of all `<meta name content>`, wherever they stand.
pub(super) fn named_metas(html: &Tree) -> Vec<(&str, &str)> {
    let metas = find_all(html, "meta", |_| true).into_iter();
    metas
        .filter_map(|meta| Some((meta.attr("name")?, meta.attr("content")?)))
        .collect()
}

/// All text within, white space folded to single spaces; scripts and styles left out. It ends early if
/// too much was spent.
pub(super) fn text(element: ElementRef<'_>, effort: &Effort) -> String {
    gather(element, effort, |text| effort.take(text.len()))
}

/// As [`text`], only to be looked at.
pub(super) fn text_seen(element: ElementRef<'_>, effort: &Effort) -> String {
    gather(element, effort, |text| effort.read(text))
}

fn gather(element: ElementRef<'_>, effort: &Effort, pay: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut skip_until = None;
    for edge in element.traverse() {
        if !effort.look(1) {
            break;
        }
        match edge {
            ego_tree::iter::Edge::Open(node) if skip_until.is_none() => match node.value() {
                Node::Text(text) if !pay(text) => break,
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

/// The element's own text nodes, white space folded. It ends early if too much was spent.
pub(super) fn own_text(element: ElementRef<'_>, effort: &Effort) -> String {
    let mut out = String::new();
    for child in element.children() {
        match child.value() {
            _ if !effort.look(1) => break,
            Node::Text(text) if !effort.take(text.len()) => break,
            Node::Text(text) => push_folded(&mut out, text),
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The element's HTML, itself included. It ends early if too much was spent.
pub(super) fn html(element: ElementRef<'_>, effort: &Effort) -> String {
    let opts = SerializeOpts {
        scripting_enabled: false,
        traversal_scope: TraversalScope::IncludeNode,
        create_missing_parent: false,
    };
    let text = Vec::new();
    let mut html = Html { text, effort };
    let _ = serialize(&mut html, &element, opts);
    String::from_utf8(html.text).unwrap_or_default()
}

/// HTML as it is written, as long as it is paid for.
struct Html<'a> {
    text: Vec<u8>,
    effort: &'a Effort,
}

impl io::Write for Html<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !(self.effort.look(1) && self.effort.take(bytes.len())) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
