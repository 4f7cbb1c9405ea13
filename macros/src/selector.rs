//! Selectors and patterns, checked when compiling, at the literal.

use nephila_notation::{Invalid, Notation, check_pattern as is_pattern};
use syn::LitStr;

use crate::fail::fail;

/// Checks a selector as `nephila::page::Selector` will parse it.
pub(crate) fn check(literal: &LitStr) -> syn::Result<()> {
    report(literal, Notation::parse(&literal.value()).map(drop))
}

/// Checks a pattern as `regex` will parse it.
pub(crate) fn check_pattern(literal: &LitStr) -> syn::Result<()> {
    report(literal, is_pattern(&literal.value()))
}

/// The selector with `prefix:` before it, checked: what `#[xpath("..")]` means.
pub(crate) fn prefixed(prefix: &str, literal: &LitStr) -> syn::Result<LitStr> {
    let whole = LitStr::new(&format!("{prefix}:{}", literal.value()), literal.span());
    match Notation::parse(&whole.value()) {
        Ok(_) => Ok(whole),
        Err(invalid) => fail(literal, invalid),
    }
}

fn report(literal: &LitStr, checked: Result<(), Invalid>) -> syn::Result<()> {
    checked.or_else(|invalid| fail(literal, invalid))
}
