//! Text of pages that is safe to show.

use std::borrow::Cow;

/// `text` with control characters (escapes, line breaks, tabs) and marks that turn the direction of
/// writing spelled out.
///
/// ```
/// # use nephila::ui::clean;
/// assert_eq!(clean("a\x1b[31m\n"), r"a\u{1b}[31m\n");
/// assert_eq!(clean("plain £"), "plain £");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// [`clean`], cut to `max` characters, the last being `…`.
pub fn shorten(text: &str, max: usize) -> String {
    let text = clean(text);
    match text.char_indices().nth(max) {
        None => text.into_owned(),
        Some(_) => text
            .chars()
            .take(max.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_are_spelled_out() {
        let check = |text, expected: &str| assert_eq!(clean(text), expected);
        check("ä £ 日本 👍", "ä £ 日本 👍");
        check("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}");
        check("\u{9b}31m", r"\u{9b}31m");
        check("a\tb\r\nc", r"a\tb\r\nc");
        check("abc\u{202e}cba", r"abc\u{202e}cba");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(shorten("ääääääää", 3), "ää…");
    }
}
