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
    init(format, filter, Above(Arc::new(screen.clone())));
    Ok(())
}

/// Only fails if the program around us has set up logs of its own: then those are used.
#[cfg(not(all(feature = "console", tokio_unstable)))]
fn init(format: LogFormat, filter: EnvFilter, writer: Above) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let _ = match format {
        LogFormat::Pretty => logs.with_ansi(output::style().color).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    #[cfg(feature = "console")]
    if console_is_wanted() {
        tracing::warn!(
            "tokio-console finds nothing here: build with RUSTFLAGS=\"--cfg tokio_unstable\""
        );
    }
}

/// No port is opened unless somebody names it, for two crawls would want the same.
#[cfg(feature = "console")]
fn console_is_wanted() -> bool {
    output::variable("TOKIO_CONSOLE_BIND").is_some_and(|place| !place.is_empty())
}

/// The same, and what tokio-console asks is answered.
#[cfg(all(feature = "console", tokio_unstable))]
fn init(format: LogFormat, filter: EnvFilter, writer: Above) {
    use tracing_subscriber::prelude::*;

    let logs = tracing_subscriber::fmt::layer().with_writer(writer);
    let logs = match format {
        LogFormat::Pretty => logs.with_ansi(output::style().color).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    let _ = tracing_subscriber::registry()
        .with(console_is_wanted().then(console_subscriber::spawn))
        .with(logs.with_filter(filter))
        .try_init();
}

struct Above(Arc<Screen>);

impl<'a> MakeWriter<'a> for Above {
    type Writer = &'a Screen;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}
