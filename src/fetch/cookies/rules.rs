//! Who may set which cookie (RFC 6265bis), beyond what the cookie crates check themselves: domain
//! and path.

use cookie_store::{Cookie, CookieDomain, CookiePath, RawCookie};
use http::HeaderValue;
use psl::Psl;
use url::{Host, Url};

/// Attributes of a field, and what surrounds them: more is not parsed.
const MAX_ATTRIBUTE_BYTES: usize = 4096;

/// The cookie that `field` of an answer from `url` sets, or nothing if it may not, or if name and
/// value are longer than `max`.
pub(super) fn accept(field: &HeaderValue, url: &Url, max: usize) -> Option<Cookie<'static>> {
    if field.len() > max + MAX_ATTRIBUTE_BYTES {
        return None;
    }
    let text = std::str::from_utf8(field.as_bytes()).ok()?;
    let raw = RawCookie::parse(text).ok()?;
    if raw.name().len() + raw.value().len() > max {
        return None;
    }
    let mut cookie = Cookie::try_from_raw_cookie(&raw, url).ok()?;
    if let CookieDomain::Suffix(domain) = &cookie.domain
        && is_shared(domain)
    {
        // A whole registry's cookie: nobody's, but for the host of that very name.
        if url.host_str() != Some(domain) {
            return None;
        }
        cookie.domain = CookieDomain::host_only(url).ok()?;
    }
    let is_secure = raw.secure().unwrap_or(false);
    if is_secure && !is_trustworthy(url) || breaks_prefix(&cookie, is_secure) {
        return None;
    }
    Some(cookie.into_owned())
}

/// The registrable domain of `host`, or `host` itself: an address, `localhost`, a registry.
pub(super) fn site_of(host: &str) -> &str {
    if is_address(host) {
        return host;
    }
    psl::List
        .domain(host.as_bytes())
        .and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok())
        .unwrap_or(host)
}

pub(super) fn site_of_cookie(cookie: &Cookie<'_>) -> String {
    let domain = cookie.domain.as_cow().unwrap_or_default();
    site_of(&domain).to_owned()
}

/// What tells a cookie from all others: `domain;path;name`. None of the three holds a semicolon.
pub(super) fn key(cookie: &Cookie<'_>) -> String {
    let domain = cookie.domain.as_cow().unwrap_or_default();
    format!("{domain};{};{}", &*cookie.path, cookie.name())
}

/// Whether more than one owner may have hosts under `domain`: it is on the public suffix list, or
/// has one label.
fn is_shared(domain: &str) -> bool {
    let suffix = psl::List.suffix(domain.as_bytes());
    suffix.is_some_and(|suffix| suffix.as_bytes() == domain.as_bytes())
}

/// Whether `host`, as a URL writes it, is an address.
fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// TLS, or no network in between.
fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

/// Whether the name promises what the attributes do not keep.
fn breaks_prefix(cookie: &Cookie<'_>, is_secure: bool) -> bool {
    let has_prefix = |prefix: &str| {
        let start = cookie.name().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_bound = || {
        let root = CookiePath::parse("/").is_some_and(|root| root == cookie.path);
        root && matches!(cookie.domain, CookieDomain::HostOnly(_))
    };
    has_prefix("__Secure-") && !is_secure || has_prefix("__Host-") && !(is_secure && is_bound())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, from: &str, expected: Option<&CookieDomain>) {
        let field = HeaderValue::from_str(field).unwrap();
        let cookie = accept(&field, &from.parse().unwrap(), 4096);
        assert_eq!(
            cookie.as_ref().map(|cookie| &cookie.domain),
            expected,
            "{field:?} from {from}"
        );
    }

    #[test]
    fn domains() {
        let host = |name: &str| CookieDomain::HostOnly(name.into());
        let suffix = |name: &str| CookieDomain::Suffix(name.into());
        check("k=v", "http://a.example/", Some(&host("a.example")));
        check(
            "k=v; Domain=a.co.uk",
            "http://b.a.co.uk/",
            Some(&suffix("a.co.uk")),
        );
        check("k=v; Domain=co.uk", "http://a.co.uk/", None);
        check("k=v; Domain=intern", "http://a.intern/", None);
        check(
            "k=v; Domain=github.io",
            "http://github.io/",
            Some(&host("github.io")),
        );
        check(
            "k=v; Domain=localhost",
            "http://localhost/",
            Some(&host("localhost")),
        );
        check(
            "k=v; Domain=127.0.0.1",
            "http://127.0.0.1/",
            Some(&suffix("127.0.0.1")),
        );
        check("k=v; Domain=0.0.1", "http://127.0.0.1/", None);
    }

    #[test]
    fn sizes() {
        let long = "x".repeat(2 * 4096);
        check(&format!("k=v; Path=/{long}"), "http://a.example/", None);
        let long = "x".repeat(4096);
        check(&format!("k={long}"), "http://a.example/", None);
    }

    #[test]
    fn sites() {
        let table = [
            ("a.b.example.com", "example.com"),
            ("a.b.co.uk", "b.co.uk"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            ("1.2.3.4", "1.2.3.4"),
            ("[::1]", "[::1]"),
        ];
        for (host, site) in table {
            assert_eq!(site_of(host), site);
        }
    }
}
