//! What messages of one kind have in common.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

const MAX_CHARS: usize = 500;

/// `message` without what differs from page to page: URLs, numbers and quoted text become `*`.
///
/// Names in backticks stay, and so do digits inside of words: `f64` is no number.
pub(super) fn normalise(message: &str) -> String {
    let mut kind = String::with_capacity(message.len());
    let mut rest = message;
    let mut before = ' ';
    while let Some(letter) = rest.chars().next() {
        let skip = url(rest, before)
            .or_else(|| quoted(rest, before))
            .or_else(|| number(rest, before));
        if let Some((start, skip, end)) = skip {
            kind.push_str(start);
            kind.push('*');
            kind.push_str(end);
            before = rest[..skip].chars().next_back().unwrap_or(' ');
            rest = &rest[skip..];
        } else {
            kind.push(letter);
            before = letter;
            rest = &rest[letter.len_utf8()..];
        }
        if kind.len() > MAX_CHARS {
            kind.push('…');
            break;
        }
    }
    kind
}

/// The name of a group of errors: the same wherever reason, step and kind of message are.
pub fn error_id(reason: &str, step: &str, message: &str) -> String {
    let mut hasher = SipHasher13::new();
    for part in [reason, step, &normalise(message)] {
        hasher.write(part.as_bytes());
        hasher.write_u64(part.len() as u64);
    }
    format!("{:08x}", hasher.finish() >> 32)
}

/// What is written before the star, how many bytes it stands for, and what is written after it.
type Skip<'a> = Option<(&'a str, usize, &'a str)>;

fn url(text: &str, before: char) -> Skip<'_> {
    if before.is_alphanumeric() {
        return None;
    }
    let scheme = text.find("://").filter(|&at| {
        at > 0
            && text[..at]
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    })?;
    let is_end = |letter: char| letter.is_whitespace() || "\"'`<>()".contains(letter);
    let end = text[scheme..]
        .find(is_end)
        .map_or(text.len(), |at| scheme + at);
    // Punctuation that ends a sentence or a clause is not the URL's.
    let end = text[..end]
        .trim_end_matches(['.', ',', ';', ':', '!', '?'])
        .len();
    Some(("", end, ""))
}

fn quoted(text: &str, before: char) -> Skip<'_> {
    let open = text.chars().next()?;
    let close = match open {
        '"' => '"',
        // An apostrophe inside of a word quotes nothing.
        '\'' if !before.is_alphanumeric() => '\'',
        '“' => '”',
        '«' => '»',
        _ => return None,
    };
    let start = open.len_utf8();
    let end = start + text[start..].find(close)?;
    let close = &text[end..end + close.len_utf8()];
    Some((&text[..start], end + close.len(), close))
}

fn number(text: &str, before: char) -> Skip<'_> {
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == ',';
    if before.is_alphanumeric() || before == '_' || !text.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    Some(("", text[..end].trim_end_matches(['.', ',']).len(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: &str) {
        assert_eq!(normalise(message), expected);
    }

    #[test]
    fn what_differs_becomes_a_star() {
        check(
            "field `price`: can't read \"Call us\" as f64",
            "field `price`: can't read \"*\" as f64",
        );
        check(
            "no answer within 30 s, 3 tries",
            "no answer within * s, * tries",
        );
        check("status 404 for http://a.example/b?c=1.", "status * for *.");
        check("(see https://a.example:81/x)", "(see *)");
        check("line 3, column 1,234.5", "line *, column *");
        check("can't find 'a b' or 'c'", "can't find '*' or '*'");
        check("“x” and «y»", "“*” and «*»");
        check("an open \" quote", "an open \" quote");
        check("h1 of utf8 x86_64", "h1 of utf8 x86_64");
        check("::// ä 7ä", "::// ä *ä");
        check("", "");
    }

    #[test]
    fn the_name_of_a_group() {
        let id = |message| error_id("status", "book", message);
        assert_eq!(id("answered 503, 3 tries"), id("answered 503, 4 tries"));
        assert_eq!(id("answered * for 7"), id("answered 1 for *"));
        assert_ne!(id("a"), id("b"));
        assert_ne!(
            error_id("status", "book", "a"),
            error_id("step", "book", "a")
        );
        assert_eq!(id("a").len(), 8);
    }

    #[test]
    fn it_is_bounded() {
        assert!(normalise(&"ä ".repeat(100_000)).len() < 520);
    }
}
