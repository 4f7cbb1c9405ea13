//! The code of an item.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Expr, ExprLit, Lit};

use super::Item;
use super::field::{Field, Fill, Shape, Source};
use crate::names::optional;

pub(super) fn item(item: &Item) -> TokenStream {
    let ident = &item.ident;
    let (schema, record) = (schema(item), record(item));
    let extract = item.is_read().then(|| extract(item));
    let checks = checks(item);
    quote! {
        #[automatically_derived]
        impl ::nephila::item::Item for #ident {
            #schema
            #record
        }
        #[automatically_derived]
        impl ::nephila::item::Field for #ident {
            const KIND: ::nephila::item::Kind = ::nephila::item::Kind::Json;
            fn into_value(
                self,
            ) -> ::core::result::Result<::nephila::item::Value, ::std::string::String> {
                ::nephila::private::nested(self)
            }
        }
        #extract
        #checks
    }
}

/// As much of an item that only the real errors are reported.
pub(super) fn broken(input: &DeriveInput, errors: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    if !input.generics.params.is_empty() {
        return errors.clone();
    }
    quote! {
        #errors
        #[automatically_derived]
        impl ::nephila::item::Item for #ident {
            fn schema() -> ::std::sync::Arc<::nephila::item::Schema> {
                ::core::unreachable!()
            }
            fn into_record(
                self,
            ) -> ::core::result::Result<::nephila::item::Record, ::nephila::item::ItemError> {
                ::core::unreachable!()
            }
        }
        #[automatically_derived]
        impl ::nephila::item::Field for #ident {
            const KIND: ::nephila::item::Kind = ::nephila::item::Kind::Json;
            fn into_value(
                self,
            ) -> ::core::result::Result<::nephila::item::Value, ::std::string::String> {
                ::core::unreachable!()
            }
        }
        #[automatically_derived]
        impl ::nephila::page::Extract for #ident {
            fn extract(
                _: &::nephila::page::Scope<'_>,
            ) -> ::core::result::Result<Self, ::nephila::page::FieldError> {
                ::core::unreachable!()
            }
        }
    }
}

fn schema(item: &Item) -> TokenStream {
    let (table, key) = (&item.table, &item.key);
    let columns = item.columns().map(|field| {
        let name = &field.column;
        let (kind, nullable) = (of_field(field, "KIND"), of_field(field, "NULLABLE"));
        quote! {
            ::nephila::item::Column {
                name: ::std::borrow::Cow::Borrowed(#name),
                kind: #kind,
                nullable: #nullable,
            }
        }
    });
    quote! {
        fn schema() -> ::std::sync::Arc<::nephila::item::Schema> {
            static SCHEMA: ::std::sync::LazyLock<::std::sync::Arc<::nephila::item::Schema>> =
                ::std::sync::LazyLock::new(|| {
                    ::nephila::private::schema(
                        #table,
                        ::std::vec![#(#columns),*],
                        &[#(#key),*],
                    )
                });
            ::std::sync::Arc::clone(&SCHEMA)
        }
    }
}

/// `<Type as Field>::NAME`, at the type.
fn of_field(field: &Field, name: &str) -> TokenStream {
    let ty = &field.ty;
    let name = format_ident!("{name}");
    quote_spanned! {ty.span()=> <#ty as ::nephila::item::Field>::#name }
}

fn record(item: &Item) -> TokenStream {
    let validate = item.validate.as_ref().map(|path| {
        quote_spanned! {path.span()=>
            ::nephila::private::refused(&schema, #path(&self))?;
        }
    });
    let values = item.columns().map(|field| {
        let (name, ident) = (&field.column, &field.ident);
        let into_value = of_field(field, "into_value");
        quote! { ::nephila::private::value(&schema, #name, #into_value(self.#ident))? }
    });
    quote! {
        fn into_record(
            self,
        ) -> ::core::result::Result<::nephila::item::Record, ::nephila::item::ItemError> {
            let schema = <Self as ::nephila::item::Item>::schema();
            #validate
            let values = ::std::vec![#(#values),*];
            ::nephila::item::Record::new(schema, values)
        }
    }
}

fn extract(item: &Item) -> TokenStream {
    let ident = &item.ident;
    let mut rules = Vec::new();
    let values = item.fields.iter().map(|field| {
        let (name, value) = (&field.ident, value(field, &mut rules));
        quote! { #name: #value }
    });
    let values = values.collect::<Vec<_>>();
    let count = rules.len();
    quote! {
        #[automatically_derived]
        impl ::nephila::page::Extract for #ident {
            fn extract(
                scope: &::nephila::page::Scope<'_>,
            ) -> ::core::result::Result<Self, ::nephila::page::FieldError> {
                ::std::thread_local! {
                    static RULES: [::nephila::page::Rule; #count] = [#(#rules),*];
                }
                RULES.with(|rules| {
                    let read = || ::core::result::Result::Ok(Self { #(#values),* });
                    let read: ::core::result::Result<Self, ::nephila::page::FieldError> = read();
                    read.inspect_err(|error| ::nephila::private::look_on(scope, rules, error))
                })
            }
        }
    }
}

/// The expression that reads a field; its rule is added to `rules`.
fn value(field: &Field, rules: &mut Vec<TokenStream>) -> TokenStream {
    let ty = &field.ty;
    match &field.source {
        Source::Url => {
            quote_spanned! {ty.span()=> <#ty as ::nephila::page::FromUrl>::from_url(scope.url()) }
        }
        Source::None => field.fill.as_ref().map_or_else(
            || quote! { ::core::option::Option::None },
            |fill| filled(field, fill),
        ),
        Source::Css { selector, parse } => {
            let at = rules.len();
            let rule = quote! { &rules[#at] };
            rules.push(self::rule(field, selector));
            let read = read(field, parse.as_ref(), &rule);
            match &field.fill {
                None => quote! { #read? },
                Some(fill) => {
                    let fill = filled(field, fill);
                    quote! { ::nephila::private::or_else(#read, || #fill)? }
                }
            }
        }
    }
}

fn rule(field: &Field, selector: &syn::LitStr) -> TokenStream {
    let (name, fallbacks) = (&field.column, &field.fallbacks);
    let pattern = optional(field.pattern.as_ref());
    quote! { ::nephila::page::Rule::checked(#name, #selector, &[#(#fallbacks),*], #pattern) }
}

fn read(field: &Field, parse: Option<&Expr>, rule: &TokenStream) -> TokenStream {
    let ty = &field.ty;
    match (parse, field.shape()) {
        (None, _) => {
            quote_spanned! {ty.span()=> ::nephila::page::Scope::read::<#ty>(scope, #rule) }
        }
        (Some(parse), shape) => {
            let method = match shape {
                Shape::One => quote! { read_with },
                Shape::Optional => quote! { read_optional_with },
                Shape::All => quote! { read_all_with },
            };
            quote_spanned! {parse.span()=>
                ::nephila::page::Scope::#method(scope, #rule, #parse)
            }
        }
    }
}

fn filled(field: &Field, fill: &Fill) -> TokenStream {
    let ty = &field.ty;
    match fill {
        Fill::Default(_) => {
            quote_spanned! {ty.span()=> <#ty as ::core::default::Default>::default() }
        }
        Fill::Expr(expr) => match &**expr {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => quote_spanned! {text.span()=>
                <#ty as ::core::convert::From<&'static str>>::from(#text)
            },
            expr => quote! { #expr },
        },
    }
}

/// What only types and constants of the library know.
fn checks(item: &Item) -> TokenStream {
    let (table, at) = (&item.table, item.table_at.span());
    let reserved = quote_spanned! {at=>
        const _: () = ::core::assert!(
            !::nephila::item::Schema::is_reserved(#table),
            "this table is the store's own: choose another name, #[item(table = \"..\")]",
        );
    };
    let keys = item.key.iter().filter_map(|key| {
        let field = item.columns().find(|field| field.column == key.value())?;
        let ty = &field.ty;
        Some(quote_spanned! {key.span()=>
            const _: () = ::core::assert!(
                !<#ty as ::nephila::item::Field>::NULLABLE,
                "a key always has a value: this column may be NULL",
            );
        })
    });
    quote! { #reserved #(#keys)* }
}
