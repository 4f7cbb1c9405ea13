use super::*;

#[derive(Item)]
#[item(table = "mdbook", key = "url")]
struct Chapter {
    #[url]
    url: Url,
    #[css("main h1")]
    title: String,
    #[css("main h2")]
    parts: Vec<String>,
    #[xpath("count(//main//pre)")]
    examples: u32,
    #[css("main::markdown")]
    text: String,
}

#[derive(Deserialize)]
struct Chapters {
    site: Url,
}

#[spider(name = "kind_mdbook")]
impl Chapters {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("mdbook.html")?, Self::page).await
    }

    async fn page(&self, page: Page) -> Result<Chapter> {
        page.item()
    }
}
