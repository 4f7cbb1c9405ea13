//! A pipeline: items are dropped, changed and enriched before their page is committed.
//!
//! ```text
//! cargo run --example pipeline
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_util::StreamExt;
use nephila::Crawl;
use nephila::prelude::*;
use nephila::testing::Pages;

#[derive(Item, serde::Deserialize)]
#[item(table = "offers", key = "name")]
struct Offer {
    #[css("b")]
    name: String,
    #[css("i", parse = nephila::parse::money)]
    price: Option<f64>,
    /// Not on the page: the pipeline fills it in.
    euros: Option<f64>,
}

#[derive(Default)]
struct Offers;

#[spider(name = "example_offers", start = "http://shop.example/")]
impl Offers {
    fn pipeline(&self) -> Pipelines {
        Pipelines::new()
            .of::<Offer>(async |item, _| match item.number("price") {
                None => Ok(Processed::drop("no price")),
                Some(_) => Ok(item.into()),
            })
            .of::<Offer>(async |mut item, _| {
                let price = item.number("price").unwrap_or_default();
                item.set("euros", price * rate().await)?;
                Ok(item.into())
            })
    }

    async fn list(&self, page: Page) -> Result<Vec<Offer>> {
        page.items("li")
    }
}

/// Some service.
async fn rate() -> f64 {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    1.2
}

#[tokio::main]
async fn main() -> Result {
    let html = "<ul><li><b>Silk</b><i>£5.00</i><li><b>Wool</b><li><b>Linen</b><i>£2.50</i></ul>";
    let pages = Pages::new().html("http://shop.example/", html);
    let crawl = Crawl::new(Offers).db("sqlite::memory:").fetch(pages);
    let mut offers = crawl.stream::<Offer>();
    while let Some(offer) = offers.next().await {
        let Offer { name, price, euros } = offer?;
        println!("{name}: {price:?} = {euros:?} EUR");
    }
    for (reason, dropped) in offers.report().await?.statistics.dropped {
        println!("{} dropped, {reason}", dropped.count);
    }
    Ok(())
}
