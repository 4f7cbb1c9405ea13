//! CSS, and `:contains("text")`, which is ours.

use html5ever::LocalName;
use scraper::error::SelectorErrorKind;
use scraper::selector::{Parser, Simple};
use selectors::parser::{Component, ParseRelative, Selector, SelectorList};

use crate::plain::{self, Compound};

/// The attribute that stands for `:contains` within a parsed selector: who matches it looks for its
/// value in the element's text. No page has it, since a page's names are what its tokenizer makes.
pub const CONTAINS: &str = "-nephila-contains";

/// A list of CSS selectors, perhaps with [`CONTAINS`].
#[derive(Clone, Debug)]
pub struct Css(Box<[One]>);

/// One selector of a list.
#[derive(Clone, Debug)]
pub enum One {
    /// Tags, classes, ids and attributes alone: their compounds, that of the element first.
    Plain(Box<[Compound]>),
    /// Anything else.
    Other {
        /// The tag that its element must have, if it says one, as it is written and in lower case.
        tag: Option<(LocalName, LocalName)>,
        /// All of it.
        selector: Selector<Simple>,
    },
}

impl Css {
    /// Parses CSS without what is to be taken of a match.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(source: &str) -> Result<Self, String> {
        let rewritten = without_contains(source)?;
        let mut input = cssparser::Parser::new(rewritten.as_deref().unwrap_or(source));
        SelectorList::parse(&Parser, &mut input, ParseRelative::No)
            .map(|list| Self::of_list(&list))
            .map_err(|error| explain(&SelectorErrorKind::from(error)))
    }

    fn of_list(list: &SelectorList<Simple>) -> Self {
        let one = |selector: &Selector<Simple>| match plain::compounds(selector) {
            Some(compounds) => One::Plain(compounds),
            None => One::Other {
                tag: tag_of_subject(selector),
                selector: selector.clone(),
            },
        };
        Self(list.slice().iter().map(one).collect())
    }

    /// Its selectors.
    pub fn list(&self) -> &[One] {
        &self.0
    }
}

impl One {
    /// The tag that an element must have to match, if it says one: as it is written, and in lower case.
    #[inline]
    pub fn tag(&self) -> Option<&(LocalName, LocalName)> {
        match self {
            Self::Plain(compounds) => compounds.first()?.tag.as_ref(),
            Self::Other { tag, .. } => tag.as_ref(),
        }
    }
}

fn tag_of_subject(selector: &Selector<Simple>) -> Option<(LocalName, LocalName)> {
    selector.iter().find_map(|component| match component {
        Component::LocalName(tag) => Some((tag.name.0.clone(), tag.lower_name.0.clone())),
        _ => None,
    })
}

/// The selector with attribute tests in place of `:contains`; none if it has none.
fn without_contains(source: &str) -> Result<Option<String>, String> {
    const NAME: &str = ":contains(";
    let mut out = String::new();
    let (mut rest, mut quote) = (source, None);
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match quote {
            Some(_) if first == '\\' => {
                taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
            }
            Some(open) if first == open => quote = None,
            None if matches!(first, '"' | '\'') => quote = Some(first),
            None if rest.starts_with(NAME) => {
                let (argument, after) = argument(&rest[NAME.len()..])?;
                out.extend(["[", CONTAINS, "*=", &argument, "]"]);
                rest = after;
                continue;
            }
            _ => {}
        }
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Ok((out != source).then_some(out))
}

/// The text in the brackets, quoted, and what follows them.
fn argument(rest: &str) -> Result<(String, &str), String> {
    let open = "`:contains(..)` is not closed";
    let trimmed = rest.trim_start();
    let quoted = trimmed.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (text, after) = if let Some(quote) = quoted {
        let mut escaped = false;
        let end = trimmed[1..].find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.ok_or(open)? + 2;
        let after = trimmed[end..].trim_start().strip_prefix(')').ok_or(open)?;
        (trimmed[..end].to_owned(), after)
    } else {
        let (text, after) = trimmed.split_once(')').ok_or(open)?;
        let text = text.trim_end().replace('\\', "\\\\").replace('"', "\\\"");
        (format!("\"{text}\""), after)
    };
    if text.len() == 2 {
        return Err("no text in `:contains(..)`".to_owned());
    }
    Ok((text, after))
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
