//! Counting what a page costs.

use std::cell::Cell;
use std::time::Duration;

use super::{ParseLimits, Truncation};

/// Work between two looks at the clock: some 100 µs, of which the look is less than a hundredth.
const WORK_PER_LOOK: u64 = 20_000;
/// The work of a token, where one look at an open element is 1.
pub(super) const TOKEN: u64 = 20;
/// The work of a new node.
const NODE: u64 = 20;

/// What was spent on a page, and what is left.
pub(super) struct Meter<'a> {
    limits: ParseLimits,
    cpu: &'a dyn Fn() -> Duration,
    end: Duration,
    work: Cell<u64>,
    next_look: Cell<u64>,
    nodes: Cell<usize>,
    attributes: Cell<usize>,
    truncation: Cell<Option<Truncation>>,
    is_spent: Cell<bool>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(limits: &ParseLimits, cpu: &'a dyn Fn() -> Duration) -> Self {
        Self {
            limits: *limits,
            cpu,
            end: cpu().saturating_add(limits.time),
            work: Cell::new(0),
            next_look: Cell::new(WORK_PER_LOOK),
            nodes: Cell::new(0),
            attributes: Cell::new(0),
            truncation: Cell::new(None),
            is_spent: Cell::new(false),
        }
    }

    pub(super) fn limits(&self) -> &ParseLimits {
        &self.limits
    }

    /// Whether nothing more may be done for the page.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    pub(super) fn truncation(&self) -> Option<Truncation> {
        self.truncation.get()
    }

    #[inline]
    pub(super) fn work(&self, amount: u64) {
        self.work.set(self.work.get() + amount);
    }

    /// Elements and comments so far.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.get()
    }

    /// Counts an element or comment.
    pub(super) fn node(&self, attributes: usize) {
        self.work(NODE + attributes as u64);
        self.nodes.set(self.nodes.get() + 1);
        self.attributes.set(self.attributes.get() + attributes);
        let max = self.limits.nodes;
        if self.nodes.get() >= max || self.attributes.get() >= max.saturating_mul(2) {
            self.stop(Truncation::Nodes);
        }
    }

    /// Looks at the clock, if enough was done since the last look.
    #[inline]
    pub(super) fn check(&self) {
        if self.work.get() >= self.next_look.get() {
            self.look_at_clock();
        }
    }

    pub(super) fn look_at_clock(&self) {
        self.next_look.set(self.work.get() + WORK_PER_LOOK);
        if (self.cpu)() >= self.end {
            self.stop(Truncation::Time);
        }
    }

    /// Notes that the tree is not the page; what ends it counts most.
    pub(super) fn truncate(&self, truncation: Truncation) {
        self.truncation
            .set(self.truncation.get().max(Some(truncation)));
    }

    fn stop(&self, truncation: Truncation) {
        if !self.is_spent.replace(true) {
            self.truncate(truncation);
        }
    }
}
