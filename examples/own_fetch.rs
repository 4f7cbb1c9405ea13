//! Another transport: a fetch that keeps answers in memory, so that a second crawl needs no network.
//!
//! ```text
//! cargo run --example own_fetch
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use nephila::Crawl;
use nephila::fetch::{Fetch, FetchError, HttpFetch};
use nephila::prelude::*;
use nephila::request::{Request, Response};
use nephila::settings::Settings;
use nephila::site::{Options, Site};
use serde::Deserialize;

/// Answers from memory what was answered before. Clones share the memory.
#[derive(Clone)]
struct Cached {
    inner: Arc<HttpFetch>,
    answers: Arc<Mutex<HashMap<String, Response>>>,
}

impl Cached {
    fn new(site: &Url) -> Result<Self> {
        let inner = HttpFetch::new(&Settings::default())?;
        // Private addresses are refused unless somebody vouches for them. For its own fetch the
        // crawl does so for the hosts of seeds; for another one it can't.
        inner.allow_host(site.host_str().unwrap_or_default());
        Ok(Self {
            inner: Arc::new(inner),
            answers: Arc::default(),
        })
    }

    fn known(&self, url: &str) -> Option<Response> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(url).cloned()
    }

    fn keep(&self, url: String, response: Response) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(url, response);
    }
}

impl Fetch for Cached {
    async fn fetch(&self, request: &Request) -> std::result::Result<Response, FetchError> {
        let url = request.url.to_string();
        let is_plain = request.method == "GET" && request.body.is_none();
        if let Some(answer) = self.known(&url).filter(|_| is_plain) {
            return Ok(answer);
        }
        let response = self.inner.fetch(request).await?;
        if is_plain && response.status.is_success() {
            self.keep(url, response.clone());
        }
        Ok(response)
    }
}

#[derive(Item)]
#[item(table = "titles", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("title")]
    title: String,
}

#[derive(Deserialize)]
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
    let options = Options {
        products: 200,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await?;
    let fetch = Cached::new(&site.url())?;
    for round in ["first", "second"] {
        site.clear_log();
        let spider = Titles { site: site.url() };
        let crawl = Crawl::new(spider)
            .db("sqlite::memory:")
            .fetch(fetch.clone());
        let report = crawl.run().await?;
        let (pages, requests) = (report.statistics.pages, site.log().len());
        println!("{round} crawl: {pages} pages, {requests} requests to the server");
        if round == "second" && requests > 0 {
            return Err("the second crawl asked the server".into());
        }
    }
    Ok(())
}
