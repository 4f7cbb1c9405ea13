//! Selectors and patterns, checked when compiling.

use scraper::error::SelectorErrorKind;
use syn::LitStr;

use crate::fail::fail;

/// Checks a selector as `nephila::page::Selector` will parse it.
pub(crate) fn check(literal: &LitStr) -> syn::Result<()> {
    match reason(&literal.value()) {
        None => Ok(()),
        Some(reason) => fail(literal, format!("invalid CSS selector: {reason}")),
    }
}

/// Checks a pattern as `regex` will parse it.
pub(crate) fn check_pattern(literal: &LitStr) -> syn::Result<()> {
    let reason = match regex_syntax::parse(&literal.value()) {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => error.kind().to_string(),
        Err(regex_syntax::Error::Translate(error)) => error.kind().to_string(),
        Err(error) => error.to_string(),
    };
    fail(literal, format!("invalid pattern: {reason}"))
}

/// What is wrong with a selector.
fn reason(source: &str) -> Option<String> {
    let css = match without_take(source) {
        Ok(css) => css.trim(),
        Err(reason) => return Some(reason),
    };
    if css.is_empty() && css.len() < source.trim().len() {
        return None;
    }
    scraper::Selector::parse(css)
        .err()
        .map(|error| explain(&error))
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

/// The selector without `::text` or `::attr(name)`: the notation of `nephila::page::Selector`.
fn without_take(source: &str) -> Result<&str, String> {
    let Some((css, pseudo)) = source.rsplit_once("::") else {
        return Ok(source);
    };
    let pseudo = pseudo.trim();
    let attribute = pseudo
        .strip_prefix("attr(")
        .and_then(|rest| rest.strip_suffix(')'));
    match attribute {
        _ if pseudo == "text" => Ok(css),
        Some(name) if !name.trim().is_empty() => Ok(css),
        _ if pseudo.contains(['"', '\'', ']']) => Ok(source),
        _ => Err(format!(
            "`::{pseudo}` is neither `::text` nor `::attr(name)`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let check = |source: &str, expected: Option<&str>| {
            assert_eq!(reason(source).as_deref(), expected, "{source}");
        };
        check("p.price", None);
        check("p.price::text", None);
        check("a::attr(HREF)", None);
        check("::attr(href)", None);
        check("::text", None);
        check("a[title=\"b::c\"]", None);
        let neither = "is neither `::text` nor `::attr(name)`";
        check("a::attr()", Some(&format!("`::attr()` {neither}")));
        check("p::before", Some(&format!("`::before` {neither}")));
        check("", Some("nothing is selected"));
        check("p >", Some("`>`, `+` and `~` stand between two selectors"));
        check("p..a", Some("no name after `.`"));
        check("p[=a]", Some("no attribute's name in `[..]`"));
        check("p[a=1]", Some("bad value in `[..]`: quote it"));
        check("p:nope", Some("unknown pseudo-class"));
        check("p.price[", Some("Unexpected EOL"));
    }

    #[test]
    fn patterns() {
        let check = |source: &str, expected: Option<&str>| {
            let literal = LitStr::new(source, proc_macro2::Span::call_site());
            let outcome = check_pattern(&literal).err().map(|error| error.to_string());
            assert_eq!(outcome.as_deref(), expected);
        };
        check(r"([\d.]+)", None);
        check(r"([\d.]+", Some("invalid pattern: unclosed group"));
        check(
            r"\p{Nope}",
            Some("invalid pattern: Unicode property not found"),
        );
    }
}
