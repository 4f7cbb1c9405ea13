//! Threads for user code: each with an executor of its own, so that futures need not be `Send`.

use std::io;

use futures_util::future::LocalBoxFuture;
use tokio::task::LocalSet;

/// What a thread runs to its end.
pub(super) type Work = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// Has work done on a thread of that name. A simulation has it done where everything else is.
///
/// Work that can't be begun is dropped.
pub(super) type Start = fn(String, Work) -> io::Result<()>;

/// Bytes of stack of a thread: as much as a main thread's, for recursive user code.
const STACK: usize = 8 * 1024 * 1024;

/// Starts a thread.
pub(super) fn start(name: String, work: Work) -> io::Result<()> {
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            LocalSet::new().block_on(&runtime, work());
        }
    };
    let builder = std::thread::Builder::new().name(name);
    builder.stack_size(STACK).spawn(body).map(drop)
}
