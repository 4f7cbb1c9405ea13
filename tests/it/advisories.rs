//! What others were warned of: the advisories of the field that apply to a crawler, each as a test.
//!
//! | test | what happened to | as |
//! |---|---|---|
//! | `secrets_stay_with_their_origin` | requests, curl, Scrapy, urllib3, follow-redirects | CVE-2018-18074, CVE-2022-27774, CVE-2021-41125, CVE-2024-3574, CVE-2018-25091, CVE-2022-0155 |
//! | `secrets_do_not_follow_to_another_scheme` | Scrapy, curl | CVE-2024-1968, CVE-2022-27774 |
//! | `cookies_of_a_request_stay_with_its_origin` | Scrapy, urllib3, node-fetch | CVE-2022-0577, CVE-2023-43804, CVE-2022-0235 |
//! | `a_body_is_not_sent_on_to_another_origin` | what RFC 9110 leaves to the client with 307 and 308 | |
//! | `a_body_does_not_survive_a_change_to_get` | urllib3 | CVE-2023-45803 |
//! | `redirects_lead_to_http_alone` | Scrapy, curl | GHSA-23j4-mw76-5v7h, CVE-2009-0037 |
//! | `bombs_end_at_the_limit` | Scrapy | CVE-2024-3572, CVE-2025-6176, CVE-2017-14158 |
//! | `encodings_are_not_stacked_for_ever` | curl | CVE-2022-32206, CVE-2023-23916 |
//! | `headers_do_not_fill_the_memory` | curl | CVE-2023-38039 |
//! | `nobody_sets_cookies_for_a_public_suffix` | Scrapy, curl | GHSA-mfjm-vh54-3f96, CVE-2014-3620, CVE-2022-27779, CVE-2023-46218 |
//! | `line_breaks_do_not_get_into_a_request` | urllib3, Python | CVE-2019-11236, CVE-2019-9740 |
//! | `patterns_are_matched_in_linear_time` | Scrapy, urllib3 | CVE-2024-1892, CVE-2021-33503 |
//! | `private_addresses_are_refused_however_they_are_written` | SSRF filters of many | CVE-2021-28918, CVE-2024-29415 |
//! | `a_cached_page_is_for_whom_it_was_made` | shared caches of many, by RFC 9111 (3.5 and 4.1) | |
//!
//! Others are tested where their subject is:
//!
//! | test | what happened to | as |
//! |---|---|---|
//! | `fetch::proxies::own_proxy_authorization_goes_nowhere`, `sessions::advisory_proxy_credentials_on_retry` | Scrapy | GHSA-9x8m-2xpf-crp3 |
//! | `downloads::names_by_url_stay_in_the_folder`, `downloads::a_link_in_the_folder_leads_nowhere` | downloaders of many: path traversal | |
//! | `page::sitemap` (unit test `no_entity_is_expanded_and_no_file_read`) | parsers of XML: external entities and bombs of them | |
//! | `cli::fetch::nothing_from_pages_commands_the_terminal` | terminals: escapes in titles and headers | |

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use nephila::Crawl;
use nephila::clock::thread_cpu;
use nephila::fetch::{FailureKind, Fetch, FetchError, HttpFetch, Jar};
use nephila::policy::redirect;
use nephila::policy::robots::Robots;
use nephila::prelude::*;
use nephila::request::{Response, StepRef};
use nephila::settings::{CacheMode, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::raw::{self, Act, perform, read};

/// Says what a function says of each path, and keeps the requests.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                connections.spawn(async move {
                    while let Ok(request) = read(&mut stream).await {
                        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                        seen.lock().unwrap().push(request);
                        let answer = answer(&path).into_bytes();
                        if perform(&mut stream, Act::Send(answer)).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            port,
            requests,
            _tasks: tasks,
        }
    }

    /// A page for every path.
    async fn plain() -> Self {
        Self::start(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()).await
    }

    /// Sends `/away` to a place, with a status.
    async fn away(status: u16, location: String) -> Self {
        Self::start(move |path| match path {
            "/away" => {
                format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
            }
            "/robots.txt" => "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => {
                "HTTP/1.1 200 OK\r\nSet-Cookie: own=secret\r\nContent-Length: 0\r\n\r\n".to_owned()
            }
        })
        .await
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Asks for `/away` with all secrets that a request may have.
#[derive(serde::Deserialize)]
struct Visitor {
    port: u16,
    post: bool,
}

#[spider]
impl Visitor {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds
            .push(format!("http://127.0.0.1:{}/", self.port), Self::first)
            .await
    }

    async fn first(&self, page: Page) -> Result {
        let mut request = page.request("/away", Self::last);
        if self.post {
            request = request.method(Method::POST).body("secret body");
        }
        request
            .header("aUtHoRiZaTiOn", "secret")
            .header("Cookie", "session=secret")
            .header("PROXY-authorization", "secret")
            .header("X-Api-Key", "secret")
            .send()
    }

    async fn last(&self, _page: Page) -> Result {
        Ok(())
    }
}

async fn visit(port: u16, with_body: bool) {
    let crawl = Crawl::new(Visitor {
        port,
        post: with_body,
    })
    .db("sqlite::memory:");
    let crawl = crawl.with(|settings| {
        settings.hosts = vec!["127.0.0.1".into(), "localhost".into()];
        settings.retries = 0;
        settings.allow_empty = true;
    });
    crawl.run().await.unwrap();
}

/// What arrives at the place that `/away` leads to, on another host or another port.
async fn arrives(status: u16, host: &str, post: bool) -> Vec<String> {
    let there = Server::plain().await;
    let here = Server::away(status, format!("http://{host}:{}/there", there.port)).await;
    visit(here.port, post).await;
    let asked = here.requests();
    assert!(
        asked
            .iter()
            .any(|request| request.contains(" /away ") && request.contains("secret")),
        "{asked:?}"
    );
    let robots = asked
        .iter()
        .chain(&there.requests())
        .find(|request| request.contains("/robots.txt"))
        .cloned();
    assert!(robots.is_some_and(|request| !request.contains("secret")));
    there.requests()
}

#[tokio::test]
async fn secrets_stay_with_their_origin() {
    for host in ["127.0.0.1", "localhost"] {
        for status in [301, 302, 303, 307, 308] {
            let requests = arrives(status, host, false).await;
            assert!(
                requests.iter().any(|request| request.contains(" /there ")),
                "{requests:?}"
            );
            let leaks = |request: &&String| request.replace("own=secret", "").contains("secret");
            assert_eq!(requests.iter().find(leaks), None);
            // Cookies know no ports (RFC 6265), but hosts.
            let cookie = requests
                .iter()
                .any(|request| request.contains("own=secret"));
            assert!(!cookie || host == "127.0.0.1", "{requests:?}");
        }
    }
}

fn answer(request: &Request, status: u16, location: &str) -> Response {
    let mut response = Response::new(request.url.clone(), "");
    response.status = StatusCode::from_u16(status).unwrap();
    response
        .headers
        .insert(header::LOCATION, HeaderValue::from_str(location).unwrap());
    response
}

fn request(url: &str) -> Request {
    let mut request = Request::new(url.parse().unwrap(), StepRef::named("page"));
    for name in [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
    ] {
        request
            .headers
            .insert(name, HeaderValue::from_static("secret"));
    }
    request
}

#[test]
fn secrets_do_not_follow_to_another_scheme() {
    for (from, to) in [
        ("http://a.test/", "https://a.test/"),
        ("https://a.test/", "http://a.test/"),
        ("https://a.test/", "https://a.test:444/"),
    ] {
        let request = request(from);
        let next = redirect::follow(&request, &answer(&request, 302, to), 9).unwrap();
        assert!(next.headers.is_empty(), "{from} {to}: {:?}", next.headers);
    }
}

#[test]
fn cookies_of_a_request_stay_with_its_origin() {
    let request = request("https://a.test/");
    for to in [
        "https://b.test/",
        "https://a.test.b.test/",
        "https://a.test@b.test/",
        "//b.test",
        "http://a.test/",
    ] {
        let next = redirect::follow(&request, &answer(&request, 307, to), 9).unwrap();
        assert!(!next.headers.contains_key(header::COOKIE), "{to}");
    }
    let next = redirect::follow(&request, &answer(&request, 307, "/b"), 9).unwrap();
    assert!(next.headers.contains_key(header::COOKIE));
}

#[tokio::test]
async fn a_body_is_not_sent_on_to_another_origin() {
    for status in [307, 308] {
        for host in ["127.0.0.1", "localhost"] {
            let requests = arrives(status, host, true).await;
            assert!(
                !requests.iter().any(|request| request.contains(" /there ")),
                "{requests:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_does_not_survive_a_change_to_get() {
    for status in [301, 302, 303] {
        let requests = arrives(status, "127.0.0.1", true).await;
        let there = requests
            .iter()
            .find(|request| request.contains(" /there "))
            .unwrap();
        assert!(
            there.starts_with("get ") && !there.contains("content-"),
            "{there}"
        );
        assert!(!there.contains("secret body"));
    }
}

#[test]
fn redirects_lead_to_http_alone() {
    let request = request("http://a.test/");
    for to in [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "data:text/html,x",
        "ftp://a.test/",
        "s3://bucket/key",
        "javascript:1",
        "gopher://a.test:6379/_x",
        "dict://a.test/",
        "jar:http://a.test!/",
    ] {
        assert!(
            redirect::follow(&request, &answer(&request, 301, to), 9).is_err(),
            "{to}"
        );
    }
}

async fn fetch(script: Vec<Act>) -> std::result::Result<Response, FetchError> {
    let server = raw::Server::playing(script).await;
    let settings = Settings {
        hosts: vec!["127.0.0.1".into()],
        max_body: 1 << 20,
        ..Settings::default()
    };
    let request = Request::new(server.url("/").parse().unwrap(), StepRef::named("page"));
    HttpFetch::new(&settings).unwrap().fetch(&request).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn encoded(encoding: &str, body: Vec<u8>) -> FetchError {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.into_bytes(), body].concat();
    fetch(vec![Act::Read, Act::Send(answer)]).await.unwrap_err()
}

#[tokio::test]
async fn bombs_end_at_the_limit() {
    let bomb = gzip(&vec![0; 4 << 20]);
    assert_eq!(
        encoded("gzip", bomb.clone()).await.kind,
        FailureKind::TooLarge
    );
    assert_eq!(
        encoded("gzip, gzip", gzip(&bomb)).await.kind,
        FailureKind::TooLarge
    );
    let plain = vec![
        Act::Read,
        Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        Act::Flood(vec![0; 4096]),
    ];
    assert_eq!(fetch(plain).await.unwrap_err().kind, FailureKind::TooLarge);
}

#[tokio::test]
async fn encodings_are_not_stacked_for_ever() {
    let many = ["gzip"; 6].join(", ");
    assert_eq!(encoded(&many, gzip(b"x")).await.kind, FailureKind::Encoding);
}

#[tokio::test]
async fn headers_do_not_fill_the_memory() {
    for flood in ["X: y\r\n".repeat(100), "x".repeat(4096)] {
        let start = Act::Send(b"HTTP/1.1 200 OK\r\nX: ".to_vec());
        let error = fetch(vec![Act::Read, start, Act::Flood(flood.into_bytes())]).await;
        assert_eq!(error.unwrap_err().kind, FailureKind::TooLarge);
    }
}

#[test]
fn nobody_sets_cookies_for_a_public_suffix() {
    for (from, domain) in [
        ("http://evil.co.uk/", "co.uk"),
        ("http://evil.co.uk/", ".co.uk"),
        ("http://evil.co.uk/", "co.UK"),
        ("http://evil.co.uk/", "CO.uk"),
        ("http://evil.co.uk./", "co.uk."),
        ("http://evil.github.io/", "github.io"),
        ("http://evil.com/", "com"),
    ] {
        let jar = Jar::new();
        let field = HeaderValue::from_str(&format!("a=b; Domain={domain}; Path=/")).unwrap();
        jar.store(
            &from.parse().unwrap(),
            &HeaderMap::from_iter([(header::SET_COOKIE, field)]),
        );
        let other = from.replace("evil", "other").parse().unwrap();
        assert_eq!(jar.cookie_header(&other), None, "{from} {domain}");
    }
}

#[test]
fn line_breaks_do_not_get_into_a_request() {
    let page = Page::from_html("http://a.test/", "").unwrap();
    for value in [
        "a\r\nInjected: 1",
        "a\nInjected: 1",
        "a\rInjected: 1",
        "a\0",
    ] {
        let sent = page
            .request("/", StepRef::named("page"))
            .header("x-note", value)
            .send();
        assert!(sent.is_err(), "{value:?}");
        let sent = page
            .request("/", StepRef::named("page"))
            .header(value, "x")
            .send();
        assert!(sent.is_err(), "{value:?}");
    }
    for url in [
        "/a\r\nInjected: 1",
        "/a HTTP/1.1\r\nInjected: 1",
        "http://a.test\r\nInjected: 1/",
    ] {
        if let Ok(url) = page.url().join(url) {
            assert!(!url.as_str().contains(['\r', '\n', ' ']), "{url}");
        }
    }
}

/// How much dearer ten times as much is.
fn ratio(mut work: impl FnMut(usize)) -> f64 {
    let mut cost = |size| {
        let before = thread_cpu();
        work(size);
        thread_cpu().saturating_sub(before).as_secs_f64()
    };
    let (one, ten) = (cost(20_000), cost(200_000));
    ten / one.max(20e-6)
}

#[derive(Item)]
#[item(table = "matches")]
struct Match {
    #[css("p")]
    #[re(r"(a+)+$")]
    found: Option<String>,
}

#[test]
fn patterns_are_matched_in_linear_time() {
    let of_robots = ratio(|size| {
        let rules = format!("User-agent: *\nDisallow: /{}b", "*a".repeat(size / 2));
        let robots = Robots::parse(rules.as_bytes(), "x");
        let _ = robots.verdict(&"/a".repeat(100));
    });
    assert!(of_robots < 50.0, "{of_robots}");
    let of_items = ratio(|size| {
        let page = Page::from_html("http://a.test/", format!("<p>{}!", "a".repeat(size))).unwrap();
        let _ = page.item::<Match>();
    });
    assert!(of_items < 50.0, "{of_items}");
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let fetch = HttpFetch::new(&Settings::default()).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "012.1.2.3",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fd00::1]",
        "169.254.169.254",
        "localhost",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    ] {
        let url = format!("http://{host}:9/").parse().unwrap();
        let error = fetch
            .fetch(&Request::new(url, StepRef::named("page")))
            .await
            .unwrap_err();
        assert_eq!(error.kind, FailureKind::Blocked, "{host}: {error}");
    }
}

/// Asks for one page with a key of its own.
#[derive(serde::Deserialize)]
struct Member {
    port: u16,
    key: String,
}

#[spider]
impl Member {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds
            .push(format!("http://127.0.0.1:{}/", self.port), Self::first)
            .await
    }

    async fn first(&self, page: Page) -> Result {
        page.request("/own", Self::last)
            .header("authorization", &self.key)
            .secret_header("x-api-key", &self.key)
            .send()
    }

    async fn last(&self, _page: Page) -> Result {
        Ok(())
    }
}

#[tokio::test]
async fn a_cached_page_is_for_whom_it_was_made() {
    let server = Server::start(|path| match path {
        "/robots.txt" => "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nVary: X-Api-Key\r\n\
              Content-Length: 0\r\n\r\n"
            .to_owned(),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let asked = |key: &str| {
        let requests = server.requests();
        let own = requests.iter().filter(|one| one.contains(" /own "));
        own.filter(|one| one.contains(key)).count()
    };
    for (turn, key) in ["hunter2-ann", "hunter2-bob", "hunter2-ann"]
        .into_iter()
        .enumerate()
    {
        let port = server.port;
        let place = folder.path().display().to_string();
        let crawl = Crawl::new(Member {
            port,
            key: key.to_owned(),
        })
        .db(format!("sqlite:{place}/{turn}.db"));
        let crawl = crawl.with(move |settings| {
            settings.hosts = vec!["127.0.0.1".into()];
            settings.cache = CacheMode::Http;
            settings.cache_folder = Some(format!("{place}/cache"));
            settings.allow_empty = true;
        });
        let report = crawl.run().await.unwrap();
        assert_eq!(report.statistics.pages, 2);
        assert!(!format!("{report:?}").contains("hunter2"));
    }
    assert_eq!((asked("hunter2-ann"), asked("hunter2-bob")), (1, 1));
    let kept = crate::sessions::bytes_of(folder.path());
    assert!(kept.contains("kept"));
    assert!(!kept.contains("hunter2"));
}
