use nephila::Crawl;
use nephila::prelude::*;

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn book(&self, _: Page) -> Result {
        Ok(())
    }

    async fn middleware(&self) -> Middlewares {
        Middlewares::new()
    }
}

#[derive(Default)]
struct Quotes;

#[spider(start = "http://shop.example/")]
impl Quotes {
    async fn quote(&self, _: Page) -> Result {
        Ok(())
    }
}

fn main() {
    let _ = Crawl::new(Quotes).middleware("a stage");
}
