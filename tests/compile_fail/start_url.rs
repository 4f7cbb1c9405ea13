use nephila::prelude::*;

#[derive(Default)]
struct NoScheme;

#[spider(start = "shop.example/books")]
impl NoScheme {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct Port;

#[spider(start = ["http://shop.example/", "localhost:8080/"])]
impl Port {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct OtherScheme;

#[spider(start = "ftp://shop.example/")]
impl OtherScheme {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct NoHost;

#[spider(start = "http://")]
impl NoHost {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct Nowhere;

#[spider]
impl Nowhere {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct WithArgument;

#[spider(start = "http://shop.example/")]
impl WithArgument {
    async fn list(&self, _: Page, number: u32) -> Result {
        drop(number);
        Ok(())
    }
}

fn main() {}
