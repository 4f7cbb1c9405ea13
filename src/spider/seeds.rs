//! Where a crawl starts.

use std::any::TypeId;

use tokio::sync::mpsc;
use url::Url;

use crate::request::{Request, RequestBuilder, Result, Step};

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
        self.send(self.made(url.as_ref(), step)?).await
    }

    /// Starts a seed that is more than a URL: a search by POST, GraphQL, headers. It is sent by
    /// [`send`](Self::send).
    ///
    /// ```
    /// # use nephila::prelude::*;
    /// # #[derive(Default)] struct Users;
    /// #[spider]
    /// impl Users {
    ///     async fn start(&self, seeds: Seeds) -> Result {
    ///         let query = serde_json::json!({ "query": "{ users { id name } }" });
    ///         let request = seeds.request("https://api.example/graphql", Self::users)?;
    ///         seeds.send(request.json(&query).build()?).await
    ///     }
    ///
    ///     async fn users(&self, page: Page) -> Result {
    ///         let names: Vec<String> = page.get("json:$.data.users[*].name")?;
    ///         println!("{names:?}");
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// If it is no absolute URL, or the step is none.
    pub fn request<M>(
        &self,
        url: impl AsRef<str>,
        step: impl Step<M>,
    ) -> Result<RequestBuilder<'static>> {
        let request = self.made(url.as_ref(), step)?;
        let unsent = |_| Err("a seed is sent by `seeds.send(request.build()?)`".into());
        Ok(RequestBuilder::new(Ok(request), unsent))
    }

    fn made<M>(&self, url: &str, step: impl Step<M>) -> Result<Request> {
        let url = url.trim();
        let url = Url::parse(url).map_err(|error| format!("start URL `{url}`: {error}"))?;
        let step = step.step()?;
        if let (Some(step_of), Some(own)) = (step.spider, self.spider)
            && step_of != own
        {
            return Err(format!("step `{}` belongs to another spider", step.name).into());
        }
        Ok(Request::new(url, step))
    }

    /// Sends a whole request as a seed, as [`request`](Self::request) makes one.
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
