//! What a page says of itself to robots: `<meta name="robots">` and `X-Robots-Tag`.

/// What a page asks of crawlers.
///
/// ```
/// use nephila::policy::robots::Directives;
///
/// let mut said = Directives::default();
/// said.read_header("otherbot: noindex", "Nephila");
/// assert_eq!(said, Directives::default());
/// said.read_header("noarchive, nofollow", "Nephila");
/// assert!(said.nofollow && !said.noindex);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Directives {
    /// Nothing of the page shall be kept.
    pub noindex: bool,
    /// Its links shall not be followed.
    pub nofollow: bool,
}

/// Directives that have a value after a colon, which makes them look like a crawler's name.
const WITH_VALUE: [&str; 4] = [
    "unavailable_after",
    "max-snippet",
    "max-image-preview",
    "max-video-preview",
];

impl Directives {
    /// Takes what one value of `X-Robots-Tag` says to a crawler of this product token. A name with a
    /// colon says whom the directives after it are for.
    pub fn read_header(&mut self, value: &str, token: &str) {
        let mut is_ours = true;
        for part in value.split(',') {
            let mut directive = part.trim();
            if let Some((name, rest)) = part.split_once(':')
                && !WITH_VALUE
                    .iter()
                    .any(|known| name.trim().eq_ignore_ascii_case(known))
            {
                is_ours = name.trim().eq_ignore_ascii_case(token);
                directive = rest.trim();
            }
            if is_ours {
                self.add(directive);
            }
        }
    }

    /// Takes what a `<meta>` of this name says, if it speaks to all robots or to this product token.
    pub fn read_meta(&mut self, name: &str, content: &str, token: &str) {
        let name = name.trim();
        if name.eq_ignore_ascii_case("robots") || name.eq_ignore_ascii_case(token) {
            for directive in content.split(',') {
                self.add(directive.trim());
            }
        }
    }

    fn add(&mut self, directive: &str) {
        let is = |name: &str| directive.eq_ignore_ascii_case(name);
        self.noindex |= is("noindex") || is("none");
        self.nofollow |= is("nofollow") || is("none");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flags(said: Directives) -> &'static str {
        match (said.noindex, said.nofollow) {
            (false, false) => "",
            (true, false) => "index",
            (false, true) => "follow",
            (true, true) => "both",
        }
    }

    #[test]
    fn headers() {
        let check = |value: &str, expected: &str| {
            let mut said = Directives::default();
            said.read_header(value, "Nephila");
            assert_eq!(flags(said), expected, "{value}");
        };
        check("", "");
        check("all", "");
        check("noindex", "index");
        check(" NoIndex , nofollow", "both");
        check("none", "both");
        check("noindexed, xnofollow", "");
        check("googlebot: noindex, nofollow", "");
        check("nephila: noindex", "index");
        check("googlebot: noindex, nephila: nofollow", "follow");
        check("nofollow, googlebot: noindex", "follow");
        check(
            "unavailable_after: 25 Jun 2030 15:00:00 PST, noindex",
            "index",
        );
        check("max-snippet:20, nofollow", "follow");
        check(": noindex", "");
    }

    #[test]
    fn metas() {
        let check = |name: &str, content: &str, expected: &str| {
            let mut said = Directives::default();
            said.read_meta(name, content, "Nephila");
            assert_eq!(flags(said), expected, "{name} {content}");
        };
        check("robots", "noindex,nofollow", "both");
        check("ROBOTS", "NONE", "both");
        check("nephila", "nofollow", "follow");
        check("googlebot", "noindex", "");
        check("robots", "noindex nofollow", "");
        check("description", "noindex", "");
    }

    proptest! {
        #[test]
        fn never_panics(value: String, token: String) {
            let mut said = Directives::default();
            said.read_header(&value, &token);
            said.read_meta(&value, &value, &token);
        }
    }
}
