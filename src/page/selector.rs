//! CSS selectors with `::text` and `::attr(name)`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use scraper::error::SelectorErrorKind;

/// A parsed selector: CSS, and what to take of what it matches.
///
/// | written | takes |
/// |---|---|
/// | `p.price` | all text within, white space folded |
/// | `p.price::text` | the element's own text, without that of its children |
/// | `a::attr(href)` | the attribute's value; elements without it do not match |
/// | `::attr(href)` | the attribute of the scope itself |
///
/// Wherever a selector is wanted, text will do: it is parsed once per thread. [`css!`](crate::css)
/// has it checked by the compiler.
///
/// ```
/// use nephila::prelude::*;
///
/// let page = Page::from_html("http://shop.example/", "<a href=/2 rel=next>next <b>page</b></a>")?;
/// assert_eq!(page.get::<String>("a")?, "next page");
/// assert_eq!(page.get::<String>("a::text")?, "next");
/// assert_eq!(page.get::<Option<String>>(css!("a[rel=next]::attr(href)"))?.as_deref(), Some("/2"));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Selector {
    pub(super) css: Option<scraper::Selector>,
    pub(super) take: Take,
    source: Box<str>,
}

/// What is taken of a matching element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Take {
    AllText,
    OwnText,
    Attribute(Box<str>),
}

/// A selector that can't be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid CSS selector `{source_text}`: {reason}")]
pub struct SelectorError {
    /// The selector as written.
    pub source_text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Selector {
    /// Parses CSS with an optional `::text` or `::attr(name)` at its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(source: &str) -> Result<Self, SelectorError> {
        let error = |reason: String| SelectorError {
            source_text: source.to_owned(),
            reason,
        };
        let (css, take) = split_take(source).map_err(error)?;
        let css = match css.trim() {
            "" if take != Take::AllText => None,
            css => Some(scraper::Selector::parse(css).map_err(|cause| error(explain(&cause)))?),
        };
        Ok(Self {
            css,
            take,
            source: source.into(),
        })
    }

    /// The selector as written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// What is wrong, in words about the selector; scraper says of these only that they are unexpected.
fn explain(error: &SelectorErrorKind) -> String {
    let SelectorErrorKind::UnexpectedSelectorParseError(kind) = error else {
        return error.to_string();
    };
    let reason = match format!("{kind:?}").as_str() {
        "EmptySelector" => "nothing is selected",
        "DanglingCombinator" => "`>`, `+` and `~` stand between two selectors",
        "ClassNeedsIdent" => "no name after `.`",
        "NoQualifiedNameInAttributeSelector" => "no attribute's name in `[..]`",
        "BadValueInAttr" => "bad value in `[..]`: quote it",
        "UnsupportedPseudoClassOrElement" => "unknown pseudo-class",
        other => return format!("bad syntax ({other})"),
    };
    reason.to_owned()
}

fn split_take(source: &str) -> Result<(&str, Take), String> {
    let Some((css, pseudo)) = source.rsplit_once("::") else {
        return Ok((source, Take::AllText));
    };
    let pseudo = pseudo.trim();
    if pseudo == "text" {
        return Ok((css, Take::OwnText));
    }
    match pseudo
        .strip_prefix("attr(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(name) if !name.trim().is_empty() => Ok((
            css,
            Take::Attribute(name.trim().to_ascii_lowercase().into()),
        )),
        // A `::` within a string or an attribute test belongs to CSS.
        _ if pseudo.contains(['"', '\'', ']']) => Ok((source, Take::AllText)),
        _ => Err(format!(
            "`::{pseudo}` is neither `::text` nor `::attr(name)`"
        )),
    }
}

/// Something that names a selector: text, or one parsed before.
pub trait AsSelector {
    /// The parsed selector; text is parsed once per thread and kept.
    ///
    /// # Errors
    /// What is wrong with it.
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError>;
}

/// How many different selectors a thread keeps; beyond that they are parsed each time.
const KEPT: usize = 512;

thread_local! {
    static PARSED: RefCell<HashMap<Box<str>, Rc<Selector>>> = RefCell::default();
}

impl AsSelector for str {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        if let Some(selector) = PARSED.with_borrow(|parsed| parsed.get(self).cloned()) {
            return Ok(selector);
        }
        let selector = Rc::new(Selector::parse(self)?);
        PARSED.with_borrow_mut(|parsed| {
            if parsed.len() < KEPT {
                parsed.insert(self.into(), Rc::clone(&selector));
            }
        });
        Ok(selector)
    }
}

impl AsSelector for String {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        self.as_str().as_selector()
    }
}

impl AsSelector for Rc<Selector> {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        Ok(Rc::clone(self))
    }
}

impl<T: AsSelector + ?Sized> AsSelector for &T {
    fn as_selector(&self) -> Result<Rc<Selector>, SelectorError> {
        (**self).as_selector()
    }
}

/// Weaker forms of `source`, nearest first: for the hint that says what a selector that matches
/// nothing may have meant.
pub(super) fn weaker(source: &str) -> Vec<String> {
    let css = split_take(source).map_or(source, |(css, _)| css).trim();
    let cuts = css
        .char_indices()
        .filter(|&(at, c)| at > 0 && matches!(c, '.' | '#' | '[' | ':'));
    let mut forms: Vec<_> = cuts
        .map(|(at, _)| css[..at].trim_end().to_owned())
        .collect();
    forms.reverse();
    if let Some((_, last)) = css.rsplit_once([' ', '>']) {
        forms.push(last.to_owned());
    }
    forms.retain(|form| !form.is_empty() && form != css && !form.ends_with(['>', '+', '~', ',']));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation() {
        let check = |source: &str, expected: &str| {
            let outcome = match Selector::parse(source) {
                Ok(selector) => format!("{} {:?}", selector.css.is_some(), selector.take),
                Err(error) => error.to_string(),
            };
            assert_eq!(outcome, expected, "{source}");
        };
        check("p.price", "true AllText");
        check("p.price::text", "true OwnText");
        check("a::attr(HREF)", "true Attribute(\"href\")");
        check("::attr(href)", "false Attribute(\"href\")");
        check("a[title=\"b::c\"]", "true AllText");
        check(
            "a::attr()",
            "invalid CSS selector `a::attr()`: `::attr()` is neither `::text` nor `::attr(name)`",
        );
        check(
            "p::before",
            "invalid CSS selector `p::before`: `::before` is neither `::text` nor `::attr(name)`",
        );
        let invalid = |source: &str, reason: &str| {
            check(
                source,
                &format!("invalid CSS selector `{source}`: {reason}"),
            );
        };
        invalid("", "nothing is selected");
        invalid("p >", "`>`, `+` and `~` stand between two selectors");
        invalid("p..a", "no name after `.`");
        invalid("p[=a]", "no attribute's name in `[..]`");
        invalid("p[a=1]", "bad value in `[..]`: quote it");
        invalid("p:nope", "unknown pseudo-class");
        invalid("p[", "Unexpected EOL");
    }

    #[test]
    fn weaker_forms() {
        assert_eq!(weaker("h1.titel"), ["h1"]);
        assert_eq!(weaker("div.a p.b::text"), ["div.a p", "div", "p.b"]);
        assert_eq!(weaker("h1"), Vec::<String>::new());
    }
}
