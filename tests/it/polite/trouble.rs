//! Retries, pauses, hosts that are dead and hosts that refuse for ever.

use std::time::Duration;

use nephila::engine::{Event, Report, Stop};
use nephila::fetch::{FailureKind, FetchError};
use nephila::prelude::*;
use serde::Deserialize;

use super::crawl;
use super::web::{Web, page, status, with};

const LINKS: [&str; 40] = {
    let mut links = ["/x"; 40];
    let names = [
        "/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/a", "/b", "/c", "/d", "/e",
        "/f", "/g", "/h", "/i", "/j", "/k", "/l", "/m", "/n", "/o", "/p", "/q", "/r", "/s", "/t",
        "/u", "/v", "/w", "/x", "/y", "/z", "/A", "/B", "/C", "/D",
    ];
    let mut at = 0;
    while at < 40 {
        links[at] = names[at];
        at += 1;
    }
    links
};

fn seed() -> Vec<Url> {
    vec!["http://shop.example/".parse().unwrap()]
}

/// What failed, and how often.
fn errors(report: &Report) -> Vec<(&str, u64)> {
    let groups = report.statistics.errors.iter();
    groups.map(|group| (&*group.reason, group.count)).collect()
}

/// A host that answers robots.txt and its first page, and then no more.
fn dying(kind: FailureKind) -> Web {
    Web::new(move |url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        _ => Err(FetchError::new(kind, "gone")),
    })
}

#[tokio::test]
async fn a_dead_host_is_tried_by_canaries_and_given_up() {
    let web = dying(FailureKind::Connect);
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
            settings.max_host_errors = 4;
            settings.retry_delay = Duration::from_millis(4);
            // The eight of the first wave are not tried again, and so fail with the others.
            settings.retries = 0;
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.pages, 1);
    assert_eq!(report.statistics.failed, 40);
    let host = report
        .statistics
        .errors
        .iter()
        .find(|group| group.reason == "host");
    let host = host.expect("the host was given up");
    assert!(
        host.message
            .starts_with("gave the host up after 5 failures in a row: gone"),
        "{}",
        host.message
    );
    // Eight at once before it is known, then one at a time: four pauses, five failures. Requests that
    // come later may try once more.
    let log = web.log();
    assert!(log.len() <= 2 + 8 + 4 + 2, "{} requests", log.len());
    let canaries = log.iter().rev().take(4);
    assert!(canaries.clone().all(|asked| asked.open == 1));
}

/// Bodies that never end are their pages' trouble, however many there are in a row.
#[tokio::test]
async fn a_host_whose_answers_begin_is_alive() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        "/D" => Ok(page(url, &[])),
        _ => Err(FetchError {
            has_begun: true,
            ..FetchError::new(FailureKind::Timeout, "a drip")
        }),
    });
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.max_host_errors = 1;
            settings.retries = 0;
        })
        .fetch(web)
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.pages, 2, "{report:?}");
    assert_eq!(errors(&report), [("timeout", 39)]);
}

/// An answer that begins is a sign of life between two requests that wait in vain.
#[tokio::test]
async fn a_host_is_given_up_for_silence_in_a_row_only() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        path => {
            let at = LINKS.iter().position(|link| *link == path);
            Err(FetchError {
                has_begun: at.is_some_and(|at| at % 2 == 1),
                ..FetchError::new(FailureKind::Timeout, "late")
            })
        }
    });
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
            settings.concurrency_per_host = 1;
            settings.max_host_errors = 1;
            settings.retries = 0;
            settings.retry_delay = Duration::from_millis(4);
        })
        .fetch(web)
        .run()
        .await
        .unwrap();
    assert_eq!(errors(&report), [("timeout", 40)]);
}

/// A host that has nothing due is given back between the tries; that it answered well is remembered.
#[tokio::test]
async fn pages_that_never_answer_are_no_dead_host() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        "/A" | "/B" | "/C" | "/D" => Err(FetchError::new(FailureKind::Timeout, "no answer")),
        _ => Ok(page(url, &[])),
    });
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.max_host_errors = 1;
            settings.retries = 2;
            settings.retry_delay = Duration::from_millis(200);
        })
        .fetch(web)
        .run()
        .await
        .unwrap();
    assert_eq!(errors(&report), [("timeout", 4)]);
}

/// A request whose time has come does not wait for those of its host that are under way.
#[tokio::test]
async fn who_is_asked_again_waits_for_nobody() {
    let web = Web::new(|url, number| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &["/slow", "/broken"])),
        "/broken" if number == 0 => Err(FetchError::new(FailureKind::Reset, "reset")),
        _ => Ok(page(url, &[])),
    });
    let web = web.slow("/slow", Duration::from_secs(2));
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
            settings.retry_delay = Duration::from_millis(50);
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.pages, 3, "{report:?}");
    let log = web.log();
    let again = log.last().expect("it was asked again");
    assert_eq!(again.url, "http://shop.example/broken");
    assert_eq!(again.open, 2, "the slow one was still under way");
}

#[tokio::test]
async fn a_host_that_comes_back_is_asked_at_full_speed_again() {
    let web = Web::new(|url, number| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        "/0" if number == 0 => Err(FetchError::new(FailureKind::Timeout, "late")),
        _ => Ok(page(url, &[])),
    });
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.pages, 41, "{report:?}");
    assert_eq!(report.statistics.slowed["http://shop.example"].in_a_row, 0);
    assert!(web.log().iter().rev().take(20).any(|asked| asked.open > 1));
}

/// A canary that is bad by itself is no reason to try all others one by one.
#[tokio::test]
async fn bad_pages_do_not_keep_their_host_on_trial() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        "/0" => Err(FetchError::new(FailureKind::Timeout, "late")),
        _ => Err(FetchError::new(FailureKind::Protocol, "garbage")),
    });
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
            settings.retry_delay = Duration::from_millis(4);
            settings.retries = 0;
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.failed, 40, "{report:?}");
    assert_eq!(report.statistics.slowed["http://shop.example"].in_a_row, 1);
    let log = web.log();
    assert!(log.iter().rev().take(20).any(|asked| asked.open > 1));
}

/// Whatever the host asks for, the crawl ends, and its requests are there for another run.
#[tokio::test]
async fn refused_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &LINKS)),
        _ => Ok(with(status(url, 429), "retry-after", "99999999999")),
    });
    let pauses = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&pauses);
    let report = crawl(seed())
        .db(&db)
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.max_retry_after = Duration::from_millis(30);
            settings.max_host_errors = 3;
        })
        .on_event(move |event| {
            if let Event::HostSlowed { why, .. } = event {
                seen.lock().unwrap().push(why.clone());
            }
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Limit("max_wait"));
    assert_eq!(report.exit_code(), 3);
    assert_eq!(report.statistics.pages, 1);
    assert_eq!(report.statistics.left(), 40 - report.statistics.failed);
    for group in &report.statistics.errors {
        let says = " (Retry-After 4294967295 s, cut to 0 s)";
        assert!(group.message.contains(says), "{}", group.message);
    }
    assert!(web.log().len() <= 2 + 8 + 3, "{} requests", web.log().len());
    let pauses = pauses.lock().unwrap().clone();
    assert_eq!(pauses.len(), 4, "{pauses:?}");
    assert!(
        pauses[0].starts_with("429 Too Many Requests (Retry-After 4294967295 s, cut to "),
        "{pauses:?}"
    );
    let host = &report.statistics.slowed["http://shop.example"];
    assert_eq!(host.in_a_row, 4, "{host:?}");
    // It has no effect to come again at once: nothing is sent, and nothing is lost.
    let again = crawl(seed())
        .db(&db)
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(again.stop, Stop::Limit("max_wait"));
    assert_eq!(again.statistics.resumed.unwrap().queued, 40);
}

/// A host that asks for more than is granted gets what is granted: at once if it never served a page, else
/// once it has refused three in a row.
#[tokio::test]
async fn a_retry_after_that_is_cut_is_kept_to() {
    for (good, gap) in [("/nothing", 400), ("/", 0)] {
        let web = Web::new(move |url, nth| match url.path() {
            "/robots.txt" => Ok(status(url, 404)),
            path if path == good => Ok(page(url, &LINKS)),
            _ if nth > 0 && good != "/" => Ok(page(url, &[])),
            _ => Ok(with(status(url, 429), "retry-after", "3600")),
        });
        crawl(seed())
            .with(|settings| {
                settings.delay = Some(Duration::ZERO);
                settings.autothrottle = Some(false);
                settings.retry_delay = Duration::from_millis(1);
                settings.max_retry_delay = Duration::from_millis(2);
                settings.max_retry_after = Duration::from_millis(400);
                settings.max_host_errors = 4;
            })
            .fetch(web.clone())
            .run()
            .await
            .unwrap();
        let pages = web.log();
        let pages: Vec<_> = pages
            .iter()
            .filter(|asked| !asked.url.ends_with("/robots.txt"))
            .collect();
        let gaps: Vec<_> = pages
            .windows(2)
            .map(|two| (two[1].at - two[0].at).as_millis())
            .collect();
        assert!(gaps[0] >= gap, "{good}: {gaps:?}");
        let long = gaps.iter().filter(|gap| **gap >= 400).count();
        assert!(long >= 1, "{good}: {gaps:?}");
    }
}

#[tokio::test]
async fn every_kind_of_failure_has_its_budget() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(
            url,
            &["/reset", "/tls", "/500", "/503", "/404", "/blocked"],
        )),
        "/reset" => Err(FetchError::new(FailureKind::Reset, "cut")),
        "/tls" => Err(FetchError::new(FailureKind::Tls, "expired")),
        "/blocked" => Err(FetchError::new(FailureKind::Blocked, "private")),
        path => Ok(status(url, path[1..].parse().unwrap())),
    });
    let report = crawl(seed())
        .with(|settings| {
            settings.delay = Some(Duration::ZERO);
            settings.autothrottle = Some(false);
            settings.retries = 2;
            let budgets = [("reset", 1), ("5xx", 4), ("503", 0), ("404", 3)];
            settings.retries_for = budgets.map(|(kind, tries)| (kind.to_owned(), tries)).into();
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    let tries = |path: &str| web.count(&format!("http://shop.example{path}"));
    let found = ["/reset", "/tls", "/500", "/503", "/404", "/blocked"].map(tries);
    assert_eq!(found, [2, 1, 5, 1, 4, 1]);
    let message = |reason: &str| {
        let group = report
            .statistics
            .errors
            .iter()
            .find(|group| group.reason == reason);
        group.map(|group| group.message.clone()).unwrap_or_default()
    };
    assert_eq!(message("reset"), "cut, 2 tries");
}

/// Requests that say themselves how often they are tried.
#[derive(Deserialize)]
struct Stubborn;

#[spider]
impl Stubborn {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push("http://shop.example/", Self::list).await
    }

    async fn list(&self, page: Page) -> Result {
        page.request("/never", Self::page).retries(0).send()?;
        page.request("/often", Self::page).retries(6).send()
    }

    async fn page(&self, _page: Page) -> Result {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_has_its_own_budget() {
    let web = Web::new(|url, _| match url.path() {
        "/robots.txt" => Ok(status(url, 404)),
        "/" => Ok(page(url, &[])),
        _ => Ok(status(url, 500)),
    });
    let report = nephila::Crawl::new(Stubborn)
        .db("sqlite::memory:")
        .with(|settings| {
            settings.retry_delay = Duration::from_millis(1);
            settings.delay = Some(Duration::ZERO);
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.failed, 2);
    assert_eq!(web.count("http://shop.example/never"), 1);
    assert_eq!(web.count("http://shop.example/often"), 7);
}
