//! The spider that walks a simulated web.

use crate::prelude::*;

#[derive(Item)]
#[item(table = "visits")]
struct Visit {
    #[url]
    url: Url,
}

#[derive(Default)]
pub(super) struct Walker {
    pub(super) seeds: Vec<String>,
}

#[spider]
impl Walker {
    async fn start(&self, seeds: Seeds) -> Result {
        for seed in &self.seeds {
            seeds.push(seed, Self::page).await?;
        }
        Ok(())
    }

    async fn page(&self, page: Page) -> Result<Visit> {
        page.follow("a", Self::page)?;
        page.item()
    }
}
