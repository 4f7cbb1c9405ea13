//! What stands between the crawl and the fetch: stages that change, answer or refuse requests, and
//! change responses.
//!
//! Stages are ordered. The first sees a request first and its response last:
//!
//! ```text
//! crawl ─▶ first ─▶ second ─▶ … ─▶ fetch
//!       ◀─       ◀─        ◀─   ◀─
//! ```
//!
//! A stage gets the request and a [`Next`], which stands for all that comes after it. It may pass a
//! changed request on, answer without passing anything on, or refuse; and it may change the response
//! on its way back. Where nothing is to be added, the chain is empty and costs nothing.
//!
//! ```
//! use nephila::fetch::{FetchError, Middleware, Next};
//! use nephila::request::{Request, Response};
//!
//! /// Signs what goes to the API.
//! struct Sign {
//!     key: String,
//! }
//!
//! impl Middleware for Sign {
//!     async fn handle(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
//!         let mut request = request.clone();
//!         let signature = format!("{}:{}", self.key, request.url.path());
//!         if let Ok(signature) = signature.parse() {
//!             request.headers.insert("x-signature", signature);
//!         }
//!         next.fetch(&request).await
//!     }
//! }
//!
//! // A test needs neither an engine nor a network.
//! async fn echo(request: Request, _: Next) -> Result<Response, FetchError> {
//!     let signature = request.headers["x-signature"].as_bytes().to_vec();
//!     Ok(Response::new(request.url, signature))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> nephila::Result {
//! # use nephila::request::StepRef;
//! let request = Request::new("http://api.example/v1".parse()?, StepRef::named("page"));
//! let sign = Sign { key: "7".to_owned() };
//! let response = sign.handle(&request, Next::stage(echo)).await?;
//! assert_eq!(response.body, "7:/v1");
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{DynFetch, FailureKind, Fetch, FetchError};
use crate::request::{Request, Response};

/// A stage between the crawl and the fetch.
///
/// Called once per try of a request, from many tasks at once, on the caller's runtime. It gets all
/// that a crawl sends: pages, downloads, and robots.txt files, for which
/// [`is_robots`](crate::request::StepRef::is_robots) is true. It is called when the request's turn
/// has come, so it must not wait for its own politeness; its time counts towards the request's
/// time-out. It may be dropped at any await.
///
/// An `async` closure form is `|request: Request, next: Next| async move { .. }`: it owns its request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no middleware",
    label = "expected a `Middleware` or a closure",
    note = "implement `Middleware` for it, or write \
            `|request: Request, next: Next| async move {{ next.fetch(&request).await }}`"
)]
pub trait Middleware: Send + Sync + 'static {
    /// Handles `request`: passes it on with [`next.fetch`](Next::fetch), once, more often or not at
    /// all, and returns what came of it.
    ///
    /// # Errors
    /// What kept the answer from coming, from here or from what comes after;
    /// [`FetchError::refused`] skips the page, with the reason recorded.
    fn handle(
        &self,
        request: &Request,
        next: Next,
    ) -> impl Future<Output = Result<Response, FetchError>> + Send;
}

impl<F, O> Middleware for F
where
    F: Fn(Request, Next) -> O + Send + Sync + 'static,
    O: Future<Output = Result<Response, FetchError>> + Send,
{
    async fn handle(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
        self(request.clone(), next).await
    }
}

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Response, FetchError>> + Send + 'a>>;

/// The boxed twin of [`Middleware`].
trait DynMiddleware: Send + Sync + 'static {
    fn handle<'a>(&'a self, request: &'a Request, next: Next) -> Outcome<'a>;
}

impl<M: Middleware> DynMiddleware for M {
    fn handle<'a>(&'a self, request: &'a Request, next: Next) -> Outcome<'a> {
        Box::pin(Middleware::handle(self, request, next))
    }
}

/// Stages in order, the first being the outermost.
#[derive(Clone, Default)]
pub struct Middlewares(Vec<Arc<dyn DynMiddleware>>);

impl Middlewares {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// These, and then `stage`, which is nearer to the fetch.
    #[must_use]
    pub fn with(mut self, stage: impl Middleware) -> Self {
        self.0.push(Arc::new(stage));
        self
    }

    /// These, and then `others`.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `fetch` with these stages before it; without stages, itself.
    pub(crate) fn around(self, fetch: Arc<dyn DynFetch>) -> Arc<dyn DynFetch> {
        if self.is_empty() {
            return fetch;
        }
        Arc::new(Next::of(self.0, fetch))
    }
}

impl std::fmt::Debug for Middlewares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Middlewares({})", self.len())
    }
}

struct Chain {
    stages: Vec<Arc<dyn DynMiddleware>>,
    fetch: Arc<dyn DynFetch>,
}

/// All that comes after a stage: the stages behind it, and the fetch.
#[derive(Clone)]
pub struct Next {
    chain: Arc<Chain>,
    at: usize,
}

impl Next {
    /// A rest that is one fetch: for tests of a middleware.
    pub fn to(fetch: impl Fetch) -> Self {
        Self::of(Vec::new(), Arc::new(fetch))
    }

    /// A rest that is one stage, which answers everything: for tests of a middleware.
    pub fn stage(stage: impl Middleware) -> Self {
        Self::of(vec![Arc::new(stage)], Arc::new(Nowhere))
    }

    /// A rest that is `stages`, the last of which answers everything.
    pub(crate) fn before(stages: Middlewares) -> Self {
        Self::of(stages.0, Arc::new(Nowhere))
    }

    fn of(stages: Vec<Arc<dyn DynMiddleware>>, fetch: Arc<dyn DynFetch>) -> Self {
        Self {
            chain: Arc::new(Chain { stages, fetch }),
            at: 0,
        }
    }

    /// Passes `request` on and waits for what comes of it.
    ///
    /// # Errors
    /// What the stages behind or the fetch say.
    pub async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        match self.chain.stages.get(self.at) {
            Some(stage) => {
                let rest = Self {
                    chain: Arc::clone(&self.chain),
                    at: self.at + 1,
                };
                stage.handle(request, rest).await
            }
            None => self.chain.fetch.fetch(request).await,
        }
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let left = self.chain.stages.len().saturating_sub(self.at);
        write!(f, "Next({left} stages)")
    }
}

impl Fetch for Next {
    async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
        Self::fetch(self, request).await
    }
}

/// The end of a chain that has none.
struct Nowhere;

impl Fetch for Nowhere {
    async fn fetch(&self, _: &Request) -> Result<Response, FetchError> {
        Err(FetchError::new(FailureKind::Other, "no fetch behind this"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::StepRef;

    /// Adds its mark to the request's path on the way out, and to the body on the way back.
    struct Mark(&'static str);

    impl Middleware for Mark {
        async fn handle(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
            let mut request = request.clone();
            let path = format!("{}{}", request.url.path(), self.0);
            request.url.set_path(&path);
            let mut response = next.fetch(&request).await?;
            response.body = [&response.body, self.0.as_bytes()].concat().into();
            Ok(response)
        }
    }

    struct Path;

    impl Fetch for Path {
        async fn fetch(&self, request: &Request) -> Result<Response, FetchError> {
            let path = request.url.path().to_owned();
            Ok(Response::new(request.url.clone(), path))
        }
    }

    fn request() -> Request {
        Request::new("http://e.x/".parse().unwrap(), StepRef::named("page"))
    }

    async fn check(stages: Middlewares, expected: &str) {
        let fetch = stages.around(Arc::new(Path));
        let outcome = fetch.fetch(&request()).await;
        let text = match outcome {
            Ok(response) => String::from_utf8_lossy(&response.body).into_owned(),
            Err(error) => format!("{}: {error}", error.kind.as_str()),
        };
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn the_first_is_outermost() {
        check(Middlewares::new(), "/").await;
        let two = Middlewares::new().with(Mark("a")).with(Mark("b"));
        check(two.clone(), "/abba").await;
        check(two.and(Middlewares::new().with(Mark("c"))), "/abccba").await;
    }

    #[tokio::test]
    async fn closures_answer_and_refuse() {
        let answer = |request: Request, _: Next| async move {
            Ok::<_, FetchError>(Response::new(request.url, "mine"))
        };
        check(
            Middlewares::new()
                .with(Mark("a"))
                .with(answer)
                .with(Mark("b")),
            "minea",
        )
        .await;
        let refuse = |request: Request, next: Next| async move {
            if request.url.path().ends_with('a') {
                return Err(FetchError::refused("not this one"));
            }
            next.fetch(&request).await
        };
        check(Middlewares::new().with(refuse), "/").await;
        check(
            Middlewares::new().with(Mark("a")).with(refuse),
            "refused: not this one",
        )
        .await;
    }

    #[tokio::test]
    async fn a_stage_may_ask_more_than_once() {
        let twice = |request: Request, next: Next| async move {
            let first = next.fetch(&request).await?;
            let second = next.fetch(&request).await?;
            let both = [first.body, second.body].concat();
            Ok::<_, FetchError>(Response::new(request.url, both))
        };
        check(Middlewares::new().with(twice).with(Mark("b")), "/bb/bb").await;
    }

    #[test]
    fn an_empty_chain_is_the_fetch_itself() {
        let fetch: Arc<dyn DynFetch> = Arc::new(Path);
        let around = Middlewares::new().around(Arc::clone(&fetch));
        assert!(Arc::ptr_eq(&fetch, &around));
    }
}
