//! Where a crawl starts.

use std::any::TypeId;

use tokio::sync::mpsc;
use url::Url;

use crate::request::{Request, Result, Step};

/// The way into the frontier for `start()`.
///
/// [`push`](Seeds::push) waits while the store is behind, so a stream of millions of seeds needs no
/// memory: they are written in batches as they come.
#[derive(Clone, Debug)]
pub struct Seeds {
    sender: mpsc::Sender<Request>,
    spider: Option<TypeId>,
}

impl Seeds {
    /// Seeds and the end where they come out: for the engine, and for tests of `start()`.
    pub fn channel(capacity: usize, spider: Option<TypeId>) -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { sender, spider }, receiver)
    }

    /// Sends the URL of a seed, to be read by `step`.
    ///
    /// # Errors
    /// If it is no absolute URL, the step is none, or the crawl is stopping.
    ///
    /// # Cancel safety
    /// A dropped call has not sent the seed.
    pub async fn push<M>(&self, url: impl AsRef<str>, step: impl Step<M>) -> Result {
        let url = url.as_ref().trim();
        let url = Url::parse(url).map_err(|error| format!("start URL `{url}`: {error}"))?;
        let step = step.step()?;
        if let (Some(step_of), Some(own)) = (step.spider, self.spider)
            && step_of != own
        {
            return Err(format!("step `{}` belongs to another spider", step.name).into());
        }
        self.send(Request::new(url, step)).await
    }

    /// Sends a whole request as a seed.
    ///
    /// # Errors
    /// If the crawl is stopping.
    ///
    /// # Cancel safety
    /// A dropped call has not sent the seed.
    pub async fn send(&self, request: Request) -> Result {
        self.sender
            .send(request)
            .await
            .map_err(|_| "the crawl is stopping".into())
    }
}
