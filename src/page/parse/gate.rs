//! Between tokenizer and tree.

use std::cell::Cell;

use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink as _};

use super::meter::{Meter, TOKEN};
use super::sink::{Handle, Sink};
use super::{Parsed, Truncation};

/// Lets tokens through to the tree until the page has cost enough.
pub(super) struct Gate<'a> {
    builder: TreeBuilder<Handle, Sink<'a>>,
    /// Formatting elements that were opened and not closed, about.
    formatting: Cell<u64>,
}

impl<'a> Gate<'a> {
    pub(super) fn new(meter: Meter<'a>) -> Self {
        Self {
            builder: TreeBuilder::new(Sink::new(meter), TreeBuilderOpts::default()),
            formatting: Cell::new(0),
        }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.meter().is_spent()
    }

    pub(super) fn max_attributes(&self) -> usize {
        self.meter().limits().attributes
    }

    pub(super) fn drop_attributes(&self) {
        self.meter().truncate(Truncation::Attributes);
    }

    pub(super) fn finish(self) -> Parsed {
        self.builder.sink.finish()
    }

    /// A formatting tag is compared, attributes and all, with those that are open: to find the fourth
    /// of a kind, which ends the first. That is done without a call of ours.
    fn meter_formatting(&self, tag: &Tag) {
        if !is_formatting(&tag.name) {
            return;
        }
        let open = self.formatting.get();
        if tag.kind == TagKind::EndTag {
            self.formatting.set(open.saturating_sub(1));
        } else {
            self.meter().work(open * (1 + tag.attrs.len() as u64));
            self.formatting.set(open + 1);
        }
    }

    fn meter(&self) -> &Meter<'a> {
        self.builder.sink.meter()
    }
}

impl TokenSink for Gate<'_> {
    type Handle = Handle;

    #[inline]
    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Handle> {
        match &token {
            Token::ParseError(_) => return TokenSinkResult::Continue,
            // The tree is complete only once it has seen the end.
            Token::EOFToken => return self.builder.process_token(token, line),
            Token::TagToken(tag) => self.meter_formatting(tag),
            _ => {}
        }
        if self.is_shut() {
            return TokenSinkResult::Continue;
        }
        let result = self.builder.process_token(token, line);
        self.meter().work(TOKEN);
        self.meter().check();
        result
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder
            .adjusted_current_node_present_but_not_in_html_namespace()
    }
}

fn is_formatting(name: &str) -> bool {
    matches!(
        name,
        "a" | "b"
            | "big"
            | "code"
            | "em"
            | "font"
            | "i"
            | "nobr"
            | "s"
            | "small"
            | "strike"
            | "strong"
            | "tt"
            | "u"
    )
}
