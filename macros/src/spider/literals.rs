//! Selectors that stand as literals in a step's body: `page.follow("h3 a", ..)`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{FnArg, ImplItemFn, LitStr, Pat};

use crate::selector;

/// Methods of a page whose first argument is a selector.
const METHODS: [&str; 7] = [
    "css", "download", "follow", "get", "items", "rows", "submit",
];

/// Checks the literal selectors that are given to methods of the step's page.
pub(super) fn check(function: &ImplItemFn) -> Vec<syn::Error> {
    let mut errors = Vec::new();
    if let Some(page) = page_name(function) {
        walk(function.block.to_token_stream(), &page, &mut errors);
    }
    errors
}

fn page_name(function: &ImplItemFn) -> Option<String> {
    match function.sig.inputs.get(1)? {
        FnArg::Typed(parameter) => match &*parameter.pat {
            Pat::Ident(pattern) => Some(pattern.ident.to_string()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

fn walk(tokens: TokenStream, page: &str, errors: &mut Vec<syn::Error>) {
    let tokens = tokens.into_iter().collect::<Vec<_>>();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            walk(group.stream(), page, errors);
        }
        let is_page = is_ident(token, |name| name == page);
        let is_field = at > 0 && is_punct(&tokens[at - 1], '.');
        if is_page
            && !is_field
            && let Some(literal) = selector_of_call(&tokens[at + 1..])
            && let Err(error) = selector::check(&literal)
        {
            errors.push(error);
        }
    }
}

/// The literal in `.follow("..", ..)` or `.get::<String>("..")`.
fn selector_of_call(tokens: &[TokenTree]) -> Option<LitStr> {
    let [dot, method, rest @ ..] = tokens else {
        return None;
    };
    if !is_punct(dot, '.') || !is_ident(method, |name| METHODS.contains(&name)) {
        return None;
    }
    let arguments = rest.iter().find_map(|token| match token {
        TokenTree::Group(group) => Some(group),
        _ => None,
    })?;
    let between = rest
        .iter()
        .position(|token| matches!(token, TokenTree::Group(_)))?;
    let is_turbofish = rest[..2.min(between)]
        .iter()
        .all(|token| is_punct(token, ':'));
    if arguments.delimiter() != Delimiter::Parenthesis || !is_turbofish {
        return None;
    }
    let mut arguments = arguments.stream().into_iter();
    let literal = arguments.next()?;
    match arguments.next() {
        Some(token) if !is_punct(&token, ',') => None,
        _ => syn::parse2(literal.into()).ok(),
    }
}

fn is_ident(token: &TokenTree, test: impl Fn(&str) -> bool) -> bool {
    matches!(token, TokenTree::Ident(ident) if test(&ident.to_string()))
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_selectors_of_the_page() {
        let check = |body: &str, expected: usize| {
            let source = format!("async fn list(&self, page: Page) -> Result {{ {body} }}");
            let function = syn::parse_str::<ImplItemFn>(&source).unwrap();
            assert_eq!(check(&function).len(), expected, "{body}");
        };
        check(r#"page.follow("h3 a", Self::book)?; Ok(())"#, 0);
        check(r#"page.follow("h3 a[", Self::book)?; Ok(())"#, 1);
        check(r#"Ok(page.get::<Vec<String>>("h3[")?)"#, 1);
        check(r#"if x { page.css("h3[")? } else { page.items("[")? }"#, 2);
        check(r#"println!("{}", page.get::<String>("h3[")?)"#, 1);
        check(r#"page.visit("?q=[", Self::list)"#, 0);
        check(r#"map.get("h3["); self.page.get("h3["); Ok(())"#, 0);
        check(r#"page.css(&format!("h3[{}]", 1))?; page.css(NAME)?"#, 0);
        check(r#"page.css; page.get("b[".trim())"#, 0);
    }
}
