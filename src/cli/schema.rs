//! `nephila schema`.

use std::io::Write;

use super::failure::Failure;
use super::output;
use crate::declared::json_schema;

/// Print the JSON Schema of a spider's TOML file, for editors
///
/// Editors with a TOML language server (Taplo, Even Better TOML) use it for a file that begins with
/// `#:schema PATH`.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaOf {}

impl SchemaOf {
    #[expect(
        clippy::unused_self,
        reason = "it has no flags yet, as other commands have"
    )]
    pub(super) fn run(self) -> Result<u8, Failure> {
        let text = serde_json::to_string_pretty(&json_schema())
            .map_err(|error| Failure::broken(error.to_string()))?;
        writeln!(output::stdout(), "{text}")?;
        Ok(0)
    }
}
