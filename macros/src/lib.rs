//! The macros of [nephila](https://docs.rs/nephila): use them through that crate.
//!
//! # `#[spider]` on an `impl` block
//!
//! | written | means |
//! |---|---|
//! | `start = "https://.."`, `start = ["..", ".."]` | URLs that the first step reads |
//! | `name = "books"` | the spider's name; else that of its type in snake_case |
//! | `delay = "1s"`, `concurrency = 4`, `hosts = ["a.example"]` | settings of this spider |
//!
//! A step is an `async fn` that takes `&self`, a `Page`, and perhaps one argument that serde can
//! write and read; it returns `Result<T>`, where `T` is `()`, an item, or an `Option` or `Vec` of it.
//! Literal selectors given to its page (`page.follow("h3 a", ..)`) are checked, too. `async fn start(&self, seeds: Seeds) -> Result` sends seeds that are computed.
//! Every other function is left alone. On a step:
//!
//! | written | means |
//! |---|---|
//! | `#[step(name = "x")]` | its name in the database; else that of the method |
//! | `#[step(was = "old")]`, `#[step(was = ["a", "b"])]` | names it had: requests queued under them are its own |
//! | `#[step(url = "/book/{id}")]` | the URLs it reads, for `try`, `shell` and sitemaps |
//! | `#[step(status = 404)]`, `#[step(status = [404, 410])]` | statuses it reads besides 2xx |
//! | `#[step(failed = handler)]` | `async fn handler(&self, failure: Failure) -> Result<..>` is told of requests that finally failed |
//!
//! # `#[derive(Item)]` on a struct
//!
//! | written | means |
//! |---|---|
//! | `#[item(table = "books")]` | its table; else the struct's name in snake_case |
//! | `#[item(key = "url")]`, `#[item(key = ["a", "b"])]` | the columns that identify a row |
//! | `#[item(validate = function)]` | `fn(&Self) -> Result<(), impl Display>` may refuse an item |
//!
//! and on its fields:
//!
//! | written | means |
//! |---|---|
//! | `#[css("h1")]` | read from the first match (`Vec`: all; `Option`: if there is one; `bool`: whether there is one) |
//! | `#[css("p::text")]`, `#[css("a::attr(href)")]`, `#[css("::attr(id)")]` | own text; an attribute; one of the element itself |
//! | `#[xpath(".//h1")]`, `#[json("$.title")]` | the same as `#[css("xpath:.//h1")]`, `#[css("json:$.title")]` |
//! | `#[css("..", parse = function)]` | `fn(&str) -> Result<T, impl Display>` reads the text |
//! | `#[css("..", default)]`, `#[css("..", default = 0)]` | what it is where nothing matches |
//! | `#[or_css("..")]`, `#[or_xpath("..")]`, `#[or_json("..")]` | the next selector to try where nothing matches; may stand often |
//! | `#[re(r"([\d.]+)")]` | takes the first group, or the whole match, of the text |
//! | `#[url]` | the page's own URL |
//! | `#[default]`, `#[default = 1]`, `#[default(expression)]` | not read from the page; as `Option` is without it |
//! | `#[item(default)]`, `#[item(default = expression)]` | the same, beside `#[derive(Default)]`, which takes `#[default]` for its own |
//! | `#[item(name = "x")]` | the column's name; else that of the field |
//! | `#[item(skip)]` | not a column |
//!
//! An item whose fields say nowhere how to read them is made by hand or from JSON. Selectors,
//! patterns, start URLs, names, keys and settings are checked when compiling, at the literal.

mod css;
mod fail;
mod item;
mod names;
mod selector;
mod spider;
mod spiders;

use proc_macro::TokenStream;

/// Makes a spider of an `impl` block and registers it: see the [table](crate).
#[proc_macro_attribute]
pub fn spider(attribute: TokenStream, block: TokenStream) -> TokenStream {
    spider::expand(attribute.into(), block.into()).into()
}

/// Makes a struct an item, read from pages by its selectors and stored as a row: see the
/// [table](crate).
#[proc_macro_derive(
    Item,
    attributes(item, css, xpath, json, or_css, or_xpath, or_json, re, url, default)
)]
pub fn item(input: TokenStream) -> TokenStream {
    item::expand(input.into()).into()
}

/// A selector that is checked when compiling and parsed once per thread: `css!("h3 a")` is an
/// `Rc<Selector>`.
#[proc_macro]
pub fn css(input: TokenStream) -> TokenStream {
    css::expand(input.into()).into()
}

/// A `mod` line for every file beside the one that calls it: in `spiders/main.rs`, every spider of
/// the folder is found by itself.
///
/// A new file is noticed once something is rebuilt; one line in a build script sees to that:
/// `println!("cargo::rerun-if-changed=spiders");`.
#[proc_macro]
pub fn spiders(input: TokenStream) -> TokenStream {
    let caller = proc_macro::Span::call_site().local_file();
    spiders::expand(&input.into(), caller).into()
}
