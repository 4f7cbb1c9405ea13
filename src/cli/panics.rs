//! What is seen of a panic in a step: its page's error, and no stack unless `NEPHILA_BACKTRACE` asks.

use std::backtrace::Backtrace;

use super::output;
use crate::panics;

/// Takes over the messages of panics in steps.
pub(super) fn watch() {
    let is_wanted = output::variable("NEPHILA_BACKTRACE").is_some_and(|value| value != "0");
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let is_step = thread
            .name()
            .is_some_and(|name| name.starts_with("nephila-"));
        match panic.location().filter(|_| is_step) {
            None => before(panic),
            Some(place) => panics::note(place),
        }
        if is_step && is_wanted {
            output::say(&format!("{panic}\n{}", Backtrace::force_capture()));
        }
    }));
}
