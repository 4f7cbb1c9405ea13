//! The shop by kumo: every page of it, and a row per book as CSV.

use kumo::prelude::*;

#[derive(Debug, serde::Serialize)]
struct Book {
    url: String,
    title: String,
    price: String,
    stars: String,
}

struct Shop {
    site: String,
}

#[async_trait::async_trait]
impl Spider for Shop {
    type Item = Book;

    fn name(&self) -> &str {
        "shop"
    }

    fn start_urls(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    async fn parse(&self, page: &Response) -> Result<Output<Book>, KumoError> {
        let links = page.css("a[href]");
        let links = links.iter().filter_map(|link| link.attr("href"));
        let links = links.map(|href| page.urljoin(&href));
        let own = links.filter(|url| url.starts_with(&self.site));
        let mut output = Output::new().follow_many(own.collect());
        if page.url().contains("/book/") {
            let text = |css: &str| page.css(css).first().map(|found| found.text()).unwrap_or_default();
            let price = text("p.price");
            output = output.item(Book {
                url: page.url().to_owned(),
                title: text("h1").trim().to_owned(),
                price: price.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect(),
                stars: page
                    .css("p.stars")
                    .first()
                    .and_then(|stars| stars.attr("data-n"))
                    .unwrap_or_default(),
            });
        }
        Ok(output)
    }
}

#[tokio::main]
async fn main() -> Result<(), KumoError> {
    let args: Vec<String> = std::env::args().collect();
    CrawlEngine::builder()
        .concurrency(32)
        .respect_robots_txt(true)
        .store(CsvStore::new(&args[2])?)
        .run(Shop { site: args[1].clone() })
        .await?;
    Ok(())
}
