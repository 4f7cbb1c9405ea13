//! `nephila shell URL`: a page under one's hands.

mod commands;
mod editor;
mod find;
mod words;

use std::io::{BufRead, IsTerminal};

use super::failure::Failure;
use super::looker::{LookFlags, Looker};
use super::output;
use crate::request::Response;

use commands::Then;
use editor::{Editor, Read};

const EXAMPLES: &str = "\
Examples:
  nephila shell https://shop.example/book/7
  nephila shell saved.html
  echo 'css h1' | nephila shell https://shop.example/   commands from a pipe, data to standard output

Commands:
  css h1, xpath //h1, json $.title, ld Product    what matches; a line that is no command is a selector
  find \"51.77\"                                    selectors of what has this text
  help                                            all of them";

/// Look at a page: try selectors on it, with history and completion of its own tags, classes and ids
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Shell {
    /// An absolute URL, or a file
    url: String,
    #[command(flatten)]
    look: LookFlags,
}

impl Shell {
    pub(super) fn needs_spiders(&self) -> bool {
        self.look.needs_spiders()
    }

    pub(super) async fn run(self) -> Result<u8, Failure> {
        let looker = self.look.looker()?;
        let example = "nephila shell https://shop.example/book/7";
        let Some(response) = looker.see(&self.url, example).await? else {
            return Ok(1);
        };
        let session = Session { looker, response };
        if std::io::stdin().is_terminal() && output::stdout_is_terminal() {
            session.talk().await
        } else {
            session.obey().await
        }
    }
}

/// A page, and what another is fetched with.
struct Session {
    looker: Looker,
    response: Response,
}

impl Session {
    /// Reads commands from a terminal.
    async fn talk(mut self) -> Result<u8, Failure> {
        output::say(
            "css, xpath, json, re, find, links, html, view, fetch, help; Tab completes, ^D ends",
        );
        let mut editor = Editor::new()?;
        editor.know(&self.looker.page(&self.response));
        loop {
            match editor.read()? {
                Read::End => return Ok(0),
                Read::Nothing => {}
                Read::Line(line) => match self.act(&line).await? {
                    Then::End => return Ok(0),
                    Then::Elsewhere => editor.know(&self.looker.page(&self.response)),
                    Then::On | Then::Wrong => {}
                },
            }
        }
    }

    /// Reads commands from a pipe; ends with 1 if one of them could not be done.
    async fn obey(mut self) -> Result<u8, Failure> {
        let mut code = 0;
        for line in std::io::stdin().lock().lines() {
            match self.act(&line?).await? {
                Then::End => break,
                Then::Wrong => code = 1,
                Then::On | Then::Elsewhere => {}
            }
        }
        Ok(code)
    }

    /// Goes to another page.
    async fn go(&mut self, target: &str) -> Result<Then, Failure> {
        let url = self.looker.page(&self.response).join(target);
        let target = url.map_or_else(|_| target.to_owned(), |url| url.to_string());
        match self.looker.see(&target, "fetch /book/7").await {
            Ok(Some(response)) => {
                self.response = response;
                Ok(Then::Elsewhere)
            }
            Ok(None) => Ok(Then::Wrong),
            Err(failure) => {
                output::say(&failure.to_string());
                Ok(Then::Wrong)
            }
        }
    }
}
