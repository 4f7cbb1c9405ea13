//! What a panic of user code said, and where.
//!
//! A panic costs its page and is reported with it, so the program keeps Rust's own message from
//! the terminal: its hook [notes](note) the place instead, and [`described`] puts it behind the message.

use std::any::Any;
use std::cell::Cell;
use std::panic::Location;

thread_local! {
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Keeps the place of this thread's panic for [`described`].
pub(crate) fn note(place: &Location<'_>) {
    PLACE.set(Some(format!(" ({}:{})", place.file(), place.line())));
}

/// A panic that was caught on this thread, in words.
pub(crate) fn described(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let place = PLACE.take().unwrap_or_default();
    format!("panicked: {}{place}", text.unwrap_or("no message"))
}
