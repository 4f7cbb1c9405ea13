//! The spider and its test as `docs/spiders.md` shows them.

use nephila::prelude::*;

#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Default)]
struct Books;

#[spider(name = "tutorial_books", start = "http://127.0.0.1:7788/")]
impl Books {
    async fn list(&self, page: Page) -> Result {
        page.follow("article.product h3 a", Self::book)?;
        page.follow("li.next a", Self::list)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

#[tokio::test]
async fn a_list_leads_to_books_and_to_the_next_list() -> Result {
    let html = "<article class=product><h3><a href=/book/7>Weaving</a></h3></article>
        <li class=next><a href='?page=2'>next</a></li>";
    let page = Page::from_html("http://shop.example/", html)?;
    Books.list(page.clone()).await?;
    let emitted = page.emitted();
    let urls: Vec<_> = emitted
        .requests
        .iter()
        .map(|request| request.url.as_str())
        .collect();
    assert_eq!(
        urls,
        ["http://shop.example/book/7", "http://shop.example/?page=2"]
    );
    assert_eq!(emitted.requests[0].step.name, "book");
    Ok(())
}
