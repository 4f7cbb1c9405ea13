//! The terminal's lower end, and what scrolls above it.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use unicode_width::UnicodeWidthChar;

use crate::clock;

/// Columns and rows of a terminal that does not tell them.
const UNKNOWN: (usize, usize) = (80, 24);

/// Standard error as a place for two things at once: lines that scroll, and a few that stay at the
/// bottom. Clones are handles to the same place.
///
/// The cursor rests below the lines, at the left: what the terminal itself echoes, like the `^C` of
/// an interrupt, stands there and is wiped by the next drawing.
#[derive(Clone)]
pub struct Screen {
    /// What stands at the bottom.
    lines: Arc<Mutex<Vec<String>>>,
    draws: bool,
    as_logs: bool,
}

impl Screen {
    /// Standard error; `draws` if it is a terminal that can move its cursor.
    pub fn new(draws: bool) -> Self {
        Self {
            lines: Arc::default(),
            draws,
            as_logs: false,
        }
    }

    /// Standard error for programs that read logs: every line is an object.
    pub fn of_logs() -> Self {
        Self {
            as_logs: true,
            ..Self::new(false)
        }
    }

    /// Writes a line that scrolls. A standard error that is closed is nobody's concern.
    pub fn say(&self, line: &str) {
        if self.as_logs {
            line.lines()
                .for_each(|line| self.write(as_log(line).as_bytes()));
        } else {
            self.write(format!("{line}\n").as_bytes());
        }
    }

    /// Replaces the lines at the bottom.
    pub fn draw(&self, texts: &[String]) {
        if !self.draws {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        emit(&repaint(lines.len(), &[], texts, size()));
        lines.clear();
        lines.extend_from_slice(texts);
    }

    /// Takes the lines at the bottom away.
    pub fn clear(&self) {
        self.draw(&[]);
    }

    fn write(&self, text: &[u8]) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            emit(text);
        } else {
            emit(&repaint(lines.len(), text, &lines, size()));
        }
    }
}

/// A line for people as an object like those of logs; one that is an object already stays as it is.
fn as_log(line: &str) -> String {
    if line.starts_with("{\"") {
        return format!("{line}\n");
    }
    let message = line.trim();
    let level = match message.split(':').next() {
        Some("error") => "ERROR",
        Some("warning") => "WARN",
        _ => "INFO",
    };
    let object = serde_json::json!({
        "timestamp": clock::now(),
        "level": level,
        "message": message,
        "target": "nephila",
    });
    format!("{object}\n")
}

/// In one write, so that nothing flickers.
fn emit(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    terminal_size::terminal_size_of(io::stderr())
        .map_or(UNKNOWN, |(columns, rows)| (columns.0.into(), rows.0.into()))
}

/// From below `old` lines: `above` in their place, then `below`, each cut to the terminal's width.
fn repaint(old: usize, above: &[u8], below: &[String], (columns, rows): (usize, usize)) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.push(b'\r');
    let old = old.min(rows.saturating_sub(1));
    if old > 0 {
        out.extend(format!("\x1b[{old}A").bytes());
    }
    if !above.is_empty() {
        out.extend(b"\x1b[J");
        out.extend(above);
    }
    for line in below.iter().take(rows.saturating_sub(1)) {
        // One column stays free: a cursor beyond the last one wraps on some terminals.
        out.extend(cut(line, columns.saturating_sub(1)).bytes());
        out.extend(b"\x1b[K\n");
    }
    out.extend(b"\x1b[J");
    out
}

/// The first `width` columns of a line; what sets colours has no width.
fn cut(line: &str, width: usize) -> String {
    let (mut out, mut left, mut styled) = (String::with_capacity(line.len()), width, false);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\x1b' {
            styled = true;
            out.push(c);
            out.extend(rest.by_ref().take_while(|c| *c != 'm'));
            out.push('m');
            continue;
        }
        let Some(fits) = left.checked_sub(c.width().unwrap_or(0)) else {
            break;
        };
        left = fits;
        out.push(c);
    }
    if styled {
        out.push_str("\x1b[0m");
    }
    out
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screen(draws: {})", self.draws)
    }
}

/// So that logs scroll above the lines at the bottom.
impl Write for &Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Screen::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_to_the_terminal() {
        let check = |line, width, expected: &str| assert_eq!(cut(line, width), expected);
        check("plain", 5, "plain");
        check("plain", 4, "plai");
        check("日本語", 5, "日本");
        check("\x1b[1mbold\x1b[0m text", 6, "\x1b[1mbold\x1b[0m t\x1b[0m");
        check("\x1b[33mlong", 2, "\x1b[33mlo\x1b[0m");
    }

    #[test]
    fn lines_are_objects_among_logs() {
        let check = |line: &str, level: &str, message: &str| {
            let object: serde_json::Value = serde_json::from_str(&as_log(line)).unwrap();
            assert_eq!(
                (&object["level"], &object["message"]),
                (&level.into(), &message.into())
            );
            assert!(
                object["timestamp"]
                    .as_str()
                    .is_some_and(|at| at.ends_with('Z'))
            );
        };
        check("error: no such host", "ERROR", "error: no such host");
        check("warning: slow", "WARN", "warning: slow");
        check("     more \"of\" it", "INFO", "more \"of\" it");
        assert_eq!(as_log("{\"pages\":1}"), "{\"pages\":1}\n");
    }

    #[test]
    fn lines_are_replaced_where_they_stand() {
        let text = |old, above: &str, below: &[&str], size| {
            let below: Vec<_> = below.iter().map(|&line| line.to_owned()).collect();
            String::from_utf8(repaint(old, above.as_bytes(), &below, size)).unwrap()
        };
        assert_eq!(
            text(0, "", &["a", "b"], UNKNOWN),
            "\ra\x1b[K\nb\x1b[K\n\x1b[J"
        );
        assert_eq!(text(2, "", &["c"], UNKNOWN), "\r\x1b[2Ac\x1b[K\n\x1b[J");
        assert_eq!(
            text(1, "log\n", &["abc"], (3, 9)),
            "\r\x1b[1A\x1b[Jlog\nab\x1b[K\n\x1b[J"
        );
        // What does not fit is not drawn, and so not wiped.
        assert_eq!(
            text(3, "", &["a", "b", "c"], (9, 2)),
            "\r\x1b[1Aa\x1b[K\n\x1b[J"
        );
    }
}
