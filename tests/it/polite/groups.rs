//! Hosts that share a pace, and the delay that follows a host.

use std::collections::HashMap;
use std::time::Duration;

use nephila::engine::Stop;
use nephila::prelude::*;
use nephila::settings::{PolitenessBy, Settings};
use nephila::testing::in_virtual_time;
use tokio::time::Instant;

use super::crawl;
use super::web::{Web, page, status};

const DELAY: Duration = Duration::from_millis(30);

/// When something was asked, and how much of one host at once.
async fn ask(hosts: &[&str], change: impl FnOnce(&mut Settings)) -> (Vec<Instant>, usize) {
    let web = Web::new(|url, _| {
        Ok(match url.path() {
            "/robots.txt" => status(url, 404),
            "/" => page(url, &["/1", "/2", "/3"]),
            _ => page(url, &[]),
        })
    });
    let seeds = hosts.iter().map(|host| format!("http://{host}/"));
    let seeds: Vec<_> = seeds.map(|seed| Url::parse(&seed).unwrap()).collect();
    let report = crawl(seeds)
        .with(|settings| {
            settings.delay = Some(DELAY);
            settings.jitter = 0.0;
            change(settings);
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    assert_eq!(report.statistics.pages as usize, 4 * hosts.len());
    let log = web.log();
    assert_eq!(log.len(), 5 * hosts.len());
    let most = log.iter().map(|asked| asked.open).max().unwrap();
    (log.iter().map(|asked| asked.at).collect(), most)
}

/// Whether all requests together keep the delay; a busy machine may make one of them late.
fn is_one_pace(times: &[Instant]) -> bool {
    let all = 0..times.len();
    all.clone().all(|first| {
        let later = all.clone().skip(first + 2);
        later
            .map(|last| (times[last] - times[first], last - first - 1))
            .all(|(took, gaps)| took >= DELAY * gaps as u32)
    })
}

#[tokio::test]
async fn hosts_of_a_domain_share_its_pace() {
    let hosts = ["a.shop.example", "b.shop.example", "shop.example"];
    // 15 requests one after the other, whoever is asked.
    let (times, _) = ask(&hosts, |settings| {
        settings.politeness = PolitenessBy::Domain;
    })
    .await;
    assert!(is_one_pace(&times), "{times:?}");
}

#[tokio::test]
async fn hosts_at_an_address_share_its_pace() {
    // Different ports and names of one address; nothing is looked up but localhost.
    let hosts = ["127.0.0.1:81", "127.0.0.1:82", "localhost:83"];
    let (times, _) = ask(&hosts, |settings| {
        settings.politeness = PolitenessBy::Address;
    })
    .await;
    assert!(is_one_pace(&times), "{times:?}");
}

#[tokio::test]
async fn hosts_have_their_own_pace() {
    let hosts = ["a.shop.example", "b.shop.example", "shop.example"];
    let (times, most) = ask(&hosts, |_| {}).await;
    assert!(!is_one_pace(&times), "{times:?}");
    assert_eq!(most, 1);
}

/// A host that refuses what comes too fast is asked slower, and stays so.
#[tokio::test]
async fn autothrottle_finds_a_pace_that_is_borne() {
    let last = std::sync::Mutex::new(None);
    let web = Web::new(move |url, _| {
        let mut last = last.lock().unwrap();
        let now = tokio::time::Instant::now();
        let too_fast = last.is_some_and(|last| now - last < Duration::from_millis(20));
        *last = Some(now);
        Ok(match url.path() {
            "/robots.txt" => status(url, 404),
            _ if too_fast => status(url, 429),
            "/" => {
                let links: Vec<String> = (1..=60).map(|number| format!("/{number}")).collect();
                page(url, &links.iter().map(String::as_str).collect::<Vec<_>>())
            }
            _ => page(url, &[]),
        })
    });
    let report = crawl(vec!["http://shop.example/".parse().unwrap()])
        .with(|settings| {
            settings.delay = Some(Duration::from_millis(1));
            settings.jitter = 0.0;
            settings.autothrottle = Some(true);
            settings.concurrency_per_host = 1;
            settings.retries = 20;
            settings.max_retry_delay = Duration::from_millis(20);
            settings.max_host_errors = 1_000;
        })
        .fetch(web.clone())
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.pages, 61);
    // The first delay that AutoThrottle chooses is 100 ms, and it comes down no further than to
    // where it was refused. Without it, more than thirty are refused.
    let refused = report.statistics.statuses.get(&429);
    assert!(refused.is_none_or(|refused| *refused <= 6), "{refused:?}");
}

/// Fifty hosts at half a second, 16 slots, and one host that takes 5 s for an answer: without it and with it, the
/// others are asked at 97 % of what their pace allows, or more.
#[tokio::test(start_paused = true)]
async fn a_slow_host_costs_the_others_nothing() {
    const DELAY: Duration = Duration::from_millis(500);
    const PAGES: usize = 40;
    for slow in [None, Some(7)] {
        let web = Web::new(|url, _| {
            let links: Vec<_> = (1..PAGES).map(|n| format!("{}{n}", url.path())).collect();
            Ok(match url.path() {
                "/robots.txt" => status(url, 404),
                "/" | "/slow/" => page(url, &links.iter().map(String::as_str).collect::<Vec<_>>()),
                _ => page(url, &[]),
            })
        })
        .slow("/slow/", Duration::from_secs(5));
        let path = |host| if slow == Some(host) { "slow/" } else { "" };
        let seeds = (0..50).map(|host| format!("http://host-{host}.example/{}", path(host)));
        let crawl = crawl(seeds.map(|seed| seed.parse().unwrap()).collect())
            .with(|settings| {
                settings.delay = Some(DELAY);
                settings.jitter = 0.0;
                settings.concurrency_per_host = 1;
                settings.concurrency = 16;
            })
            .fetch(web.clone());
        let report = in_virtual_time(crawl).await.unwrap();
        assert_eq!(report.stop, Stop::Finished);
        assert_eq!(report.statistics.pages as usize, 50 * PAGES);
        let mut times = HashMap::<_, Vec<_>>::new();
        for asked in web.log() {
            let host = asked.url.split('/').nth(2).unwrap().to_owned();
            times.entry(host).or_default().push(asked.at);
        }
        for (host, times) in &times {
            let took = *times.last().unwrap() - times[0];
            let ideal = DELAY * PAGES as u32;
            let is_slow = slow.is_some_and(|slow| *host == format!("host-{slow}.example"));
            let rate = ideal.as_secs_f64() / took.as_secs_f64();
            assert!(
                rate >= 0.97 || is_slow,
                "{host}: {rate} of its pace, {slow:?}"
            );
            assert!(rate <= 1.0 && (rate < 0.2) == is_slow, "{host}: {rate}");
        }
    }
}
