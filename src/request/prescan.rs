//! Finding the charset that a document declares, before it can be decoded.
//!
//! [`meta`] is the WHATWG standard's
//! [prescan](https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding), one pass
//! over the bytes.

/// The first charset that a `<meta>` of `html` declares and that `known` knows.
pub(super) fn meta<T>(html: &[u8], known: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut scan = Scan { bytes: html, at: 0 };
    loop {
        match scan.next_tag(&known) {
            Ok(None) => {}
            Ok(found) => return found,
            Err(Ended) => return None,
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
    let end = value
        .iter()
        .position(|byte| is_space(*byte) || *byte == b';');
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
    bytes
        .get(start.unwrap_or(bytes.len())..)
        .unwrap_or_default()
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

/// The input ended, and with it the search.
struct Ended;

/// Name and value as they are written.
type Attribute<'a> = (&'a [u8], &'a [u8]);

/// A place in the bytes.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// Passes the next thing that looks like a tag; what it declares, if it is a `<meta>`.
    fn next_tag<T>(&mut self, known: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, Ended> {
        self.skip_until(|byte| byte == b'<')?;
        let rest = self.bytes.get(self.at..).ok_or(Ended)?;
        if rest.starts_with(b"<!--") {
            // The dashes that open a comment may also close it: `<!-->`.
            self.at += 2;
            self.skip_past(b"-->")?;
        } else if is_meta(rest) {
            self.at += "<meta".len();
            return self.declared_by_meta(known);
        } else if is_tag(rest) {
            self.skip_until(|byte| is_space(byte) || byte == b'>')?;
            while self.attribute()?.is_some() {}
        } else if matches!(rest, [_, b'!' | b'/' | b'?', ..]) {
            self.skip_past(b">")?;
        } else {
            self.at += 1;
        }
        Ok(None)
    }

    /// What the attributes of one `<meta>` declare together.
    fn declared_by_meta<T>(
        &mut self,
        known: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Ended> {
        let mut pragma = None;
        let mut content = None;
        let mut charset = None;
        while let Some((name, value)) = self.attribute()? {
            let first = match name.to_ascii_lowercase().as_slice() {
                b"http-equiv" => &mut pragma,
                b"content" => &mut content,
                b"charset" => &mut charset,
                _ => continue,
            };
            first.get_or_insert(value);
        }
        let is_pragma = pragma.is_some_and(|value| value.eq_ignore_ascii_case(b"content-type"));
        Ok(match (charset, content) {
            // A charset attribute decides even if nobody knows what it names.
            (Some(label), _) => known(label),
            (None, Some(content)) if is_pragma => charset_in(content).and_then(known),
            _ => None,
        })
    }

    /// The next attribute of a tag, or none at the tag's end.
    fn attribute(&mut self) -> Result<Option<Attribute<'a>>, Ended> {
        self.skip_until(|byte| !is_space(byte) && byte != b'/')?;
        if self.byte()? == b'>' {
            return Ok(None);
        }
        let start = self.at;
        // A `=` at the very start belongs to the name.
        self.at += 1;
        self.skip_until(|byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'='))?;
        let name = self.from(start);
        self.skip_until(|byte| !is_space(byte))?;
        if self.byte()? != b'=' {
            return Ok(Some((name, b"")));
        }
        self.at += 1;
        self.skip_until(|byte| !is_space(byte))?;
        let value = self.value()?;
        Ok(Some((name, value)))
    }

    fn value(&mut self) -> Result<&'a [u8], Ended> {
        let first = self.byte()?;
        if !matches!(first, b'"' | b'\'') {
            let start = self.at;
            self.skip_until(|byte| is_space(byte) || byte == b'>')?;
            return Ok(self.from(start));
        }
        self.at += 1;
        let start = self.at;
        self.skip_until(|byte| byte == first)?;
        let value = self.from(start);
        self.at += 1;
        Ok(value)
    }

    fn byte(&self) -> Result<u8, Ended> {
        self.bytes.get(self.at).copied().ok_or(Ended)
    }

    /// What lies between `start` and here.
    fn from(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    fn skip_until(&mut self, wanted: impl Fn(u8) -> bool) -> Result<(), Ended> {
        let rest = self.bytes.get(self.at..).ok_or(Ended)?;
        self.at += rest.iter().position(|byte| wanted(*byte)).ok_or(Ended)?;
        Ok(())
    }

    fn skip_past(&mut self, word: &[u8]) -> Result<(), Ended> {
        let rest = self.bytes.get(self.at..).ok_or(Ended)?;
        self.at += find(rest, word).ok_or(Ended)? + word.len();
        Ok(())
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
        check_meta(
            "<meta charset=?  content='charset=a' http-equiv=content-type>",
            None,
        );
        check_meta(
            "<meta content='charset=a' http-equiv=Content-Type>",
            Some("a"),
        );
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
