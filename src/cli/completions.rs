//! `nephila completions SHELL`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::failure::Failure;
use super::{CommandLine, output};

/// Print a completion script for a shell
///
/// For bash:  nephila completions bash > ~/.local/share/bash-completion/completions/nephila
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<u8, Failure> {
        // Into memory first: the generator panics if its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut CommandLine::command(),
            "nephila",
            &mut script,
        );
        output::stdout().write_all(&script)?;
        Ok(0)
    }
}
