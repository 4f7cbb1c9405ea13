//! The few operations on the tree that everything else is made of.

use scraper::{ElementRef, Node};

/// Elements within `scope` that match, in document order.
pub(super) fn select<'a>(
    scope: ElementRef<'a>,
    css: &'a scraper::Selector,
) -> impl Iterator<Item = ElementRef<'a>> {
    scope.select(css)
}

/// The `href` of the first `<base>` that has one.
pub(super) fn base_href(html: &scraper::Html) -> Option<&str> {
    let root = html.root_element();
    let head = root
        .child_elements()
        .find(|child| child.value().name() == "head")?;
    let mut bases = head
        .child_elements()
        .filter(|child| child.value().name() == "base");
    bases.find_map(|base| base.attr("href"))
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
