//! A body's text, without a copy where there need not be one.

use std::borrow::Cow;

use crate::request::{Response, charset};

/// Kept beside the body that it is the text of.
pub(super) enum Text {
    /// The body is UTF-8 from this byte on.
    Body(usize),
    /// It was in another charset, or broken.
    Decoded(String),
}

impl Text {
    pub(super) fn of(response: &Response) -> Self {
        match charset::decode(response.header("content-type"), &response.body).0 {
            Cow::Borrowed(text) => Self::Body(response.body.len() - text.len()),
            Cow::Owned(text) => Self::Decoded(text),
        }
    }

    /// Costs a pass of validation, a hundredth of parsing it.
    pub(super) fn of_body<'a>(&'a self, body: &'a [u8]) -> &'a str {
        match self {
            Self::Decoded(text) => text,
            Self::Body(start) => {
                let text = body.get(*start..).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn texts() {
        let check = |body: &[u8], expected: &str, is_copied| {
            let url = Url::parse("http://a.example/").expect("a URL");
            let response = Response::new(url, body.to_vec());
            let text = Text::of(&response);
            assert_eq!(text.of_body(&response.body), expected);
            assert_eq!(matches!(text, Text::Decoded(_)), is_copied, "{expected}");
        };
        check(b"", "", false);
        check(b"plain", "plain", false);
        check("\u{e9}\u{20ac}".as_bytes(), "\u{e9}\u{20ac}", false);
        check("\u{feff}marked".as_bytes(), "marked", false);
        check(
            b"<meta charset=latin1>\xe9",
            "<meta charset=latin1>\u{e9}",
            true,
        );
        check(b"\xff\xfea\0b\0", "ab", true);
    }
}
