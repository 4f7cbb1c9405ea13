//! The commands: everything a terminal sees of the library.

use std::process::ExitCode;

/// Runs the command line of this program.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
