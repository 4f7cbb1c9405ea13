use nephila::prelude::*;

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/", name = "my books", name = "books", delay = 1 + 1)]
impl Books {
    #[step(name = "book", was = "list")]
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(was = ["book", "former"])]
    async fn book(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(was = "former")]
    async fn other(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(was = "other")]
    async fn another(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(was = "former", was = "older")]
    async fn twice(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(status = [404, 200])]
    async fn status(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(url = "book/{id}")]
    async fn url(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(url = "/book/{id")]
    async fn brace(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(revisit = "often")]
    async fn often(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(revisit = "7d to 1h")]
    async fn backwards(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(stop_when_known = 0)]
    async fn known(&self, _: Page) -> Result {
        Ok(())
    }

    #[step(named = "x")]
    async fn option(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct Slow;

#[spider(start = "http://shop.example/", delai = "1s")]
impl Slow {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

fn main() {}
