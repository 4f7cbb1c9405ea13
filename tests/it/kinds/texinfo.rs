use super::*;

#[derive(Item)]
#[item(table = "texinfo", key = "name")]
struct Definition {
    #[css("code")]
    name: String,
    #[xpath("./following-sibling::dd[1]")]
    meaning: String,
    #[css("a::attr(href)")]
    anchor: Url,
}

#[derive(Deserialize)]
struct Manual {
    site: Url,
}

#[spider(name = "kind_texinfo")]
impl Manual {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds
            .push(self.site.join("texinfo.html")?, Self::page)
            .await
    }

    async fn page(&self, page: Page) -> Result<Vec<Definition>> {
        page.items("dl dt")
    }
}
