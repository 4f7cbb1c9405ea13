//! A body's text, without a copy where there need not be one.

use std::borrow::Cow;

use crate::request::{Response, charset};

/// Kept beside the body that it is the text of.
pub(super) enum Text {
    /// The body is UTF-8 from this byte on.
    Body(usize),
    /// It was in another charset, or broken.
    Decoded {
        text: String,
        /// It was longer than it may be.
        is_cut: bool,
    },
}

impl Text {
    /// Of at most so many bytes, if it is not the body as it is.
    pub(super) fn of(response: &Response, most: usize) -> Self {
        let content_type = response.header("content-type");
        match charset::decode_up_to(most, content_type, &response.body) {
            (Cow::Borrowed(text), ..) => Self::Body(response.body.len() - text.len()),
            (Cow::Owned(text), _, is_cut) => Self::Decoded { text, is_cut },
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Self::Decoded { is_cut: true, .. })
    }

    /// Costs a pass of validation, a hundredth of parsing it.
    pub(super) fn of_body<'a>(&'a self, body: &'a [u8]) -> &'a str {
        match self {
            Self::Decoded { text, .. } => text,
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
            let text = Text::of(&response, 100);
            assert_eq!(text.of_body(&response.body), expected);
            assert_eq!(
                matches!(text, Text::Decoded { .. }),
                is_copied,
                "{expected}"
            );
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

    #[test]
    fn long_texts_are_not_copied_in_vain() {
        let check = |charset: &str, body: &[u8], is_copied| {
            let url = Url::parse("http://a.example/").expect("a URL");
            let mut response = Response::new(url, body.to_vec());
            let value = format!("text/html; charset={charset}").parse();
            let value = value.expect("a header");
            response.headers.insert("content-type", value);
            let text = Text::of(&response, 1_000_000);
            assert_eq!(matches!(text, Text::Decoded { .. }), is_copied, "{charset}");
        };
        let ascii = b"plain ".repeat(20_000);
        check("utf-8", &ascii, false);
        check("latin1", &ascii, false);
        check("shift_jis", &ascii, false);
        check("utf-16", &ascii, true);
        check("iso-2022-jp", &ascii, true);
        check("latin1", &[&ascii[..], b"\xe9"].concat(), true);
        check("utf-8", &[&ascii[..], b"\xe9"].concat(), true);
    }

    #[test]
    fn long_texts_are_cut() {
        let check = |charset: &str, body: &[u8], most, expected: &str, is_cut| {
            let url = Url::parse("http://a.example/").expect("a URL");
            let mut response = Response::new(url, body.to_vec());
            let value = format!("text/html; charset={charset}").parse();
            let value = value.expect("a header");
            response.headers.insert("content-type", value);
            let text = Text::of(&response, most);
            assert_eq!(text.of_body(&response.body).len(), expected.len());
            assert!(text.of_body(&response.body) == expected, "{charset} {most}");
            assert_eq!(text.is_cut(), is_cut, "{charset} {most}");
        };
        let (body, text) = (vec![0xe9; 200_000], "\u{e9}".repeat(200_000));
        check("latin1", &body, 400_000, &text, false);
        check("latin1", &body, 399_999, &text[..399_998], true);
        check("latin1", &body, 250_001, &text[..250_000], true);
        check("utf-8", &body, 300_000, &"\u{fffd}".repeat(100_000), true);
        // What needs no more than its bytes is the body's to limit.
        check("utf-8", text.as_bytes(), 1_000, &text, false);
        let wide: Vec<u8> = "\u{20ac}\n"
            .repeat(70_000)
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        check(
            "utf-16le",
            &wide,
            1_000_000,
            &"\u{20ac}\n".repeat(70_000),
            false,
        );
        let kanji = b"\x83\x6c".repeat(100_001);
        check(
            "shift_jis",
            &[b"x".as_slice(), &kanji].concat(),
            1_000_000,
            &format!("x{}", "\u{30cd}".repeat(100_001)),
            false,
        );
    }
}
