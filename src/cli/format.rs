//! Data on standard output, in the format that was asked for.

use std::io::Write;

use super::output;
use super::table::{Markdown, Table};
use crate::export::{Csv, Export, JsonArray, JsonLines};

/// Formats of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A table for people
    Table,
    /// One JSON array
    Json,
    /// JSON Lines: an object per line
    Jsonl,
    /// CSV with a header
    Csv,
    /// A table in Markdown
    Md,
    /// CSV without formulas
    #[value(skip)]
    SafeCsv,
}

impl Format {
    /// What was asked for; else a table on a terminal, JSON Lines in a pipe.
    pub(super) fn or_default(format: Option<Self>) -> Self {
        format.unwrap_or_else(|| {
            if output::stdout_is_terminal() {
                Self::Table
            } else {
                Self::Jsonl
            }
        })
    }

    /// Writes rows in this format. On a terminal nothing passes that could command it.
    pub(super) fn export<'a>(self, to: impl Write + Send + 'a) -> Box<dyn Export + Send + 'a> {
        match self {
            Self::Table => Box::new(Table::new(to, output::stdout_style())),
            Self::Json => Box::new(JsonArray::new(to)),
            Self::Jsonl => Box::new(JsonLines::new(to)),
            Self::Csv | Self::SafeCsv => {
                let csv = Csv::new(to).escape_formulas(self == Self::SafeCsv);
                if output::stdout_is_terminal() {
                    Box::new(super::table::Cleaned(csv))
                } else {
                    Box::new(csv)
                }
            }
            Self::Md => Box::new(Markdown::new(to)),
        }
    }

    /// As [`Self::export`], for rows of our own: people see nothing where there is nothing.
    pub(super) fn listing<'a>(self, to: impl Write + Send + 'a) -> Box<dyn Export + Send + 'a> {
        match self {
            Self::Table => Box::new(Table::new(to, output::stdout_style()).without_nulls()),
            _ => self.export(to),
        }
    }
}

/// The flag of commands that print data.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct FormatFlag {
    /// How to print it [default: table on a terminal, jsonl in a pipe]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    format: Option<Format>,
    /// In CSV, texts that a spreadsheet would take for formulas get a ' before them
    #[arg(long, help_heading = "Output")]
    escape_formulas: bool,
}

impl FormatFlag {
    pub(super) fn get(self) -> Format {
        match Format::or_default(self.format) {
            Format::Csv if self.escape_formulas => Format::SafeCsv,
            format => format,
        }
    }
}
