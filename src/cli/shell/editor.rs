//! A line of the shell: typed, completed, remembered.

use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::words::Words;
use crate::cli::failure::Failure;
use crate::page::Page;

/// Lines that are remembered.
const REMEMBERED: usize = 1_000;

pub(super) struct Editor {
    lines: rustyline::Editor<Completion, FileHistory>,
    history: Option<PathBuf>,
}

/// What was typed.
pub(super) enum Read {
    Line(String),
    /// ^C: the line is thrown away.
    Nothing,
    End,
}

impl Editor {
    pub(super) fn new() -> Result<Self, Failure> {
        let mut lines = rustyline::Editor::new().map_err(cannot)?;
        lines.set_helper(Some(Completion(Words::default())));
        let _ = lines.set_max_history_size(REMEMBERED);
        let _ = lines.set_history_ignore_dups(true);
        let history = history();
        if let Some(path) = &history {
            // There is none before the first time.
            let _ = lines.load_history(path);
        }
        Ok(Self { lines, history })
    }

    /// Completes from this page on.
    pub(super) fn know(&mut self, page: &Page) {
        self.lines.set_helper(Some(Completion(Words::of(page))));
    }

    pub(super) fn read(&mut self) -> Result<Read, Failure> {
        match self.lines.readline("nephila> ") {
            Ok(line) => {
                let _ = self.lines.add_history_entry(&line);
                if let Some(path) = &self.history {
                    let folder = path.parent().map(std::fs::create_dir_all);
                    // A history that can't be kept is no reason to stop.
                    let _ =
                        folder.and_then(|made| made.ok().map(|()| self.lines.save_history(path)));
                }
                Ok(Read::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Read::Nothing),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(error) => Err(cannot(error)),
        }
    }
}

fn cannot(error: impl std::fmt::Display) -> Failure {
    Failure::broken(format!("can't read from the terminal: {error}"))
}

/// Where lines are kept, by the XDG rules.
fn history() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = state.filter(|path| path.is_absolute()).or_else(home)?;
    Some(state.join("nephila").join("shell_history"))
}

struct Completion(Words);

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.0.complete(&line[..at]);
        let pair = |word: String| Pair {
            display: word.clone(),
            replacement: word,
        };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}
