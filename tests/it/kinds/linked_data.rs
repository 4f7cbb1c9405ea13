use super::*;

#[derive(Item)]
#[item(table = "linked_data", key = "sku")]
struct Book {
    #[json("sku")]
    sku: String,
    #[json("name")]
    name: String,
    #[json("offers.price")]
    price: f64,
    #[json("image")]
    image: Url,
}

#[derive(Deserialize)]
struct Linked {
    site: Url,
}

#[spider(name = "kind_linked_data")]
impl Linked {
    async fn start(&self, seeds: Seeds) -> Result {
        for id in 1..=9 {
            seeds
                .push(self.site.join(&format!("book/{id}"))?, Self::book)
                .await?;
        }
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Vec<Book>> {
        page.items("ld:Book")
    }
}
