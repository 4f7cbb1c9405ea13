//! Names of tables, columns, spiders and steps, and how they are written in attributes.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseBuffer, ParseStream};
use syn::{LitStr, Token, bracketed, token};

use crate::fail::fail;

/// `BookPage` as `book_page`, `HTTPPage` as `http_page`, `r#type` as `type`.
pub(crate) fn snake_case(ident: &Ident) -> String {
    let name = ident.unraw().to_string();
    let mut out = String::new();
    let mut chars = name.chars().peekable();
    let mut previous = None::<char>;
    while let Some(char) = chars.next() {
        let next_is_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        let starts_word = match previous {
            None | Some('_') => false,
            Some(previous) => !previous.is_uppercase() || next_is_lower,
        };
        if char.is_uppercase() && starts_word {
            out.push('_');
        }
        out.extend(char.to_lowercase());
        previous = Some(char);
    }
    out
}

/// What the database accepts as the name of a table or column.
pub(crate) fn is_sql_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= 63
}

/// What a command line and a database accept as the name of a spider or step.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && !name.starts_with('-') && name.len() <= 63 && name.bytes().all(plain)
}

/// `"a"` or `["a", "b"]`.
pub(crate) fn one_or_more(input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    if !input.peek(token::Bracket) {
        return Ok(vec![input.parse()?]);
    }
    let list;
    let bracket = bracketed!(list in input);
    let all = list.parse_terminated(ParseBuffer::parse::<LitStr>, Token![,])?;
    if all.is_empty() {
        return Err(syn::Error::new(bracket.span.join(), "an empty list"));
    }
    Ok(all.into_iter().collect())
}

/// Sets what may be said once.
pub(crate) fn once<T>(slot: &mut Option<T>, name: &Ident, value: T) -> syn::Result<()> {
    if slot.replace(value).is_some() {
        return fail(name, format!("`{name}` stands twice"));
    }
    Ok(())
}

/// `Some(value)` or `None`, as code.
pub(crate) fn optional(value: Option<impl ToTokens>) -> TokenStream {
    value.map_or_else(
        || quote! { ::core::option::Option::None },
        |value| quote! { ::core::option::Option::Some(#value) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_cased() {
        let check = |name: &str, expected: &str| {
            let ident = syn::parse_str::<Ident>(name).unwrap();
            assert_eq!(snake_case(&ident), expected);
        };
        check("Book", "book");
        check("BookPage", "book_page");
        check("HTTPPage", "http_page");
        check("Page2", "page2");
        check("Already_Snake", "already_snake");
        check("r#type", "type");
        check("A", "a");
    }

    #[test]
    fn names() {
        for (name, sql, plain) in [
            ("books", true, true),
            ("_books", false, true),
            ("book-shop", false, true),
            ("-books", false, false),
            ("2nd", false, true),
            ("", false, false),
            ("a b", false, false),
            (&"a".repeat(64), false, false),
        ] {
            assert_eq!(is_sql_name(name), sql, "{name}");
            assert_eq!(is_plain_name(name), plain, "{name}");
        }
    }
}
