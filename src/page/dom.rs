//! The few operations on the tree that everything else is made of.

use std::borrow::Cow;
use std::io;

use html5ever::serialize::{SerializeOpts, TraversalScope, serialize};
use html5ever::{LocalName, local_name, ns};
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
pub(super) fn text<'a>(element: ElementRef<'a>, effort: &Effort) -> Cow<'a, str> {
    gather(element, effort, |text| effort.take(text.len()))
}

/// As [`text`], only to be looked at.
pub(super) fn text_seen<'a>(element: ElementRef<'a>, effort: &Effort) -> Cow<'a, str> {
    gather(element, effort, |text| effort.read(text))
}

fn gather<'a>(
    element: ElementRef<'a>,
    effort: &Effort,
    pay: impl Fn(&str) -> bool,
) -> Cow<'a, str> {
    let mut out = Folded::default();
    // Most elements that are read have one text and nothing else.
    if let Some(only) = element.first_child()
        && only.next_sibling().is_none()
        && let Node::Text(text) = only.value()
    {
        if effort.look(1) && pay(text) {
            out.push(text);
        }
        return out.text;
    }
    let mut skip_until = None;
    for edge in element.traverse() {
        if !effort.look(1) {
            break;
        }
        match edge {
            ego_tree::iter::Edge::Open(node) if skip_until.is_none() => match node.value() {
                Node::Text(text) if !pay(text) => break,
                Node::Text(text) => out.push(text),
                Node::Element(inner) if is_silent(&inner.name.local) && node != *element => {
                    skip_until = Some(node.id());
                }
                Node::Element(inner) if is_block(&inner.name.local) => out.space(),
                _ => {}
            },
            ego_tree::iter::Edge::Close(node) => {
                if skip_until == Some(node.id()) {
                    skip_until = None;
                } else if skip_until.is_none()
                    && let Node::Element(inner) = node.value()
                    && is_block(&inner.name.local)
                {
                    out.space();
                }
            }
            ego_tree::iter::Edge::Open(_) => {}
        }
    }
    out.text
}

/// The element's own text nodes, white space folded. It ends early if too much was spent.
pub(super) fn own_text<'a>(element: ElementRef<'a>, effort: &Effort) -> Cow<'a, str> {
    let mut out = Folded::default();
    for child in element.children() {
        match child.value() {
            _ if !effort.look(1) => break,
            Node::Text(text) if !effort.take(text.len()) => break,
            Node::Text(text) => out.push(text),
            _ => {}
        }
    }
    out.text
}

/// The value of an attribute without a namespace.
#[inline]
pub(super) fn attribute<'a>(element: ElementRef<'a>, name: &LocalName) -> Option<&'a str> {
    let mut attributes = element.value().attrs.iter();
    let found = attributes.find(|(own, _)| own.local == *name && own.ns == ns!());
    found.map(|(_, value)| &**value)
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
pub(super) fn folded(text: &str) -> Cow<'_, str> {
    let mut out = Folded::default();
    out.push(text);
    out.text
}

/// Texts put together, white space folded, none at the ends: most are one text of the page as it is.
#[derive(Default)]
struct Folded<'a> {
    text: Cow<'a, str>,
    /// White space has been left out since.
    has_gap: bool,
}

impl<'a> Folded<'a> {
    fn push(&mut self, text: &'a str) {
        let trimmed = text.trim_start();
        self.has_gap |= trimmed.len() < text.len();
        let trimmed = trimmed.trim_end();
        if trimmed.is_empty() {
            return;
        }
        if self.text.is_empty() && is_folded(trimmed) {
            self.text = Cow::Borrowed(trimmed);
        } else {
            let out = self.text.to_mut();
            for word in trimmed.split_whitespace() {
                if self.has_gap && !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(word);
                self.has_gap = true;
            }
        }
        self.has_gap = text.ends_with(char::is_whitespace);
    }

    fn space(&mut self) {
        self.has_gap = true;
    }
}

/// Whether the white space of a trimmed text is single spaces only, as can be seen from its bytes.
fn is_folded(text: &str) -> bool {
    let bytes = text.as_bytes();
    let after = bytes.get(1..).unwrap_or_default();
    // Most texts are ASCII; this the compiler makes wide instructions of, which it can't of the other.
    let (mut gaps, mut is_wide) = (0, false);
    for (&byte, &next) in bytes.iter().zip(after) {
        let is_double = u8::from(byte == b' ') & u8::from(next == b' ');
        gaps |= is_double | u8::from(byte.wrapping_sub(9) < 5);
        is_wide |= byte >= 0x80;
    }
    is_wide |= bytes.last().is_some_and(|last| *last >= 0x80);
    gaps == 0 && !(is_wide && has_wide_gap(bytes))
}

/// Whether there may be white space beyond ASCII.
fn has_wide_gap(bytes: &[u8]) -> bool {
    let mut before = 0;
    bytes.iter().any(|&byte| {
        let is_gap = match byte {
            // U+0085 and U+00A0.
            0x85 | 0xa0 => before == 0xc2,
            // What all other white space begins with.
            0xe1..=0xe3 => true,
            _ => false,
        };
        before = byte;
        is_gap
    })
}

/// Elements whose text nobody reads.
fn is_silent(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("script") | local_name!("style") | local_name!("template")
    )
}

/// Elements that start a new line when rendered, so that their text does not run together.
fn is_block(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("address")
            | local_name!("article")
            | local_name!("aside")
            | local_name!("blockquote")
            | local_name!("br")
            | local_name!("dd")
            | local_name!("div")
            | local_name!("dl")
            | local_name!("dt")
            | local_name!("fieldset")
            | local_name!("figcaption")
            | local_name!("figure")
            | local_name!("footer")
            | local_name!("form")
            | local_name!("h1")
            | local_name!("h2")
            | local_name!("h3")
            | local_name!("h4")
            | local_name!("h5")
            | local_name!("h6")
            | local_name!("header")
            | local_name!("hr")
            | local_name!("li")
            | local_name!("main")
            | local_name!("nav")
            | local_name!("ol")
            | local_name!("p")
            | local_name!("pre")
            | local_name!("section")
            | local_name!("table")
            | local_name!("td")
            | local_name!("th")
            | local_name!("tr")
            | local_name!("ul")
            | local_name!("option")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_folded() {
        let long = "a long text of plain words ".repeat(9);
        let late = format!("{long}\u{a0}end");
        for text in [
            "",
            " ",
            "a",
            "a b",
            "a  b",
            " a b ",
            "a\tb",
            "a\nb",
            "a \u{b}b",
            "\u{e4} b",
            "a\u{a0}b",
            "\u{c4}\u{a0}\u{a0}b",
            "a\u{85}b",
            "\u{85}",
            "\u{e1}\u{a0}",
            "a\u{2003}b",
            "\u{2605}\u{2605} b",
            "\u{3000}a\u{3000}b",
            "a\u{1680}b",
            "\u{c5}\u{85} x",
            &long,
            &late,
        ] {
            let expected: Vec<&str> = text.split_whitespace().collect();
            assert_eq!(folded(text), expected.join(" "), "{text:?}");
        }
        assert!(matches!(folded("plain words"), Cow::Borrowed(_)));
    }
}
