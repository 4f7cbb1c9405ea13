//! A field of an item, and what its attributes say.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, LitStr, Meta, Token, Type};

use crate::fail::fail;
use crate::names::once;
use crate::selector;

/// A field of an item.
pub(super) struct Field {
    pub(super) ident: Ident,
    pub(super) ty: Type,
    pub(super) column: String,
    /// Where the column's name is written.
    pub(super) column_at: TokenStream,
    pub(super) source: Source,
    pub(super) fallbacks: Vec<LitStr>,
    pub(super) pattern: Option<LitStr>,
    pub(super) fill: Option<Fill>,
    pub(super) skip: bool,
}

/// Where a field's value comes from.
pub(super) enum Source {
    /// What matches a selector.
    Css {
        selector: LitStr,
        /// A function of its text.
        parse: Option<Expr>,
    },
    /// The page's own URL.
    Url,
    /// Not from the page.
    None,
}

/// What a field is where the page says nothing.
pub(super) enum Fill {
    /// `Default::default()`
    Default(TokenStream),
    Expr(Box<Expr>),
}

/// How many values a type holds, as far as one can see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    Optional,
    All,
}

#[derive(Default)]
struct Read {
    css: Option<(LitStr, Option<Expr>)>,
    url: Option<TokenStream>,
    pattern: Option<LitStr>,
    fallbacks: Vec<LitStr>,
    fill: Option<Fill>,
    name: Option<LitStr>,
    skip: Option<()>,
}

/// Whether the attribute is one of a field's.
pub(super) fn is_own(attribute: &Attribute) -> bool {
    [
        "css", "xpath", "json", "or_css", "or_xpath", "or_json", "re", "url", "default",
    ]
    .iter()
    .any(|name| attribute.path().is_ident(name))
}

pub(super) fn read(field: &syn::Field) -> syn::Result<Field> {
    let Some(ident) = field.ident.clone() else {
        return fail(field, "an item's fields have names");
    };
    let mut read = Read::default();
    for attribute in &field.attrs {
        read.attribute(attribute)?;
    }
    let source = match (read.css, read.url) {
        (Some(_), Some(url)) => return fail(url, "a field is read by `#[css]` or is the `#[url]`"),
        (Some((selector, parse)), None) => Source::Css { selector, parse },
        (None, Some(_)) => Source::Url,
        (None, None) => Source::None,
    };
    let name = read.name.as_ref();
    let column_at = name.map_or_else(|| quote!(#ident), |name| quote!(#name));
    Ok(Field {
        column: read
            .name
            .map_or_else(|| ident.unraw().to_string(), |name| name.value()),
        column_at,
        ident,
        ty: field.ty.clone(),
        source,
        fallbacks: read.fallbacks,
        pattern: read.pattern,
        fill: read.fill,
        skip: read.skip.is_some(),
    })
}

/// The selector of `#[css("..")]`, `#[xpath("..")]` or `#[json("..")]`, checked.
fn selector(kind: &str, literal: LitStr) -> syn::Result<LitStr> {
    match kind {
        "css" => selector::check(&literal).map(|()| literal),
        prefix => selector::prefixed(prefix, &literal),
    }
}

impl Read {
    fn attribute(&mut self, attribute: &Attribute) -> syn::Result<()> {
        let Some(name) = attribute.path().get_ident() else {
            return Ok(());
        };
        match name.to_string().as_str() {
            kind @ ("css" | "xpath" | "json") => {
                let css =
                    attribute.parse_args_with(|input: ParseStream<'_>| self.css(kind, input))?;
                once(&mut self.css, name, css)
            }
            kind @ ("or_css" | "or_xpath" | "or_json") => {
                let literal = attribute.parse_args::<LitStr>()?;
                let kind = kind.trim_start_matches("or_");
                self.fallbacks.push(selector(kind, literal)?);
                Ok(())
            }
            "re" => {
                let pattern = attribute.parse_args::<LitStr>()?;
                selector::check_pattern(&pattern)?;
                once(&mut self.pattern, name, pattern)
            }
            "url" => {
                attribute.meta.require_path_only()?;
                once(&mut self.url, name, attribute.to_token_stream())
            }
            "default" => {
                let fill = match &attribute.meta {
                    Meta::Path(_) => Fill::Default(attribute.to_token_stream()),
                    Meta::List(list) => Fill::Expr(Box::new(list.parse_args()?)),
                    Meta::NameValue(pair) => Fill::Expr(Box::new(pair.value.clone())),
                };
                once(&mut self.fill, name, fill)
            }
            "item" => attribute.parse_args_with(|input: ParseStream<'_>| self.item(input)),
            _ => Ok(()),
        }
    }

    /// `"selector", parse = function, default = expression`
    fn css(&mut self, kind: &str, input: ParseStream<'_>) -> syn::Result<(LitStr, Option<Expr>)> {
        let selector = selector(kind, input.parse::<LitStr>()?)?;
        let mut parse = None;
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key = input.call(Ident::parse_any)?;
            match key.to_string().as_str() {
                "parse" => {
                    input.parse::<Token![=]>()?;
                    once(&mut parse, &key, input.parse()?)?;
                }
                "default" => self.filled(&key, input)?,
                _ => fail(
                    &key,
                    format!("no option `{key}`: there are `parse` and `default`"),
                )?,
            }
        }
        Ok((selector, parse))
    }

    /// `default`, or `default = expression`
    fn filled(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        if !input.peek(Token![=]) {
            return once(&mut self.fill, key, Fill::Default(quote!(#key)));
        }
        input.parse::<Token![=]>()?;
        once(&mut self.fill, key, Fill::Expr(Box::new(input.parse()?)))
    }

    /// `#[item(name = "x", default, skip)]`
    fn item(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            match key.to_string().as_str() {
                "name" => {
                    input.parse::<Token![=]>()?;
                    once(&mut self.name, &key, input.parse()?)?;
                }
                "skip" => once(&mut self.skip, &key, ())?,
                "default" => self.filled(&key, input)?,
                _ => fail(
                    &key,
                    format!("no option `{key}` of a field: there are `name`, `default` and `skip`"),
                )?,
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }
}

impl Field {
    /// Whether what is said of it fits together.
    pub(super) fn check(&self, item_is_read: bool) -> syn::Result<()> {
        let is_css = matches!(self.source, Source::Css { .. });
        if let (false, Some(at)) = (is_css, self.pattern.as_ref().or(self.fallbacks.first())) {
            return fail(at, "this needs a `#[css(\"..\")]` on the field");
        }
        match (&self.source, &self.fill) {
            (Source::Url, Some(fill)) => {
                fail(fill, "every page has a URL: `#[url]` takes no default")
            }
            (Source::Css { .. }, Some(fill)) if self.shape() != Shape::One => fail(
                fill,
                "an `Option` is `None` and a `Vec` is empty where nothing matches: no default",
            ),
            (Source::None, None) if item_is_read && self.shape() != Shape::Optional => fail(
                &self.ident,
                format!(
                    "nothing says how to read `{}`: add `#[css(\"..\")]`, `#[url]` or \
                     `#[default]`, or make it an `Option`",
                    self.ident
                ),
            ),
            (Source::None, Some(fill)) if !item_is_read => fail(
                fill,
                "no field of the item is read from a page, so that the default is never used",
            ),
            _ => Ok(()),
        }
    }

    /// What the type says by its name.
    pub(super) fn shape(&self) -> Shape {
        let Type::Path(path) = &self.ty else {
            return Shape::One;
        };
        match path.path.segments.last() {
            Some(last) if last.ident == "Option" => Shape::Optional,
            Some(last) if last.ident == "Vec" => Shape::All,
            _ => Shape::One,
        }
    }
}

impl ToTokens for Fill {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Default(at) => at.to_tokens(tokens),
            Self::Expr(expr) => expr.to_tokens(tokens),
        }
    }
}
