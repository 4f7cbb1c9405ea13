//! Which functions of the block are steps, and what their `#[step(..)]` says.

use proc_macro2::{Ident, Span};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseBuffer, ParseStream};
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, GenericArgument, ImplItemFn, LitInt, LitStr, Path, PathArguments,
    ReceiverKind, ReturnType, Signature, Token, Type, bracketed, parse_quote, token,
};

use super::attribute::plain_name;
use super::handler::Handler;
use super::literals;
use crate::fail::{Failures, fail};
use crate::names::{once, one_or_more};

/// A method that reads a page.
pub(super) struct Step {
    pub(super) ident: Ident,
    pub(super) name: String,
    /// Where its name is written.
    pub(super) name_at: proc_macro2::TokenStream,
    pub(super) was: Vec<LitStr>,
    pub(super) status: Vec<u16>,
    pub(super) url: Option<LitStr>,
    pub(super) failed: Option<Handler>,
    /// As it stands in the code.
    pub(super) revisit: Option<proc_macro2::TokenStream>,
    pub(super) stop_when_known: Option<u32>,
    /// The type of its argument.
    pub(super) argument: Option<Type>,
    /// Where its return type is written.
    pub(super) output: Span,
    /// What it returns in its `Result`; `_` where that can't be seen.
    pub(super) yields: Type,
    /// `#[cfg(..)]` on the method.
    pub(super) cfgs: Vec<Attribute>,
}

/// A function of the block.
pub(super) enum Function {
    Step(Box<Step>),
    /// `start(&self, seeds: Seeds)`
    Start,
    /// `login(&self, login: Login)`
    Login,
    /// `middleware(&self)`
    Middleware,
    /// `pipeline(&self)`
    Pipeline,
    Other,
}

/// What stands in `#[step(..)]`.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    was: Option<Vec<LitStr>>,
    url: Option<LitStr>,
    status: Option<Vec<u16>>,
    failed: Option<Path>,
    revisit: Option<proc_macro2::TokenStream>,
    stop_when_known: Option<u32>,
}

/// Reads a function; takes `#[step(..)]` off it.
pub(super) fn read(function: &mut ImplItemFn, failures: &mut Failures) -> Function {
    let (own, others): (Vec<_>, _) = std::mem::take(&mut function.attrs)
        .into_iter()
        .partition(|attribute| attribute.path().is_ident("step"));
    function.attrs = others;
    match second_type(&function.sig)
        .map(ToString::to_string)
        .as_deref()
    {
        Some("Page") if is_step(&function.sig, !own.is_empty()) => {
            let Some(step) = failures.ok(step(function, &own)) else {
                return Function::Other;
            };
            for error in literals::check(function) {
                failures.add(error);
            }
            function.attrs.push(quiet());
            Function::Step(Box::new(step))
        }
        None if function.sig.ident == "middleware" => {
            let read = stages(&function.sig, own.first(), "Middlewares");
            function.attrs.push(quiet());
            failures
                .ok(read)
                .map_or(Function::Other, |()| Function::Middleware)
        }
        None if function.sig.ident == "pipeline" => {
            let read = stages(&function.sig, own.first(), "Pipelines");
            function.attrs.push(quiet());
            failures
                .ok(read)
                .map_or(Function::Other, |()| Function::Pipeline)
        }
        Some("Login") => {
            function.attrs.push(quiet());
            failures.ok(login(&function.sig)).unwrap_or(Function::Other)
        }
        Some("Seeds") => {
            function.attrs.push(quiet());
            failures.ok(start(&function.sig)).unwrap_or(Function::Other)
        }
        name => {
            if name == Some("Failure") {
                function.attrs.push(quiet());
            }
            if let Some(attribute) = own.first() {
                let message = "no step: a step is `async fn(&self, page: Page) -> Result<..>`";
                failures.at(attribute, message);
            }
            Function::Other
        }
    }
}

/// The signature is given, whatever the body makes of it.
fn quiet() -> Attribute {
    parse_quote! {
        #[allow(
            clippy::needless_pass_by_value,
            clippy::unnecessary_wraps,
            clippy::unused_async,
            clippy::unused_self,
            reason = "the signature is that of a step"
        )]
    }
}

/// The last name in the type of the second parameter.
pub(super) fn second_type(signature: &Signature) -> Option<&Ident> {
    signature
        .inputs
        .iter()
        .take(2)
        .find_map(|input| match input {
            FnArg::Typed(parameter) => type_name(&parameter.ty),
            FnArg::Receiver(_) => None,
        })
}

fn type_name(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| &last.ident),
        _ => None,
    }
}

/// A plain function without `self` that takes a page is a helper; a method is a step, or was meant
/// to be one.
fn is_step(signature: &Signature, marked: bool) -> bool {
    marked || signature.asyncness.is_some() || signature.receiver().is_some()
}

fn step(function: &ImplItemFn, own: &[Attribute]) -> syn::Result<Step> {
    let signature = &function.sig;
    check_signature(signature, "step")?;
    let mut inputs = signature.inputs.iter().skip(2);
    let argument = inputs.next().map(argument).transpose()?;
    if let Some(more) = inputs.next() {
        let message = "a step takes a page and at most one argument: make it a struct or a tuple";
        return fail(more, message);
    }
    let ReturnType::Type(_, output) = &signature.output else {
        let message = "a step returns `Result`, `Result<T>`, `Result<Option<T>>` or \
                       `Result<Vec<T>>`";
        return fail(&signature.ident, message);
    };
    let options = options(own)?;
    let ident = &signature.ident;
    let (name, name_at) = options.name.as_ref().map_or_else(
        || (ident.unraw().to_string(), ident.to_token_stream()),
        |name| (name.value(), name.to_token_stream()),
    );
    let is_cfg = |attribute: &&Attribute| attribute.path().is_ident("cfg");
    Ok(Step {
        ident: ident.clone(),
        name,
        name_at,
        was: options.was.unwrap_or_default(),
        status: options.status.unwrap_or_default(),
        url: options.url,
        failed: options.failed.map(Handler::new),
        revisit: options.revisit,
        stop_when_known: options.stop_when_known,
        argument,
        output: output.span(),
        yields: yields(output),
        cfgs: function.attrs.iter().filter(is_cfg).cloned().collect(),
    })
}

/// `T` of `Result<T>`, `()` of `Result`, and `_` of other names, which only the compiler knows.
pub(super) fn yields(output: &Type) -> Type {
    let last = match output {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    };
    match last.filter(|last| last.ident == "Result") {
        None => parse_quote!(_),
        Some(result) => match &result.arguments {
            PathArguments::AngleBracketed(all) => match all.args.first() {
                Some(GenericArgument::Type(ty)) => ty.clone(),
                _ => parse_quote!(_),
            },
            _ => parse_quote!(()),
        },
    }
}

fn start(signature: &Signature) -> syn::Result<Function> {
    if signature.ident != "start" {
        return Ok(Function::Other);
    }
    check_signature(signature, "start function")?;
    if signature.inputs.len() > 2 {
        return fail(
            signature.inputs.last(),
            "`start` takes seeds and nothing else: arguments are fields of the spider",
        );
    }
    Ok(Function::Start)
}

fn login(signature: &Signature) -> syn::Result<Function> {
    if signature.ident != "login" {
        return Ok(Function::Other);
    }
    check_signature(signature, "login")?;
    if signature.inputs.len() > 2 {
        return fail(
            signature.inputs.last(),
            "`login` takes a login and nothing else: what it needs are secrets of the settings",
        );
    }
    Ok(Function::Login)
}

/// `fn middleware(&self) -> Middlewares`, `fn pipeline(&self) -> Pipelines`
fn stages(signature: &Signature, own: Option<&Attribute>, of: &str) -> syn::Result<()> {
    let is_shared = signature
        .receiver()
        .is_some_and(|receiver| is_shared(&receiver.kind));
    let returns = matches!(signature.output, ReturnType::Type(..));
    let is_plain = signature.asyncness.is_none() && signature.generics.params.is_empty();
    if is_shared && returns && is_plain && signature.inputs.len() == 1 && own.is_none() {
        return Ok(());
    }
    let name = &signature.ident;
    let message = format!(
        "the spider's stages: write `fn {name}(&self) -> {of}`, or give the function another name"
    );
    fail(name, message)
}

fn check_signature(signature: &Signature, what: &str) -> syn::Result<()> {
    if signature.asyncness.is_none() {
        let message = if what == "step" {
            "a step is an `async fn`; a helper takes `&Page`".to_owned()
        } else {
            format!("a {what} is an `async fn`")
        };
        return fail(signature.fn_token, message);
    }
    match signature.receiver() {
        Some(receiver) if !is_shared(&receiver.kind) => fail(
            receiver,
            format!("a {what} takes `&self`: all threads share one spider"),
        ),
        None => fail(&signature.ident, format!("a {what} takes `&self`")),
        Some(_) if !signature.generics.params.is_empty() => fail(
            &signature.generics,
            format!("a {what} has no type parameters or lifetimes"),
        ),
        Some(_) => Ok(()),
    }
}

pub(super) fn is_shared(kind: &ReceiverKind) -> bool {
    matches!(kind, ReceiverKind::Reference(_, _, None))
}

fn argument(input: &FnArg) -> syn::Result<Type> {
    let FnArg::Typed(parameter) = input else {
        return fail(input, "a step takes `&self` first");
    };
    match &*parameter.ty {
        ty @ (Type::Reference(_) | Type::ImplTrait(_)) => fail(
            ty,
            "a step's argument is stored with its request: it is an owned type that serde can \
             write and read",
        ),
        ty => Ok(ty.clone()),
    }
}

fn options(own: &[Attribute]) -> syn::Result<Options> {
    let mut options = Options::default();
    for attribute in own {
        attribute.parse_args_with(|input: ParseStream<'_>| {
            while !input.is_empty() {
                options.read(input)?;
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        })?;
    }
    Ok(options)
}

impl Options {
    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let key = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        match key.to_string().as_str() {
            "name" => once(&mut self.name, &key, plain_name(input)?),
            "was" => once(&mut self.was, &key, one_or_more(input)?),
            "url" => once(&mut self.url, &key, url_pattern(input)?),
            "status" => once(&mut self.status, &key, statuses(input)?),
            "failed" => once(&mut self.failed, &key, input.parse()?),
            "revisit" => once(&mut self.revisit, &key, revisit(&input.parse()?)?),
            "stop_when_known" => once(&mut self.stop_when_known, &key, known(&input.parse()?)?),
            _ => fail(
                &key,
                format!(
                    "no option `{key}`: there are `name`, `was`, `url`, `status`, `failed`, \
                     `revisit` and `stop_when_known`"
                ),
            ),
        }
    }
}

fn url_pattern(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let literal = input.parse::<LitStr>()?;
    let pattern = literal.value();
    let starts = ["/", "http://", "https://"];
    if !starts.iter().any(|start| pattern.starts_with(start)) {
        return fail(
            literal,
            "a URL pattern starts with `/`, `http://` or `https://`: `/book/{id}`",
        );
    }
    let mut depth = 0_u8;
    for char in pattern.chars() {
        depth = match (char, depth) {
            ('{', 0) => 1,
            ('}', 1) => 0,
            ('{' | '}', _) => return fail(literal, "unpaired brace: `/book/{id}`"),
            _ => depth,
        };
    }
    if depth > 0 {
        return fail(literal, "unpaired brace: `/book/{id}`");
    }
    Ok(literal)
}

/// When a step wants its pages again, as code.
fn revisit(literal: &LitStr) -> syn::Result<proc_macro2::TokenStream> {
    let text = literal.value();
    let text = text.trim();
    let wrong = || {
        syn::Error::new(
            literal.span(),
            "when are pages wanted again? `always`, `changed`, `every 7d`, `1h to 30d`, `lastmod` or \
             `never`",
        )
    };
    let of = |text: &str| duration(text).ok_or_else(wrong);
    let code = match text {
        "always" => quote! { Always },
        "changed" => quote! { Changed },
        "lastmod" => quote! { Lastmod },
        "never" => quote! { Never },
        _ => match (text.strip_prefix("every "), text.split_once(" to ")) {
            (Some(every), _) => {
                let every = of(every)?;
                quote! { Every(::core::time::Duration::from_millis(#every)) }
            }
            (None, Some((least, most))) => {
                let (least, most) = (of(least)?, of(most)?);
                if least > most || least == 0 {
                    return Err(wrong());
                }
                quote! {
                    Between(
                        ::core::time::Duration::from_millis(#least),
                        ::core::time::Duration::from_millis(#most),
                    )
                }
            }
            _ => return Err(wrong()),
        },
    };
    Ok(quote! { ::nephila::request::Revisit::#code })
}

/// `90s`, `10m`, `6h`, `7d` in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn known(literal: &LitInt) -> syn::Result<u32> {
    match literal.base10_parse::<u32>() {
        Ok(count @ 1..) => Ok(count),
        _ => fail(
            literal,
            "how many known ones in a page are enough? at least 1",
        ),
    }
}

/// `404` or `[404, 410]`.
fn statuses(input: ParseStream<'_>) -> syn::Result<Vec<u16>> {
    if !input.peek(token::Bracket) {
        return Ok(vec![status(&input.parse()?)?]);
    }
    let list;
    bracketed!(list in input);
    list.parse_terminated(ParseBuffer::parse::<LitInt>, Token![,])?
        .iter()
        .map(status)
        .collect()
}

fn status(literal: &LitInt) -> syn::Result<u16> {
    match literal.base10_parse::<u16>() {
        Ok(status @ (100..=199 | 300..=599)) => Ok(status),
        Ok(200..=299) => fail(literal, "every step reads 2xx"),
        _ => fail(literal, "no HTTP status"),
    }
}
