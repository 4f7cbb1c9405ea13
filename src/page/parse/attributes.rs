//! Finding tags with more attributes than anyone needs.

use std::ops::Range;

/// Elements whose content is text, whatever it looks like.
const RAW: [&[u8]; 9] = [
    b"script",
    b"style",
    b"textarea",
    b"title",
    b"xmp",
    b"iframe",
    b"noembed",
    b"noframes",
    b"noscript",
];

/// Walks over tags and their attributes, once and from front to back, as far as it is asked to.
///
/// It knows less than a tokenizer: it is asked only where that one is at a tag, a comment or the
/// like, and matters only for tags with too many attributes.
pub(super) struct Attributes<'a> {
    text: &'a [u8],
    /// Between two tags, or two attributes.
    at: usize,
    tag: Option<Tag<'a>>,
    max: usize,
}

#[derive(Clone, Copy)]
struct Tag<'a> {
    /// Empty for an end tag.
    name: &'a [u8],
    attributes: usize,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(text: &'a str, max: usize) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            tag: None,
            max,
        }
    }

    /// The attributes that follow `position`, if it lies in a tag that has enough of them: from the
    /// end of the one at `position` to the tag's `>`.
    pub(super) fn superfluous(&mut self, position: usize) -> Option<Range<usize>> {
        while self.at < position {
            self.step();
        }
        let start = self.at;
        self.tag.filter(|tag| tag.attributes >= self.max)?;
        while self.tag.is_some() && self.byte() != Some(b'>') {
            self.step();
        }
        Some(start..self.at)
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes on to the next tag, attribute or end of a tag.
    fn step(&mut self) {
        match self.tag {
            None => self.step_to_tag(),
            Some(tag) => match self.byte() {
                None => self.tag = None,
                Some(b'>') => self.leave(tag),
                Some(_) => {
                    self.pass_attribute();
                    self.tag = Some(Tag {
                        attributes: tag.attributes + 1,
                        ..tag
                    });
                }
            },
        }
    }

    fn step_to_tag(&mut self) {
        self.pass_until(|byte| byte == b'<');
        let rest = self.rest();
        if rest.starts_with(b"<!--") {
            // `<!-->` is whole.
            self.at += 2;
            let rest = self.rest();
            let end = rest.windows(3).position(|window| window == b"-->");
            self.at += end.map_or(rest.len(), |end| end + 3);
            return;
        }
        let name = rest.get(1..).unwrap_or_default();
        let (name, is_end) = match name.strip_prefix(b"/") {
            Some(name) => (name, true),
            None => (name, false),
        };
        self.at = (self.at + 1).min(self.text.len());
        if name.first().is_some_and(u8::is_ascii_alphabetic) {
            let start = self.text.len() - name.len();
            self.at = start;
            self.pass_until(|byte| is_space(byte) || matches!(byte, b'/' | b'>'));
            let name = self.text.get(start..self.at).unwrap_or_default();
            self.pass_until(|byte| !is_space(byte) && byte != b'/');
            self.tag = Some(Tag {
                name: if is_end { b"" } else { name },
                attributes: 0,
            });
        }
    }

    fn leave(&mut self, tag: Tag<'a>) {
        self.tag = None;
        self.at += 1;
        let is_named = |raw: &&[u8]| raw.eq_ignore_ascii_case(tag.name);
        let Some(name) = RAW.iter().find(|raw| is_named(raw)) else {
            return;
        };
        loop {
            self.pass_until(|byte| byte == b'<');
            let rest = self.rest();
            let end = rest.get(2..2 + name.len()).unwrap_or_default();
            if rest.is_empty() || rest.starts_with(b"</") && end.eq_ignore_ascii_case(name) {
                return;
            }
            self.at += 1;
        }
    }

    /// Passes `name`, `name=value` or `name="value"`, and the space after.
    fn pass_attribute(&mut self) {
        // A `=` at its start is part of a name.
        self.at += 1;
        self.pass_until(|byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'='));
        self.pass_until(|byte| !is_space(byte));
        if self.byte() == Some(b'=') {
            self.at += 1;
            self.pass_until(|byte| !is_space(byte));
            match self.byte() {
                Some(quote @ (b'"' | b'\'')) => {
                    self.at += 1;
                    self.pass_until(|byte| byte == quote);
                    self.at = (self.at + 1).min(self.text.len());
                }
                _ => self.pass_until(|byte| is_space(byte) || byte == b'>'),
            }
        }
        self.pass_until(|byte| !is_space(byte) && byte != b'/');
    }

    fn pass_until(&mut self, is_end: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest
            .iter()
            .position(|byte| is_end(*byte))
            .unwrap_or(rest.len());
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped() {
        let check = |text: &str, max, position, skipped: Option<&str>| {
            let range = Attributes::new(text, max).superfluous(position);
            assert_eq!(
                range.map(|range| &text[range]),
                skipped,
                "{text} {position}"
            );
        };
        check("<p a b c d>x", 2, 6, Some("c d"));
        check("<p a b c d>x", 2, 3, None);
        check("<p a b c d>x", 9, 7, None);
        check("<p a b='>' c=\"<p>\" d=>x", 2, 6, Some("c=\"<p>\" d="));
        check("<p a b='>' c", 1, 6, Some("c"));
        check("<p a b>x y z w", 1, 10, None);
        check("</p a b c>", 1, 6, Some("b c"));
        check("<!-- <p a b c d --><i>", 1, 12, None);
        check("<!--><p a b c>", 1, 9, Some("b c"));
        check("<script>a<b c d e</script><p a b>", 1, 14, None);
        check("<script>a<b c d e</script><p a b c>", 1, 30, Some("b c"));
        check("a < b c d", 0, 6, None);
        check("<", 0, 1, None);
        check("<p", 0, 2, Some(""));
        check("<p a=\"", 1, 6, Some(""));
    }

    #[test]
    fn asked_again_it_goes_on() {
        let text = format!("<p {}>", "a=\"b\" ".repeat(1_000));
        let mut attributes = Attributes::new(&text, 500);
        assert_eq!(attributes.superfluous(100), None);
        assert_eq!(attributes.superfluous(2_000), None);
        let skipped = attributes.superfluous(4_000).expect("enough of them");
        assert_eq!(skipped.end, text.len() - 1);
        assert!((4_000..4_010).contains(&skipped.start), "{skipped:?}");
    }
}
