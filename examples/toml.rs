//! A spider that is text, in a program: the same file that `nephila crawl FILE.toml` takes.
//!
//! ```text
//! cargo run --example toml
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::declared::Declared;
use nephila::prelude::*;
use nephila::site::Site;
use nephila::spider::Args;

const SPIDER: &str = r#"
start = "{site}"

[args]
site = ""

[step.list.follow]
"article.product h3 a" = "book"

[step.book.item]
table = "books"
key = "url"

[step.book.item.fields]
url = "@url"
title = "h1"
price = { css = "p.price, p.price_color", parse = "money" }
upc = { select = "table:table >> json:UPC", type = "text?" }
"#;

#[tokio::main]
async fn main() -> Result {
    let shop = Site::start("127.0.0.1:0").await?;
    let declared = Declared::parse("books.toml".as_ref(), SPIDER)?;
    let args = Args::from([("site".to_owned(), shop.url().to_string())]);
    let report = Crawl::of(declared.spider(&args)?)
        .db("sqlite::memory:")
        .run()
        .await?;
    println!("{} books", report.statistics.items["books"].emitted);
    Ok(())
}
