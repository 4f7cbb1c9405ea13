//! Sites without an end, and how a crawl comes to one.

use super::*;

/// A site that is a function of a path: the links of every page.
async fn site(links: fn(&str) -> Vec<String>) -> Web {
    Web::serve(move |hit: &Hit| {
        let links = links(&hit.path);
        let links = links
            .iter()
            .map(|href| format!("<a href='{}'>x</a>", href.replace('&', "&amp;")));
        Answer::html(format!(
            "<h1>{}</h1>{}",
            hit.path,
            links.collect::<String>()
        ))
    })
    .await
}

async fn crawl(web: &Web, change: impl FnOnce(&mut nephila::settings::Settings)) -> Report {
    let report = walk(web.url("/")).with(change).run().await.unwrap();
    assert_eq!(report.stop, nephila::engine::Stop::Finished);
    assert_eq!(report.statistics.pages as usize, web.hits().len());
    report
}

#[tokio::test]
async fn paths_that_grow_end() {
    // A relative link that was meant to be absolute.
    let web = site(|_| vec!["a/b/".into()]).await;
    let report = crawl(&web, |_| ()).await;
    assert_eq!(web.lines(), ["GET /", "GET /a/b/", "GET /a/b/a/b/"]);
    assert_eq!(refused(&report), BTreeMap::from([("path_repeats", 1)]));
    let web = site(|path| vec![format!("{path}x{}/", path.len())]).await;
    let report = crawl(&web, |settings| settings.max_path_depth = 5).await;
    assert_eq!(web.hits().len(), 5);
    assert_eq!(refused(&report), BTreeMap::from([("path_depth", 1)]));
}

/// The next and the previous month, for ever.
fn months(path: &str) -> Vec<String> {
    let text = path.trim_start_matches("/cal/").replace('/', "");
    let Ok(month) = text.parse::<i32>() else {
        return vec!["/cal/2026/11".into()];
    };
    let month = month / 100 * 12 + month % 100 - 1;
    let link = |month: i32| format!("/cal/{:04}/{:02}", month / 12, month % 12 + 1);
    vec![link(month + 1), link(month - 1)]
}

#[tokio::test]
async fn calendars_end() {
    let web = site(months).await;
    let report = crawl(&web, |settings| settings.max_far_dates = 20).await;
    let pages = web.hits().len();
    // 2 years ahead, 30 back, and about twenty more.
    assert!((32 * 12..36 * 12 + 40).contains(&pages), "{pages}");
    let port = web.url("/").port().unwrap();
    let subject = format!("far_dates 127.0.0.1:{port}/cal/{{n}}/{{n}}");
    assert_eq!(refused(&report), BTreeMap::from([(subject.as_str(), 2)]));
    assert!(report.statistics.refused[&subject].sample.contains("/cal/"));
}

#[tokio::test]
async fn filters_that_multiply_end() {
    // Seven filters of three values: more than two thousand mixes.
    let web = site(|path| {
        let at = |name: &str| {
            path.split(name)
                .nth(1)
                .map_or(0, |rest| rest.as_bytes()[0] - b'0')
        };
        let names = ["a=", "b=", "c=", "d=", "e=", "f=", "g="];
        let mut links = Vec::new();
        for changed in 0..names.len() {
            for value in 0..3 {
                let pair = |place: usize| {
                    let value = if place == changed {
                        value
                    } else {
                        at(names[place])
                    };
                    format!("{}{value}", names[place])
                };
                let pairs: Vec<_> = (0..names.len()).map(pair).collect();
                links.push(format!("/list?{}", pairs.join("&")));
            }
        }
        links
    })
    .await;
    let report = crawl(&web, |settings| settings.max_query_mixes = 300).await;
    let pages = web.hits().len();
    // Three values times three hundred, about, is what a site may have that is no mix.
    assert!((700..1_200).contains(&pages), "{pages}");
    assert!(
        refused(&report)
            .keys()
            .all(|name| name.starts_with("query_mixes "))
    );
}

#[tokio::test]
async fn pages_that_are_all_the_same_end() {
    let web = Web::serve(|hit: &Hit| {
        let number: u32 = hit.path.trim_start_matches("/say?n=").parse().unwrap_or(0);
        let next = format!("</say?n={}>; rel=next", number + 1);
        Answer::html("nothing to see").with("Link", &next)
    })
    .await;
    let report = crawl(&web, |settings| settings.max_same_pages = 30).await;
    // The start page, the first of its kind, and thirty that are no different.
    assert_eq!(web.hits().len(), 32);
    let port = web.url("/").port().unwrap();
    let subject = format!("same_pages 127.0.0.1:{port}/say?n");
    assert_eq!(refused(&report), BTreeMap::from([(subject.as_str(), 1)]));
}

/// What is queued already is not asked for either, and something else is not held back.
#[tokio::test]
async fn what_is_queued_of_them_is_skipped() {
    let web = Web::serve(|hit: &Hit| match hit.path.as_str() {
        "/" => {
            let links = (0..2_000).map(|n| format!("<a href=/say/{n}></a>"));
            Answer::html(links.collect::<String>() + "<a href=/last></a>")
        }
        "/last" => Answer::html("the last"),
        _ => Answer::html("nothing to see"),
    })
    .await;
    let report = crawl(&web, |settings| settings.max_same_pages = 30).await;
    let port = web.url("/").port().unwrap();
    let message = format!("pages of 127.0.0.1:{port}/say/{{n}} are all the same");
    let skipped = report.statistics.skipped;
    assert_eq!(
        groups(&report),
        [format!("skipped same_pages {message} x{skipped}")]
    );
    assert!(skipped > 1_500, "{skipped}");
    assert_eq!(skipped + report.statistics.pages, 2_002);
    assert!(web.lines().contains(&"GET /last".to_owned()));
}

#[tokio::test]
async fn a_host_gets_its_share() {
    let web = site(|path| match path {
        "/" => (0..500).map(|n| format!("/p/{n}")).collect(),
        _ => vec![format!("{path}/x")],
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let db = format!("sqlite:{}", folder.path().join("crawl.db").display());
    let report = walk(web.url("/"))
        .db(&db)
        .with(|settings| settings.max_pages_per_host = 40);
    let report = report.run().await.unwrap();
    assert_eq!(web.hits().len(), 40);
    assert_eq!(report.stop, nephila::engine::Stop::Finished);
    let message = "the host had its 40 requests of this run (max_pages_per_host)";
    let [group] = &groups(&report)[..] else {
        panic!("{:?}", groups(&report))
    };
    assert!(
        group.starts_with(&format!("skipped host_pages {message} x")),
        "{group}"
    );
    let all = report.statistics.pages + report.statistics.skipped;
    assert_eq!(all, report.statistics.queued);
}
