//! What selectors found, taken note of for `nephila try`.

use super::found::{Found, Scope};
use super::{FieldError, Page, Rule, Selector};

/// One look for something on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The field that it was for; none for links and for values that a step asked for by itself.
    pub field: Option<String>,
    /// The selector, of several the one that matched.
    pub selector: String,
    /// The field's pattern.
    pub pattern: Option<String>,
    /// How many matches there are.
    pub matches: usize,
    /// The HTML, text or JSON of the first one, shortened.
    pub first: Option<String>,
}

/// Texts of matches are shown up to this length.
const SHOWN: usize = 80;
/// Looks that are taken note of.
const MOST: usize = 10_000;

impl Page {
    /// What selectors have found so far, if the page takes note of that.
    pub fn traced(&self) -> Vec<Traced> {
        let traced = self.0.traced.as_ref();
        traced.map_or_else(Vec::new, |traced| traced.borrow().clone())
    }

    /// Whether the page takes note of what selectors find.
    pub(crate) fn is_traced(&self) -> bool {
        self.0.traced.is_some()
    }

    /// Takes note of a look, if the page does that.
    pub(super) fn trace(&self, rule: Option<&Rule>, selector: &Selector, found: &Found<'_>) {
        let Some(traced) = &self.0.traced else { return };
        let mut hits = found.hits();
        let first = hits.next().map(|hit| shortened(&hit.origin()));
        let looked = Traced {
            field: rule.map(|rule| rule.field().to_owned()),
            selector: selector.source().to_owned(),
            pattern: rule.and_then(|rule| Some(rule.pattern()?.as_str().to_owned())),
            matches: usize::from(first.is_some()) + hits.count(),
            first,
        };
        let mut traced = traced.borrow_mut();
        if traced.len() < MOST {
            traced.push(looked);
        }
    }
}

impl Scope<'_> {
    /// Looks for the fields after one that failed: who tries a step wants to see what they find, too.
    pub(crate) fn look_on(&self, rules: &[Rule], failed: &FieldError) {
        if self.page.is_traced() {
            let rest = rules.iter().skip_while(|rule| rule.field() != failed.field);
            for rule in rest.skip(1) {
                self.look(rule);
            }
        }
    }
}

/// The beginning of a text, its white space folded.
fn shortened(text: &str) -> String {
    let mut folded = String::new();
    for word in text.split_whitespace() {
        if folded.len() > SHOWN {
            folded.push('\u{2026}');
            break;
        }
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    match folded.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}\u{2026}", &folded[..end]),
        None => folded,
    }
}
