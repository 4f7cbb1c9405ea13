//! Where a redirect leads, as a request of its own.
//!
//! Every hop goes through the frontier like any other request, so that scheme, scope, robots.txt,
//! politeness and the address guard hold for it. What is decided here is which request it is
//! (RFC 9110, 15.4): method and body by status, and what may be sent along to another origin.

use http::{HeaderName, Method, StatusCode, header};
use url::{Position, Url};

use crate::request::{Request, Response, origin_of};

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotFollowed {
    /// There is no Location, or it is no URL.
    #[error("redirect without a usable Location{0}")]
    Location(String),
    /// It leads to something that is not HTTP.
    #[error("redirect to a `{0}:` URL")]
    Scheme(String),
    /// The chain is longer than the limit.
    #[error("more than {0} redirects")]
    TooMany(u8),
    /// A body would be sent to another origin.
    #[error("redirect would send the body on to {0}")]
    BodyElsewhere(String),
}

/// Headers of a request that may go to another origin.
const HARMLESS: [HeaderName; 4] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::USER_AGENT,
    header::CACHE_CONTROL,
];

/// Headers that belong to a body, and go where it goes.
const OF_BODY: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// Whether a status is a redirect that has a target.
pub fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect of `request` leads to.
///
/// # Errors
/// Why it is not followed.
pub fn follow(request: &Request, response: &Response, max: u8) -> Result<Request, NotFollowed> {
    let becomes_get = match response.status.as_u16() {
        303 => request.method != Method::HEAD,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    room(request, max)?;
    hop(request, target(request, response)?, becomes_get)
}

/// The request that a page leads to by a refresh (the header, or a `<meta>`): a GET of `url`.
///
/// # Errors
/// Why it is not followed.
pub fn refresh(request: &Request, url: Url, max: u8) -> Result<Request, NotFollowed> {
    room(request, max)?;
    hop(request, with_fragment(request, url)?, true)
}

fn room(request: &Request, max: u8) -> Result<(), NotFollowed> {
    if request.redirects.len() >= usize::from(max) {
        return Err(NotFollowed::TooMany(max));
    }
    Ok(())
}

fn hop(request: &Request, url: Url, becomes_get: bool) -> Result<Request, NotFollowed> {
    let mut next = request.clone();
    next.redirects.push(request.url.clone());
    next.not_before = None;
    if becomes_get {
        next.method = Method::GET;
        next.body = None;
        next.secret_body = false;
        for name in OF_BODY {
            next.headers.remove(name);
        }
    }
    if origin_of(&url) != origin_of(&request.url) {
        if next.body.is_some() && (!request.resend_body || request.secret_body) {
            return Err(NotFollowed::BodyElsewhere(
                url.host_str().unwrap_or_default().to_owned(),
            ));
        }
        let foreign = |name: &&HeaderName| !HARMLESS.contains(name) && !OF_BODY.contains(name);
        let foreign: Vec<_> = next.headers.keys().filter(foreign).cloned().collect();
        for name in foreign {
            next.headers.remove(name);
        }
    }
    // What a form or a forced request leads to is wanted whether it was seen or not; and in a loop
    // the chain must go on until it is too long, not end as if all were well.
    let again = next.redirects.iter().any(|earlier| is_same(earlier, &url));
    next.dedup = request.dedup && request.method == Method::GET && !again;
    next.url = url;
    Ok(next)
}

/// Whether two URLs are one but for their fragments.
pub(crate) fn is_same(one: &Url, other: &Url) -> bool {
    one[..Position::AfterQuery] == other[..Position::AfterQuery]
}

fn target(request: &Request, response: &Response) -> Result<Url, NotFollowed> {
    let location = response.headers.get(header::LOCATION);
    let location = location.ok_or_else(|| NotFollowed::Location(String::new()))?;
    // Servers send raw UTF-8 here; browsers take it, and so does the URL parser.
    let text = String::from_utf8_lossy(location.as_bytes());
    let unusable = || NotFollowed::Location(format!(": `{text}`"));
    let url = request.url.join(&text).map_err(|_| unusable())?;
    with_fragment(request, url)
}

/// A target with the fragment of the request, unless it has its own (RFC 9110, 10.2.2).
fn with_fragment(request: &Request, mut url: Url) -> Result<Url, NotFollowed> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NotFollowed::Scheme(url.scheme().to_owned()));
    }
    if url.fragment().is_none() {
        url.set_fragment(request.url.fragment());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::request::StepRef;

    fn post() -> Request {
        let url = "https://a.example/form#top".parse().unwrap();
        let mut request = Request::new(url, StepRef::named("x"));
        request.method = Method::POST;
        request.body = Some("secret".into());
        request
            .headers
            .insert("x-api-key", HeaderValue::from_static("k"));
        request
            .headers
            .insert("content-type", HeaderValue::from_static("text/plain"));
        request
    }

    fn check(request: &Request, status: u16, location: &str, expected: &str) {
        let mut response = Response::new(request.url.clone(), "");
        response.status = StatusCode::from_u16(status).unwrap();
        response
            .headers
            .insert(header::LOCATION, HeaderValue::from_str(location).unwrap());
        let outcome = match follow(request, &response, 3) {
            Err(error) => error.to_string(),
            Ok(next) => {
                let headers: Vec<_> = next.headers.keys().map(HeaderName::as_str).collect();
                format!("{} {} [{}]", next.method, next.url, headers.join(" "))
            }
        };
        assert_eq!(outcome, expected, "{status} {location}");
    }

    #[test]
    fn method_body_and_headers() {
        check(
            &post(),
            302,
            "/next",
            "GET https://a.example/next#top [x-api-key]",
        );
        check(
            &post(),
            303,
            "/n#x",
            "GET https://a.example/n#x [x-api-key]",
        );
        check(
            &post(),
            307,
            "/n",
            "POST https://a.example/n#top [x-api-key content-type]",
        );
        check(
            &post(),
            308,
            "https://b.example/",
            "redirect would send the body on to b.example",
        );
        let mut again = post();
        again.resend_body = true;
        check(
            &again,
            307,
            "https://b.example/",
            "POST https://b.example/#top [content-type]",
        );
        check(
            &post(),
            302,
            "https://b.example/",
            "GET https://b.example/#top []",
        );
        check(
            &post(),
            302,
            "http://a.example/",
            "GET http://a.example/#top []",
        );
    }

    #[test]
    fn what_is_not_followed() {
        let mut get = Request::new("http://a.example/".parse().unwrap(), StepRef::named("x"));
        check(&get, 301, "file:///etc/passwd", "redirect to a `file:` URL");
        check(
            &get,
            301,
            "http://",
            "redirect without a usable Location: `http://`",
        );
        get.redirects = vec![get.url.clone(); 3];
        check(&get, 301, "/", "more than 3 redirects");
    }

    /// As the Fetch standard has it: 303 makes a GET of all but HEAD, 301 and 302 of POST alone.
    #[test]
    fn which_methods_become_get() {
        let check = |method: Method, expected: [&str; 5]| {
            let mut request = post();
            request.method = method.clone();
            let become_of = |status: u16| {
                let mut response = Response::new(request.url.clone(), "");
                response.status = StatusCode::from_u16(status).unwrap();
                let there = HeaderValue::from_static("/there");
                response.headers.insert(header::LOCATION, there);
                follow(&request, &response, 3).unwrap().method.to_string()
            };
            assert_eq!(
                [301, 302, 303, 307, 308].map(become_of),
                expected,
                "{method}"
            );
        };
        check(Method::GET, ["GET"; 5]);
        check(Method::HEAD, ["HEAD"; 5]);
        check(Method::POST, ["GET", "GET", "GET", "POST", "POST"]);
        check(Method::PUT, ["PUT", "PUT", "GET", "PUT", "PUT"]);
        check(
            Method::DELETE,
            ["DELETE", "DELETE", "GET", "DELETE", "DELETE"],
        );
    }

    #[test]
    fn fragments_are_kept_unless_there_is_another() {
        let check = |from: &str, to: &str, expected: &str| {
            let request = Request::new(from.parse().unwrap(), StepRef::named("x"));
            let next = refresh(&request, request.url.join(to).unwrap(), 3).unwrap();
            assert_eq!(next.url.as_str(), expected, "{from} {to}");
            assert_eq!(next.redirects, [request.url]);
        };
        check("http://a.example/a#top", "/b", "http://a.example/b#top");
        check("http://a.example/a#top", "/b#x", "http://a.example/b#x");
        check("http://a.example/a#top", "/b#", "http://a.example/b#");
        check(
            "http://a.example/a",
            "http://b.example/b",
            "http://b.example/b",
        );
    }

    #[test]
    fn a_refresh_is_a_redirect_to_get() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let next = refresh(&post(), url("https://b.example/"), 3).unwrap();
        assert_eq!((&next.method, &next.body), (&Method::GET, &None));
        assert!(next.headers.is_empty());
        let refused = |to| refresh(&post(), url(to), 3).unwrap_err();
        assert_eq!(
            refused("javascript:x"),
            NotFollowed::Scheme("javascript".into())
        );
        let mut far = post();
        far.redirects = vec![far.url.clone(); 3];
        let refused = refresh(&far, url("https://a.example/"), 3);
        assert_eq!(refused, Err(NotFollowed::TooMany(3)));
    }

    #[test]
    fn a_form_s_target_is_always_fetched() {
        let follow_dedup = |request: &Request, location| {
            let mut response = Response::new(request.url.clone(), "");
            response.status = StatusCode::FOUND;
            response
                .headers
                .insert(header::LOCATION, HeaderValue::from_static(location));
            follow(request, &response, 3).unwrap().dedup
        };
        let get = Request::new("http://a.example/a".parse().unwrap(), StepRef::named("x"));
        assert!(follow_dedup(&get, "/b"));
        assert!(!follow_dedup(&get, "/a"));
        assert!(!follow_dedup(&get, "/a#other"));
        assert!(!follow_dedup(&post(), "/b"));
    }
}
