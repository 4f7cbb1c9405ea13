//! A feed, be it RSS, Atom or JSON Feed, and the articles that it names, as Markdown.
//!
//! ```text
//! cargo run --example feed
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_util::StreamExt;
use nephila::Crawl;
use nephila::jiff;
use nephila::prelude::*;
use nephila::testing::Pages;

const FEED: &str = r#"<rss version="2.0"><channel><title>Weavers' news</title>
  <item><title>Silk is back</title><link>/silk</link><pubDate>Fri, 20 Nov 2026 09:00:00 GMT</pubDate></item>
  <item><title>Wool stays</title><link>/wool</link></item></channel></rss>"#;

#[derive(Item, serde::Deserialize)]
#[item(table = "articles", key = "url")]
struct Article {
    url: Url,
    title: String,
    published: Option<jiff::Timestamp>,
    text: String,
}

/// What the feed says of an article; it travels with the request.
#[derive(Item, serde::Serialize, serde::Deserialize)]
struct Entry {
    #[json("url")]
    url: Url,
    #[json("title")]
    title: String,
    #[json("published")]
    published: Option<jiff::Timestamp>,
}

#[derive(Default)]
struct News;

#[spider(
    name = "example_news",
    start = "http://news.example/feed.xml",
    delay = "0s"
)]
impl News {
    async fn feed(&self, page: Page) -> Result {
        for entry in page.items::<Entry>("feed:")? {
            page.visit(entry.url.clone(), (Self::article, entry))?;
        }
        Ok(())
    }

    async fn article(&self, page: Page, entry: Entry) -> Result<Article> {
        Ok(Article {
            url: entry.url,
            title: entry.title,
            published: entry.published,
            text: page.markdown(),
        })
    }
}

#[tokio::main]
async fn main() -> Result {
    let menu = "<nav><a href=/>Home</a></nav>";
    let pages = Pages::new()
        .with("http://news.example/feed.xml", "application/rss+xml", FEED)
        .html(
            "http://news.example/silk",
            format!("{menu}<main><h1>Silk</h1><p>It is <b>back</b>.</main>"),
        )
        .html(
            "http://news.example/wool",
            format!("{menu}<main><h1>Wool</h1><p>It stays.</main>"),
        );
    let crawl = Crawl::new(News).db("sqlite::memory:").fetch(pages);
    let mut articles = crawl.stream::<Article>();
    while let Some(article) = articles.next().await {
        let article = article?;
        println!(
            "{} ({:?})\n{}\n",
            article.title, article.published, article.text
        );
    }
    articles.report().await?;
    Ok(())
}
