//! Where events go: the statistics and the hooks, in order, losing nothing.

use std::sync::{Mutex, PoisonError};

use super::event::Event;
use super::report::Statistics;

/// Called on every event.
pub(super) type Hook = Box<dyn FnMut(&Event) + Send>;

/// The statistics and the hooks behind one lock.
pub(super) struct Bus(Mutex<(Statistics, Vec<Hook>)>);

impl Bus {
    pub(super) fn new(hooks: Vec<Hook>) -> Self {
        Self(Mutex::new((Statistics::default(), hooks)))
    }

    pub(super) fn emit(&self, event: &Event) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (statistics, hooks) = &mut *guard;
        statistics.apply(event);
        for hook in hooks {
            hook(event);
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }
}
