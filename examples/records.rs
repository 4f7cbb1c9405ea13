//! Records in other forms than HTML: XML with namespaces, CSV, tables, microdata. One notation reads all of
//! them.
//!
//! ```text
//! cargo run --example records
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::prelude::*;

#[derive(Debug, Item)]
struct Product {
    #[json("name")]
    name: String,
    #[json("price")]
    #[or_json("$['g:price']")]
    #[or_json("offers.price")]
    price: f64,
}

fn main() -> Result {
    let xml = "<shop xmlns:g='http://g.example/'><product><name>Silk</name><g:price>5.5</g:price></product></shop>";
    show(
        &Page::from_html("http://shop.example/a.xml", xml)?,
        "xml:product",
    )?;

    let csv = "name;price\nWool;2.5\n\"Linen; fine\";4\n";
    show(&Page::from_html("http://shop.example/a.csv", csv)?, "csv:")?;

    let table =
        "<table class=offers><tr><th>name<th>price<tr><td>Jute<td>1<tr><td>Hemp<td>1.5</table>";
    show(
        &Page::from_html("http://shop.example/", table)?,
        "table:table.offers",
    )?;

    let micro = "<div itemscope itemtype='https://schema.org/Product'><b itemprop=name>Felt</b>
        <p itemprop=offers itemscope><meta itemprop=price content=3>£3</p></div>";
    show(
        &Page::from_html("http://shop.example/felt", micro)?,
        "micro:Product",
    )
}

fn show(page: &Page, selector: &str) -> Result {
    for Product { name, price } in page.items(selector)? {
        println!("{selector:<20} {name}: {price}");
    }
    Ok(())
}
