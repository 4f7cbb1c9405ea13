//! A shop: lists that lead to detail pages, and to the next list.

use nephila::prelude::*;
use serde::Deserialize;

/// A book on sale.
#[derive(Item)]
#[item(table = "books", key = "url")]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.price, p.price_color")]
    #[re(r"([\d.]+)")]
    price: f64,
    #[css("p.stars::attr(data-n)", parse = stars)]
    #[or_css("p.star-rating::attr(class)")]
    stars: Option<u8>,
    #[css("ul.breadcrumb li:nth-last-child(2) a")]
    category: String,
    #[css("table")]
    #[re(r"\((\d+) available\)")]
    stock: Option<u32>,
    #[css("table tr:first-child td")]
    upc: String,
}

/// `3`, or the class `star-rating Three`.
fn stars(text: &str) -> Result<u8> {
    let last = text.rsplit(' ').next().unwrap_or_default();
    let words = ["Zero", "One", "Two", "Three", "Four", "Five"];
    words
        .iter()
        .position(|word| *word == last)
        .map(|number| number as u8)
        .or_else(|| last.parse().ok())
        .ok_or_else(|| format!("`{text}` is no number of stars").into())
}

#[derive(Deserialize)]
struct Books {
    #[serde(default = "demo")]
    site: String,
}

fn demo() -> String {
    "http://127.0.0.1:7788/".to_owned()
}

/// Books of a shop: the demo's, or `-a site=https://books.toscrape.com/`
///
/// `nephila demo --serve` opens the demo shop.
#[spider]
impl Books {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.follow("article h3 a", Self::book)?;
        page.follow("li.next a", Self::list)?;
        Ok(())
    }

    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_in_words_and_digits() {
        let check = |text, expected: Option<u8>| assert_eq!(stars(text).ok(), expected, "{text}");
        check("3", Some(3));
        check("star-rating Five", Some(5));
        check("star-rating Many", None);
    }
}
