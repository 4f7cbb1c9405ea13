//! Building a request that is more than a link.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use serde::Serialize;

use super::{Proxy, Request, Result, Session};

type Sink<'a> = Box<dyn FnOnce(Request) -> Result + 'a>;

/// A request in the making: change it, then [`send`](RequestBuilder::send) it.
///
/// Errors (a bad header, a body that can't be written) are kept and returned by `send`.
#[must_use = "nothing is queued before `.send()?`"]
pub struct RequestBuilder<'a> {
    request: Result<Request>,
    sink: Sink<'a>,
}

impl<'a> RequestBuilder<'a> {
    pub(crate) fn new(request: Result<Request>, sink: impl FnOnce(Request) -> Result + 'a) -> Self {
        Self {
            request,
            sink: Box::new(sink),
        }
    }

    /// The HTTP method; GET by default, POST once a body is set.
    pub fn method(self, method: Method) -> Self {
        self.change(|request| request.method = method)
    }

    /// Sets a header of this request alone.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.try_change(|request| {
            let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header"))?;
            let value = HeaderValue::try_from(value)
                .map_err(|_| format!("the value of header `{name}` has a forbidden character"))?;
            request.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets a header that is a secret. Its value is neither stored nor shown: a resumed crawl has it
    /// only once `start()`, or a setting's `auth`, has said it again. `Authorization`, `Cookie` and
    /// `Proxy-Authorization` are secrets anyway.
    pub fn secret_header(self, name: &str, value: &str) -> Self {
        let named = HeaderName::try_from(name);
        self.header(name, value).change(|request| {
            if let Some(value) = named.ok().and_then(|name| request.headers.get_mut(name)) {
                value.set_sensitive(true);
            }
        })
    }

    /// The body is a secret: neither stored nor shown, as with [`secret_header`](Self::secret_header).
    pub fn secret_body(self) -> Self {
        self.change(|request| request.secret_body = true)
    }

    /// Sends `body` as it is, by POST unless the method was set.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.change(|request| {
            request.body = Some(body.into());
            if request.method == Method::GET {
                request.method = Method::POST;
            }
        })
    }

    /// Sends pairs or a struct as `application/x-www-form-urlencoded`, by POST.
    pub fn form(self, fields: &(impl Serialize + ?Sized)) -> Self {
        match serde_urlencoded::to_string(fields) {
            Ok(body) => self
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body),
            Err(error) => self.try_change(|_| Err(error.into())),
        }
    }

    /// Sends a value as JSON, by POST.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.header("content-type", "application/json").body(body),
            Err(error) => self.try_change(|_| Err(error.into())),
        }
    }

    /// Who makes the request: a name (`"ann"`), [`page.session()`](crate::page::Page::session), or
    /// [`Session::Any`]. Else it is the page's session where that has a name, and any where not.
    pub fn session(self, session: impl Into<Session>) -> Self {
        self.change(|request| request.session = session.into())
    }

    /// The proxy of this request, with its redirects and retries: `http://user:password@host:3128`,
    /// also `https://`, `socks5://`, `socks5h://`, or `direct`. It wins over its session's, the crawl's
    /// and `no_proxy`. The login is a secret, as with [`secret_header`](Self::secret_header).
    pub fn proxy(self, url: &str) -> Self {
        self.try_change(|request| {
            request.proxy = Some(url.parse::<Proxy>()?);
            Ok(())
        })
    }

    /// Higher comes first within its host; 0 by default.
    pub fn priority(self, priority: i16) -> Self {
        self.change(|request| request.priority = priority)
    }

    /// When its page last changed, as a sitemap or a feed tells: a page of a step with
    /// `revisit = "lastmod"` is asked for again if that is after it was last asked for.
    pub fn lastmod(self, moment: impl Into<Option<Timestamp>>) -> Self {
        let moment = moment.into();
        self.change(|request| request.lastmod = moment)
    }

    /// `false`: fetch it even if the same request is known.
    pub fn dedup(self, dedup: bool) -> Self {
        self.change(|request| request.dedup = dedup)
    }

    /// `true`: a redirect that keeps the method (307, 308) sends the body on even to another origin
    /// (scheme, host or port). Otherwise such a redirect fails.
    pub fn resend_body(self, resend: bool) -> Self {
        self.change(|request| request.resend_body = resend)
    }

    /// Total time for this request, instead of the crawl's.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|request| request.timeout = Some(timeout))
    }

    /// How often it is tried again if it fails in a way that may pass, instead of as the crawl's
    /// `retries` and `retries_for` say; 0 is never.
    pub fn retries(self, retries: u16) -> Self {
        self.change(|request| request.retries = Some(retries))
    }

    /// Not to be fetched before `moment`; kept over restarts.
    pub fn not_before(self, moment: Timestamp) -> Self {
        self.change(|request| request.not_before = Some(moment))
    }

    /// The request itself, where it is sent in another way than by [`send`](Self::send):
    /// [`Seeds::send`](crate::spider::Seeds::send).
    ///
    /// # Errors
    /// The first thing that was wrong with it.
    pub fn build(self) -> Result<Request> {
        self.request
    }

    /// Queues the request; it is stored when its page is.
    ///
    /// # Errors
    /// The first thing that was wrong with it.
    pub fn send(self) -> Result {
        (self.sink)(self.request?)
    }

    fn change(self, change: impl FnOnce(&mut Request)) -> Self {
        self.try_change(|request| {
            change(request);
            Ok(())
        })
    }

    fn try_change(mut self, change: impl FnOnce(&mut Request) -> Result) -> Self {
        self.request = self
            .request
            .and_then(|mut request| change(&mut request).map(|()| request));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::StepRef;
    use super::*;

    fn check(build: impl FnOnce(RequestBuilder<'_>) -> RequestBuilder<'_>, expected: &str) {
        let sent = RefCell::new(None);
        let request = Request::new("http://e.x/".parse().unwrap(), StepRef::named("a"));
        let builder = RequestBuilder::new(Ok(request), |request| {
            sent.replace(Some(request));
            Ok(())
        });
        let outcome = build(builder).send().map(|()| {
            let request = sent.take().unwrap();
            let body = request.body.clone().unwrap_or_default();
            format!("{} {}", request.method, String::from_utf8_lossy(&body))
        });
        assert_eq!(outcome.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn bodies_choose_the_method() {
        check(|request| request, "GET ");
        check(|request| request.form(&[("a", "1 2")]), "POST a=1+2");
        check(
            |request| request.json(&[1, 2]).method(Method::PUT),
            "PUT [1,2]",
        );
    }

    #[test]
    fn the_first_error_is_kept() {
        check(
            |request| request.header("a b", "c").priority(1),
            "`a b` is no header",
        );
        check(
            |request| request.header("a", "c\r\nd: e"),
            "the value of header `a` has a forbidden character",
        );
        check(
            |request| request.proxy("gopher://ann:hunter2@p:1"),
            "`p:1` is no proxy: it takes `http://`, `https://`, `socks5://` or `socks5h://`, a host and \
             a port, as in http://user:password@proxy:3128, or `direct`",
        );
    }
}
