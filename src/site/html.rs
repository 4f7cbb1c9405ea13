//! A buffer for markup.

use std::fmt::{self, Display, Write};

use hyper::body::Bytes;

/// Text that grows. `write!` into it cannot fail and does not escape; what is not markup goes in as
/// [`Text`].
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// A page without the shop around it, up to the start of its body; [`Html::end`] closes it.
    pub(super) fn small(title: &str) -> Self {
        let mut html = Self::with_capacity(1024);
        writeln!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{}</title>\n</head>\n<body>",
            Text(title)
        );
        html
    }

    pub(super) fn end(mut self) -> Self {
        self.push("</body>\n</html>\n");
        self
    }

    pub(super) fn push(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0.into()
    }

    /// What `write!` calls.
    pub(super) fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) {
        // A String takes everything, and the types shown here do not fail.
        let _ = self.0.write_fmt(arguments);
    }
}

/// Text or an attribute's value, escaped; right for XML too.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"']) {
            let (plain, from) = rest.split_at(at);
            f.write_str(plain)?;
            f.write_str(match from.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                _ => "&quot;",
            })?;
            rest = &from[1..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(Text(text).to_string(), expected);
        check("", "");
        check("plain £", "plain £");
        check("a & b", "a &amp; b");
        check("<a href=\"x\">", "&lt;a href=&quot;x&quot;&gt;");
        check("&&", "&amp;&amp;");
    }
}
