//! Any site: follows all links in scope. This is what `nephila crawl URL` runs.

use nephila::prelude::*;
use serde::Deserialize;

/// A page that a link leads to.
#[derive(Item)]
#[item(table = "links", key = "url")]
struct Link {
    url: Url,
    title: Option<String>,
    status: u16,
    depth: u16,
}

#[derive(Deserialize)]
struct Links {
    start: String,
}

/// Every page that links lead to from `-a start=URL`, on the same host
#[spider]
impl Links {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::page).await
    }

    async fn page(&self, page: Page) -> Result<Link> {
        let kind = page.headers().get("content-type");
        // A server that says nothing of a kind has pages.
        let is_html = kind.is_none_or(|kind| kind.as_bytes().windows(4).any(|w| w == b"html"));
        let title = if is_html {
            page.follow("a[href], area[href]", Self::page)?;
            page.get("title")?
        } else {
            None
        };
        Ok(Link {
            url: page.url().clone(),
            title,
            status: page.status().as_u16(),
            depth: page.depth(),
        })
    }
}
