//! CSS, and `:contains("text")`, which is ours.

use html5ever::LocalName;
use scraper::error::SelectorErrorKind;
use scraper::selector::{Parser, Simple};
use selectors::parser::{Component, ParseRelative, Selector, SelectorList};

/// The attribute that stands for `:contains` within a parsed selector: who matches it looks for its
/// value in the element's text. No page has it, since a page's names are what its tokenizer makes.
pub const CONTAINS: &str = "-nephila-contains";

/// A list of CSS selectors, perhaps with [`CONTAINS`].
#[derive(Clone, Debug)]
pub struct Css {
    list: SelectorList<Simple>,
    /// Of each selector, the name that its element must have, as it is written and in lower case.
    names: Box<[Option<(LocalName, LocalName)>]>,
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
            .map(Self::of_list)
            .map_err(|error| explain(&SelectorErrorKind::from(error)))
    }

    fn of_list(list: SelectorList<Simple>) -> Self {
        let names = list.slice().iter().map(name_of_subject).collect();
        Self { list, names }
    }

    /// The selectors that an element of this name may match: most pairs of an element and a selector
    /// need no closer look.
    pub fn candidates(&self, name: &LocalName) -> impl Iterator<Item = &Selector<Simple>> {
        let all = self.list.slice().iter().zip(&self.names);
        all.filter_map(move |(selector, own)| match own {
            Some((written, lower)) if lower != name && written != name => None,
            _ => Some(selector),
        })
    }
}

fn name_of_subject(selector: &Selector<Simple>) -> Option<(LocalName, LocalName)> {
    selector.iter().find_map(|component| match component {
        Component::LocalName(name) => Some((name.name.0.clone(), name.lower_name.0.clone())),
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
