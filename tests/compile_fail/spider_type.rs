use std::cell::Cell;

use nephila::prelude::*;

struct Unmade;

#[spider(start = "http://shop.example/")]
impl Unmade {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct Counting {
    pages: Cell<u32>,
}

#[spider(start = "http://shop.example/")]
impl Counting {
    async fn list(&self, _: Page) -> Result {
        self.pages.set(self.pages.get() + 1);
        Ok(())
    }
}

struct Generic<T>(T);

#[spider(start = "http://shop.example/")]
impl<T> Generic<T> {
    async fn list(&self, _: Page) -> Result {
        Ok(())
    }
}

#[derive(Default)]
struct Stepless;

#[spider(start = "http://shop.example/")]
impl Stepless {}

#[spider(start = "http://shop.example/")]
impl Clone for Stepless {
    fn clone(&self) -> Self {
        Self
    }
}

#[spider(start = "http://shop.example/")]
struct Books;

fn main() {}
