//! Logging in: what an identity does before its first request, and again when it is logged out.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderName, HeaderValue, Method, header};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::page::{AsSelector, Context, Page};
use crate::request::{Request, Response, Result, Session, StepRef};

/// A conversation with a site that ends with an identity being logged in.
///
/// A spider that has `async fn login(&self, login: Login) -> Result` has it called once for each
/// session, before its first request, and again when the session is logged out: when an answer is
/// 401, leads to the page where the login began, or a step says [`LoggedOut`]. Requests of that
/// session wait meanwhile, others do not.
///
/// What is asked here passes robots.txt, the host's pace and the address guard, like anything; its
/// redirects are followed. It is not stored, so passwords are at home here. An error means that
/// nobody is logged in. It is tried three times if what was asked last got no answer, or one that may pass like
/// 503, and once if it was refused: sites lock accounts.
///
/// ```
/// use nephila::prelude::*;
///
/// #[derive(Default)]
/// struct Orders;
///
/// #[spider(start = "http://127.0.0.1:7788/orders")]
/// impl Orders {
///     async fn login(&self, login: Login) -> Result {
///         let form = login.get("http://127.0.0.1:7788/login").await?;
///         let fields = [("user", "ann"), ("pass", login.secret("password")?)];
///         let page = login.submit(&form, "form.login", &fields).await?;
///         page.get::<String>("a.logout").map(drop)
///     }
///
///     async fn orders(&self, page: Page) -> Result {
///         page.follow("a[rel=next]", Self::orders)?;
///         Ok(())
///     }
/// }
/// ```
pub struct Login {
    session: Session,
    secrets: BTreeMap<String, std::result::Result<String, String>>,
    asks: mpsc::Sender<Ask>,
}

/// What a login asks of the crawl.
pub enum Ask {
    /// To be fetched as the session, redirects followed.
    Fetch(Box<Request>, oneshot::Sender<Result<Response>>),
    /// A header for all later requests of the session to the origin of this URL.
    Keep(Url, HeaderName, HeaderValue),
}

/// Said by a step whose page shows that nobody is logged in: `return Err(LoggedOut.into())`. The
/// session logs in again, and the page is fetched once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logged out")]
pub struct LoggedOut;

/// A secret that is not to be had, however often it is asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoSecret(pub(crate) String);

/// Shows no secret.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.session())
    }
}

impl Login {
    /// A login and the end where its questions come out: for the engine, and for tests of logins.
    /// Secrets are by name, or why they can't be had.
    pub fn channel(
        session: Session,
        secrets: BTreeMap<String, std::result::Result<String, String>>,
    ) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, receiver) = mpsc::channel(1);
        let login = Self {
            session,
            secrets,
            asks,
        };
        (login, receiver)
    }

    /// The name of the session that logs in; empty if the crawl has just one.
    pub fn session(&self) -> &str {
        self.session.name().unwrap_or_default()
    }

    /// A secret of the settings: of the session's `secrets`, else of the crawl's.
    ///
    /// # Errors
    /// If there is none of this name, or its environment variable is not set.
    pub fn secret(&self, name: &str) -> Result<&str> {
        match self.secrets.get(name) {
            Some(Ok(secret)) => Ok(secret),
            Some(Err(why)) => Err(NoSecret(why.clone()).into()),
            None => {
                let why = format!("no secret `{name}`: name it in the setting `secrets`");
                Err(NoSecret(why).into())
            }
        }
    }

    /// Fetches `url`. An answer that leads here later means that the session is logged out.
    ///
    /// # Errors
    /// If no answer came, or one that says 4xx or 5xx.
    ///
    /// # Cancel safety
    /// A dropped call may have reached the server.
    pub async fn get(&self, url: impl AsRef<str>) -> Result<Page> {
        self.send(self.request(url.as_ref())?).await
    }

    /// Sends the form that matches, as [`Page::submit`] does.
    ///
    /// # Errors
    /// If there is no such form, no answer came, or one that says 4xx or 5xx.
    ///
    /// # Cancel safety
    /// A dropped call may have reached the server.
    pub async fn submit(
        &self,
        page: &Page,
        selector: impl AsSelector,
        fields: &[(&str, &str)],
    ) -> Result<Page> {
        let (url, body) = page.filled_form(selector, fields)?;
        match body {
            None => self.get(url.as_str()).await,
            Some(fields) => self.post(url.as_str(), &fields).await,
        }
    }

    /// Sends pairs or a struct as a form, by POST.
    ///
    /// # Errors
    /// If no answer came, or one that says 4xx or 5xx.
    ///
    /// # Cancel safety
    /// A dropped call may have reached the server.
    pub async fn post(
        &self,
        url: impl AsRef<str>,
        fields: &(impl Serialize + ?Sized),
    ) -> Result<Page> {
        let body = serde_urlencoded::to_string(fields)?;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.post_body(url.as_ref(), body.into(), kind).await
    }

    /// Sends a value as JSON, by POST.
    ///
    /// # Errors
    /// If no answer came, or one that says 4xx or 5xx.
    ///
    /// # Cancel safety
    /// A dropped call may have reached the server.
    pub async fn post_json(
        &self,
        url: impl AsRef<str>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<Page> {
        let body = serde_json::to_vec(value)?;
        let kind = HeaderValue::from_static("application/json");
        self.post_body(url.as_ref(), body, kind).await
    }

    /// Sends a header with every later request of the session to the origin of `url`: for tokens that
    /// are no cookies. It is kept in memory, so a resumed crawl logs in again.
    ///
    /// # Errors
    /// If `url` is none, or the header can't be sent.
    ///
    /// # Cancel safety
    /// A dropped call has kept nothing.
    pub async fn keep_header(&self, url: impl AsRef<str>, name: &str, value: &str) -> Result {
        let url = Url::parse(url.as_ref())?;
        let header = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header"))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| format!("the value of header `{name}` has a forbidden character"))?;
        value.set_sensitive(true);
        let ask = self.asks.send(Ask::Keep(url, header, value)).await;
        ask.map_err(|_| "the crawl is stopping".into())
    }

    /// Sends any request.
    ///
    /// # Errors
    /// If no answer came, or one that says 4xx or 5xx.
    ///
    /// # Cancel safety
    /// A dropped call may have reached the server.
    pub async fn send(&self, request: Request) -> Result<Page> {
        let method = request.method.clone();
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Fetch(Box::new(request), answer);
        let stopping = || "the crawl is stopping";
        self.asks.send(ask).await.map_err(|_| stopping())?;
        let response = answered.await.map_err(|_| stopping())??;
        let (status, url) = (response.status, &response.url);
        if status.is_client_error() || status.is_server_error() {
            let to = match method {
                Method::GET => String::new(),
                method => format!(" to {method}"),
            };
            return Err(format!("{url} answered {status}{to}").into());
        }
        let context = Context {
            session: self.session.clone(),
            ..Context::default()
        };
        Ok(Page::new(response, context))
    }

    /// A request for [`send`](Self::send).
    ///
    /// # Errors
    /// If `url` is not absolute.
    pub fn request(&self, url: &str) -> Result<Request> {
        let url = Url::parse(url).map_err(|error| format!("`{url}` is no URL: {error}"))?;
        Ok(Request::new(url, StepRef::named("login")))
    }

    async fn post_body(&self, url: &str, body: Vec<u8>, kind: HeaderValue) -> Result<Page> {
        let mut request = self.request(url)?;
        request.method = Method::POST;
        request.headers.insert(header::CONTENT_TYPE, kind);
        request.body = Some(body.into());
        request.secret_body = true;
        self.send(request).await
    }
}
