//! What a terminal shows of a crawl: progress while it runs, and the verdict at its end.
//!
//! Everything here is a fold over [events](crate::engine::Event) or a reading of the
//! [report](crate::engine::Report); nothing decides anything. What comes from pages is
//! [cleaned](clean) before it is shown, because a terminal obeys what it is shown.

mod clean;
mod figures;
mod progress;
mod screen;
mod style;
mod tally;
mod verdict;

pub use clean::{clean, shorten};
pub use figures::{bytes, clock, count, duration, plural};
pub use progress::{Mode, Progress};
pub use screen::Screen;
pub use style::Style;
pub use verdict::{Crawled, verdict};
