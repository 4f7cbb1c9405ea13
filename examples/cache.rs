//! Two crawls, one conversation with the server: the second one replays what the first one fetched.
//!
//! ```text
//! cargo run --example cache
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use nephila::Crawl;
use nephila::prelude::*;
use nephila::settings::CacheMode;
use nephila::site::{Options, Site};

#[derive(Item)]
#[item(table = "titles", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("title")]
    title: String,
}

#[derive(serde::Deserialize)]
struct Titles {
    site: Url,
}

#[spider]
impl Titles {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::page).await
    }

    async fn page(&self, page: Page) -> Result<Title> {
        page.follow("article.product h3 a, li.next a", Self::page)?;
        page.item()
    }
}

#[tokio::main]
async fn main() -> Result {
    let folder = std::env::temp_dir().join(format!("nephila-cache-{}", std::process::id()));
    let options = Options {
        products: 200,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await?;
    let mut asked = Vec::new();
    for _ in 0..2 {
        site.clear_log();
        let spider = Titles { site: site.url() };
        let crawl = Crawl::new(spider).db("sqlite::memory:").with(|settings| {
            settings.cache = CacheMode::Dev;
            settings.cache_folder = Some(folder.display().to_string());
        });
        let statistics = crawl.run().await?.statistics;
        let (pages, cached) = (statistics.pages, statistics.cached);
        println!(
            "{pages} pages, {cached} from the cache, {} asked for",
            site.log().len()
        );
        asked.push(site.log().len());
    }
    std::fs::remove_dir_all(&folder)?;
    if asked.last() != Some(&0) {
        return Err("the second crawl asked the server".into());
    }
    Ok(())
}
