//! Stages between the crawl and the fetch, and what is made of them: block pages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use nephila::Crawl;
use nephila::engine::{Event, Report};
use nephila::fetch::{Fetch, FetchError, Middleware, Middlewares, Next};
use nephila::prelude::*;
use nephila::request::{Request, Response};

type Outcome = std::result::Result<Response, FetchError>;

#[derive(Item, serde::Deserialize, Debug)]
#[item(table = "titles", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("title")]
    title: String,
}

/// What went over the wire: `path header`.
type Log = Arc<Mutex<Vec<String>>>;

fn entries(log: &Log) -> Vec<String> {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Three pages; notes what it is asked for.
struct Wire(Log);

impl Fetch for Wire {
    async fn fetch(&self, request: &Request) -> Outcome {
        let via = request
            .headers
            .get("via")
            .map_or("", |via| via.to_str().unwrap());
        let line = format!("{} {via}", request.url.path());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        let body = match request.url.path() {
            "/robots.txt" => "",
            "/" => "<title>Home</title><a href=/a></a><a href=/b></a><a href=/secret></a>",
            _ => "<title>Leaf</title>",
        };
        Ok(Response::new(request.url.clone(), body))
    }
}

/// Adds its name to `via`.
struct Via(&'static str);

impl Middleware for Via {
    async fn handle(&self, request: &Request, next: Next) -> Outcome {
        let mut request = request.clone();
        let via = request
            .headers
            .get("via")
            .map_or("", |via| via.to_str().unwrap());
        let via = format!("{via}{}", self.0);
        request.headers.insert("via", via.parse().unwrap());
        next.fetch(&request).await
    }
}

#[derive(Default)]
struct Staged;

#[spider(start = "http://site.example/", delay = "0s")]
impl Staged {
    fn middleware(&self) -> Middlewares {
        let refuse = |request: Request, next: Next| async move {
            match request.url.path() {
                "/secret" => Err(FetchError::refused("secrets stay secret")),
                "/b" => Ok(Response::new(request.url, "<title>From a stage</title>")),
                _ => next.fetch(&request).await,
            }
        };
        Middlewares::new()
            .with(Via("2"))
            .with(refuse)
            .with(Via("3"))
    }

    async fn page(&self, page: Page) -> Result<Title> {
        page.follow("a", Self::page)?;
        page.item()
    }
}

#[tokio::test]
async fn stages_of_crawl_and_spider_in_order() {
    let log = Log::default();
    let shout = |request: Request, next: Next| async move {
        let mut response = next.fetch(&request).await?;
        let text = String::from_utf8_lossy(&response.body).replace("Leaf", "LEAF");
        response.body = text.into();
        Ok::<_, FetchError>(response)
    };
    let skipped = Log::default();
    let seen = Arc::clone(&skipped);
    let crawl = Crawl::new(Staged)
        .fetch(Wire(Arc::clone(&log)))
        .middleware(shout)
        .middleware(Via("1"))
        .db("sqlite::memory:")
        .on_event(move |event| {
            if let Event::Page(page) = event
                && let (Some(reason), Some(message)) = (page.reason, &page.message)
            {
                let line = format!("{} {} {reason}: {message}", page.state.as_str(), page.url);
                seen.lock().unwrap().push(line);
            }
        });
    let mut stream = crawl.stream::<Title>();
    let mut titles = Vec::new();
    while let Some(title) = stream.next().await {
        titles.push(title.unwrap().title);
    }
    let report = stream.report().await.unwrap();
    titles.sort();
    assert_eq!(titles, ["From a stage", "Home", "LEAF"]);
    // robots.txt goes through the stages, too; what a stage answers or refuses is not sent.
    assert_eq!(entries(&log), ["/robots.txt 123", "/ 123", "/a 123"]);
    assert_eq!(
        entries(&skipped),
        ["skipped http://site.example/secret refused: secrets stay secret"]
    );
    assert_eq!((report.statistics.pages, report.statistics.skipped), (3, 1));
    assert_eq!(report.exit_code(), 0, "{report:?}");
}

/// Answers a block page the first times, and then the page.
struct Guarded {
    left: Mutex<u32>,
    page: Response,
}

impl Fetch for Guarded {
    async fn fetch(&self, request: &Request) -> Outcome {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if request.url.path() == "/robots.txt" {
            return Ok(Response::new(request.url.clone(), ""));
        }
        if *left > 0 {
            *left -= 1;
            return Ok(Response {
                url: request.url.clone(),
                ..self.page.clone()
            });
        }
        Ok(Response::new(request.url.clone(), "<title>Shop</title>"))
    }
}

#[derive(Default)]
struct GuardedShop;

#[spider(
    start = "http://site.example/",
    delay = "0s",
    retry_delay = "10ms",
    retries = 2,
    blocked = ["title: Access denied", "/ray id: [0-9a-f]+/"],
)]
impl GuardedShop {
    #[step(failed = Self::lost)]
    async fn page(&self, page: Page) -> Result<Title> {
        page.item()
    }

    async fn lost(&self, failure: Failure) -> Result<Title> {
        let title = format!(
            "{}: {}",
            failure.reason(),
            failure.page().get::<String>("title")?
        );
        Ok(Title {
            url: failure.page().url().clone(),
            title,
        })
    }
}

async fn blocked(times: u32, page: Response) -> (Report, Vec<String>, Vec<String>) {
    let slowed = Log::default();
    let seen = Arc::clone(&slowed);
    let fetch = Guarded {
        left: Mutex::new(times),
        page,
    };
    let crawl = Crawl::new(GuardedShop)
        .fetch(fetch)
        .db("sqlite::memory:")
        .on_event(move |event| {
            if let Event::HostSlowed { why, .. } = event {
                seen.lock().unwrap().push(why.clone());
            }
        });
    let mut stream = crawl.stream::<Title>();
    let mut titles = Vec::new();
    while let Some(title) = stream.next().await {
        titles.push(title.unwrap().title);
    }
    (stream.report().await.unwrap(), titles, entries(&slowed))
}

fn page(status: StatusCode, body: &'static str) -> Response {
    let url = "http://site.example/".parse().unwrap();
    Response {
        status,
        ..Response::new(url, body)
    }
}

#[tokio::test]
async fn a_block_page_is_tried_again_and_never_an_item() {
    let denied = "<title>ACCESS DENIED</title>";
    let (report, titles, slowed) = blocked(2, page(StatusCode::OK, denied)).await;
    assert_eq!(titles, ["Shop"]);
    assert_eq!(report.statistics.retries, 2);
    assert_eq!(report.exit_code(), 0);
    // The host as a whole is left alone for a while.
    assert_eq!(slowed, ["blocked: its title says \"ACCESS DENIED\""; 2]);
}

#[tokio::test]
async fn one_that_stays_fails_with_its_answer() {
    let challenge = "<title>Just a moment...</title><script>window._cf_chl_opt={}</script>";
    let (report, titles, _) = blocked(9, page(StatusCode::FORBIDDEN, challenge)).await;
    assert_eq!(titles, ["block_page: Just a moment..."]);
    let group = &report.statistics.errors[0];
    assert_eq!(group.reason, "block_page");
    assert_eq!(
        group.message,
        "blocked: Cloudflare's challenge page, with status 403, 3 tries"
    );
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn challenges_can_be_let_through() {
    let challenge = "<title>Mine</title><script>window._cf_chl_opt={}</script>";
    let fetch = Guarded {
        left: Mutex::new(1),
        page: page(StatusCode::OK, challenge),
    };
    let report = Crawl::new(GuardedShop)
        .fetch(fetch)
        .db("sqlite::memory:")
        .with(|settings| {
            settings.challenges = false;
            settings.retry_delay = Duration::ZERO;
        })
        .run()
        .await
        .unwrap();
    assert_eq!((report.statistics.retries, report.exit_code()), (0, 0));
}
