use nephila::prelude::*;

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn list(&self, page: Page) -> Result {
        page.follow("a", Self::list)?;
        Ok(())
    }

    fn blocking(&self, _: Page) -> Result {
        Ok(())
    }

    async fn by_value(self, _: Page) -> Result {
        Ok(())
    }

    async fn exclusive(&mut self, _: Page) -> Result {
        Ok(())
    }

    async fn free(_: Page) -> Result {
        Ok(())
    }

    async fn silent(&self, _: Page) {}

    async fn generic<T>(&self, _: Page) -> Result {
        Ok(())
    }

    async fn borrowing(&self, _: Page, name: &str) -> Result {
        Err(name.into())
    }

    async fn many(&self, _: Page, _: u8, _: u8) -> Result {
        Ok(())
    }

    #[step(was = "old")]
    async fn pageless(&self) -> Result {
        Ok(())
    }

    fn start(&self, _: Seeds) -> Result {
        Ok(())
    }
}

fn main() {}
