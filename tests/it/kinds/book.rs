use super::*;

#[derive(Item)]
#[item(table = "book", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.price, p.price_color", parse = money)]
    price: f64,
    #[css("p.stars::attr(data-n)")]
    stars: Option<u8>,
    #[css("ul.breadcrumb li a")]
    path: Vec<String>,
}

#[derive(Deserialize)]
struct Books {
    site: Url,
}

#[spider(name = "kind_book")]
impl Books {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("article.product h3 a", Self::book)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}
