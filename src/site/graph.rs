//! A web of tiny pages, to crawl, kill and crawl on.
//!
//! `/graph/N?of=600` links to twenty others; from page 0 all are reachable, because page N links to
//! 2N+1 and 2N+2. The rest are spread over the whole, so that most pages are found many times.

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;

use super::call::Call;
use super::faults::millis;
use super::html::Html;
use super::reply::Reply;
use super::state::State;
use super::words::{Dice, mix};

const LINKS: u64 = 20;
const MAX_PAGES: u64 = 10_000_000;

/// `/graph/N`, with `?of=` pages, and `?delay=` milliseconds, `?fail=` percent of pages that answer
/// 503 once, `?redirect=` percent that are at `/graph/N/moved` instead. The links keep the query.
pub(super) fn reply(state: &State, call: &Call, rest: &str) -> Reply {
    let (number, moved) = match rest.strip_suffix("/moved") {
        Some(number) => (number, true),
        None => (rest, false),
    };
    let pages = call.number("of").unwrap_or(100).min(MAX_PAGES);
    let Some(number) = number.parse().ok().filter(|number| *number < pages) else {
        return Reply::not_found();
    };
    let delay = millis(call, "delay");
    let query = call
        .query
        .as_deref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    if chosen(number, 1, call.number("redirect")) && !moved {
        let target = format!("/graph/{number}/moved{query}");
        return Reply::redirect(StatusCode::FOUND, &target).after(delay);
    }
    if chosen(number, 2, call.number("fail")) && state.fails(&call.target(), 1) {
        return Reply::status(StatusCode::SERVICE_UNAVAILABLE)
            .with(RETRY_AFTER, "0")
            .after(delay);
    }
    Reply::html(page(number, pages, &query)).after(delay)
}

/// Whether a page is among the given percent; `salt` tells the purposes apart.
fn chosen(number: u64, salt: u64, percent: Option<u64>) -> bool {
    percent.is_some_and(|percent| mix(mix(number) ^ salt) % 100 < percent)
}

fn page(number: u64, pages: u64, query: &str) -> Html {
    let mut html = Html::small("Graph");
    let value = mix(number) % 10_000;
    writeln!(
        html,
        "<h1>Page {number}</h1>\n<p class=\"value\">{value}</p>\n<ul>"
    );
    let query = query.replace('&', "&amp;");
    for target in links(number, pages) {
        writeln!(
            html,
            "<li><a href=\"/graph/{target}{query}\">{target}</a></li>"
        );
    }
    html.push("</ul>\n");
    html.end()
}

fn links(number: u64, pages: u64) -> impl Iterator<Item = u64> {
    let mut dice = Dice::new(number ^ 0x6_7a9b);
    let children = [2 * number + 1, 2 * number + 2];
    let spread = (2..LINKS).map(move |_| dice.below(pages));
    children
        .into_iter()
        .map(move |child| child % pages)
        .chain(spread)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::client::{get, site};
    use super::{chosen, links};

    #[tokio::test]
    async fn a_page_has_an_item_and_links() {
        let site = site().await;
        let answer = get(&site, "/graph/7?of=600&x=1").await;
        assert!(
            answer
                .text()
                .contains("<h1>Page 7</h1>\n<p class=\"value\">")
        );
        let targets = answer.links();
        assert_eq!(targets.len(), 20);
        assert_eq!(targets[0], "/graph/15?of=600&x=1");
        assert_eq!(get(&site, "/graph/600?of=600").await.status, 404);
        assert_eq!(get(&site, "/graph/x").await.status, 404);
    }

    #[tokio::test]
    async fn a_page_may_fail_once_and_move() {
        let site = site().await;
        let path = "/graph/7?of=600&fail=100&redirect=100";
        let answer = get(&site, path).await;
        let moved = "/graph/7/moved?of=600&fail=100&redirect=100";
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some(moved))
        );
        let answer = get(&site, moved).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("0"))
        );
        let answer = get(&site, moved).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("<h1>Page 7</h1>"));
    }

    #[test]
    fn every_page_is_reachable() {
        for pages in [1, 2, 3, 20, 600, 5000] {
            let mut seen = HashSet::from([0]);
            let mut left = vec![0];
            while let Some(number) = left.pop() {
                let targets: Vec<_> = links(number, pages).collect();
                assert_eq!(targets.len(), 20);
                left.extend(targets.into_iter().filter(|target| seen.insert(*target)));
            }
            assert_eq!(seen.len() as u64, pages);
            assert!(seen.iter().all(|number| *number < pages));
        }
    }

    #[test]
    fn a_percentage_is_about_kept() {
        let count = |percent| {
            (0..1000)
                .filter(|number| chosen(*number, 2, percent))
                .count()
        };
        assert_eq!(count(None), 0);
        assert_eq!(count(Some(0)), 0);
        assert!((70..130).contains(&count(Some(10))), "{}", count(Some(10)));
        assert_eq!(count(Some(100)), 1000);
    }
}
