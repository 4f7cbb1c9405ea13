use super::*;

#[derive(Item)]
#[item(table = "list", key = "link")]
struct Row {
    #[css("h3 a::attr(href)")]
    link: Url,
    #[css("h3 a::attr(title)")]
    #[or_css("h3 a")]
    title: String,
    #[css("p.price, p.price_color", parse = money)]
    price: f64,
}

#[derive(Deserialize)]
struct List {
    site: Url,
}

#[spider(name = "kind_list")]
impl List {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::list).await
    }

    async fn list(&self, page: Page) -> Result<Vec<Row>> {
        page.follow("li.next a", Self::list)?;
        page.items("article.product")
    }
}
