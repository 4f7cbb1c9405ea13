//! Finding the charset that a document declares, before it can be decoded.
//!
//! [`meta`] is the WHATWG standard's
//! [prescan](https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding), one pass
//! over the bytes.

/// The first charset that a `<meta>` of `html` declares and that `known` knows.
pub(super) fn meta<T>(html: &[u8], known: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut scan = Scan { bytes: html, at: 0 };
    loop {
        let rest = scan.rest_from_tag()?;
        if rest.starts_with(b"<!--") {
            // The dashes that open a comment may also close it: `<!-->`.
            scan.at += 2;
            scan.skip_past(b"-->")?;
        } else if is_meta(rest) {
            scan.at += "<meta".len();
            if let Some(found) = scan.declared_by_meta(&known)? {
                return Some(found);
            }
        } else if is_tag(rest) {
            scan.skip_until(|byte| is_space(byte) || byte == b'>')?;
            while scan.attribute()?.is_some() {}
        } else if matches!(rest, [_, b'!' | b'/' | b'?', ..]) {
            scan.skip_past(b">")?;
        } else {
            scan.at += 1;
        }
    }
}

/// The label in `encoding="..."` of an XML declaration at the start of `document`.
pub(super) fn xml_declaration(document: &[u8]) -> Option<&[u8]> {
    let rest = document.strip_prefix(b"<?xml")?;
    let end = rest.iter().position(|byte| *byte == b'>')?;
    let declaration = rest.get(..end)?;
    let after = find(declaration, b"encoding")? + "encoding".len();
    let value = skip_controls(declaration.get(after..)?).strip_prefix(b"=")?;
    let (quote, value) = skip_controls(value).split_first()?;
    let end = match quote {
        b'"' | b'\'' => value.iter().position(|byte| byte == quote)?,
        _ => return None,
    };
    value.get(..end)
}

/// The label after `charset=` in a Content-Type, as a header or in a `<meta>`.
pub(super) fn charset_in(content: &[u8]) -> Option<&[u8]> {
    let mut rest = content;
    let value = loop {
        rest = rest.get(find(rest, b"charset")? + "charset".len()..)?;
        if let Some(value) = skip_spaces(rest).strip_prefix(b"=") {
            break skip_spaces(value);
        }
    };
    let (first, quoted) = value.split_first()?;
    if matches!(first, b'"' | b'\'') {
        let end = quoted.iter().position(|byte| byte == first)?;
        return quoted.get(..end);
    }
    let end = value.iter().position(|byte| is_space(*byte) || *byte == b';');
    value.get(..end.unwrap_or(value.len()))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn skip_spaces(bytes: &[u8]) -> &[u8] {
    skip(bytes, is_space)
}

/// XML's scan skips whatever is not printable.
fn skip_controls(bytes: &[u8]) -> &[u8] {
    skip(bytes, |byte| byte <= b' ')
}

fn skip(bytes: &[u8], unwanted: fn(u8) -> bool) -> &[u8] {
    let start = bytes.iter().position(|byte| !unwanted(*byte));
    bytes.get(start.unwrap_or(bytes.len())..).unwrap_or_default()
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes
        .windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word))
}

/// `<meta` and a space or slash.
fn is_meta(rest: &[u8]) -> bool {
    let name = rest.get(..5).unwrap_or_default();
    let next = rest.get(5).copied().unwrap_or_default();
    name.eq_ignore_ascii_case(b"<meta") && (is_space(next) || next == b'/')
}

/// `<x` or `</x`.
fn is_tag(rest: &[u8]) -> bool {
    match rest {
        [_, b'/', letter, ..] | [_, letter, ..] => letter.is_ascii_alphabetic(),
        _ => false,
    }
}

/// A place in the bytes. `None` from any of its methods: the input ended, and with it the search.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_until(&mut self, wanted: impl Fn(u8) -> bool) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        self.at += rest.iter().position(|byte| wanted(*byte))?;
        Some(())
    }

    fn skip_past(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        self.at += find(rest, word)? + word.len();
        Some(())
    }

    /// Moves to the next `<`.
    fn rest_from_tag(&mut self) -> Option<&'a [u8]> {
        self.skip_until(|byte| byte == b'<')?;
        self.bytes.get(self.at..)
    }

    /// What the attributes of one `<meta>` declare together.
    fn declared_by_meta<T>(&mut self, known: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
        let mut is_pragma = false;
        let mut by_content = None;
        let mut by_charset = None;
        let mut seen = Vec::new();
        while let Some((name, value)) = self.attribute()? {
            let name = name.to_ascii_lowercase();
            match name.as_slice() {
                _ if seen.contains(&name) => {}
                b"http-equiv" => is_pragma = value.eq_ignore_ascii_case(b"content-type"),
                b"content" => by_content = charset_in(value).and_then(&known),
                b"charset" => by_charset = Some(known(value)),
                // Only the three above can count twice.
                _ => continue,
            }
            seen.push(name);
        }
        // A charset attribute decides even if nobody knows what it names.
        Some(by_charset.unwrap_or(by_content.filter(|_| is_pragma)))
    }

    /// The next attribute of a tag; `Some(None)` at its end.
    fn attribute(&mut self) -> Option<Option<(&'a [u8], &'a [u8])>> {
        self.skip_until(|byte| !is_space(byte) && byte != b'/')?;
        if self.byte()? == b'>' {
            return Some(None);
        }
        let start = self.at;
        // A `=` at the very start belongs to the name.
        self.at += 1;
        self.skip_until(|byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'='))?;
        let name = self.bytes.get(start..self.at)?;
        self.skip_until(|byte| !is_space(byte))?;
        if self.byte()? != b'=' {
            return Some(Some((name, b"")));
        }
        self.at += 1;
        self.skip_until(|byte| !is_space(byte))?;
        let value = self.value()?;
        Some(Some((name, value)))
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let first = self.byte()?;
        let start = self.at;
        if matches!(first, b'"' | b'\'') {
            self.at += 1;
            self.skip_until(|byte| byte == first)?;
            self.at += 1;
            return self.bytes.get(start + 1..self.at - 1);
        }
        self.skip_until(|byte| is_space(byte) || byte == b'>')?;
        self.bytes.get(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_meta(html: &str, expected: Option<&str>) {
        let known = |label: &[u8]| (label != b"?").then(|| String::from_utf8_lossy(label).into());
        let found: Option<String> = meta(html.as_bytes(), known);
        assert_eq!(found.as_deref(), expected, "{html}");
    }

    #[test]
    fn metas() {
        check_meta("<META/charset=a>", Some("a"));
        check_meta("<meta charset='a'>", Some("a"));
        check_meta("<metal charset=a>", None);
        check_meta("<meta charset=a", None);
        check_meta("<meta charset=?><meta charset=a>", Some("a"));
        check_meta("<meta charset=a charset=b>", Some("a"));
        check_meta("<meta =x charset=a>", Some("a"));
        check_meta("<meta charset=?  content='charset=a' http-equiv=content-type>", None);
        check_meta("<meta content='charset=a' http-equiv=Content-Type>", Some("a"));
        check_meta("<meta content='charset=a'>", None);
        check_meta("<!--><meta charset=a>", Some("a"));
        check_meta("<!-- <meta charset=a> --><meta charset=b>", Some("b"));
        check_meta("<!-- <meta charset=a>", None);
        check_meta("<p title='<meta charset=a>'><meta charset=b>", Some("b"));
        check_meta("</p title='<meta charset=a>'><meta charset=b>", Some("b"));
        check_meta("<?php <meta charset=a> ?><meta charset=b>", Some("b"));
        check_meta("< <meta charset=a>", Some("a"));
    }

    fn check_content(content: &str, expected: Option<&str>) {
        let found = charset_in(content.as_bytes()).map(String::from_utf8_lossy);
        assert_eq!(found.as_deref(), expected, "{content}");
    }

    #[test]
    fn contents() {
        check_content("text/html; charset=a", Some("a"));
        check_content("text/html; charset = a; b=c", Some("a"));
        check_content("text/html; charset='a b'", Some("a b"));
        check_content("text/html; charset=\"a", None);
        check_content("charset charset=a", Some("a"));
        check_content("charset", None);
        check_content("text/html", None);
    }

    fn check_xml(document: &str, expected: Option<&str>) {
        let found = xml_declaration(document.as_bytes()).map(String::from_utf8_lossy);
        assert_eq!(found.as_deref(), expected, "{document}");
    }

    #[test]
    fn declarations() {
        check_xml("<?xml version='1.0' encoding=\"a\"?>", Some("a"));
        check_xml("<?xml encoding = 'a' ?>", Some("a"));
        check_xml("<?xml version='1.0'?> encoding='a'", None);
        check_xml("<?xml encoding=a?>", None);
        check_xml(" <?xml encoding='a'?>", None);
    }
}
