use super::*;

#[derive(Item)]
#[item(table = "map", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Deserialize)]
struct Mapped {
    site: Url,
}

#[spider(name = "kind_map")]
impl Mapped {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("robots.txt")?, Self::map).await
    }

    async fn map(&self, page: Page) -> Result {
        page.sitemap()?
            .only("/book/*")?
            .follow(Self::map, Self::book)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Title> {
        page.item()
    }
}
