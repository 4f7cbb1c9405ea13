//! A JSON API: typed answers, and the page's number as the step's argument.

use nephila::prelude::*;
use serde::{Deserialize, Serialize};

/// Something that somebody said.
#[derive(Item)]
#[item(table = "quotes", key = ["author", "text"])]
struct Quote {
    author: String,
    text: String,
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    has_next: bool,
    quotes: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    author: Author,
    text: String,
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Author {
    name: String,
}

#[derive(Deserialize)]
struct Quotes {
    #[serde(default = "demo")]
    site: Url,
    pages: Option<u32>,
}

fn demo() -> Url {
    Url::parse("http://127.0.0.1:7788/").expect("it is one")
}

/// Which page of the API.
#[derive(Serialize, Deserialize)]
struct At {
    page: u32,
}

/// Quotes from a JSON API: the demo site's, or `-a site=https://quotes.toscrape.com/`
///
/// `-a pages=3` takes the first three pages.
#[spider]
impl Quotes {
    async fn start(&self, seeds: Seeds) -> Result {
        let first = self.site.join("api/quotes?page=1")?;
        seeds.push(first, (Self::page, At { page: 1 })).await
    }

    async fn page(&self, page: Page, at: At) -> Result<Vec<Quote>> {
        let answer: Answer = page.json()?;
        if answer.has_next && self.pages.is_none_or(|pages| at.page < pages) {
            let next = At { page: at.page + 1 };
            page.visit(format!("?page={}", next.page), (Self::page, next))?;
        }
        let quotes = answer.quotes.into_iter().map(|said| Quote {
            author: said.author.name,
            text: said.text,
            tags: said.tags,
        });
        Ok(quotes.collect())
    }
}
