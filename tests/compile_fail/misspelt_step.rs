use nephila::prelude::*;

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn list(&self, page: Page) -> Result {
        page.follow("h3 a", Self::bok)?;
        Ok(())
    }

    #[step(failed = lst)]
    async fn book(&self, page: Page) -> Result {
        page.visit("/", Self::list)
    }

    async fn lost(&self, _: Failure) -> Result {
        Ok(())
    }
}

fn main() {}
