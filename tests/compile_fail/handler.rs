use nephila::prelude::*;

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    #[step(failed = page)]
    async fn book(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(failed = blocking)]
    async fn author(&self, _: Page) -> Result {
        Ok(())
    }

    async fn page(&self, _: Page) -> Result {
        Ok(())
    }

    fn blocking(&self, _: Failure) -> Result {
        Ok(())
    }
}

fn main() {}
