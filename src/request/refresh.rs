//! `Refresh`: the header, and the content of `<meta http-equiv=refresh>`.
//!
//! Parsed by the steps that HTML gives for it ("shared declarative refresh steps"), which are those of
//! browsers: one pass over the text, however long and strange it is.

use std::time::Duration;

/// A page that leads on after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh<'a> {
    /// How long a browser would show the page.
    pub delay: Duration,
    /// Where it leads, as written; empty: to the page itself.
    pub target: &'a str,
}

impl<'a> Refresh<'a> {
    /// Reads `5; url=/next` in all its spellings; none if it is no refresh.
    ///
    /// ```
    /// use nephila::request::Refresh;
    ///
    /// let refresh = Refresh::parse("5; URL='/next'").ok_or("no refresh")?;
    /// assert_eq!((refresh.delay.as_secs(), refresh.target), (5, "/next"));
    /// assert_eq!(Refresh::parse("soon"), None);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = skip_space(text);
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 && !text.starts_with('.') {
            return None;
        }
        let delay = Duration::from_secs(seconds(&text[..digits]));
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if !rest.starts_with(|c| c == ';' || c == ',' || is_space(c)) && !rest.is_empty() {
            return None;
        }
        let rest = skip_space(rest);
        let rest = skip_space(rest.strip_prefix([';', ',']).unwrap_or(rest));
        Some(Self {
            delay,
            target: unquoted(without_name(rest)),
        })
    }
}

/// A whole number, as large as it may be.
fn seconds(digits: &str) -> u64 {
    match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    }
}

/// What comes after `url=`, or all of it if that is not there.
fn without_name(text: &str) -> &str {
    let named = text
        .get(..3)
        .filter(|name| name.eq_ignore_ascii_case("url"))
        .and_then(|_| skip_space(&text[3..]).strip_prefix('='));
    named.map_or(text, skip_space)
}

/// Without quotes, and without what comes after the closing one.
fn unquoted(text: &str) -> &str {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return text;
    };
    let inner = &text[1..];
    inner.find(quote).map_or(inner, |end| &inner[..end])
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// ASCII whitespace as HTML has it.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<(u64, &str)>) {
        let refresh = Refresh::parse(text);
        let refresh = refresh.map(|refresh| (refresh.delay.as_secs(), refresh.target));
        assert_eq!(refresh, expected, "{text:?}");
    }

    #[test]
    fn times() {
        check("0", Some((0, "")));
        check(" \t7 ", Some((7, "")));
        check("5;", Some((5, "")));
        check("5.9", Some((5, "")));
        check(".5", Some((0, "")));
        check("...", Some((0, "")));
        check("99999999999999999999999; /a", Some((u64::MAX, "/a")));
        for text in [
            "", " ", ";", "-1", "+1", "1x", "x", "1e0;/a", "\u{b}1", "\u{a0}1", "1\u{a0}",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn targets() {
        check("1; url=/a", Some((1, "/a")));
        check("1,URL = /a b", Some((1, "/a b")));
        check("1 /a", Some((1, "/a")));
        check("1\x0curl=/a", Some((1, "/a")));
        check("1;;/a", Some((1, ";/a")));
        check("1; url /a", Some((1, "url /a")));
        check("1; urgent", Some((1, "urgent")));
        check("1; ur", Some((1, "ur")));
        check("1; url=", Some((1, "")));
        check("1; url='/a'b", Some((1, "/a")));
        check("1; url=\"/a", Some((1, "/a")));
        check("1; '/a'", Some((1, "/a")));
        check("1; url='", Some((1, "")));
        check("1; \u{fc}rl=/a", Some((1, "\u{fc}rl=/a")));
    }

    proptest! {
        #[test]
        fn anything_may_come(text in "\\PC{0,60}", tail in "[0-9.;, \t'\"urlURL=]{0,40}") {
            let text = format!("{tail}{text}{tail}");
            if let Some(refresh) = Refresh::parse(&text) {
                prop_assert!(text.contains(refresh.target));
            }
        }
    }

    #[test]
    fn a_megabyte_is_one_pass() {
        for piece in ["1", ".", " ", ";", "url=", "'", "u"] {
            let text = format!("1{}", piece.repeat((1 << 20) / piece.len()));
            let _ = Refresh::parse(&text);
        }
    }
}
