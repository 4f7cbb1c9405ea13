//! The tree as it grows.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

use ego_tree::NodeId;
use ego_tree::iter::Edge;
use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, QualName};
use scraper::{Html, HtmlTreeSink};

use super::meter::Meter;
use super::{Parsed, Truncation};

/// Nodes from which on room that is not needed would be missed: a list of one attribute has room for
/// four, 160 bytes, which is more than the element itself.
const MANY_NODES: usize = 10_000;

/// A node, and its place in the list of depths.
#[derive(Clone, Copy)]
pub(super) struct Handle {
    id: NodeId,
    number: u32,
}

/// scraper's tree, metered, and no deeper than allowed.
pub(super) struct Sink<'a> {
    inner: HtmlTreeSink,
    meter: Meter<'a>,
    depths: RefCell<Vec<u16>>,
    /// Whether nodes moved together with what is in them: then the depths are not to be trusted.
    has_moved: Cell<bool>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(meter: Meter<'a>) -> Self {
        Self {
            inner: HtmlTreeSink::new(Html::new_document()),
            meter,
            // The document's.
            depths: RefCell::new(vec![0]),
            has_moved: Cell::new(false),
        }
    }

    pub(super) fn meter(&self) -> &Meter<'a> {
        &self.meter
    }

    fn handle(&self, id: NodeId, depth: u16) -> Handle {
        let mut depths = self.depths.borrow_mut();
        depths.push(depth);
        Handle {
            id,
            number: depths.len() as u32 - 1,
        }
    }

    fn depth(&self, handle: &Handle) -> u16 {
        let depths = self.depths.borrow();
        depths.get(handle.number as usize).copied().unwrap_or(0)
    }

    fn set_depth(&self, handle: &Handle, depth: u16) {
        if let Some(known) = self.depths.borrow_mut().get_mut(handle.number as usize) {
            *known = depth;
        }
    }

    /// The nearest node to `parent` that may have children, and their depth.
    fn roof(&self, parent: &Handle) -> (NodeId, u16) {
        let (depth, max) = (self.depth(parent), self.meter.limits().depth);
        if depth < max {
            return (parent.id, depth + 1);
        }
        self.meter.truncate(Truncation::Depth);
        let html = self.inner.0.borrow();
        let above = html.tree.get(parent.id).and_then(|node| node.parent());
        (above.map_or(parent.id, |node| node.id()), depth)
    }
}

fn plain(child: NodeOrText<Handle>) -> NodeOrText<NodeId> {
    match child {
        NodeOrText::AppendNode(node) => NodeOrText::AppendNode(node.id),
        NodeOrText::AppendText(text) => NodeOrText::AppendText(text),
    }
}

impl TreeSink for Sink<'_> {
    type Handle = Handle;
    type Output = Parsed;
    type ElemName<'b>
        = Ref<'b, QualName>
    where
        Self: 'b;

    fn finish(self) -> Parsed {
        let mut html = self.inner.finish();
        if self.has_moved.get() && prune(&mut html, self.meter.limits().depth) {
            self.meter.truncate(Truncation::Depth);
        }
        Parsed {
            html,
            truncation: self.meter.truncation(),
        }
    }

    #[inline]
    fn elem_name<'b>(&'b self, target: &'b Handle) -> Ref<'b, QualName> {
        self.meter.work(1);
        // As scraper does it, which from another crate would be a call, and this is called all the time.
        Ref::map(self.inner.0.borrow(), |html| {
            let node = html.tree.get(target.id);
            let element = node.and_then(|node| node.value().as_element());
            &element.expect("only elements are asked for a name").name
        })
    }

    fn same_node(&self, x: &Handle, y: &Handle) -> bool {
        self.meter.work(1);
        x.id == y.id
    }

    fn create_element(
        &self,
        name: QualName,
        mut attributes: Vec<Attribute>,
        flags: ElementFlags,
    ) -> Handle {
        self.meter.node(attributes.len());
        if self.meter.nodes() > MANY_NODES {
            attributes.shrink_to_fit();
        }
        self.handle(self.inner.create_element(name, attributes, flags), 0)
    }

    fn create_comment(&self, text: StrTendril) -> Handle {
        self.meter.node(0);
        self.handle(self.inner.create_comment(text), 0)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Handle {
        self.meter.node(0);
        self.handle(self.inner.create_pi(target, data), 0)
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        let parent = match &child {
            NodeOrText::AppendNode(node) => {
                let (parent, depth) = self.roof(parent);
                self.set_depth(node, depth);
                parent
            }
            NodeOrText::AppendText(_) => parent.id,
        };
        self.inner.append(&parent, plain(child));
    }

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        if let NodeOrText::AppendNode(node) = &child {
            self.set_depth(node, self.depth(sibling));
        }
        self.inner.append_before_sibling(&sibling.id, plain(child));
    }

    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        previous: &Handle,
        child: NodeOrText<Handle>,
    ) {
        let html = self.inner.0.borrow();
        let node = html.tree.get(element.id);
        let has_parent = node.is_some_and(|node| node.parent().is_some());
        drop(html);
        if has_parent {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        self.has_moved.set(true);
        self.inner.reparent_children(&node.id, &new_parent.id);
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.has_moved.set(true);
        self.inner.remove_from_parent(&target.id);
    }

    /// `<body>` and `<html>` may come again and again, each time with other attributes.
    fn add_attrs_if_missing(&self, target: &Handle, mut attributes: Vec<Attribute>) {
        let html = self.inner.0.borrow();
        let node = html.tree.get(target.id);
        let element = node.and_then(|node| node.value().as_element());
        let known = element.map_or(0, |element| element.attrs.len());
        drop(html);
        let room = self.meter.limits().attributes.saturating_sub(known);
        if attributes.len() > room {
            attributes.truncate(room);
            self.meter.truncate(Truncation::Attributes);
        }
        self.meter.work(known as u64);
        self.inner.add_attrs_if_missing(&target.id, attributes);
    }

    fn append_doctype_to_document(
        &self,
        name: StrTendril,
        public_id: StrTendril,
        system_id: StrTendril,
    ) {
        self.inner
            .append_doctype_to_document(name, public_id, system_id);
    }

    fn get_document(&self) -> Handle {
        Handle {
            id: self.inner.get_document(),
            number: 0,
        }
    }

    fn get_template_contents(&self, target: &Handle) -> Handle {
        let depth = self.depth(target).saturating_add(1);
        self.handle(self.inner.get_template_contents(&target.id), depth)
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.inner.set_quirks_mode(mode);
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}
}

/// Cuts off what lies deeper than `max` elements, and says whether there was any.
fn prune(html: &mut Html, max: u16) -> bool {
    let (mut depth, mut roots) = (0_usize, Vec::new());
    for edge in html.tree.root().traverse() {
        match edge {
            Edge::Open(node) => {
                if depth == usize::from(max) + 1 && node.value().is_element() {
                    roots.push(node.id());
                }
                depth += 1;
            }
            Edge::Close(_) => depth -= 1,
        }
    }
    for id in &roots {
        if let Some(mut node) = html.tree.get_mut(*id) {
            node.detach();
        }
    }
    !roots.is_empty()
}
