//! The notation of selectors in [nephila](https://docs.rs/nephila): use it through that crate.
//!
//! It is a crate of its own because the library reads it when a program runs, and the macros check it
//! when it is compiled.
//!
//! | written | finds |
//! |---|---|
//! | `p.price` | elements, by CSS; `:contains("text")` besides what browsers know |
//! | `xpath://p[@class]/b` | nodes or a value, by XPath 1.0 |
//! | `json:$.books[*].title` | JSON values, by JSONPath (RFC 9535); `$.` may be left out |
//! | `ld:Product` | the things of a type that the page's JSON-LD describes |
//! | `micro:Product` | the things of a type that the page's microdata describes |
//! | `feed:` | the entries of a feed: RSS, Atom or JSON Feed |
//! | `xml:item` | the elements of a name in XML |
//! | `csv:` | the rows of a text with separated values |
//! | `table:table.specs` | the rows of tables, by their headings |
//! | `meta:og:title` | the content of `<meta>` of a name |
//! | `link:next` | where the page as a whole leads: by a `Link` header, or a `<link>` element |
//! | `main:` | the page's main content, as Markdown |
//! | `script#data >> json:$.books[*]` | the right side within what the left side finds |
//!
//! CSS says at its end what to take: `::text`, `::attr(name)`, `::html`, `::markdown`.

mod css;
mod plain;
mod xpath;

use std::fmt;

use html5ever::LocalName;

pub use css::{CONTAINS, Css, One};
pub use plain::{Attribute, Compound};
pub use selectors::parser::SelectorList;
pub use serde_json_path::JsonPath;
pub use xpath::XPath;

/// A selector, parsed: at least one part.
#[derive(Clone, Debug)]
pub struct Notation {
    /// What is found first, then what is found within it.
    pub parts: Vec<Part>,
}

/// What to find, and what to take of it.
#[derive(Clone, Debug)]
pub struct Part {
    /// What is found.
    pub find: Find,
    /// What is taken.
    pub take: Take,
}

/// What is found.
#[derive(Clone, Debug)]
pub enum Find {
    /// The scope itself: `::attr(href)`.
    Itself,
    /// Elements that match.
    Css(Css),
    /// Nodes or a value.
    XPath(XPath),
    /// Values of a JSON document.
    Json(JsonPath),
    /// Things of this type in the page's JSON-LD.
    Data(Box<str>),
    /// Things of this type in the page's microdata.
    Micro(Box<str>),
    /// The entries of a feed.
    Feed,
    /// Elements of this name in XML, with or without a prefix.
    Xml(Box<str>),
    /// The rows of a text with separated values.
    Csv,
    /// The rows of tables.
    Table(Css),
    /// The contents of `<meta>` of this name.
    Meta(Box<str>),
    /// Where links of this relation lead that are the page's as a whole.
    Link(Box<str>),
    /// The page's main content.
    Main,
}

/// What is taken of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// All text within.
    AllText,
    /// The text that is its own.
    OwnText,
    /// Its HTML.
    Html,
    /// What people read of it, as Markdown.
    Markdown,
    /// An attribute, by its name in lower case.
    Attribute(LocalName),
}

/// Something that is no selector or pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// `CSS selector`, `XPath`, `JSON path` or `pattern`.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: {}", self.what, self.reason)
    }
}

impl std::error::Error for Invalid {}

impl Notation {
    /// Parses a selector.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(source: &str) -> Result<Self, Invalid> {
        let parts = chain(source).into_iter().map(part);
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
        })
    }
}

/// The CSS of a selector that is nothing else, without what is taken.
pub fn plain_css(source: &str) -> Option<&str> {
    let parsed = Notation::parse(source).ok()?;
    let is_plain = matches!(
        &parsed.parts[..],
        [Part {
            find: Find::Css(_),
            ..
        }]
    );
    is_plain.then(|| split_take(source).map_or(source, |(css, _)| css).trim())
}

/// Checks a pattern as the crate regex will parse it.
///
/// # Errors
/// What is wrong with it.
pub fn check_pattern(pattern: &str) -> Result<(), Invalid> {
    let reason = match regex_syntax::parse(pattern) {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => error.kind().to_string(),
        Err(regex_syntax::Error::Translate(error)) => error.kind().to_string(),
        Err(error) => error.to_string(),
    };
    Err(Invalid {
        what: "pattern",
        reason,
    })
}

/// The parts between ` >> `, those within quotes left alone.
fn chain(source: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    let bytes = source.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match quote {
            Some(open) if byte == open && bytes[at.saturating_sub(1)] != b'\\' => quote = None,
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None if source[at..].is_char_boundary(0) && source[at..].starts_with(" >> ") => {
                parts.push(&source[start..at]);
                start = at + " >> ".len();
            }
            _ => {}
        }
    }
    parts.push(&source[start..]);
    parts
}

fn part(source: &str) -> Result<Part, Invalid> {
    let trimmed = source.trim();
    let find = if let Some(xpath) = trimmed.strip_prefix("xpath:") {
        Find::XPath(XPath::parse(xpath.trim())?)
    } else if let Some(path) = trimmed.strip_prefix("json:") {
        Find::Json(json_path(path.trim())?)
    } else if let Some(kind) = trimmed.strip_prefix("ld:") {
        Find::Data(data("JSON-LD type", kind.trim())?)
    } else if let Some(kind) = trimmed.strip_prefix("micro:") {
        Find::Micro(data("microdata type", kind.trim())?)
    } else if let Some(name) = trimmed.strip_prefix("xml:") {
        Find::Xml(xml_name(name.trim())?)
    } else if let Some(css) = trimmed.strip_prefix("table:") {
        let css = Css::parse(css.trim());
        Find::Table(css.map_err(|reason| Invalid {
            what: "CSS selector",
            reason,
        })?)
    } else if let Some(rest) = trimmed.strip_prefix("feed:") {
        nothing("feed:", rest).map(|()| Find::Feed)?
    } else if let Some(rest) = trimmed.strip_prefix("csv:") {
        nothing("csv:", rest).map(|()| Find::Csv)?
    } else if trimmed == "main:" {
        Find::Main
    } else if let Some(name) = named("meta:", trimmed) {
        Find::Meta(name.into())
    } else if let Some(rel) = named("link:", trimmed) {
        Find::Link(rel.to_ascii_lowercase().into())
    } else {
        return css_part(source);
    };
    Ok(Part {
        find,
        take: Take::AllText,
    })
}

/// The name after a prefix that is an element's, too: `meta:not([name])` is CSS.
fn named<'a>(prefix: &str, source: &'a str) -> Option<&'a str> {
    let name = source.strip_prefix(prefix)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-');
    let is_name = !name.starts_with(':') && !name.is_empty() && name.chars().all(plain);
    (is_name && Css::parse(source).is_err()).then_some(name)
}

fn css_part(source: &str) -> Result<Part, Invalid> {
    let invalid = |reason| Invalid {
        what: "CSS selector",
        reason,
    };
    let (css, take) = split_take(source).map_err(invalid)?;
    let find = match css.trim() {
        "" if take != Take::AllText => Find::Itself,
        css => Find::Css(Css::parse(css).map_err(invalid)?),
    };
    Ok(Part { find, take })
}

fn json_path(source: &str) -> Result<JsonPath, Invalid> {
    let full = match source.as_bytes().first() {
        Some(b'$') => source.to_owned(),
        Some(b'[') => format!("${source}"),
        Some(b'.') if source.starts_with("..") => format!("${source}"),
        // Names as XML has them: `@id`, `g:price`.
        Some(_) if is_odd_name(source) => format!("$['{source}']"),
        _ => format!("$.{source}"),
    };
    JsonPath::parse(&full).map_err(|error| Invalid {
        what: "JSON path",
        reason: if source.is_empty() {
            "nothing is selected".to_owned()
        } else {
            let at = error.position() + source.len();
            format!(
                "{}, at character {}",
                error.message(),
                at.saturating_sub(full.len()) + 1
            )
        },
    })
}

/// A name alone that JSONPath takes in brackets only.
fn is_odd_name(source: &str) -> bool {
    let odd = |c: char| matches!(c, '@' | '#' | ':' | '-');
    source.contains(odd)
        && source
            .chars()
            .all(|c| odd(c) || c == '_' || c.is_alphanumeric())
}

/// Nothing comes after a prefix that says all.
fn nothing(prefix: &str, rest: &str) -> Result<(), Invalid> {
    if rest.trim().is_empty() {
        return Ok(());
    }
    Err(Invalid {
        what: "selector",
        reason: format!("`{prefix}` stands alone: what it finds is read by `json:`"),
    })
}

fn xml_name(name: &str) -> Result<Box<str>, Invalid> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(name.into());
    }
    Err(Invalid {
        what: "XML name",
        reason: format!("`{name}` is no name of an element, as `item` or `media:content` is"),
    })
}

fn data(what: &'static str, kind: &str) -> Result<Box<str>, Invalid> {
    if !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(kind.into());
    }
    Err(Invalid {
        what,
        reason: format!("`{kind}` is no name of a type, as `Product` is"),
    })
}

/// CSS, and what is taken of what it finds.
fn split_take(source: &str) -> Result<(&str, Take), String> {
    let Some((css, pseudo)) = source.rsplit_once("::") else {
        return Ok((source, Take::AllText));
    };
    let pseudo = pseudo.trim();
    let attribute = pseudo
        .strip_prefix("attr(")
        .and_then(|rest| rest.strip_suffix(')'))
        .map(str::trim);
    match (pseudo, attribute) {
        ("text", _) => Ok((css, Take::OwnText)),
        ("html", _) => Ok((css, Take::Html)),
        ("markdown", _) => Ok((css, Take::Markdown)),
        (_, Some(name)) if !name.is_empty() => {
            Ok((css, Take::Attribute(name.to_ascii_lowercase().into())))
        }
        // A `::` within a string or an attribute test belongs to CSS.
        _ if pseudo.contains(['"', '\'', ']']) => Ok((source, Take::AllText)),
        _ => Err(format!(
            "`::{pseudo}` is neither `::text` nor `::attr(name)` nor `::html` nor `::markdown`"
        )),
    }
}

#[cfg(test)]
mod tests;
