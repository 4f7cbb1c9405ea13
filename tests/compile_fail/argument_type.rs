use nephila::prelude::*;

struct At {
    page: u32,
}

#[derive(Default)]
struct Books;

#[spider(start = "http://shop.example/")]
impl Books {
    async fn list(&self, page: Page) -> Result {
        page.visit("/2", (Self::numbered, At { page: 2 }))
    }

    async fn numbered(&self, page: Page, at: At) -> Result {
        page.visit(at.page.to_string(), Self::list)
    }

    async fn other_error(&self, _: Page) -> std::result::Result<(), String> {
        Err("no".to_owned())
    }
}

fn main() {}
