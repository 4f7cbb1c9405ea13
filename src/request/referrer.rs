//! What a request tells of the page where it was found.

use serde::{Deserialize, Serialize};
use url::Url;

/// A policy of [W3C Referrer Policy](https://www.w3.org/TR/referrer-policy/).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferrerPolicy {
    /// Nothing.
    NoReferrer,
    /// The whole URL, unless that would go from https to http.
    NoReferrerWhenDowngrade,
    /// The whole URL within an origin, nothing to others.
    SameOrigin,
    /// The origin only.
    Origin,
    /// The origin only, unless that would go from https to http.
    StrictOrigin,
    /// The whole URL within an origin, the origin to others.
    OriginWhenCrossOrigin,
    /// The same, but nothing from https to http: the default of browsers, and ours.
    #[default]
    StrictOriginWhenCrossOrigin,
    /// The whole URL to anybody.
    UnsafeUrl,
}

impl ReferrerPolicy {
    /// The last policy known of a list, as the header `Referrer-Policy` has it.
    pub fn parse(list: &str) -> Option<Self> {
        list.split(',')
            .rev()
            .find_map(|token| Self::named(token.trim()))
    }

    fn named(token: &str) -> Option<Self> {
        let all = [
            ("no-referrer", Self::NoReferrer),
            ("no-referrer-when-downgrade", Self::NoReferrerWhenDowngrade),
            ("same-origin", Self::SameOrigin),
            ("origin", Self::Origin),
            ("strict-origin", Self::StrictOrigin),
            ("origin-when-cross-origin", Self::OriginWhenCrossOrigin),
            (
                "strict-origin-when-cross-origin",
                Self::StrictOriginWhenCrossOrigin,
            ),
            ("unsafe-url", Self::UnsafeUrl),
        ];
        let known = all
            .into_iter()
            .find(|(name, _)| token.eq_ignore_ascii_case(name));
        known.map(|(_, policy)| policy)
    }
}

/// What the page of a request's link said about being told, or where a chain of redirects began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// The page, if it is not the one where the request was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// The page's policy, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ReferrerPolicy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_policies() {
        let check = |list, expected| assert_eq!(ReferrerPolicy::parse(list), expected, "{list}");
        check("no-referrer", Some(ReferrerPolicy::NoReferrer));
        check(" Unsafe-URL ", Some(ReferrerPolicy::UnsafeUrl));
        check("no-referrer, origin", Some(ReferrerPolicy::Origin));
        check("origin, of-the-future", Some(ReferrerPolicy::Origin));
        check("", None);
        check("never", None);
    }
}
