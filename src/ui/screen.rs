//! The terminal's lower end, and what scrolls above it.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Standard error as a place for two things at once: lines that scroll, and a few that stay at the
/// bottom. Clones are handles to the same place.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    lines: Arc<Mutex<Vec<ProgressBar>>>,
    draws: bool,
}

impl Screen {
    /// Standard error; `draws` if it is a terminal that can move its cursor.
    pub fn new(draws: bool) -> Self {
        let target = if draws {
            ProgressDrawTarget::stderr_with_hz(4)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            lines: Arc::default(),
            draws,
        }
    }

    /// Writes a line that scrolls. A standard error that is closed is nobody's concern.
    pub fn say(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Replaces the lines at the bottom.
    pub fn draw(&self, texts: &[String]) {
        if !self.draws {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.len() < texts.len() {
            let style = ProgressStyle::with_template("{wide_msg}");
            let line = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            lines.push(self.bars.add(line));
        }
        for (at, line) in lines.iter().enumerate() {
            line.set_message(texts.get(at).cloned().unwrap_or_default());
        }
    }

    /// Takes the lines at the bottom away.
    pub fn clear(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.drain(..) {
            line.finish_and_clear();
            self.bars.remove(&line);
        }
    }

    fn write(&self, text: &[u8]) {
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text);
        });
    }
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
