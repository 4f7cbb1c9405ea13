use nephila::prelude::*;

#[derive(Item)]
struct Quote {
    text: String,
}

#[derive(Default)]
struct Quotes;

#[spider(start = "http://shop.example/")]
impl Quotes {
    async fn list(&self, page: Page) -> Result<Quote> {
        page.item()
    }
}

fn main() {}
