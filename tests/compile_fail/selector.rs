use nephila::prelude::*;

#[derive(Item)]
struct Book {
    #[css("p.price[")]
    price: f64,
    #[css("h1")]
    #[or_css("h2::before")]
    title: String,
    #[xpath("//p[matches(., 'x')]")]
    stars: u8,
    #[css("p")]
    #[or_json("$.a[")]
    note: String,
}

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn list(&self, page: Page) -> Result {
        page.follow("h3 > > a", Self::book)?;
        page.follow(css!("li..next"), Self::list)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

fn main() {}
