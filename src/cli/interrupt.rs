//! Ctrl-C and SIGTERM: once, finish what is in flight; twice, stop at once.

use tokio::task::JoinHandle;

use super::failure::Failure;
use crate::engine::{Inspector, StopHandle};
use crate::ui::{Screen, clean};

/// Listens for signals until it is dropped.
#[derive(Debug)]
pub(super) struct Interrupts(JoinHandle<()>);

impl Interrupts {
    /// Begins to listen, and to pass on to `stop`.
    pub(super) fn listen(stop: StopHandle, screen: Screen) -> Result<Self, Failure> {
        let mut signals = Signals::new()?;
        let listen = async move {
            signals.next().await;
            screen.say("finishing what is in flight; again to stop now");
            stop.stop();
            signals.next().await;
            screen.say("stopping now; the same command goes on later");
            stop.abort();
            signals.next().await;
            // The crawl does not end by itself: what is stored is whole at any moment.
            std::process::exit(130);
        };
        Ok(Self(tokio::spawn(listen)))
    }
}

/// Tells on SIGUSR1 what the crawl is at, until it is dropped.
#[derive(Debug)]
pub(super) struct Looks(#[cfg(unix)] JoinHandle<()>);

impl Looks {
    #[cfg(unix)]
    pub(super) fn listen(inspector: Inspector, screen: Screen) -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut asked = signal(SignalKind::user_defined1())?;
        let listen = async move {
            while asked.recv().await.is_some() {
                let told = inspector.look().await;
                let told = told.unwrap_or_else(|| "the crawl does not answer".to_owned());
                for line in told.lines() {
                    screen.say(&clean(line));
                }
            }
        };
        Ok(Self(tokio::spawn(listen)))
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    pub(super) fn listen(_: Inspector, _: Screen) -> Result<Self, Failure> {
        Ok(Self())
    }
}

#[cfg(unix)]
impl Drop for Looks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The signals that ask a program to end.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nothing to wait for: no signal will come.
            std::future::pending::<()>().await;
        }
    }
}
