//! The header `Referer` ([W3C Referrer Policy](https://www.w3.org/TR/referrer-policy/), section 8).

use url::{Host, Url};

use crate::request::{ReferrerPolicy, origin_of};

/// A longer one is cut to its origin.
const MAX_BYTES: usize = 4096;

/// What a request to `to` tells of the page `from`, if anything.
pub fn referer(policy: ReferrerPolicy, from: &Url, to: &Url) -> Option<String> {
    use ReferrerPolicy as Policy;

    let origin = origin_of(from).ok()?;
    let same_origin = || origin_of(to).as_ref() == Ok(&origin);
    let downgrade = || is_trustworthy(from) && !is_trustworthy(to);
    let (allowed, whole) = match policy {
        Policy::NoReferrer => (false, false),
        Policy::UnsafeUrl => (true, true),
        Policy::NoReferrerWhenDowngrade => (!downgrade(), true),
        Policy::Origin => (true, false),
        Policy::StrictOrigin => (!downgrade(), false),
        Policy::SameOrigin => (same_origin(), true),
        Policy::OriginWhenCrossOrigin => (true, same_origin()),
        Policy::StrictOriginWhenCrossOrigin => {
            let same_origin = same_origin();
            (same_origin || !downgrade(), same_origin)
        }
    };
    if !allowed {
        return None;
    }
    let path = &from[url::Position::BeforePath..url::Position::AfterQuery];
    if whole && origin.len() + path.len() <= MAX_BYTES {
        Some(origin + path)
    } else {
        Some(origin + "/")
    }
}

/// TLS, or no network in between.
fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://ann:pw@a.example/x?y=z#top";
    const WHOLE: &str = "https://a.example/x?y=z";
    const ORIGIN: &str = "https://a.example/";

    /// What goes to the same origin, to another, and to another without TLS.
    fn check(policy: ReferrerPolicy, expected: [&str; 3]) {
        let to = [
            "https://a.example/b",
            "https://b.example/",
            "http://a.example/",
        ];
        for (to, expected) in to.into_iter().zip(expected) {
            let said = referer(policy, &PAGE.parse().unwrap(), &to.parse().unwrap());
            assert_eq!(said.unwrap_or_default(), expected, "{policy:?} to {to}");
        }
    }

    #[test]
    fn every_policy() {
        check(ReferrerPolicy::NoReferrer, ["", "", ""]);
        check(ReferrerPolicy::NoReferrerWhenDowngrade, [WHOLE, WHOLE, ""]);
        check(ReferrerPolicy::SameOrigin, [WHOLE, "", ""]);
        check(ReferrerPolicy::Origin, [ORIGIN; 3]);
        check(ReferrerPolicy::StrictOrigin, [ORIGIN, ORIGIN, ""]);
        check(
            ReferrerPolicy::OriginWhenCrossOrigin,
            [WHOLE, ORIGIN, ORIGIN],
        );
        check(
            ReferrerPolicy::StrictOriginWhenCrossOrigin,
            [WHOLE, ORIGIN, ""],
        );
        check(ReferrerPolicy::UnsafeUrl, [WHOLE; 3]);
    }

    #[test]
    fn long_ones_are_cut() {
        let from = format!("http://a.example/{}", "x".repeat(5000));
        let to = "http://a.example/".parse().unwrap();
        let said = referer(ReferrerPolicy::default(), &from.parse().unwrap(), &to);
        assert_eq!(said.as_deref(), Some("http://a.example/"));
    }
}
