//! Which links become requests: hosts, patterns, parameters.

use super::*;

/// A page at `/` with these links, and pages behind all of them.
async fn page_with(links: &'static str) -> Web {
    Web::serve(move |hit: &Hit| match hit.path.as_str() {
        "/" => Answer::html(links),
        path => Answer::html(format!("<a href=/>{path}</a>")),
    })
    .await
}

#[tokio::test]
async fn patterns_choose_among_links() {
    let links =
        "<a href=/book/1></a><a href=/book/2?sort=x></a><a href=/about></a><a href=/book/3/4>";
    let web = page_with(links).await;
    let crawl = walk(web.url("/")).with(|settings| {
        settings.include = vec!["/book/**".into()];
        settings.exclude = vec!["re:[?&]sort=".into(), "/book/*/*".into()];
    });
    let report = crawl.run().await.unwrap();
    assert_eq!(web.lines(), ["GET /", "GET /book/1"]);
    let refused = refused(&report);
    assert_eq!(refused["include"], 1 + 1, "{refused:?}");
    assert_eq!(refused["exclude re:[?&]sort="], 1);
    assert_eq!(refused["exclude /book/*/*"], 1);
    assert_eq!(
        report.statistics.refused["exclude /book/*/*"].sample,
        web.url("/book/3/4").to_string()
    );
}

#[tokio::test]
async fn redirects_are_links() {
    let web = Web::serve(|hit: &Hit| match hit.path.as_str() {
        "/" => Answer::html("<a href=/go></a>"),
        "/go" => Answer::to(302, "/logout"),
        _ => Answer::html("out"),
    })
    .await;
    let crawl = walk(web.url("/")).with(|settings| settings.exclude = vec!["/logout".into()]);
    let report = crawl.run().await.unwrap();
    assert_eq!(web.lines(), ["GET /", "GET /go"]);
    let to = web.url("/logout");
    assert_eq!(
        groups(&report),
        [format!("skipped exclude redirects to {to} x1")]
    );
}

#[tokio::test]
async fn parameters_are_dropped_where_that_is_wanted() {
    let links = "<a href=/b?utm_source=1></a><a href=/b></a><a href='/b?fbclid=2&amp;UTM_x=3'></a>
        <a href='/c;jsessionid=5?y=1&amp;x=2'></a><a href='/c?x=2&amp;y=1'></a>";
    let web = page_with(links).await;
    walk(web.url("/")).run().await.unwrap();
    assert_eq!(web.hits().len(), 6);
    let web = page_with(links).await;
    let crawl = walk(web.url("/?utm_medium=0")).with(|settings| {
        settings.drop_params = vec!["@tracking".into(), "@session".into()];
        settings.sort_query = true;
    });
    crawl.run().await.unwrap();
    assert_eq!(web.lines(), ["GET /", "GET /b", "GET /c?x=2&y=1"]);
}

/// A site that will not do without its session.
#[tokio::test]
async fn a_redirect_that_insists_on_a_parameter_has_it() {
    let web = Web::serve(|hit: &Hit| match hit.path.as_str() {
        "/a" => Answer::to(302, "/a?sid=1&utm_a=2"),
        _ => Answer::html("in"),
    })
    .await;
    let crawl = walk(web.url("/a"))
        .with(|settings| settings.drop_params = vec!["sid".into(), "utm_*".into()]);
    let report = crawl.run().await.unwrap();
    assert_eq!(web.lines(), ["GET /a", "GET /a?sid=1&utm_a=2"]);
    assert_eq!(report.statistics.item_count(), 1, "{:?}", groups(&report));
}

/// The links of one page lead to a thousand other hosts.
#[tokio::test]
async fn refused_hosts_are_told_apart_up_to_a_bound() {
    let web = Web::serve(|hit: &Hit| {
        let links = (0..1_000).map(|n| format!("<a href=http://h{n}.example/>"));
        Answer::html(if hit.path == "/" {
            links.collect()
        } else {
            String::new()
        })
    })
    .await;
    let report = walk(web.url("/")).run().await.unwrap();
    let refused = refused(&report);
    assert_eq!(refused.values().sum::<u64>(), 1_000);
    assert_eq!(refused["scope (others)"], 800);
    assert_eq!(refused.len(), 201);
}
