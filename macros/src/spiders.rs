//! `spiders!()`: a `mod` line for every file beside the one that calls it.

use std::io;
use std::path::{Path, PathBuf};

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

pub(crate) fn expand(input: &TokenStream, caller: Option<PathBuf>) -> TokenStream {
    if !input.is_empty() {
        let message = "`spiders!()` takes no arguments: it takes the files beside its own";
        return syn::Error::new_spanned(input, message).into_compile_error();
    }
    let folder = folder_of(caller);
    match modules(&folder) {
        Ok(names) => quote! {
            #(mod #names;)*
            ::nephila::private::inventory::submit! {
                ::nephila::spider::Package { folder: ::std::env!("CARGO_MANIFEST_DIR") }
            }
        },
        Err(error) => {
            let message = format!("can't list the spiders in {}: {error}", folder.display());
            syn::Error::new(Span::call_site(), message).into_compile_error()
        }
    }
}

/// The folder of the file that calls the macro. An editor's expansion may not know the file: then it
/// is `spiders/` of the package.
fn folder_of(caller: Option<PathBuf>) -> PathBuf {
    let known = caller.and_then(|file| file.parent().map(Path::to_path_buf));
    known.unwrap_or_else(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
        Path::new(&package).join("spiders")
    })
}

/// `books.rs` and `shop/mod.rs` are modules; `main.rs`, `lib.rs` and `mod.rs` call the macro.
fn modules(folder: &Path) -> io::Result<Vec<Ident>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_file = path.extension().is_some_and(|extension| extension == "rs");
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let is_module = is_file && !matches!(stem, "main" | "lib" | "mod");
        if is_module || path.join("mod.rs").is_file() {
            names.push(ident(stem)?);
        }
    }
    names.sort();
    Ok(names)
}

fn ident(stem: &str) -> io::Result<Ident> {
    syn::parse_str::<Ident>(stem)
        .or_else(|_| syn::parse_str(&format!("r#{stem}")))
        .map_err(|_| {
            let better: String = stem
                .chars()
                .map(|c| if c.is_alphanumeric() { c } else { '_' })
                .collect();
            io::Error::other(format!(
                "`{stem}` is no name for a Rust file: call it `{better}.rs`"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let check = |stem, expected: Result<&str, &str>| {
            let outcome = ident(stem).map(|ident| ident.to_string());
            let outcome = outcome.map_err(|error| error.to_string());
            assert_eq!(outcome.as_deref().map_err(String::as_str), expected);
        };
        check("books", Ok("books"));
        check("loop", Ok("r#loop"));
        check(
            "my-books",
            Err("`my-books` is no name for a Rust file: call it `my_books.rs`"),
        );
    }
}
