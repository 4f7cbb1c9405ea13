//! Parsing HTML within bounds.
//!
//! An HTML parser is quadratic in the depth of its input: for every tag it may look through all
//! elements that are open, and 240 KB of `<div>` cost it 12 seconds, during which nothing can stop
//! it. So it works here under watch. Between the [tokenizer](tokenizer::tokenize) and html5ever's tree
//! builder a [`Gate`] sees every token. What the tree did for it was metered (each look at an open
//! element is a call of ours, so quadratic work is counted, not guessed); once the [`ParseLimits`] are
//! reached it lets no more tokens through. A page ends there, as if it had been cut: all that was read
//! before is there.
//!
//! Depth is no end: an element that would lie too deep becomes the next sibling instead of the child,
//! as in browsers.

mod gate;
mod meter;
mod sink;
mod tokenizer;

use std::fmt;
use std::time::Duration;

use scraper::Html;

use gate::Gate;
use meter::Meter;

use crate::clock;

/// What parsing one page may cost; see the settings of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// CPU time.
    pub time: Duration,
    /// Elements and comments; as many attributes twice over.
    pub nodes: usize,
    /// Elements in each other.
    pub depth: u16,
    /// Attributes of an element.
    pub attributes: usize,
    /// Bytes of a text in another charset, as UTF-8; see the setting `max_body`.
    pub text: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(500),
            nodes: 100_000,
            depth: 512,
            attributes: 1_000,
            text: 16 * 1024 * 1024,
        }
    }
}

/// The limit that a page went beyond, so that its tree is not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Truncation {
    /// An element has too many attributes; those after are missing.
    Attributes,
    /// Elements lie too deep; they were moved up, nothing is missing.
    Depth,
    /// Too many elements; those after are missing.
    Nodes,
    /// The text is too long once it is UTF-8; the rest is missing.
    Text,
    /// Parsing took too long; what was not read by then is missing.
    Time,
}

impl Truncation {
    /// The setting that says how much is too much.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Attributes => "max_attributes",
            Self::Depth => "max_element_depth",
            Self::Nodes => "max_nodes",
            Self::Text => "max_body",
            Self::Time => "max_parse_time",
        }
    }
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attributes => "too many attributes",
            Self::Depth => "elements nested too deep",
            Self::Nodes => "too many elements",
            Self::Text => "too long as UTF-8",
            Self::Time => "too long to parse",
        })
    }
}

/// A tree, and whether it is all of the page.
pub(super) struct Parsed {
    pub(super) html: Html,
    pub(super) truncation: Option<Truncation>,
}

/// Parses a document as far as the limits let.
pub(super) fn parse(text: &str, limits: &ParseLimits) -> Parsed {
    parse_by(text, limits, &clock::thread_cpu)
}

fn parse_by(text: &str, limits: &ParseLimits, cpu: &dyn Fn() -> Duration) -> Parsed {
    let gate = Gate::new(Meter::new(limits, cpu));
    tokenizer::tokenize(text, &gate);
    gate.finish()
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
