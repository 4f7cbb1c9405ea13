//! What a step can say of a request, and learn of an answer, over the wire.

use std::time::Duration;

use http::Method;
use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::Site;
use serde::Deserialize;

#[derive(Deserialize)]
struct Asks {
    site: Url,
}

/// An answer of the site's mirror, or why there was none.
#[derive(Item, Deserialize)]
#[item(table = "answers")]
struct Answer {
    said: String,
    kind: String,
    depth: u16,
    from: Option<Url>,
}

#[derive(Deserialize)]
struct Mirror {
    method: String,
    body: String,
    headers: serde_json::Map<String, serde_json::Value>,
}

#[spider(retries = 0)]
impl Asks {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("/echo?start")?, Self::ask).await
    }

    async fn ask(&self, page: Page) -> Result {
        page.request("/echo?raw", Self::mirror)
            .method(Method::PUT)
            .header("content-type", "text/x-note")
            .body("raw")
            .send()?;
        page.request("/echo?form", Self::mirror)
            .form(&[("name", "Ann & Bo")])
            .send()?;
        // The site takes an hour; the crawl would wait for a minute.
        page.request("/slow?ms=3600000", Self::never)
            .timeout(Duration::from_millis(50))
            .send()
    }

    async fn mirror(&self, page: Page) -> Result<Answer> {
        let mirror: Mirror = page.json()?;
        let kind = mirror.headers.get("content-type");
        let kind = kind.and_then(|kind| kind.as_str()).unwrap_or_default();
        let own = page.headers()["content-type"].to_str()?;
        Ok(Answer {
            said: format!("{} {}", mirror.method, mirror.body),
            kind: format!("{kind} -> {own}"),
            depth: page.depth(),
            from: page.referrer().cloned(),
        })
    }

    #[step(failed = gone)]
    async fn never(&self, _page: Page) -> Result {
        Ok(())
    }

    async fn gone(&self, failure: Failure) -> Result<Answer> {
        let page = failure.page();
        Ok(Answer {
            said: failure.reason().to_owned(),
            kind: String::new(),
            depth: page.depth(),
            from: page.referrer().cloned(),
        })
    }
}

#[tokio::test]
async fn requests_and_answers() {
    use futures_util::StreamExt;
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let crawl = Crawl::new(Asks { site: site.url() }).db("sqlite::memory:");
    let answers = crawl.stream::<Answer>();
    let answers: Vec<Answer> = answers.map(|answer| answer.unwrap()).collect().await;
    let start = site.page("/echo?start");
    let mut told: Vec<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!((answer.depth, answer.from.as_ref()), (1, Some(&start)));
            format!("{}: {}", answer.said, answer.kind)
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "POST name=Ann+%26+Bo: application/x-www-form-urlencoded -> application/json",
            "PUT raw: text/x-note -> application/json",
            "timeout: ",
        ]
    );
}
