//! Whole crawls in the process: the real engine, store and HTTP, against the bundled site.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::{Event, Problem, Report, Stop};
use nephila::prelude::*;
use nephila::site::{Options, Site};
use nephila::store::PageState;
use serde::{Deserialize, Serialize};

#[derive(Item, Serialize, Deserialize, Debug, PartialEq)]
#[item(table = "nodes", key = "url")]
struct Node {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.value")]
    value: String,
}

/// The synthetic graph: every page is an item and links to others.
#[derive(Deserialize)]
struct Graph {
    start: Url,
}

#[spider]
impl Graph {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::node).await
    }

    async fn node(&self, page: Page) -> Result<Node> {
        page.follow("a", Self::node)?;
        page.item()
    }
}

async fn site() -> Site {
    Site::start("127.0.0.1:0").await.unwrap()
}

fn graph(site: &Site, path: &str) -> Crawl {
    Crawl::new(Graph {
        start: site.page(path),
    })
    .db("sqlite::memory:")
    .with(|settings| {
        settings.retry_delay = Duration::from_millis(10);
    })
}

fn groups(report: &Report) -> Vec<String> {
    let group = |group: &nephila::engine::ErrorGroup| {
        format!(
            "{} {} {} x{}",
            group.state.as_str(),
            group.reason,
            group.message,
            group.count
        )
    };
    report.statistics.errors.iter().map(group).collect()
}

#[tokio::test]
async fn every_page_once() {
    let site = site().await;
    let report = graph(&site, "/graph/0?of=120").run().await.unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.pages, 120, "{report:?}");
    assert_eq!(report.statistics.item_count(), 120);
    assert_eq!(report.exit_code(), 0, "{:?}", groups(&report));
    let mut paths: Vec<_> = site.log().into_iter().map(|hit| hit.path).collect();
    assert_eq!(
        paths.iter().filter(|path| *path == "/robots.txt").count(),
        1
    );
    let all = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), all, "something was fetched twice");
}

#[tokio::test]
async fn transient_failures_and_redirects_lose_nothing() {
    let site = site().await;
    let start = "/graph/0?of=100&fail=20&redirect=20";
    let report = graph(&site, start).run().await.unwrap();
    assert_eq!(report.statistics.item_count(), 100, "{:?}", groups(&report));
    assert!(report.statistics.retries > 0);
    assert!(report.statistics.redirects > 0);
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test]
async fn limits_stop_with_work_left() {
    let site = site().await;
    let report = graph(&site, "/graph/0?of=100")
        .with(|settings| settings.max_pages = Some(30))
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Limit("max_pages"));
    assert_eq!(report.statistics.pages, 30);
    assert_eq!(report.exit_code(), 3);
}

#[tokio::test]
async fn depth_is_limited_and_counted() {
    let site = site().await;
    let report = graph(&site, "/graph/0?of=100")
        .with(|settings| settings.max_depth = Some(1))
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert!(report.statistics.pages < 100);
    assert!(report.statistics.refused["depth"].count > 0);
}

#[tokio::test]
async fn an_interrupted_crawl_goes_on() {
    let site = site().await;
    // Many more than may be read and not yet committed when the stop is asked for.
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let crawl = graph(&site, "/graph/0?of=600").db(&db);
    let stop = crawl.stop_handle();
    let pages = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&pages);
    let crawl = crawl.on_event(move |event| {
        if matches!(event, Event::Page(_)) && seen.fetch_add(1, Ordering::Relaxed) == 50 {
            stop.stop();
        }
    });
    let first = crawl.run().await.unwrap();
    assert_eq!(first.stop, Stop::Interrupted);
    assert_eq!(first.exit_code(), 130);
    assert!(first.statistics.pages < 600);
    let second = graph(&site, "/graph/0?of=600").db(&db).run().await.unwrap();
    let resumed = second.statistics.resumed.unwrap();
    assert_eq!(resumed.pages, first.statistics.pages);
    assert_eq!(second.stop, Stop::Finished);
    assert_eq!(first.statistics.pages + second.statistics.pages, 600);
    let paths: Vec<_> = site.log().into_iter().map(|hit| hit.path).collect();
    assert_eq!(
        paths
            .iter()
            .filter(|path| path.starts_with("/graph/"))
            .count(),
        600
    );
    let third = graph(&site, "/graph/0?of=600")
        .db(&db)
        .fresh(true)
        .run()
        .await
        .unwrap();
    assert_eq!(third.statistics.resumed, None);
    assert_eq!(third.statistics.pages, 600);
}

#[tokio::test]
async fn robots_is_obeyed_and_said() {
    let site = site().await;
    let report = graph(&site, "/private/x").run().await.unwrap();
    let message = "skipped robots Disallow: /private/ (robots.txt line";
    assert!(
        groups(&report)[0].starts_with(message),
        "{:?}",
        groups(&report)
    );
    assert!(report.problems.contains(&Problem::SeedFailed));
    assert_eq!(report.exit_code(), 1);
    assert!(site.log().iter().all(|hit| hit.path == "/robots.txt"));
}

#[tokio::test]
async fn robots_in_trouble_means_not_now() {
    let options = Options {
        robots: Some((503, String::new())),
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await.unwrap();
    let report = graph(&site, "/graph/0?of=5")
        .with(|s| s.retries = 1)
        .run()
        .await
        .unwrap();
    assert_eq!(
        groups(&report),
        ["skipped robots robots.txt answered 503: not now x1"]
    );
    assert_eq!(site.log().len(), 2);
}

#[tokio::test]
async fn a_dead_host_is_an_error() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let start = format!("http://{address}/").parse().unwrap();
    let report = Crawl::new(Graph { start })
        .db("sqlite::memory:")
        .with(|settings| settings.retry_delay = Duration::from_millis(1))
        .run()
        .await
        .unwrap();
    assert_eq!(
        groups(&report),
        ["failed connect connection refused, 4 tries x1"]
    );
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_missing_seed_is_an_error() {
    let site = site().await;
    let report = graph(&site, "/status/404").run().await.unwrap();
    assert_eq!(groups(&report), ["failed status answered 404 Not Found x1"]);
    assert!(report.problems.contains(&Problem::SeedFailed));
}

/// A step for every way to go wrong.
#[derive(Deserialize)]
struct Trouble {
    site: Url,
}

#[spider]
impl Trouble {
    async fn start(&self, seeds: Seeds) -> Result {
        let page = |number: usize| self.site.join(&format!("/graph/{number}?of=9")).unwrap();
        seeds.push(page(0), Self::fine).await?;
        seeds.push(page(1), Self::fails).await?;
        seeds.push(page(2), Self::panics).await?;
        seeds.push(page(3), Self::sleeps).await?;
        seeds.push(page(4), Self::wants_more).await?;
        seeds
            .push(self.site.join("/status/418")?, Self::handled)
            .await?;
        seeds
            .push(self.site.join("/status/451")?, Self::reads_errors)
            .await
    }

    async fn fine(&self, page: Page) -> Result<Node> {
        page.item()
    }

    async fn fails(&self, page: Page) -> Result<Node> {
        page.emit(page.item::<Node>()?)?;
        Err("no luck".into())
    }

    async fn panics(&self, _page: Page) -> Result {
        panic!("oh no")
    }

    async fn sleeps(&self, _page: Page) -> Result {
        std::future::pending().await
    }

    async fn wants_more(&self, page: Page) -> Result {
        page.get::<f64>("h1.none")?;
        Ok(())
    }

    #[step(failed = gone)]
    async fn handled(&self, _page: Page) -> Result {
        Ok(())
    }

    async fn gone(&self, failure: Failure) -> Result<Option<Node>> {
        assert_eq!(failure.reason(), "status");
        let url = failure.page().url().clone();
        Ok(Some(Node {
            url,
            title: "gone".into(),
            value: failure.message().into(),
        }))
    }

    #[step(status = 451)]
    async fn reads_errors(&self, page: Page) -> Result<Node> {
        let value = page.status().as_u16().to_string();
        Ok(Node {
            url: page.url().clone(),
            title: "read".into(),
            value,
        })
    }
}

#[tokio::test]
async fn a_bad_step_costs_its_page_only() {
    let site = site().await;
    let crawl = Crawl::new(Trouble { site: site.url() })
        .db("sqlite::memory:")
        .with(|settings| {
            // Enough for a panic to be printed with all of its stack.
            settings.step_timeout = Duration::from_secs(2);
        });
    let report = crawl.run().await.unwrap();
    let mut groups = groups(&report);
    groups.sort();
    assert_eq!(
        groups,
        [
            "failed field `h1.none` matches nothing x1",
            "failed panic panicked: oh no x1",
            "failed status answered 418 I'm a teapot x1",
            "failed step no luck x1",
            "failed step_timeout the step took longer than 2 s x1",
        ]
    );
    assert_eq!(report.statistics.pages, 2);
    assert_eq!(
        report.statistics.item_count(),
        3,
        "the item of the failed step is void"
    );
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn items_stream_with_back_pressure() {
    use futures_util::StreamExt;
    let site = site().await;
    let mut items = graph(&site, "/graph/0?of=150").stream::<Node>();
    let mut urls = Vec::new();
    while let Some(node) = items.next().await {
        urls.push(node.unwrap().url);
    }
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 150);
    assert_eq!(items.report().await.unwrap().statistics.pages, 150);
}

#[tokio::test]
async fn crawls_share_a_process() {
    let site = site().await;
    let (one, two) = tokio::join!(
        graph(&site, "/graph/0?of=60").run(),
        graph(&site, "/graph/0?of=70").run()
    );
    assert_eq!(one.unwrap().statistics.pages, 60);
    assert_eq!(two.unwrap().statistics.pages, 70);
}

#[tokio::test]
async fn a_fetch_can_be_replaced() {
    struct Canned;
    impl nephila::fetch::Fetch for Canned {
        async fn fetch(
            &self,
            request: &Request,
        ) -> std::result::Result<nephila::request::Response, nephila::fetch::FetchError> {
            let body = match request.url.path() {
                "/robots.txt" => "",
                "/" => "<h1>a</h1><p class=value>1</p><a href=/b>b</a>",
                _ => "<h1>b</h1><p class=value>2</p>",
            };
            Ok(nephila::request::Response::new(request.url.clone(), body))
        }
    }
    let start = "http://canned.example/".parse().unwrap();
    let report = Crawl::new(Graph { start })
        .db("sqlite::memory:")
        .fetch(Canned)
        .with(|settings| settings.delay = Some(Duration::ZERO))
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.pages, 2);
    assert_eq!(report.exit_code(), 0, "{:?}", groups(&report));
    assert!(
        report
            .statistics
            .errors
            .iter()
            .all(|group| group.state != PageState::Failed)
    );
}

#[derive(Item)]
#[item(table = "orders", key = "id")]
struct Order {
    #[css("td:nth-child(1)")]
    id: String,
    #[css("td:nth-child(3)")]
    total: String,
}

/// Logs in, then walks through the pages of orders.
#[derive(Deserialize)]
struct Orders {
    site: Url,
}

#[spider]
impl Orders {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.site.join("/login")?, Self::login).await
    }

    async fn login(&self, page: Page) -> Result {
        let fields = [
            ("user", nephila::site::USER),
            ("pass", nephila::site::PASSWORD),
        ];
        page.submit("form", &fields, Self::orders)
    }

    async fn orders(&self, page: Page) -> Result<Vec<Order>> {
        page.follow("a[rel=next]", Self::orders)?;
        page.items("table.orders tr.order")
    }
}

#[tokio::test]
async fn a_resumed_crawl_stays_logged_in() {
    let site = site().await;
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let crawl = |max_pages| {
        let spider = Orders { site: site.url() };
        Crawl::new(spider)
            .db(&db)
            .with(|settings| settings.max_pages = max_pages)
    };
    let first = crawl(Some(2)).run().await.unwrap();
    assert_eq!(first.stop, Stop::Limit("max_pages"), "{:?}", groups(&first));
    assert_eq!(first.statistics.item_count(), 10);
    let second = crawl(None).run().await.unwrap();
    assert_eq!(second.exit_code(), 0, "{:?}", groups(&second));
    assert_eq!(second.statistics.item_count(), 20);
    let logins = site
        .log()
        .into_iter()
        .filter(|hit| hit.method == "POST")
        .count();
    assert_eq!(logins, 1);
}

/// Requests that are more than links.
#[derive(Deserialize)]
struct Various {
    site: Url,
}

#[derive(Serialize, Deserialize)]
struct Turn {
    number: u32,
}

#[derive(Item)]
#[item(table = "turns")]
struct Seen {
    number: u32,
    body: String,
}

#[spider]
impl Various {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::fork).await
    }

    async fn fork(&self, page: Page) -> Result {
        page.request("/echo?last", (Self::echo, Turn { number: 3 }))
            .priority(-5)
            .send()?;
        page.request("/echo?post", (Self::echo, Turn { number: 2 }))
            .json(&[7])
            .send()?;
        page.request("/echo?first", (Self::echo, Turn { number: 1 }))
            .priority(5)
            .header("x-note", "hello")
            .send()?;
        for _ in 0..2 {
            page.request("/echo?twice", (Self::echo, Turn { number: 4 }))
                .dedup(false)
                .priority(-6)
                .send()?;
            page.request("/echo?once", (Self::echo, Turn { number: 5 }))
                .priority(-7)
                .send()?;
        }
        let soon = nephila::clock::now() + Duration::from_millis(300);
        let later = (Self::echo, Turn { number: 6 });
        page.request("/echo?later", later)
            .priority(9)
            .not_before(soon)
            .send()
    }

    async fn echo(&self, page: Page, turn: Turn) -> Result<Seen> {
        Ok(Seen {
            number: turn.number,
            body: page.text().to_owned(),
        })
    }
}

#[tokio::test]
async fn requests_go_by_priority_and_time_with_what_was_set() {
    let site = site().await;
    let crawl = Crawl::new(Various { site: site.url() })
        .db("sqlite::memory:")
        .concurrency(1);
    let started = tokio::time::Instant::now();
    let report = crawl.run().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(report.exit_code(), 0, "{:?}", groups(&report));
    let log = site.log();
    let order: Vec<_> = log
        .iter()
        .filter_map(|hit| hit.path.strip_prefix("/echo?"))
        .collect();
    assert_eq!(
        order,
        ["first", "post", "last", "twice", "twice", "once", "later"]
    );
    let post = log.iter().find(|hit| hit.path.ends_with("post")).unwrap();
    assert_eq!(post.method, "POST");
}

#[tokio::test]
async fn a_loop_of_redirects_is_an_error() {
    let site = site().await;
    let report = graph(&site, "/redirect/loop/a").run().await.unwrap();
    assert_eq!(
        groups(&report),
        ["failed redirect more than 10 redirects x1"]
    );
    assert_eq!(report.exit_code(), 1);
}

#[tokio::test]
async fn a_redirect_to_itself_that_sets_a_cookie_ends_well() {
    let site = site().await;
    let report = graph(&site, "/redirect/cookie").run().await.unwrap();
    assert_eq!(report.statistics.redirects, 1, "{:?}", groups(&report));
    assert_eq!(report.statistics.pages + report.statistics.failed, 1);
}

/// The spider `steps` as it was, with a step that its later versions do not have.
#[derive(Deserialize)]
struct Before {
    start: Url,
}

#[spider(name = "steps", max_pages = 5)]
impl Before {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::detail).await
    }

    async fn detail(&self, page: Page) -> Result<Node> {
        page.follow("a", Self::detail)?;
        page.item()
    }
}

/// Its step was dropped.
#[derive(Default)]
struct Dropped;

#[spider(name = "steps", start = "http://127.0.0.1:1/")]
impl Dropped {
    async fn other(&self, _page: Page) -> Result {
        Ok(())
    }
}

/// Its step was renamed, and says so.
#[derive(Default)]
struct Renamed;

#[spider(name = "steps", start = "http://127.0.0.1:1/")]
impl Renamed {
    #[step(was = "detail")]
    async fn node(&self, page: Page) -> Result<Node> {
        page.follow("a", Self::node)?;
        page.item()
    }
}

#[tokio::test]
async fn requests_of_a_step_that_is_gone_are_kept_and_reported() {
    let site = site().await;
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let start = site.page("/graph/0?of=40");
    let before = Crawl::new(Before { start }).db(&db).run().await.unwrap();
    assert_eq!(before.stop, Stop::Limit("max_pages"));
    let dropped = Crawl::new(Dropped).db(&db).run().await.unwrap();
    assert_eq!(dropped.stop, Stop::UnknownStep("detail".into()));
    assert_eq!(dropped.exit_code(), 2);
    let renamed = Crawl::new(Renamed).db(&db).run().await.unwrap();
    assert_eq!(renamed.exit_code(), 0, "{:?}", groups(&renamed));
    let nodes = |report: &Report| report.statistics.item_count();
    assert_eq!(nodes(&before) + nodes(&renamed), 40);
}

#[tokio::test]
async fn a_redirect_does_not_open_the_way_into_a_network() {
    let site = site().await;
    let inside = site.page_on("localhost", "/graph/1?of=3");
    let start = format!("/redirect/302?to={inside}");
    let report = graph(&site, &start).run().await.unwrap();
    assert_eq!(report.statistics.redirects, 1, "{:?}", groups(&report));
    assert_eq!(report.statistics.pages, 0);
    assert_eq!(report.statistics.failed, 1);
    assert_eq!(report.exit_code(), 1);
    assert!(
        site.log()
            .iter()
            .all(|hit| !hit.host.starts_with("localhost"))
    );
}

#[tokio::test]
async fn the_login_of_a_seed_is_sent_to_its_origin_on_every_run() {
    let site = site().await;
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    for _ in 0..2 {
        let mut start = site.page("/graph/0?of=9");
        start.set_username("ann").unwrap();
        start.set_password(Some("hunter2")).unwrap();
        let crawl = Crawl::new(Graph { start }).db(&db);
        crawl
            .with(|settings| settings.max_pages = Some(2))
            .run()
            .await
            .unwrap();
    }
    let log = site.log();
    assert!(log.len() >= 4, "{log:?}");
    assert!(
        log.iter()
            .all(|hit| hit.authorization.as_deref() == Some("Basic YW5uOmh1bnRlcjI="))
    );
    let file = std::fs::read(folder.path().join("crawl.db")).unwrap();
    assert!(!file.windows(7).any(|window| window == b"hunter2"));
}
