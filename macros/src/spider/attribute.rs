//! What stands in `#[spider(..)]`.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, ExprLit, Lit, LitStr, Meta, Token, Type, UnOp};

use crate::fail::fail;
use crate::names::{is_plain_name, once, one_or_more, snake_case};

/// Start URLs, name and settings.
#[derive(Default)]
pub(super) struct Attribute {
    pub(super) start: Vec<LitStr>,
    pub(super) name: Option<LitStr>,
    pub(super) settings: Vec<(Ident, String)>,
    /// Whether `start` was said, but badly.
    pub(super) broken: bool,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut all = Self::default();
        let mut start = None;
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "start" => once(&mut start, &key, one_or_more(input)?)?,
                "name" => once(&mut all.name, &key, plain_name(input)?)?,
                _ => {
                    let twice = all.settings.iter().any(|(known, _)| *known == key);
                    let mut slot = twice.then(String::new);
                    once(&mut slot, &key, toml(&input.parse()?)?)?;
                    all.settings.extend(slot.map(|value| (key, value)));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        all.start = start.unwrap_or_default();
        all.start.iter().try_for_each(check_url)?;
        Ok(all)
    }
}

impl Attribute {
    /// In place of one that does not parse.
    pub(super) fn broken() -> Self {
        Self {
            broken: true,
            ..Self::default()
        }
    }

    /// The settings as TOML.
    pub(super) fn toml(&self) -> String {
        let lines = self.settings.iter();
        let lines =
            lines.map(|(key, value)| [&key.unraw().to_string(), " = ", value, "\n"].concat());
        lines.collect()
    }
}

/// A name that commands and the database accept.
pub(super) fn plain_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let name = input.parse::<LitStr>()?;
    if is_plain_name(&name.value()) {
        Ok(name)
    } else {
        fail(name, "a name is 1 to 63 letters, digits, `_` or `-`")
    }
}

fn check_url(literal: &LitStr) -> syn::Result<()> {
    let source = literal.value();
    let source = source.trim();
    let scheme = source.split_once("://").map(|(scheme, _)| scheme);
    match (url::Url::parse(source), scheme) {
        (Ok(url), Some(_)) if matches!(url.scheme(), "http" | "https") => Ok(()),
        (Ok(url), Some(scheme)) if url.scheme() == scheme.to_ascii_lowercase() => fail(
            literal,
            format!("start URL has scheme `{scheme}`: only http:// and https:// are crawled"),
        ),
        (Err(error), Some(_)) => fail(literal, format!("invalid start URL: {error}")),
        _ => fail(
            literal,
            "start URL has no scheme: write http://\u{2026} or https://\u{2026}",
        ),
    }
}

/// A literal, or an array of literals, as TOML.
fn toml(value: &Expr) -> syn::Result<String> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => Ok(toml_string(&text.value())),
            Lit::Int(number) => Ok(number.base10_digits().to_owned()),
            Lit::Float(number) => Ok(number.base10_digits().to_owned()),
            Lit::Bool(bool) => Ok(bool.value.to_string()),
            _ => fail(value, SETTING),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            Ok(format!("-{}", toml(&unary.expr)?))
        }
        Expr::Array(array) => {
            let all = array
                .elems
                .iter()
                .map(toml)
                .collect::<syn::Result<Vec<_>>>()?;
            Ok(format!("[{}]", all.join(", ")))
        }
        _ => fail(value, SETTING),
    }
}

const SETTING: &str = "a setting is text, a number, `true`, `false`, or a list of them";

fn toml_string(text: &str) -> String {
    let mut out = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() => {
                let escape = format!("\\u{:04X}", u32::from(char));
                out.push_str(&escape);
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// The type's name in snake_case.
pub(super) fn default_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|last| snake_case(&last.ident)),
        _ => None,
    }
    .unwrap_or_default()
}

/// The first line of a doc comment.
pub(super) fn first_line(attributes: &[syn::Attribute]) -> Option<String> {
    attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => {
                    let text = text.value();
                    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
                    Some(line.trim_end_matches('.').to_owned())
                }
                _ => None,
            },
            _ => None,
        })
}
