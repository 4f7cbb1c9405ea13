use nephila::prelude::*;

struct Book {
    title: String,
}

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn list(&self, page: Page) -> Result<Vec<Book>> {
        let title = page.get("h1")?;
        Ok(vec![Book { title }])
    }

    #[step(failed = lost)]
    async fn book(&self, page: Page) -> Result<String> {
        page.get("h1")
    }

    async fn lost(&self, failure: Failure) -> Result<Option<u8>> {
        Err(failure.to_string().into())
    }
}

fn main() {}
