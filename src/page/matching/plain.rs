//! Matching tags, classes, ids and attributes, one within the other.

use html5ever::{LocalName, ns};
use nephila_notation::{Attribute, Compound};
use selectors::Element as _;

use super::Paid;

/// What came of looking around an element for what a selector wants there.
#[derive(PartialEq, Eq)]
enum Around {
    Fits,
    /// Not here; perhaps if one begins further out.
    Not,
    /// Not here, nor further out.
    Never,
}

/// Whether an element is as the first compound says, and what is around it as the others do.
#[inline]
pub(super) fn is_match(element: Paid<'_>, compounds: &[Compound]) -> bool {
    let Some((own, rest)) = compounds.split_first() else {
        return false;
    };
    fits(element, own) && (rest.is_empty() || around(element, own.is_child, rest) == Around::Fits)
}

fn around(element: Paid<'_>, is_child: bool, compounds: &[Compound]) -> Around {
    let Some((outer, rest)) = compounds.split_first() else {
        return Around::Fits;
    };
    let mut next = element.parent_element();
    while let Some(above) = next {
        if fits(above, outer) {
            match around(above, outer.is_child, rest) {
                Around::Not => {}
                verdict => return verdict,
            }
        }
        if is_child {
            return Around::Not;
        }
        next = above.parent_element();
    }
    Around::Never
}

#[inline]
fn fits(element: Paid<'_>, compound: &Compound) -> bool {
    let is_html = element.is_html_element_in_html_document();
    let named = |(written, lower): &'_ (LocalName, LocalName), own: &LocalName| {
        own == if is_html { lower } else { written }
    };
    let Compound {
        tag,
        id,
        classes,
        attributes,
        ..
    } = compound;
    let has = |wanted: &Attribute| {
        element.attributes().any(|(own, value)| {
            own.ns == ns!()
                && named(&wanted.name, &own.local)
                && element.effort.read(value)
                && wanted.fits(value, is_html)
        })
    };
    tag.as_ref()
        .is_none_or(|tag| named(tag, &element.data.name.local))
        && id.as_ref().is_none_or(|id| element.is_called(id))
        && classes.iter().all(|class| element.is_classed(class))
        && attributes.iter().all(has)
}
