//! Logs: `NEPHILA_LOG` says which, `--log-format` how.

use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::failure::Failure;
use super::output;
use crate::ui::Screen;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One object per line.
    Json,
}

/// Begins to write logs above what stands at the bottom of the screen.
pub(super) fn start(format: LogFormat, screen: &Screen) -> Result<(), Failure> {
    let wanted = output::variable("NEPHILA_LOG").filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or("warn"))
        .map_err(|error| Failure::usage(format!("NEPHILA_LOG: {error}")))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Above(Arc::new(screen.clone())));
    // Only fails if the program around us has set up logs of its own: then those are used.
    let _ = match format {
        LogFormat::Pretty => logs.with_ansi(output::style().color).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    Ok(())
}

struct Above(Arc<Screen>);

impl<'a> MakeWriter<'a> for Above {
    type Writer = &'a Screen;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}
