//! From bytes to text: which character encoding a body is in.
//!
//! Asked in the order of the [WHATWG standard](https://html.spec.whatwg.org/#determining-the-character-encoding):
//! the byte order mark, the charset of Content-Type, what the document says of itself (`<meta>`, or
//! an XML declaration), and last a guess from the bytes. A browser stops looking for `<meta>` after
//! 1,024 bytes but changes its mind while it parses; here the search goes on for 64 KiB instead.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::prescan;

/// How far into a body a declaration is looked for.
const PRESCAN_BYTES: usize = 64 * 1024;
/// How much of a body is enough for a guess.
const GUESS_BYTES: usize = 4 * 1024;
/// The letters around a telling byte say something too.
const GUESS_CONTEXT: usize = 16;

/// Bodies are decoded so much at a time.
const STEP_BYTES: usize = 64 * 1024;

/// The encoding of `body`, as a browser would find it.
///
/// ```
/// # use nephila::request::charset;
/// let page = b"<meta charset=shift_jis><p>\x83l\x83t\x83B\x83\x89";
/// assert_eq!(charset::detect(Some("text/html"), page).name(), "Shift_JIS");
/// assert_eq!(charset::detect(Some("text/html; charset=utf-8"), page).name(), "UTF-8");
/// ```
pub fn detect(content_type: Option<&str>, body: &[u8]) -> &'static Encoding {
    sniff(content_type, body).0
}

/// `body` as text, and the encoding it was in.
///
/// What can't be decoded becomes U+FFFD; a byte order mark is left out. Valid UTF-8 is borrowed and
/// costs one pass of validation.
///
/// ```
/// # use nephila::request::charset;
/// let (text, encoding) = charset::decode(Some("text/html; charset=latin1"), b"caf\xe9");
/// assert_eq!((&*text, encoding.name()), ("café", "windows-1252"));
/// ```
pub fn decode<'a>(content_type: Option<&str>, body: &'a [u8]) -> (Cow<'a, str>, &'static Encoding) {
    let (text, encoding, _) = decode_up_to(usize::MAX, content_type, body);
    (text, encoding)
}

/// The same for a text that may have `most` bytes, and whether it was cut there: in another encoding it
/// may take three times its bytes. A large one is made in steps and takes no more memory than it needs.
pub(crate) fn decode_up_to<'a>(
    most: usize,
    content_type: Option<&str>,
    body: &'a [u8],
) -> (Cow<'a, str>, &'static Encoding, bool) {
    let (encoding, mark) = sniff(content_type, body);
    let bytes = body.get(mark..).unwrap_or_default();
    if bytes.len() <= STEP_BYTES {
        return (
            encoding.decode_without_bom_handling(bytes).0,
            encoding,
            false,
        );
    }
    // Most of what goes by another name is ASCII.
    let may_be_as_it_is = encoding == UTF_8 || encoding.is_ascii_compatible() && bytes.is_ascii();
    if may_be_as_it_is && let Ok(text) = std::str::from_utf8(bytes) {
        return (Cow::Borrowed(text), encoding, false);
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let (mut text, mut is_cut) = (String::with_capacity(bytes.len()), false);
    for (number, step) in bytes.chunks(STEP_BYTES).enumerate() {
        let is_last = (number + 1) * STEP_BYTES >= bytes.len();
        let room = decoder
            .max_utf8_buffer_length(step.len())
            .unwrap_or_default();
        text.reserve(room);
        // There is room for all of it.
        let _ = decoder.decode_to_string(step, &mut text, is_last);
        is_cut = text.len() > most;
        if is_cut {
            text.truncate(text.floor_char_boundary(most));
            break;
        }
    }
    text.shrink_to_fit();
    (Cow::Owned(text), encoding, is_cut)
}

/// The encoding, and how many bytes of byte order mark to skip.
fn sniff(content_type: Option<&str>, body: &[u8]) -> (&'static Encoding, usize) {
    if let Some(marked) = Encoding::for_bom(body) {
        return marked;
    }
    let declared = content_type.and_then(|text| prescan::charset_in(text.as_bytes()));
    let encoding = declared
        .and_then(known)
        .or_else(|| said_by_document(content_type, body))
        .unwrap_or_else(|| guess(body));
    (encoding, 0)
}

/// The encoding that `label` names. Labels of the "replacement" encoding (old escapes that were
/// used for attacks) are taken as unknown: a guess reads more of such a page than U+FFFD.
fn known(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label(label).filter(|encoding| *encoding != REPLACEMENT)
}

fn said_by_document(content_type: Option<&str>, body: &[u8]) -> Option<&'static Encoding> {
    let head = body.get(..PRESCAN_BYTES).unwrap_or(body);
    let xml = || {
        prescan::xml_declaration(head)
            .and_then(known)
            .map(ascii_based)
    };
    if let Some(wide) = wide_xml(head) {
        return Some(wide);
    }
    match Syntax::of(content_type) {
        Syntax::Html => prescan::meta(head, |label| {
            known(label).map(ascii_based).map(not_user_defined)
        })
        .or_else(xml),
        Syntax::Xml => xml(),
        Syntax::Other => None,
    }
}

/// What kind of declaration a body of this type may hold.
enum Syntax {
    Html,
    Xml,
    Other,
}

impl Syntax {
    fn of(content_type: Option<&str>) -> Self {
        let essence = content_type
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase())
            .unwrap_or_default();
        match essence.as_str() {
            ""
            | "*/*"
            | "text/html"
            | "application/unknown"
            | "unknown/unknown"
            | "application/octet-stream" => Self::Html,
            "text/xml" | "application/xml" => Self::Xml,
            other if other.ends_with("+xml") => Self::Xml,
            _ => Self::Other,
        }
    }
}

/// `<?x` in UTF-16 without a byte order mark.
fn wide_xml(head: &[u8]) -> Option<&'static Encoding> {
    if head.starts_with(b"<\0?\0x\0") {
        Some(UTF_16LE)
    } else if head.starts_with(b"\0<\0?\0x") {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// A declaration that could be read byte by byte was not written in UTF-16, whatever it says.
fn ascii_based(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else {
        encoding
    }
}

fn not_user_defined(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == encoding_rs::X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    }
}

/// Nothing was declared: UTF-8 if it is valid, else what the bytes look like. Plain ASCII is
/// windows-1252 by the standard, and reads the same.
fn guess(body: &[u8]) -> &'static Encoding {
    let ascii = Encoding::ascii_valid_up_to(body);
    if ascii == body.len() {
        return guess_escaped(body);
    }
    if std::str::from_utf8(body.get(ascii..).unwrap_or_default()).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut rest = body;
    let mut left = GUESS_BYTES;
    while left > 0
        && let Some((piece, behind)) = next_telling(rest)
    {
        let piece = piece.get(..left).unwrap_or(piece);
        detector.feed(piece, false);
        left -= piece.len();
        rest = behind;
    }
    detector.guess(None, Utf8Detection::Allow)
}

/// The next stretch with bytes that tell something, and what lies behind it. Markup tells nothing,
/// and the detector takes 75 ns for every byte.
fn next_telling(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = Encoding::ascii_valid_up_to(bytes);
    bytes.get(first)?;
    let mut end = first;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        end += rest.iter().take_while(|byte| !byte.is_ascii()).count();
        let behind = bytes.get(end..).unwrap_or_default();
        let ascii = Encoding::ascii_valid_up_to(behind.get(..2 * GUESS_CONTEXT).unwrap_or(behind));
        if ascii == behind.len() || ascii == 2 * GUESS_CONTEXT {
            let end = end + ascii.min(GUESS_CONTEXT);
            let start = first.saturating_sub(GUESS_CONTEXT);
            return Some((bytes.get(start..end)?, bytes.get(end..)?));
        }
        end += ascii;
    }
}

/// For ASCII: ISO-2022-JP is written in nothing else.
fn guess_escaped(body: &[u8]) -> &'static Encoding {
    let plain = Encoding::iso_2022_jp_ascii_valid_up_to(body);
    if plain == body.len() {
        return WINDOWS_1252;
    }
    let end = body.len().min(plain + GUESS_BYTES);
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(body.get(plain..end).unwrap_or_default(), end == body.len());
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&str>, body: &[u8], encoding: &str, text: &str) {
        let (decoded, found) = decode(content_type, body);
        let shown = String::from_utf8_lossy(body);
        assert_eq!(
            (found.name(), &*decoded),
            (encoding, text),
            "{content_type:?} {shown}"
        );
    }

    #[test]
    fn the_mark_wins() {
        check(
            Some("text/html; charset=koi8-r"),
            b"\xef\xbb\xbfa",
            "UTF-8",
            "a",
        );
        check(None, b"\xff\xfea\0", "UTF-16LE", "a");
        check(None, b"\xfe\xff\0a", "UTF-16BE", "a");
    }

    #[test]
    fn then_the_header() {
        let meta = b"<meta charset=utf-8>\xe9";
        let latin = "<meta charset=utf-8>\u{e9}";
        check(
            Some("text/html; charset=iso-8859-1"),
            meta,
            "windows-1252",
            latin,
        );
        check(
            Some("text/html;Charset = \"latin1\""),
            meta,
            "windows-1252",
            latin,
        );
        check(
            Some("text/plain; charset=utf-16le"),
            b"a\0",
            "UTF-16LE",
            "a",
        );
        check(
            Some("text/html; charset=nonsense"),
            meta,
            "UTF-8",
            "<meta charset=utf-8>\u{fffd}",
        );
        check(
            Some("text/html; charset=hz-gb-2312"),
            b"~{",
            "windows-1252",
            "~{",
        );
    }

    #[test]
    fn then_the_document() {
        let declared = b"<?xml version='1.0' encoding='iso-8859-2'?><a>\xb1</a>";
        let text = "<?xml version='1.0' encoding='iso-8859-2'?><a>\u{105}</a>";
        check(Some("application/rss+xml"), declared, "ISO-8859-2", text);
        check(Some("text/html"), declared, "ISO-8859-2", text);
        check(
            None,
            b"<?xml encoding='utf-16'?>",
            "UTF-8",
            "<?xml encoding='utf-16'?>",
        );
        check(Some("text/xml"), b"<\0?\0x\0", "UTF-16LE", "<?x");
        check(Some("text/xml"), b"\0<\0?\0x", "UTF-16BE", "<?x");
        let meta = "<meta charset=koi8-r>\u{e9}";
        check(Some("application/json"), meta.as_bytes(), "UTF-8", meta);
        check(Some("text/xml"), meta.as_bytes(), "UTF-8", meta);
    }

    #[test]
    fn then_a_guess() {
        check(None, b"plain", "windows-1252", "plain");
        check(None, "na\u{ef}ve".as_bytes(), "UTF-8", "na\u{ef}ve");
        check(None, b"\x1b$B$3$l\x1b(B", "ISO-2022-JP", "\u{3053}\u{308c}");
        check(None, "\x1b[1m\u{e9}".as_bytes(), "UTF-8", "\x1b[1m\u{e9}");
        let russian = b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0?";
        let text = "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43a}\u{430}\u{43a} \u{434}\u{435}\u{43b}\u{430}?";
        check(Some("text/html"), russian, "windows-1251", text);
    }

    #[test]
    fn a_guess_looks_where_the_text_is() {
        // One telling byte in the head that says little, much markup, then the text.
        let mut body = b"<title>\xa9</title>".to_vec();
        body.extend(b"<p>".repeat(GUESS_BYTES));
        body.extend(b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0?");
        assert_eq!(detect(None, &body).name(), "windows-1251");
    }

    #[test]
    fn telling_stretches() {
        let markup = "<p>".repeat(GUESS_CONTEXT);
        let body = format!("{markup}\u{e9} and \u{e9}{markup}\u{e9}");
        let mut rest = body.as_bytes();
        let mut pieces = Vec::new();
        while let Some((piece, behind)) = next_telling(rest) {
            pieces.push(String::from_utf8_lossy(piece).into_owned());
            rest = behind;
        }
        let near = |text: &str| {
            let end = &markup[markup.len() - GUESS_CONTEXT..];
            format!("{end}{text}")
        };
        let first = near("\u{e9} and \u{e9}") + &markup[..GUESS_CONTEXT];
        assert_eq!(pieces, [first, near("\u{e9}")]);
        assert_eq!(next_telling(b"<p>"), None);
    }

    #[test]
    fn utf_8_is_borrowed() {
        for content_type in [Some("text/html; charset=utf-8"), Some("text/html"), None] {
            let page = "<p>\u{e9}</p>".as_bytes();
            assert!(matches!(decode(content_type, page).0, Cow::Borrowed(_)));
        }
    }
}
