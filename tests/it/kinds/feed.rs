use super::*;

#[derive(Item)]
#[item(table = "feed", key = "url")]
struct Entry {
    #[json("url")]
    url: Url,
    #[json("title")]
    title: String,
    #[json("published")]
    published: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
struct Feed {
    site: Url,
}

#[spider(name = "kind_feed")]
impl Feed {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("feed.xml")?, Self::feed).await
    }

    async fn feed(&self, page: Page) -> Result<Vec<Entry>> {
        page.items("feed:")
    }
}
