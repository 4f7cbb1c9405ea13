//! The `Link` header (RFC 8288), as APIs use it to name the next page.

use std::borrow::Cow;

/// One link of a `Link` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLink {
    /// Where it leads, as written between `<` and `>`: mostly a URL relative to the response's own.
    pub target: String,
    /// Its parameters in order; of `rel`, `media`, `title`, `title*` and `type` the first only.
    pub params: Vec<LinkParam>,
}

/// A parameter of a link: `rel="next"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkParam {
    /// In lower case; with its star, if it has one: `title*`.
    pub name: String,
    /// Without quotes. Of a starred name in UTF-8: decoded; in another charset: as it was sent.
    pub value: String,
    /// The language of a starred parameter.
    pub language: Option<String>,
    /// The charset of a starred parameter that could not be decoded, in lower case.
    pub charset: Option<String>,
}

/// Parameters that count once (RFC 8288, 3.3 and 3.4.1).
const ONCE: [&str; 5] = ["rel", "media", "title", "title*", "type"];

impl WebLink {
    /// The links of a header's value. What is no link is left out, up to the next comma; the time is
    /// linear in the length.
    ///
    /// ```
    /// use nephila::request::WebLink;
    ///
    /// let links = WebLink::parse("</items?page=2>; rel=\"next last\"");
    /// assert_eq!(links[0].target, "/items?page=2");
    /// assert!(links[0].has_rel("next"));
    /// ```
    pub fn parse(header: &str) -> Vec<Self> {
        let header = unfolded(header);
        let mut rest = &*header;
        let mut links = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c| c == ',' || is_space(c));
            if rest.is_empty() {
                return links;
            }
            let Some((target, after)) = rest
                .strip_prefix('<')
                .and_then(|inner| inner.split_once('>'))
            else {
                // An opening bracket without its other half spoils all that follows.
                if rest.starts_with('<') {
                    return links;
                }
                rest = skip_value(rest, |c| c == ',').1;
                continue;
            };
            let (params, after) = params(after);
            links.push(Self {
                target: target.trim_matches(is_space).to_owned(),
                params,
            });
            rest = after;
        }
    }

    /// A parameter's value: the starred one, which says its charset, before the plain one.
    pub fn param(&self, name: &str) -> Option<&str> {
        let find = |is: &dyn Fn(&str) -> bool| {
            let mut params = self.params.iter();
            params.find(|param| is(&param.name))
        };
        let starred = find(&|known| known.strip_suffix('*') == Some(name));
        let param = starred.filter(|param| param.charset.is_none());
        param
            .or_else(|| find(&|known| known == name))
            .map(|param| param.value.as_str())
    }

    /// Its relations: a link may have several.
    pub fn rels(&self) -> impl Iterator<Item = &str> {
        self.param("rel")
            .unwrap_or_default()
            .split_ascii_whitespace()
    }

    /// Whether `rel` is one of its relations, in any case.
    pub fn has_rel(&self, rel: &str) -> bool {
        self.rels().any(|known| known.eq_ignore_ascii_case(rel))
    }
}

/// The parameters after a target, and what follows the comma that ends them.
fn params(mut rest: &str) -> (Vec<LinkParam>, &str) {
    let mut params = Vec::new();
    let mut known = [false; ONCE.len()];
    loop {
        rest = rest.trim_start_matches(is_space);
        let Some(after) = rest.strip_prefix(';') else {
            // Neither a parameter nor another link: it is skipped.
            return (params, skip_value(rest, |c| c == ',').1);
        };
        let after = after.trim_start_matches(|c| c == ';' || is_space(c));
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let name = after[..end].trim_matches(is_space).to_ascii_lowercase();
        let (value, after) = match after[end..].strip_prefix('=') {
            Some(after) => value(after.trim_start_matches(is_space)),
            None => (Cow::Borrowed(""), &after[end..]),
        };
        rest = after;
        let once = ONCE.iter().position(|once| *once == name);
        let again = once.is_some_and(|once| std::mem::replace(&mut known[once], true));
        if !name.is_empty() && !again {
            params.push(LinkParam::new(name, &value));
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let (value, _) = skip_value(text, |c| matches!(c, ';' | ','));
        return (
            Cow::Borrowed(value.trim_end_matches(is_space)),
            &text[value.len()..],
        );
    };
    let mut out = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let (_, rest) = inner.split_at(at + 1);
                let junk = rest.find([';', ',']).unwrap_or(rest.len());
                return (Cow::Owned(out), &rest[junk..]);
            }
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            c => out.push(c),
        }
    }
    (Cow::Owned(out), "")
}

/// The text before the first end, and what comes after it.
fn skip_value(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    match text.char_indices().find(|(_, c)| is_end(*c)) {
        None => (text, ""),
        Some((at, c)) => (&text[..at], &text[at + c.len_utf8()..]),
    }
}

impl LinkParam {
    fn new(name: String, value: &str) -> Self {
        let extended = name.ends_with('*').then(|| extended(value)).flatten();
        let (value, language, charset) = match extended {
            None if name == "type" => (value.to_ascii_lowercase(), None, None),
            None => (value.to_owned(), None, None),
            Some((value, language, charset)) => (value, Some(language), charset),
        };
        Self {
            name,
            value,
            language,
            charset,
        }
    }
}

/// `charset'language'value` (RFC 8187): value, language, and the charset if it is not UTF-8.
fn extended(text: &str) -> Option<(String, String, Option<String>)> {
    let (charset, rest) = text.split_once('\'')?;
    let (language, value) = rest.split_once('\'')?;
    let (charset, language) = (charset.to_ascii_lowercase(), language.to_owned());
    if charset != "utf-8" {
        return Some((value.to_owned(), language, Some(charset)));
    }
    match String::from_utf8(unescaped(value.as_bytes())) {
        Ok(decoded) => Some((decoded, language, None)),
        Err(_) => Some((value.to_owned(), language, Some(charset))),
    }
}

/// Percent-decoded.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

/// Line breaks that continue a header (obsolete, and still sent) taken out with the space after.
fn unfolded(header: &str) -> Cow<'_, str> {
    if !header.contains('\n') {
        return Cow::Borrowed(header);
    }
    let mut lines = header.split('\n');
    let first = lines.next().unwrap_or_default();
    let mut out = first.trim_end_matches('\r').to_owned();
    for line in lines {
        out.push_str(line.trim_end_matches('\r').trim_start_matches([' ', '\t']));
    }
    Cow::Owned(out)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(header: &str, expected: &[&str]) {
        let links = WebLink::parse(header);
        let links = links.iter().map(|link| {
            let params = link.params.iter();
            let params = params.map(|param| format!(" {}={}", param.name, param.value));
            format!("{}{}", link.target, params.collect::<String>())
        });
        assert_eq!(links.collect::<Vec<_>>(), expected, "{header:?}");
    }

    #[test]
    fn links() {
        check("", &[]);
        check("</a>", &["/a"]);
        check("</a>,</b>", &["/a", "/b"]);
        check(" , </a>;rel=next ,, < /b >", &["/a rel=next", "/b"]);
        check("</a;b,c>; rel=\"x,y;z\"", &["/a;b,c rel=x,y;z"]);
        check("</a>; REL=\"a\"; rel=b; Title*=x", &["/a rel=a title*=x"]);
        check(
            r#"</a>; title="say \"hi\" \\""#,
            &[r#"/a title=say "hi" \"#],
        );
        check(
            "</a>; crossorigin; rel = next",
            &["/a crossorigin= rel=next"],
        );
        check(
            "</a>; type=TEXT/HTML; hreflang=a; hreflang=b",
            &["/a type=text/html hreflang=a hreflang=b"],
        );
        check("</a>; rel=", &["/a rel="]);
        check("<>; rel=self", &[" rel=self"]);
    }

    #[test]
    fn what_is_broken_costs_itself() {
        check("/a; rel=next, </b>; rel=prev", &["/b rel=prev"]);
        check("</a> junk; rel=next, </b>", &["/a", "/b"]);
        check(
            "</a>; rel=\"x\"junk; media=y, </b>",
            &["/a rel=x media=y", "/b"],
        );
        check("</a>; rel=\"open, </b>", &["/a rel=open, </b>"]);
        check("</a>; =x; ;rel=y", &["/a rel=y"]);
        check("</a", &[]);
        check("</a>, </b", &["/a"]);
        check("</a>; rel=\"x\\", &["/a rel=x"]);
    }

    #[test]
    fn starred_parameters() {
        let links = WebLink::parse("</a>; title=\"plain\"; title*=UTF-8'de'n%c3%a4chstes%");
        assert_eq!(links[0].param("title"), Some("n\u{e4}chstes%"));
        assert_eq!(links[0].params[1].language.as_deref(), Some("de"));
        let links = WebLink::parse("</a>; title=\"plain\"; title*=GB2312'cn'%C6%F3");
        assert_eq!(links[0].param("title"), Some("plain"));
        assert_eq!(links[0].params[1].charset.as_deref(), Some("gb2312"));
        let links = WebLink::parse("</a>; title*=UTF-8''%ff");
        assert_eq!(links[0].param("title"), None);
    }

    #[test]
    fn relations() {
        let links = WebLink::parse("</a>; rel=\"Start http://e.x/Rel\"");
        assert!(links[0].has_rel("start") && links[0].has_rel("http://e.x/Rel"));
        assert!(!links[0].has_rel("next") && !links[0].has_rel(""));
    }

    proptest! {
        #[test]
        fn anything_may_come(header in "[<>;,=\"' a-z*%\\\\\r\n\u{e4}]{0,80}") {
            for link in WebLink::parse(&header) {
                let _ = link.param("title");
            }
        }
    }

    /// Quadratic work on a megabyte would take minutes.
    #[test]
    fn a_megabyte_is_one_pass() {
        let pieces = [
            "<",
            ">",
            "<a>",
            "<a>,",
            ";",
            ",",
            "=",
            "\"",
            "\\",
            "a",
            ";a",
            ";a=",
            ";a=\"",
            "\r\n ",
            "<a>;rel=x;",
            "<a>\"",
            "%",
            "'",
        ];
        for piece in pieces {
            let _ = WebLink::parse(&piece.repeat((1 << 20) / piece.len()));
        }
        let long = format!("<a>;title*=utf-8''{}", "%41".repeat(1 << 18));
        assert_eq!(WebLink::parse(&long)[0].params[0].value.len(), 1 << 18);
        let known = format!("<a>{}", ";a=1".repeat(1 << 16)) + &";rel=x".repeat(1 << 16);
        assert_eq!(WebLink::parse(&known)[0].params.len(), (1 << 16) + 1);
    }
}
