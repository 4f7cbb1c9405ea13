//! Selectors of tags, classes, ids and attributes alone, one within the other: most are like that, and matching
//! them needs nothing of what CSS can say besides.

use std::fmt;

use html5ever::LocalName;
use scraper::selector::Simple;
use selectors::attr::{AttrSelectorOperator, CaseSensitivity, ParsedCaseSensitivity};
use selectors::parser::{Combinator, Component, Selector};

use crate::css::CONTAINS;

/// What one element must be like: `p.price` of `article p.price`.
#[derive(Clone, Debug, Default)]
pub struct Compound {
    /// Its tag as written, and in lower case, which holds for elements of HTML.
    pub tag: Option<(LocalName, LocalName)>,
    /// Its id.
    pub id: Option<Box<str>>,
    /// Classes that it has.
    pub classes: Box<[Box<str>]>,
    /// Attributes that it has.
    pub attributes: Box<[Attribute]>,
    /// Whether the compound before it, if there is one, is that of its parent, and not of just any element around it.
    pub is_child: bool,
}

/// What an attribute must be like: `[rel=next]`.
#[derive(Clone)]
pub struct Attribute {
    /// Its name as written, and in lower case, which holds for elements of HTML.
    pub name: (LocalName, LocalName),
    /// Its value, if not any will do.
    value: Option<(AttrSelectorOperator, Box<str>, ParsedCaseSensitivity)>,
}

impl Attribute {
    /// Whether a value is as it must be, of an element of HTML or another one.
    pub fn fits(&self, value: &str, is_html: bool) -> bool {
        let Some((operator, wanted, case)) = &self.value else {
            return true;
        };
        let is_folded = match case {
            ParsedCaseSensitivity::AsciiCaseInsensitive => true,
            ParsedCaseSensitivity::AsciiCaseInsensitiveIfInHtmlElementInHtmlDocument => is_html,
            ParsedCaseSensitivity::CaseSensitive | ParsedCaseSensitivity::ExplicitCaseSensitive => {
                false
            }
        };
        let case = if is_folded {
            CaseSensitivity::AsciiCaseInsensitive
        } else {
            CaseSensitivity::CaseSensitive
        };
        operator.eval_str(value, wanted, case)
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(|(_, value, _)| value);
        f.debug_tuple("Attribute")
            .field(&self.name.0)
            .field(&value)
            .finish()
    }
}

/// The compounds of a selector, the last one first; none if it says anything else.
pub(crate) fn compounds(selector: &Selector<Simple>) -> Option<Box<[Compound]>> {
    let mut all = Vec::new();
    let mut components = selector.iter();
    loop {
        let (mut compound, mut classes, mut attributes) =
            (Compound::default(), Vec::new(), Vec::new());
        for component in components.by_ref() {
            match component {
                Component::LocalName(tag) => {
                    compound.tag = Some((tag.name.0.clone(), tag.lower_name.0.clone()));
                }
                Component::Class(class) => classes.push((*class.0).into()),
                Component::ID(id) if compound.id.is_none() => compound.id = Some((*id.0).into()),
                Component::ExplicitUniversalType => {}
                component => attributes.push(attribute(component)?),
            }
        }
        compound.classes = classes.into();
        compound.attributes = attributes.into();
        let before = components.next_sequence();
        compound.is_child = matches!(before, Some(Combinator::Child));
        all.push(compound);
        match before {
            None => return Some(all.into()),
            Some(Combinator::Child | Combinator::Descendant) => {}
            Some(_) => return None,
        }
    }
}

fn attribute(component: &Component<Simple>) -> Option<Attribute> {
    let (name, value) = match component {
        Component::AttributeInNoNamespaceExists {
            local_name,
            local_name_lower,
        } => ((&local_name.0, &local_name_lower.0), None),
        Component::AttributeInNoNamespace {
            local_name,
            operator,
            value,
            case_sensitivity,
        } => {
            let value: Box<str> = value.as_ref().into();
            (
                (&local_name.0, &local_name.0),
                Some((*operator, value, *case_sensitivity)),
            )
        }
        _ => return None,
    };
    (&**name.0 != CONTAINS).then(|| Attribute {
        name: (name.0.clone(), name.1.clone()),
        value,
    })
}
