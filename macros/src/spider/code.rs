//! The code of a spider.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use super::{Spider, Step};
use crate::names::optional;

pub(super) fn spider(spider: &Spider) -> TokenStream {
    let (ty, block, name) = (&spider.ty, &spider.block, &spider.name);
    let names = names(spider);
    let (seeds, run, failed) = (seeds(spider), run(spider), failed(spider));
    let settings = spider.attribute.toml();
    let checks = spider.attribute.settings.iter().map(|(key, _)| {
        quote! { let _ = &settings.#key; }
    });
    let registration = registration(spider);
    let login = spider.login.then(|| {
        quote! {
            fn logs_in(&self) -> bool {
                true
            }
            fn login(
                &self,
                login: ::nephila::spider::Login,
            ) -> ::nephila::private::LocalBoxFuture<'_, ::nephila::Result> {
                ::std::boxed::Box::pin(<#ty>::login(self, login))
            }
        }
    });
    let middleware = spider.middleware.then(|| {
        quote! {
            fn middleware(&self) -> ::nephila::fetch::Middlewares {
                <#ty>::middleware(self)
            }
        }
    });
    let pipeline = spider.pipeline.then(|| {
        quote! {
            fn pipeline(&self) -> ::nephila::pipeline::Pipelines {
                <#ty>::pipeline(self)
            }
        }
    });
    let at = ty.span();
    let implementation = quote_spanned! {at=> impl ::nephila::spider::Spider for #ty };
    quote! {
        #block
        #names
        #[automatically_derived]
        #implementation {
            fn name(&self) -> &str {
                #name
            }
            fn steps(&self) -> &[::nephila::spider::StepInfo] {
                <Self as ::nephila::spider::Named>::all_steps()
            }
            #seeds
            #run
            #failed
            #middleware
            #pipeline
            #login
            fn settings(&self) -> &str {
                #settings
            }
            fn type_of_steps(&self) -> ::core::option::Option<::core::any::TypeId> {
                ::core::option::Option::Some(::core::any::TypeId::of::<Self>())
            }
        }
        const _: fn(&::nephila::settings::Settings) = |settings| {
            let _ = settings;
            #(#checks)*
        };
        #registration
    }
}

/// The block as it was, and as much of a spider that only the real errors are reported.
pub(super) fn broken(spider: &Spider, errors: &TokenStream) -> TokenStream {
    let (ty, block) = (&spider.ty, &spider.block);
    let is_plain = block.generics.params.is_empty();
    let names = is_plain.then(|| {
        quote! {
            impl ::nephila::spider::Named for #ty {
                fn step_name(_: ::core::any::TypeId) -> ::core::option::Option<&'static str> {
                    ::core::option::Option::None
                }
                fn all_steps() -> &'static [::nephila::spider::StepInfo] {
                    &[]
                }
            }
        }
    });
    quote! { #errors #block #names }
}

fn names(spider: &Spider) -> TokenStream {
    let (ty, steps) = (&spider.ty, steps(spider));
    let names = spider.steps.iter().map(|step| {
        let Step {
            ident, name, cfgs, ..
        } = step;
        quote! {
            #(#cfgs)*
            if method == ::nephila::private::id(&Self::#ident) {
                return ::core::option::Option::Some(#name);
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl ::nephila::spider::Named for #ty {
            fn step_name(
                method: ::core::any::TypeId,
            ) -> ::core::option::Option<&'static str> {
                #(#names)*
                ::core::option::Option::None
            }
            #steps
        }
    }
}

fn steps(spider: &Spider) -> TokenStream {
    let ty = &spider.ty;
    let infos = spider.steps.iter().map(|step| {
        let Step {
            ident,
            name,
            was,
            status,
            cfgs,
            ..
        } = step;
        let url = optional(step.url.as_ref());
        let revisit = optional(step.revisit.as_ref());
        let stop_when_known = optional(step.stop_when_known.as_ref());
        let tables = match (&step.yields, &step.argument) {
            (Type::Infer(_), None) => quote! { ::nephila::private::tables(&<#ty>::#ident) },
            (Type::Infer(_), Some(_)) => {
                quote! { ::nephila::private::tables_with(&<#ty>::#ident) }
            }
            (yields, _) => {
                let tables = of_yield(yields, "tables");
                quote! { #tables() }
            }
        };
        quote! {
            #(#cfgs)*
            ::nephila::spider::StepInfo {
                name: #name,
                was: &[#(#was),*],
                accepts: &[#(#status),*],
                revisit: #revisit,
                stop_when_known: #stop_when_known,
                url: #url,
                tables: ::nephila::spider::Tables::Typed(|| #tables),
            }
        }
    });
    quote! {
        fn all_steps() -> &'static [::nephila::spider::StepInfo] {
            static STEPS: &[::nephila::spider::StepInfo] = &[#(#infos),*];
            STEPS
        }
    }
}

fn seeds(spider: &Spider) -> TokenStream {
    let urls = &spider.attribute.start;
    let first = spider.steps.first().map(|step| &step.name);
    let fixed = (!urls.is_empty()).then(|| {
        quote! {
            for url in [#(#urls),*] {
                seeds.push(url, ::nephila::private::step::<Self>(#first)).await?;
            }
        }
    });
    let computed = spider.start.as_ref().map_or_else(
        || quote! { ::core::result::Result::Ok(()) },
        |start| quote! { Self::#start(self, seeds).await },
    );
    quote! {
        fn seeds(
            &self,
            seeds: ::nephila::spider::Seeds,
        ) -> ::nephila::private::LocalBoxFuture<'_, ::nephila::Result> {
            ::std::boxed::Box::pin(async move {
                #fixed
                #computed
            })
        }
    }
}

/// `<Type as Yield>::NAME`, at the type; a type that is none is reported once.
fn of_yield(ty: &Type, name: &str) -> TokenStream {
    let name = format_ident!("{name}");
    quote_spanned! {ty.span()=> <#ty as ::nephila::spider::Yield>::#name }
}

fn run(spider: &Spider) -> TokenStream {
    let arms = spider.steps.iter().map(|step| {
        let Step {
            ident,
            name,
            was,
            cfgs,
            argument,
            ..
        } = step;
        let read = argument.as_ref().map(|ty| {
            let read = quote_spanned! {ty.span()=> ::nephila::private::argument::<#ty> };
            quote! { let argument = #read(#name, args); }
        });
        let argument = argument.as_ref().map(|_| quote! { argument? });
        let leave = of_yield(&step.yields, "leave_on");
        let returned = quote_spanned! {step.output=>
            let returned: ::nephila::Result<_> = Self::#ident(self, page.clone(), #argument).await;
        };
        quote! {
            #(#cfgs)*
            #name #(| #was)* => {
                #read
                ::core::option::Option::Some(::std::boxed::Box::pin(async move {
                    #returned
                    #leave(returned?, &page)
                }))
            }
        }
    });
    quote! {
        fn run<'a>(
            &'a self,
            step: &str,
            args: ::core::option::Option<&str>,
            page: ::nephila::page::Page,
        ) -> ::core::option::Option<::nephila::private::LocalBoxFuture<'a, ::nephila::Result>> {
            match step {
                #(#arms)*
                _ => ::core::option::Option::None,
            }
        }
    }
}

fn failed(spider: &Spider) -> Option<TokenStream> {
    let arms = spider.steps.iter().filter_map(|step| {
        let Step {
            name, was, cfgs, ..
        } = step;
        let handler = step.failed.as_ref()?;
        let path = &handler.path;
        let method = if path.get_ident().is_some() {
            quote! { Self::#path }
        } else {
            quote! { #path }
        };
        let returned = quote_spanned! {path.span()=>
            let returned: ::nephila::Result<_> = #method(self, failure).await;
        };
        let leave = of_yield(&handler.yields, "leave_on");
        Some(quote! {
            #(#cfgs)*
            #name #(| #was)* => ::core::option::Option::Some(::std::boxed::Box::pin(async move {
                let page = ::core::clone::Clone::clone(failure.page());
                #returned
                #leave(returned?, &page)
            })),
        })
    });
    let arms = arms.collect::<Vec<_>>();
    (!arms.is_empty()).then(|| {
        quote! {
            fn failed<'a>(
                &'a self,
                step: &str,
                failure: ::nephila::spider::Failure,
            ) -> ::core::option::Option<::nephila::private::LocalBoxFuture<'a, ::nephila::Result>>
            {
                match step {
                    #(#arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
}

fn registration(spider: &Spider) -> TokenStream {
    let (ty, name) = (&spider.ty, &spider.name);
    let about = spider.about.as_deref().unwrap_or_default();
    let make = quote_spanned! {ty.span()=> (&&&::nephila::spider::Build::<#ty>::new(#name)).make };
    quote! {
        ::nephila::private::inventory::submit! {
            ::nephila::spider::Registration {
                name: #name,
                about: #about,
                file: ::core::file!(),
                steps: <#ty as ::nephila::spider::Named>::all_steps,
                make: |args| {
                    #[allow(unused_imports, reason = "which of them makes it depends on the type")]
                    use ::nephila::spider::{ViaDefault as _, ViaDeserialize as _, ViaNothing as _};
                    #make(args).map(::nephila::private::shared)
                },
            }
        }
    }
}
