//! How a command says that it failed.

use std::io;

use super::output;
use crate::engine::CrawlError;
use crate::settings::{SettingsError, closest};
use crate::spider::ArgsError;
use crate::store::StoreError;
use crate::ui::clean;

/// What happened, perhaps more about it, and the code to end with.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    more: Vec<String>,
}

impl Failure {
    /// Wrong usage, settings or spider: nothing was fetched.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            message: message.into(),
            more: Vec::new(),
        }
    }

    /// Something that should not be.
    pub(super) fn broken(message: impl Into<String>) -> Self {
        Self {
            code: 70,
            ..Self::usage(message)
        }
    }

    /// Adds a line: why, or what to do next.
    pub(super) fn more(mut self, line: impl Into<String>) -> Self {
        self.more.push(line.into());
        self
    }

    /// Adds a line, if there is one.
    pub(super) fn maybe(self, line: Option<String>) -> Self {
        match line {
            Some(line) => self.more(line),
            None => self,
        }
    }

    /// Says it on standard error; the code to end with.
    pub(super) fn report(self) -> u8 {
        if self.message.is_empty() {
            return self.code;
        }
        let style = output::style();
        output::say(&format!("{}: {}", style.red("error"), clean(&self.message)));
        for line in &self.more {
            output::say(&format!("     {}", clean(line)));
        }
        self.code
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// `; did you mean …?`, or nothing.
pub(super) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Who closed the pipe has seen enough: that is no failure.
            io::ErrorKind::BrokenPipe => Self {
                code: 0,
                message: String::new(),
                more: Vec::new(),
            },
            _ => Self::broken(error.to_string()),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ArgsError> for Failure {
    fn from(error: ArgsError) -> Self {
        let message = error.to_string();
        match error {
            ArgsError::Unknown {
                spider,
                name,
                known,
            } => {
                let meant = meant(&name, known.iter().copied());
                let has = if known.is_empty() {
                    format!("`{spider}` takes no arguments")
                } else {
                    format!("`{spider}` takes: {}", known.join(", "))
                };
                Self::usage(format!("{message}{meant}")).more(has)
            }
            _ => Self::usage(message),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::usage(error.to_string());
        match error {
            StoreError::Locked { .. } => {
                failure.more("let it end, or crawl into another file: --db other.db")
            }
            StoreError::Full { .. } => Self { code: 3, ..failure }
                .more("stopped cleanly, nothing is lost; free space, then run the same command"),
            // Another try may do: who restarts what ends should.
            StoreError::Away { .. } => Self {
                code: 70,
                ..failure
            }
            .more("is the server up, and is that its address? The same command goes on once it answers"),
            StoreError::Open { reason, .. } if reason == NO_CRAWL => failure
                .more("crawl something into it first:  nephila crawl SPIDER   (nephila list shows them)"),
            StoreError::Open { reason, .. } if is_unwritable(&reason) => failure.more(
                "nothing was fetched; name a file in a folder where you may write: --db PATH",
            ),
            StoreError::Open { .. } | StoreError::Schema { .. } | StoreError::Query(_) => failure,
            _ => Self {
                code: 70,
                ..failure
            },
        }
    }
}

/// What the store says of a database that is none of ours.
pub(super) const NO_CRAWL: &str = "there is no crawl in it";

/// Whether that is what is wrong with a place.
fn is_unwritable(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    let words = ["read-only", "denied", "can't be written"];
    words.iter().any(|words| reason.contains(words))
}

impl From<CrawlError> for Failure {
    fn from(error: CrawlError) -> Self {
        match error {
            CrawlError::Store(error) => error.into(),
            other => Self::usage(other.to_string()),
        }
    }
}
