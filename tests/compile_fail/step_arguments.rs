use nephila::prelude::*;

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn list(&self, page: Page) -> Result {
        page.follow("h3 a", (Self::numbered, "two"))?;
        page.follow("h3 a", Self::numbered)?;
        page.follow("h3 a", (Self::list, 1))?;
        page.follow("h3 a", Self::helper)?;
        Ok(())
    }

    async fn numbered(&self, page: Page, number: u32) -> Result {
        page.visit(number.to_string(), (Self::numbered, number + 1))
    }

    fn helper(&self) {}
}

fn main() {}
