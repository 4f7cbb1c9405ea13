//! The two streams: data and messages.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::OnceLock;

use crate::ui::{Screen, Style};

/// Standard output, buffered. Nothing in it panics when the pipe is closed.
pub(super) fn stdout() -> BufWriter<Stdout> {
    BufWriter::with_capacity(64 * 1024, io::stdout())
}

/// Whether people look at standard output.
pub(super) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// How standard output looks.
pub(super) fn stdout_style() -> Style {
    Style::of(io::stdout().is_terminal(), variable)
}

/// How standard error looks.
pub(super) fn style() -> Style {
    match LOGS.get() {
        Some(_) => Style::PLAIN,
        None => Style::of(io::stderr().is_terminal(), variable),
    }
}

/// Set if standard error is for programs that read logs.
static LOGS: OnceLock<Screen> = OnceLock::new();

/// From now on every line on standard error is an object.
pub(super) fn say_as_logs() {
    LOGS.get_or_init(Screen::of_logs);
}

/// Standard error as a screen.
pub(super) fn screen() -> Screen {
    let logs = LOGS.get().cloned();
    logs.unwrap_or_else(|| Screen::new(style().terminal))
}

/// An environment variable, if it is set and readable.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A line on standard error. If that is closed, nobody wants to know.
pub(super) fn say(line: &str) {
    match LOGS.get() {
        Some(logs) => logs.say(line),
        None => drop(writeln!(io::stderr(), "{line}")),
    }
}
