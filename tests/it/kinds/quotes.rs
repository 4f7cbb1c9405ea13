use super::*;

#[derive(Item)]
#[item(table = "quotes", key = ["author", "text"])]
struct Quote {
    #[json("author.name")]
    author: String,
    #[json("text")]
    text: String,
    #[json("tags[*]")]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Quotes {
    site: Url,
}

#[spider(name = "kind_quotes")]
impl Quotes {
    async fn start(&self, seeds: Seeds) -> Result {
        let first = self.site.join("api/quotes?page=1")?;
        seeds.push(first, (Self::page, 1)).await
    }

    async fn page(&self, page: Page, number: u32) -> Result<Vec<Quote>> {
        if page.get::<bool>("json:has_next")? {
            page.visit(format!("?page={}", number + 1), (Self::page, number + 1))?;
        }
        page.items("json:$.quotes[*]")
    }
}
