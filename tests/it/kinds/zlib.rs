use super::*;

#[derive(Item)]
#[item(table = "zlib")]
struct Listing {
    #[css("::text")]
    own: Option<String>,
    #[css("b")]
    code: String,
    #[xpath("string-length(.)")]
    length: f64,
}

#[derive(Deserialize)]
struct Listings {
    site: Url,
}

#[spider(name = "kind_zlib")]
impl Listings {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("zlib.html")?, Self::page).await
    }

    async fn page(&self, page: Page) -> Result<Vec<Listing>> {
        page.items("pre:has(b)")
    }
}
