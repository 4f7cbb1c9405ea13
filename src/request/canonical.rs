//! The canonical form of a URL: what two spellings of one page have in common.
//!
//! WHATWG parsing only (lower-case scheme and host, default port dropped, dot segments resolved,
//! percent-encoding of what must be encoded), and no fragment. Anything stronger (tracking
//! parameters, session ids) changes what a server sees, so it is an explicit rule, never a default.

use std::borrow::Cow;

use url::Url;

/// Why a URL can't be crawled whatever the scope is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Uncrawlable {
    /// Neither http nor https.
    #[error("scheme `{0}` is not http or https")]
    Scheme(String),
    /// No host.
    #[error("it has no host")]
    NoHost,
    /// Longer than the limit.
    #[error("{bytes} bytes long, the limit is {limit}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The setting `max_url_bytes`.
        limit: usize,
    },
    /// No URL.
    #[error("it is no URL: {0}")]
    Invalid(String),
}

/// The canonical form of `url` as `(origin, path and query)`.
///
/// ```
/// # use nephila::request::canonical;
/// let url = "HTTP://Example.com:80/a/../b?x=1#top".parse()?;
/// assert_eq!(canonical(&url, 8192), Ok(("http://example.com".into(), "/b?x=1".into())));
/// # Ok::<(), url::ParseError>(())
/// ```
///
/// # Errors
/// If the URL is not http(s), has no host, or is longer than `max_bytes`.
pub fn canonical(url: &Url, max_bytes: usize) -> Result<(String, String), Uncrawlable> {
    let bytes = url.as_str().len();
    if bytes > max_bytes {
        return Err(Uncrawlable::TooLong {
            bytes,
            limit: max_bytes,
        });
    }
    let origin = origin_of(url)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    Ok((origin, path.to_owned()))
}

/// Scheme, host and port of `url`, as hosts are named in the store: `https://example.com:8443`.
///
/// # Errors
/// If the URL is not http(s) or has no host.
pub fn origin_of(url: &Url) -> Result<String, Uncrawlable> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Uncrawlable::Scheme(url.scheme().to_owned()));
    }
    if url.host().is_none() {
        return Err(Uncrawlable::NoHost);
    }
    let authority = &url[url::Position::BeforeHost..url::Position::BeforePath];
    Ok(format!("{}://{authority}", url.scheme()))
}

/// `text` with the logins of all URLs in it left out: `http://ann:secret@e.x/` is `http://e.x/`.
/// What is stored or shown goes through here.
pub fn without_logins(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.extend([before, "://"]);
        let is_end = |c: char| matches!(c, '/' | '?' | '#' | '\\' | '"') || c.is_whitespace();
        let (authority, others) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        out.push_str(
            authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host),
        );
        rest = others;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn logins_are_left_out() {
        let check = |text, expected: &str| assert_eq!(without_logins(text), expected);
        check("http://e.x/", "http://e.x/");
        check("http://e.x/@a", "http://e.x/@a");
        check("http://ann:pw@e.x:1/b@c", "http://e.x:1/b@c");
        check("http://a@b:pw@e.x", "http://e.x");
        check(
            "{\"start\":\"http://a:b@e.x\",\"x\":\"a@b\"}",
            "{\"start\":\"http://e.x\",\"x\":\"a@b\"}",
        );
        check(
            "to http://a@e.x and https://b@e.x?c",
            "to http://e.x and https://e.x?c",
        );
    }

    fn check(url: &str, expected: &str) {
        let outcome = match canonical(&url.parse().unwrap(), 100) {
            Ok((origin, path)) => format!("{origin} {path}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected, "{url}");
    }

    #[test]
    fn spellings() {
        check("HTTP://EXAMPLE.com:80", "http://example.com /");
        check(
            "https://example.com:8443/A?b=%7e#c",
            "https://example.com:8443 /A?b=%7e",
        );
        check("http://user:secret@example.com/x", "http://example.com /x");
        check("http://example.com/a/./b/../c", "http://example.com /a/c");
        check(
            "http://b\u{fc}cher.example/\u{e4}",
            "http://xn--bcher-kva.example /%C3%A4",
        );
        check("http://0x7f.1/", "http://127.0.0.1 /");
        check("http://[::1]:80/", "http://[::1] /");
        check("http://example.com/?", "http://example.com /?");
        check(
            "mailto:ann@example.com",
            "scheme `mailto` is not http or https",
        );
        check(
            &format!("http://e.x/{}", "a".repeat(100)),
            "111 bytes long, the limit is 100",
        );
    }

    #[test]
    fn a_megabyte_is_one_pass() {
        let base = Url::parse("http://example.com/a/b?c").unwrap();
        let check = |piece: &str, length: usize| {
            for before in ["", "http://"] {
                let text = format!("{before}{}", piece.repeat(length / piece.len()));
                if let Ok(url) = base.join(&text) {
                    assert!(canonical(&url, usize::MAX).is_ok());
                    let is_long = url.as_str().len() > 8192;
                    assert_eq!(canonical(&url, 8192).is_err(), is_long);
                }
            }
        };
        check("../a/", 1 << 20);
        for piece in [
            "/", "%2e/", "\\", "?", "#", "@", ":", ".", "\u{e4}", "\t", "%",
        ] {
            check(piece, 1 << 17);
        }
    }

    proptest! {
        #[test]
        fn any_link_has_a_canonical_form_or_none(link in "\\PC{0,60}", start in "(|/|//|http:|https://|[?]|#)") {
            let base = Url::parse("http://example.com/a/b?c").unwrap();
            if let Ok(url) = base.join(&format!("{start}{link}"))
                && let Ok((origin, rest)) = canonical(&url, 8192)
            {
                let again = Url::parse(&format!("{origin}{rest}")).unwrap();
                prop_assert_eq!(canonical(&again, 8192), Ok((origin, rest)));
            }
        }

        #[test]
        fn canonical_is_a_fixed_point(path in "[ -~]{0,40}") {
            if let Ok(url) = Url::parse(&format!("http://example.com/{path}"))
                && let Ok((origin, rest)) = canonical(&url, 8192)
            {
                let again = Url::parse(&format!("{origin}{rest}")).unwrap();
                prop_assert_eq!(canonical(&again, 8192), Ok((origin, rest)));
            }
        }
    }
}
