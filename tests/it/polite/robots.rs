//! robots.txt in a crawl: redirects, size, age, refusals, and what pages say themselves.

use std::time::Duration;

use nephila::engine::{Report, Stop};
use nephila::prelude::*;
use nephila::request::Response;
use nephila::settings::Settings;
use nephila::site::{Options, Site};

use super::crawl;
use super::web::{Web, page, status, with};

fn seed() -> Vec<Url> {
    vec!["http://shop.example/".parse().unwrap()]
}

async fn run(web: &Web, change: impl FnOnce(&mut Settings)) -> Report {
    crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
            change(settings);
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap()
}

fn skipped(report: &Report) -> Vec<(String, u64)> {
    let errors = report.statistics.errors.iter();
    let robots = errors.filter(|group| group.reason == "robots");
    robots
        .map(|group| (group.message.clone(), group.count))
        .collect()
}

fn text(url: &Url, body: &str) -> Response {
    Response::new(url.clone(), body.to_owned())
}

#[tokio::test]
async fn redirects_are_followed_to_other_hosts_at_their_pace() {
    let web = Web::new(|url, _| {
        Ok(match (url.host_str().unwrap(), url.path()) {
            ("shop.example", "/robots.txt") => with(
                status(url, 301),
                "location",
                "http://www.shop.example/robots.txt",
            ),
            ("www.shop.example", "/robots.txt") => with(status(url, 302), "location", "/r/1"),
            ("www.shop.example", "/r/1") => with(status(url, 307), "location", "/r/2"),
            ("www.shop.example", "/r/2") => text(url, "User-agent: *\nDisallow: /private\n"),
            _ => page(url, &["/private", "/public"]),
        })
    });
    let report = run(&web, |settings| {
        settings.delay = Some(Duration::from_millis(40));
        settings.jitter = 0.0;
    })
    .await;
    assert_eq!(report.statistics.pages, 2);
    let line = "Disallow: /private (robots.txt line 2)".to_owned();
    assert_eq!(skipped(&report), [(line, 1)]);
    for host in ["http://shop.example", "http://www.shop.example"] {
        let log = web.log();
        let of_host: Vec<_> = log
            .iter()
            .filter(|asked| asked.url.starts_with(host))
            .collect();
        assert_eq!(of_host.len(), 3);
        // Two delays lie between them; a busy machine may make the first late.
        assert!(
            of_host[2].at - of_host[0].at >= Duration::from_millis(40),
            "{of_host:?}"
        );
    }
}

#[tokio::test]
async fn more_than_five_redirects_are_no_file() {
    let web = Web::new(|url, number| {
        Ok(match url.path() {
            "/" => page(url, &[]),
            path => with(status(url, 301), "location", &format!("{path}{number}")),
        })
    });
    assert_eq!(run(&web, |_| {}).await.statistics.pages, 1);
    assert_eq!(web.log().len(), 7);
}

#[tokio::test]
async fn not_now_is_tried_again() {
    let web = Web::new(|url, number| {
        Ok(match (url.path(), number) {
            ("/robots.txt", 0) => status(url, 503),
            ("/robots.txt", 1) => status(url, 500),
            ("/robots.txt", _) => text(url, "User-agent: *\nDisallow: /private\n"),
            _ => page(url, &["/private", "/public"]),
        })
    });
    let report = run(&web, |_| {}).await;
    assert_eq!(report.statistics.pages, 2);
    assert_eq!(web.count("http://shop.example/robots.txt"), 3);
    assert_eq!(web.count("http://shop.example/private"), 0);
}

#[tokio::test]
async fn not_now_for_ever_forbids_everything() {
    let web = Web::new(|url, _| {
        Ok(match url.path() {
            "/robots.txt" => status(url, 500),
            _ => page(url, &[]),
        })
    });
    let report = run(&web, |settings| settings.retries = 2).await;
    assert_eq!(report.stop, Stop::Finished);
    let why = "robots.txt answered 500: not now".to_owned();
    assert_eq!(skipped(&report), [(why, 1)]);
    assert_eq!(web.log().len(), 3);
}

/// A file that has become too old is fetched anew while the crawl goes on, and obeyed from then on.
#[tokio::test]
async fn an_old_file_is_fetched_anew() {
    let web = Web::new(|url, number| {
        Ok(match url.path() {
            "/robots.txt" if number == 0 => text(url, ""),
            "/robots.txt" => text(url, "User-agent: *\nDisallow: /\n"),
            path => {
                let next = path.trim_start_matches('/').parse().unwrap_or(0) + 1;
                page(url, &[&format!("/{next}")])
            }
        })
    });
    let report = run(&web, |settings| {
        settings.delay = Some(Duration::from_millis(5));
        settings.robots_max_age = Duration::from_millis(100);
    })
    .await;
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(web.count("http://shop.example/robots.txt"), 2);
    assert!(report.statistics.pages > 1);
    assert_eq!(
        skipped(&report),
        [("Disallow: / (robots.txt line 2)".to_owned(), 1)]
    );
}

/// What is beyond the bound is ignored, and does not make the file fail.
#[tokio::test]
async fn a_file_of_many_megabytes_is_read_as_far_as_it_counts() {
    let mut robots = "User-agent: *\nDisallow: /graph/1\n".to_owned();
    robots.push_str(&"# fill\n".repeat(4 << 20 >> 3));
    robots.push_str("Disallow: /\n");
    let options = Options {
        robots: Some((200, robots)),
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await.unwrap();
    let report = crawl(vec![site.page("/graph/0?of=2")])
        .with(|settings| settings.max_body = 1 << 20)
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.pages, 1);
    let line = "Disallow: /graph/1 (robots.txt line 2)".to_owned();
    assert_eq!(skipped(&report), [(line, 1)]);
}

#[tokio::test]
async fn what_pages_say_is_obeyed_if_wanted() {
    let web = Web::new(|url, _| {
        Ok(match url.path() {
            "/robots.txt" => status(url, 404),
            "/" => page(url, &["/noindex", "/nofollow", "/other"]),
            "/noindex" => {
                let html = "<meta name=robots content='noindex'><a href=/a>a</a>";
                with(text(url, html), "content-type", "text/html")
            }
            "/nofollow" => with(page(url, &["/b"]), "x-robots-tag", "nephila: nofollow"),
            "/other" => with(page(url, &["/c"]), "x-robots-tag", "otherbot: none"),
            _ => page(url, &[]),
        })
    });
    let obeyed = run(&web, |settings| settings.robots_meta = true).await;
    // `/b` is not fetched, and the item of `/noindex` is not stored.
    assert_eq!(
        (obeyed.statistics.pages, obeyed.statistics.item_count()),
        (6, 5)
    );
    assert_eq!(obeyed.statistics.refused["nofollow"].count, 1);
    assert_eq!(web.count("http://shop.example/b"), 0);
    let ignored = run(&web, |_| {}).await;
    assert_eq!(
        (ignored.statistics.pages, ignored.statistics.item_count()),
        (7, 7)
    );
}

/// A fetch of one's own may do anything.
#[tokio::test]
async fn a_fetch_that_panics_on_it_costs_the_host() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => panic!("oh no"),
        _ => Ok(page(url, &[])),
    });
    let report = run(&web, |_| {}).await;
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.exit_code(), 1);
    let errors = &report.statistics.errors;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].message, "the fetch panicked");
    assert_eq!(web.count("http://shop.example/"), 0);
}
