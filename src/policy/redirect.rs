//! Where a redirect leads, as a request of its own.
//!
//! Every hop goes through the frontier like any other request, so that scheme, scope, robots.txt,
//! politeness and the address guard hold for it. What is decided here is which request it is
//! (RFC 9110, 15.4): method and body by status, and what may be sent along to another origin.

use http::{HeaderName, Method, StatusCode, header};
use url::Url;

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

/// Whether a status is a redirect that has a target.
pub fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect of `request` leads to.
///
/// # Errors
/// Why it is not followed.
pub fn follow(request: &Request, response: &Response, max: u8) -> Result<Request, NotFollowed> {
    if request.redirects.len() >= usize::from(max) {
        return Err(NotFollowed::TooMany(max));
    }
    let url = target(request, response)?;
    let mut next = request.clone();
    next.redirects.push(request.url.clone());
    next.not_before = None;
    let status = response.status.as_u16();
    let becomes_get = match status {
        303 => request.method != Method::HEAD,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        next.method = Method::GET;
        next.body = None;
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
        ] {
            next.headers.remove(name);
        }
    }
    if origin_of(&url) != origin_of(&request.url) {
        if next.body.is_some() {
            return Err(NotFollowed::BodyElsewhere(
                url.host_str().unwrap_or_default().to_owned(),
            ));
        }
        let foreign: Vec<_> = next
            .headers
            .keys()
            .filter(|name| !HARMLESS.contains(name))
            .cloned()
            .collect();
        for name in foreign {
            next.headers.remove(name);
        }
    }
    // What a form or a forced request leads to is wanted whether it was seen or not; and in a loop
    // the chain must go on until it is too long, not end as if all were well.
    next.dedup = request.dedup && request.method == Method::GET && !next.redirects.contains(&url);
    next.url = url;
    Ok(next)
}

fn target(request: &Request, response: &Response) -> Result<Url, NotFollowed> {
    let location = response.headers.get(header::LOCATION);
    let location = location.ok_or_else(|| NotFollowed::Location(String::new()))?;
    // Servers send raw UTF-8 here; browsers take it, and so does the URL parser.
    let text = String::from_utf8_lossy(location.as_bytes());
    let unusable = || NotFollowed::Location(format!(": `{text}`"));
    let mut url = request.url.join(text.trim()).map_err(|_| unusable())?;
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
        assert!(!follow_dedup(&post(), "/b"));
    }
}
