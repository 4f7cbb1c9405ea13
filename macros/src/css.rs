//! `css!("h3 a")`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

use crate::selector;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let literal = syn::parse2::<LitStr>(input).and_then(|literal| {
        selector::check(&literal)?;
        Ok(literal)
    });
    match literal {
        Err(error) => error.into_compile_error(),
        Ok(literal) => quote! {{
            ::std::thread_local! {
                static SELECTOR: ::std::rc::Rc<::nephila::page::Selector> =
                    ::nephila::private::selector(#literal);
            }
            SELECTOR.with(::std::rc::Rc::clone)
        }},
    }
}
