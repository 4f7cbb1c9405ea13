//! The two streams: data and messages.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

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
    Style::of(io::stderr().is_terminal(), variable)
}

/// Standard error as a screen.
pub(super) fn screen() -> Screen {
    Screen::new(style().terminal)
}

/// An environment variable, if it is set and readable.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A line on standard error. If that is closed, nobody wants to know.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
