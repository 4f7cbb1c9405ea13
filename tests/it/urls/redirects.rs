//! Redirects by status and by refresh, hop by hop.

use nephila::settings::Settings;

use super::*;

/// What the step saw: path, fragment and chain of each page, sorted.
async fn seen(crawl: Crawl) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crawl.db");
    let db = format!("sqlite:{}", file.display());
    crawl.db(&db).run().await.unwrap();
    let reader = nephila::store::open_reader(&db).await.unwrap();
    let sql = "SELECT url || ' #' || fragment || ' <' || redirects FROM pages ORDER BY 1";
    let (_, rows) = nephila::store::collect(&*reader, sql).await.unwrap();
    let text = |row: Vec<nephila::item::Value>| match row.into_iter().next() {
        Some(nephila::item::Value::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    rows.into_iter().map(text).collect()
}

/// `/a` leads to `/b` by `how`, and `/b` to a page.
async fn two_hops(how: fn(&str) -> Answer) -> Web {
    Web::serve(move |hit: &Hit| match hit.path.as_str() {
        "/a" => how("/b#inner"),
        "/b" => how("/c"),
        "/" => Answer::html("<a href=/a#outer>a</a>"),
        "/c" => Answer::html("<a href=/c>itself</a> <a href=/a>back</a>"),
        _ => Answer::empty(404),
    })
    .await
}

fn meta(to: &str) -> Answer {
    Answer::html(format!(
        "<meta http-equiv=Refresh content='1; url={to}'>gone"
    ))
}

fn header(to: &str) -> Answer {
    Answer::html("gone").with("Refresh", &format!("0;url={to}"))
}

#[tokio::test]
async fn the_chain_and_the_fragment_are_on_the_page() {
    for how in [|to: &str| Answer::to(301, to), meta, header] {
        let web = two_hops(how).await;
        let seen = seen(walk(web.url("/"))).await;
        assert_eq!(seen, ["/ # <", "/c #inner </a /b"]);
        assert_eq!(web.lines(), ["GET /", "GET /a", "GET /b", "GET /c"]);
    }
}

#[tokio::test]
async fn the_final_url_counts_as_seen() {
    let web = Web::serve(|hit: &Hit| match hit.path.as_str() {
        "/" => Answer::html("<a href=/old>x</a><a href=/older>y</a><a href=/new>z</a>"),
        "/old" => Answer::to(302, "/new"),
        "/older" => meta("/new#here"),
        _ => Answer::html("<a href=/new>itself</a>"),
    })
    .await;
    let report = walk(web.url("/")).run().await.unwrap();
    assert_eq!(web.lines(), ["GET /", "GET /new", "GET /old", "GET /older"]);
    assert_eq!(report.statistics.item_count(), 2);
    assert_eq!(report.statistics.redirects, 2);
    assert_eq!(report.exit_code(), 0, "{:?}", groups(&report));
}

/// What a form leads to is read for the form's sake, and not once more for a link's.
#[tokio::test]
async fn where_a_form_leads_counts_as_seen() {
    let form = "<form method=post action=/send></form>";
    let web = Web::serve(move |hit: &Hit| match hit.path.as_str() {
        "/" => Answer::html(format!("{form}<a href=/a>a</a>")),
        "/send" => Answer::to(303, "/thanks"),
        "/thanks" => Answer::html("<a href=/b>b</a>"),
        "/b" => Answer::html("<a href=/thanks>back</a><a href=/c>c</a>"),
        "/c" => Answer::html(format!("{form}<a href=/thanks>back</a>")),
        _ => Answer::html("<p>no more"),
    })
    .await;
    walk(web.url("/")).run().await.unwrap();
    let lines = web.lines();
    let count = |line: &str| lines.iter().filter(|sent| *sent == line).count();
    assert_eq!(
        (count("POST /send"), count("GET /thanks")),
        (2, 2),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 8, "{lines:?}");
}

/// Where a page at `/` with one link leads whose redirect goes to `location`.
async fn outcome(how: fn(&str) -> Answer, location: &str) -> (Vec<String>, Vec<String>) {
    let location = location.to_owned();
    let web = Web::serve(move |hit: &Hit| match hit.path.as_str() {
        "/robots.txt" => Answer::empty(200).with("X-Robots", "y"),
        "/" => Answer::html("<a href=/hop>x</a>"),
        "/hop" => how(&location),
        _ => Answer::html("arrived"),
    })
    .await;
    let report = walk(web.url("/")).run().await.unwrap();
    (groups(&report), web.lines())
}

#[tokio::test]
async fn hops_to_what_is_no_web_page_fail() {
    let found = |to: &str| Answer::to(302, to);
    for scheme in ["file", "javascript", "ftp", "data"] {
        let (groups, lines) = outcome(found, &format!("{scheme}:///x")).await;
        assert_eq!(
            groups,
            [format!("failed redirect redirect to a `{scheme}:` URL x1")]
        );
        assert_eq!(lines, ["GET /", "GET /hop"]);
    }
    let (groups, _) = outcome(found, "http://[").await;
    assert_eq!(
        groups,
        ["failed redirect redirect without a usable Location: `http://[` x1"]
    );
    let (groups, _) = outcome(|_| Answer::empty(302), "").await;
    assert_eq!(
        groups,
        ["failed redirect redirect without a usable Location x1"]
    );
    // A page whose refresh leads nowhere is a page.
    for to in ["file:///x", "javascript:x", "http://["] {
        assert_eq!(outcome(meta, to).await.0, [""; 0]);
    }
}

#[tokio::test]
async fn hops_that_leave_the_scope_are_skipped() {
    for how in [|to: &str| Answer::to(308, to), meta, header] {
        let (groups, lines) = outcome(how, "http://other.example/").await;
        assert_eq!(
            groups,
            ["skipped scope redirects to http://other.example/ x1"]
        );
        assert_eq!(lines, ["GET /", "GET /hop"]);
    }
    let long = format!("/{}", "x".repeat(9_000));
    let (groups, _) = outcome(|to: &str| Answer::to(302, to), &long).await;
    assert!(
        groups[0].starts_with("skipped length redirects to "),
        "{groups:?}"
    );
}

#[tokio::test]
async fn hops_obey_robots() {
    for how in [|to: &str| Answer::to(303, to), meta, header] {
        let web = Web::serve(move |hit: &Hit| match hit.path.as_str() {
            "/robots.txt" => {
                let mut rules = Answer::empty(200);
                rules.push("User-agent: *\nDisallow: /private\n");
                rules
            }
            "/" => Answer::html("<a href=/hop>x</a>"),
            "/hop" => how("/private/1"),
            _ => Answer::html("arrived"),
        })
        .await;
        let report = walk(web.url("/")).run().await.unwrap();
        assert_eq!(
            groups(&report),
            ["skipped robots Disallow: /private (robots.txt line 2) x1"]
        );
        assert_eq!(web.lines(), ["GET /", "GET /hop"]);
    }
}

/// The gap is kept between the starts of requests; they arrive a little later, some more so.
#[tokio::test]
async fn hops_keep_the_pace() {
    for how in [|to: &str| Answer::to(302, to), meta, header] {
        let web = two_hops(how).await;
        let crawl = walk(web.url("/a")).with(|settings| {
            settings.delay = Some(Duration::from_millis(400));
            settings.jitter = 0.0;
        });
        crawl.run().await.unwrap();
        let hits = web.hits();
        assert_eq!(hits.len(), 3);
        for pair in hits.windows(2) {
            let gap = pair[1].at - pair[0].at;
            assert!(gap >= Duration::from_millis(250), "{gap:?}");
        }
    }
}

#[tokio::test]
async fn hops_are_guarded() {
    for how in [|to: &str| Answer::to(302, to), meta, header] {
        let target = Web::serve(|_: &Hit| Answer::html("inside")).await;
        let to = target.url_on("localhost", "/").to_string();
        let web = Web::serve(move |_: &Hit| how(&to)).await;
        // In scope by its name, and yet at an address that nobody allowed.
        let crawl = walk(web.url("/")).with(|settings| settings.hosts = vec!["*".into()]);
        let report = crawl.run().await.unwrap();
        assert_eq!(target.hits().len(), 0);
        assert_eq!(report.statistics.failed, 1, "{:?}", groups(&report));
    }
}

#[tokio::test]
async fn loops_end() {
    for how in [|to: &str| Answer::to(302, to), meta, header] {
        let web = Web::serve(move |hit: &Hit| how(if hit.path == "/a" { "/b" } else { "/a" }));
        let web = web.await;
        let crawl = walk(web.url("/a")).with(|settings| settings.max_redirects = 4);
        let report = crawl.run().await.unwrap();
        assert_eq!(
            groups(&report),
            ["failed redirect more than 4 redirects x1"]
        );
        assert_eq!(web.hits().len(), 5);
    }
    // Each target is another: endless, but for the limit.
    let web = Web::serve(|hit: &Hit| Answer::to(302, &format!("{}x", hit.path))).await;
    let report = walk(web.url("/")).run().await.unwrap();
    assert_eq!(
        groups(&report),
        ["failed redirect more than 10 redirects x1"]
    );
    assert_eq!(web.hits().len(), 11);
}

#[tokio::test]
async fn a_page_that_reloads_itself_or_waits_long_is_read() {
    let web = Web::serve(|hit: &Hit| match hit.path.as_str() {
        "/" => {
            Answer::html("<meta http-equiv=refresh content=5><a href=/slow>1</a><a href=/own>2</a>")
        }
        "/slow" => Answer::html("x").with("Refresh", "11; /never"),
        "/own" => meta("/own#top"),
        _ => Answer::empty(404),
    })
    .await;
    let report = walk(web.url("/")).run().await.unwrap();
    assert_eq!(report.statistics.item_count(), 3, "{:?}", groups(&report));
    assert_eq!(web.lines(), ["GET /", "GET /own", "GET /slow"]);
}

#[tokio::test]
async fn refreshes_are_followed_as_the_settings_say() {
    let count = async |change: fn(&mut Settings)| {
        let web = two_hops(meta).await;
        let report = walk(web.url("/a")).with(change).run().await.unwrap();
        (report.statistics.redirects, report.statistics.item_count())
    };
    assert_eq!(count(|_| ()).await, (2, 1));
    assert_eq!(
        count(|settings| settings.follow_refresh = false).await,
        (0, 1)
    );
    let short = |settings: &mut Settings| settings.max_refresh_delay = Duration::from_millis(999);
    assert_eq!(count(short).await, (0, 1));
}

/// Sends one request of every kind.
#[derive(serde::Deserialize)]
struct Sender {
    to: Url,
    method: String,
    resend: bool,
}

#[spider]
impl Sender {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.to.join("/start")?, Self::send).await
    }

    async fn send(&self, page: Page) -> Result {
        let method = self.method.parse()?;
        let request = page.request(&self.to, Self::read).header("x-secret", "s");
        let request = match self.method.as_str() {
            "POST" | "PUT" => request.body("b"),
            _ => request,
        };
        request.method(method).resend_body(self.resend).send()
    }

    async fn read(&self, _page: Page) -> Result {
        Ok(())
    }
}

/// What arrives at another origin when `method` is redirected there with `status`.
async fn arrives(method: &'static str, status: u16, resend: bool) -> (Vec<String>, Vec<String>) {
    let target = Web::serve(|_: &Hit| Answer::html("there")).await;
    let to = target.url("/there").to_string();
    let web = Web::serve(move |hit: &Hit| match hit.path.as_str() {
        "/start" => Answer::html(""),
        _ => Answer::to(status, &to),
    })
    .await;
    let sender = Sender {
        to: web.url("/from"),
        method: method.to_owned(),
        resend,
    };
    let crawl = Crawl::new(sender).db("sqlite::memory:").with(|settings| {
        settings.allow_empty = true;
        settings.hosts = vec!["127.0.0.1".into()];
    });
    let report = crawl.run().await.unwrap();
    for hit in target.hits() {
        assert!(
            !hit.text.to_ascii_lowercase().contains("x-secret"),
            "{}",
            hit.text
        );
    }
    (target.lines(), groups(&report))
}

#[tokio::test]
async fn what_is_sent_on_to_another_origin() {
    let check = async |method, status, resend, expected: &[&str]| {
        let (lines, _) = arrives(method, status, resend).await;
        assert_eq!(lines, expected, "{method} {status} {resend}");
    };
    check("GET", 301, false, &["GET /there"]).await;
    check("HEAD", 303, false, &["HEAD /there"]).await;
    check("HEAD", 302, false, &["HEAD /there"]).await;
    check("POST", 301, false, &["GET /there"]).await;
    check("POST", 302, false, &["GET /there"]).await;
    check("PUT", 303, false, &["GET /there"]).await;
    check("POST", 307, false, &[]).await;
    check("PUT", 302, false, &[]).await;
    check("POST", 307, true, &["POST /there b"]).await;
    check("PUT", 308, true, &["PUT /there b"]).await;
    let (_, groups) = arrives("POST", 308, false).await;
    assert_eq!(
        groups,
        ["failed redirect redirect would send the body on to 127.0.0.1 x1"]
    );
}
