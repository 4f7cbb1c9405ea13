use super::*;

#[derive(Item)]
#[item(table = "facts", key = "upc")]
struct Facts {
    #[json("UPC")]
    upc: String,
    #[json("Category")]
    category: String,
    #[json("Availability")]
    #[re(r"\((\d+) available\)")]
    stock: u32,
}

#[derive(Deserialize)]
struct Tables {
    site: Url,
}

#[spider(name = "kind_facts")]
impl Tables {
    async fn start(&self, seeds: Seeds) -> Result {
        for id in 1..=9 {
            seeds
                .push(self.site.join(&format!("book/{id}"))?, Self::book)
                .await?;
        }
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Vec<Facts>> {
        page.items("table:table.facts")
    }
}
