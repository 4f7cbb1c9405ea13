//! Identities in a crawl: who asks for what, what is stored, and what reaches nobody else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nephila::Crawl;
use nephila::prelude::*;
use nephila::request::Session;
use nephila::settings::{AuthSettings, ProxyUrl, Secret, SessionSettings};

use crate::proxy::{Proxy, Rules};

/// What a server was asked: method, path, and the headers that tell who somebody is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) line: String,
    /// With the body.
    pub(crate) head: String,
    at: Option<tokio::time::Instant>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let field = format!("{name}: ");
        self.head.lines().find_map(|line| {
            let (start, value) = line.split_at_checked(field.len())?;
            start.eq_ignore_ascii_case(&field).then_some(value)
        })
    }
}

/// A server whose pages are made by a function of what it is asked.
pub(crate) struct Web {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    _task: tokio::task::JoinSet<()>,
}

/// Status line and fields, and the body.
pub(crate) type Answer = (String, String);

impl Web {
    pub(crate) async fn start(
        answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let mut request = Asked {
                        line: head.lines().next().unwrap_or_default().to_owned(),
                        head,
                        at: Some(tokio::time::Instant::now()),
                    };
                    let length = request.header("content-length");
                    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
                    let mut body = vec![0; length];
                    let _ = stream.read_exact(&mut body).await;
                    request.head += &String::from_utf8_lossy(&body);
                    let target = request.line.split(' ').nth(1).unwrap_or_default();
                    let target = target.split("://").last().unwrap_or_default();
                    let path = target.find('/').map_or("", |at| &target[at..]).to_owned();
                    let (head, body) = answer(&path, &request);
                    log.lock().unwrap().push(request);
                    let answer = format!(
                        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self {
            port,
            asked,
            _task: task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What was asked of `path`, robots.txt and others left out.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        let of_path = asked.iter().filter(|asked| {
            let target = asked.line.split(' ').nth(1).unwrap_or_default();
            target.ends_with(path)
        });
        of_path.cloned().collect()
    }

    /// When it was asked.
    pub(crate) fn times(&self) -> Vec<tokio::time::Instant> {
        let asked = self.asked.lock().unwrap();
        let mut times: Vec<_> = asked.iter().filter_map(|asked| asked.at).collect();
        times.sort();
        times
    }

    pub(crate) fn everything(&self) -> String {
        format!("{:?}", self.asked.lock().unwrap())
    }
}

pub(crate) fn html(body: &str) -> Answer {
    (
        "200 OK\r\nContent-Type: text/html".to_owned(),
        body.to_owned(),
    )
}

pub(crate) fn nothing() -> Answer {
    ("404 Not Found".to_owned(), String::new())
}

pub(crate) fn redirect(status: u16, to: &str) -> Answer {
    (
        format!("{status} Over There\r\nLocation: {to}"),
        String::new(),
    )
}

/// Everything that lies in a folder, names and all.
pub(crate) fn bytes_of(folder: &Path) -> String {
    fn read(folder: &Path, all: &mut String) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            *all += &path.to_string_lossy();
            if path.is_dir() {
                read(&path, all)?;
            } else {
                *all += &String::from_utf8_lossy(&std::fs::read(&path)?);
            }
        }
        Ok(())
    }
    loop {
        let mut all = String::new();
        match read(folder, &mut all) {
            // A database that is being closed removes its journal: what was in it is elsewhere now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            outcome => {
                outcome.unwrap();
                return all;
            }
        }
    }
}

pub(crate) fn db(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("crawl.db").display())
}

/// Looks at pages as several customers.
#[derive(serde::Deserialize)]
struct Customers {
    start: String,
    names: Vec<String>,
}

#[spider]
impl Customers {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::door).await
    }

    async fn door(&self, page: Page) -> Result {
        for name in &self.names {
            page.request("/home", Self::home)
                .session(name.as_str())
                .send()?;
        }
        Ok(())
    }

    async fn home(&self, page: Page) -> Result {
        page.follow("a", Self::page)?;
        Ok(())
    }

    async fn page(&self, page: Page) -> Result {
        page.follow("a", Self::page)?;
        Ok(())
    }
}

/// Gives everybody a number at `/home`, and lets nobody in without one.
fn numbered(path: &str, asked: &Asked) -> Answer {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    match path {
        "/" => html("come in"),
        "/home" => {
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let head = format!("200 OK\r\nContent-Type: text/html\r\nSet-Cookie: n={number}");
            (head, "<a href=/a>a</a><a href=/b>b</a>".to_owned())
        }
        "/a" | "/b" if asked.header("cookie").is_some() => html("<a href=/c>c</a>"),
        "/c" if asked.header("cookie").is_some() => html(""),
        "/a" | "/b" | "/c" => ("403 Who Are You".to_owned(), String::new()),
        _ => nothing(),
    }
}

fn cookies(web: &Web, path: &str) -> Vec<String> {
    let asked = web.asked(path).into_iter();
    let mut cookies: Vec<_> = asked
        .map(|asked| asked.header("cookie").unwrap_or("none").to_owned())
        .collect();
    cookies.sort();
    cookies
}

#[tokio::test]
async fn a_named_session_sees_its_own_pages_with_its_own_cookies() {
    let web = Web::start(numbered).await;
    let spider = Customers {
        start: web.url("/"),
        names: ["ann", "bob", "eve"].map(String::from).into(),
    };
    let report = Crawl::new(spider)
        .db("sqlite::memory:")
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.failed, 0, "{report:?}");
    let owners = cookies(&web, "/a");
    assert_eq!(owners.len(), 3, "{owners:?}");
    assert!(
        owners[0] != owners[1] && owners[1] != owners[2],
        "{owners:?}"
    );
    assert_eq!(cookies(&web, "/b"), owners);
    // Found twice by each, fetched once by each.
    assert_eq!(cookies(&web, "/c"), owners);
    assert_eq!(cookies(&web, "/"), ["none"]);
}

#[tokio::test]
async fn sessions_survive_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let web = Web::start(numbered).await;
    let crawl = |pages| {
        let spider = Customers {
            start: web.url("/"),
            names: ["ann", "bob"].map(String::from).into(),
        };
        Crawl::new(spider).db(db(&folder)).with(move |settings| {
            settings.max_pages = pages;
            settings.concurrency = 1;
            settings.commit_pages = 1;
            settings.allow_empty = true;
        })
    };
    for pages in [Some(3), Some(1), Some(1), None] {
        crawl(pages).run().await.unwrap();
    }
    let owners = cookies(&web, "/a");
    assert_eq!(owners.len(), 2, "{owners:?}");
    assert_ne!(owners[0], owners[1]);
    assert_eq!(cookies(&web, "/b"), owners);
    assert_eq!(cookies(&web, "/c"), owners);
    assert_eq!(web.asked("/home").len(), 2);
}

/// Follows a chain of pages.
#[derive(serde::Deserialize)]
struct Chain {
    start: String,
}

#[spider]
impl Chain {
    async fn start(&self, seeds: Seeds) -> Result {
        for n in 0..4 {
            seeds
                .push(format!("{}{n}/0", self.start), Self::page)
                .await?;
        }
        Ok(())
    }

    async fn page(&self, page: Page) -> Result {
        assert!(matches!(page.session(), Session::Same(_)));
        page.follow("a", Self::page)?;
        Ok(())
    }
}

fn chain(path: &str, _: &Asked) -> Answer {
    let mut parts = path.trim_matches('/').split('/');
    let chain = parts.next().unwrap_or_default().to_owned();
    match parts.next().and_then(|at| at.parse::<u32>().ok()) {
        Some(at) if at < 5 => html(&format!("<a href=/{chain}/{}>next</a>", at + 1)),
        Some(_) => html(""),
        None => nothing(),
    }
}

fn agents(web: &Web, chain: u32) -> Vec<String> {
    let pages = (0..6).flat_map(|at| web.asked(&format!("/{chain}/{at}")));
    pages
        .map(|asked| asked.header("user-agent").unwrap_or_default().to_owned())
        .collect()
}

fn named(agents: &[&str]) -> BTreeMap<String, SessionSettings> {
    let sessions = agents.iter().map(|agent| {
        let own = SessionSettings {
            user_agent: Some((*agent).to_owned()),
            headers: [("accept-language".to_owned(), format!("x-{agent}"))].into(),
            ..SessionSettings::default()
        };
        ((*agent).to_owned(), own)
    });
    sessions.collect()
}

#[tokio::test]
async fn requests_rotate_over_whole_identities() {
    let web = Web::start(chain).await;
    let crawl = Crawl::new(Chain {
        start: web.url("/"),
    })
    .db("sqlite::memory:");
    let crawl = crawl.with(|settings| settings.sessions = named(&["ann", "bob", "eve"]));
    crawl.run().await.unwrap();
    let mut all: Vec<_> = (0..4).flat_map(|chain| agents(&web, chain)).collect();
    assert_eq!(all.len(), 24);
    all.sort();
    all.dedup();
    assert_eq!(all, ["ann", "bob", "eve"]);
    for asked in web.asked("/0/0").iter().chain(&web.asked("/1/3")) {
        let agent = asked.header("user-agent").unwrap();
        assert_eq!(
            asked.header("accept-language"),
            Some(&*format!("x-{agent}"))
        );
    }
}

#[tokio::test]
async fn sticky_sessions_stay() {
    let web = Web::start(chain).await;
    let crawl = Crawl::new(Chain {
        start: web.url("/"),
    })
    .db("sqlite::memory:");
    let crawl = crawl.with(|settings| {
        settings.sessions = named(&["ann", "bob", "eve"]);
        settings.sticky_sessions = true;
    });
    crawl.run().await.unwrap();
    let mut first = Vec::new();
    for chain in 0..4 {
        let agents = agents(&web, chain);
        assert_eq!(agents.len(), 6);
        assert!(agents.iter().all(|agent| *agent == agents[0]), "{agents:?}");
        first.push(agents[0].clone());
    }
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 3, "and all are used");
}

#[tokio::test]
async fn who_is_refused_rests_and_another_tries() {
    let web = Web::start(|path, asked| match asked.header("user-agent") {
        Some("eve") if path != "/robots.txt" => ("403 Not You".to_owned(), String::new()),
        _ => chain(path, asked),
    })
    .await;
    let crawl = Crawl::new(Chain {
        start: web.url("/"),
    })
    .db("sqlite::memory:");
    let crawl = crawl.with(|settings| {
        settings.sessions = named(&["ann", "bob", "eve"]);
        settings.retry_delay = std::time::Duration::from_millis(1);
        settings.concurrency = 1;
    });
    let report = crawl.run().await.unwrap();
    assert_eq!(report.statistics.failed, 0, "{report:?}");
    let refused = web.asked.lock().unwrap();
    let refused = refused.iter().filter(|asked| {
        asked.header("user-agent") == Some("eve") && !asked.line.contains("robots.txt")
    });
    assert_eq!(refused.count(), 3);
}

/// Everything that is a secret here.
const SECRETS: [&str; 5] = [
    "hunter2",
    "sesame",
    "c2VzYW1l",
    "aHVudGVyMg",
    "YW5uOmh1bnRlcjI=",
];

/// Goes from one host to another in every way there is.
#[derive(serde::Deserialize)]
struct Leaky {
    start: String,
    other: String,
}

#[spider]
impl Leaky {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::door).await
    }

    async fn door(&self, page: Page) -> Result {
        for (number, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
            for header in ["Authorization", "aUTHORIZATION", "X-Api-Key"] {
                page.request(format!("/away/{status}?{header}{number}"), Self::end)
                    .secret_header(header, "sesame")
                    .send()?;
            }
            page.request(format!("/away/{status}?body"), Self::end)
                .form(&[("pin", "sesame")])
                .secret_body()
                .send()?;
            page.request(format!("/away/{status}?cookie"), Self::end)
                .header("Cookie", "pin=sesame")
                .header("Proxy-Authorization", "sesame")
                .send()?;
            page.request(format!("/away/{status}?configured"), Self::end)
                .send()?;
        }
        page.request("/again", Self::end)
            .header("authorization", "Bearer sesame")
            .send()?;
        page.request(format!("{}direct", self.other), Self::end)
            .send()?;
        Ok(())
    }

    async fn end(&self, page: Page) -> Result {
        page.follow("a", Self::end)?;
        Ok(())
    }
}

/// Secrets of all kinds, redirects of all kinds, to another port: nothing gets there, nor into the
/// database or the report.
#[tokio::test]
async fn advisory_credentials_over_redirects() {
    let folder = tempfile::tempdir().unwrap();
    let other = Arc::new(
        Web::start(|path, _| {
            if path == "/robots.txt" {
                nothing()
            } else {
                html("")
            }
        })
        .await,
    );
    let away = other.url("/");
    let tries = std::sync::atomic::AtomicU32::new(0);
    let web = Web::start(move |path, _| match path.strip_prefix("/away/") {
        Some(rest) => {
            let status = rest[..3].parse().unwrap();
            redirect(status, &format!("{away}{}", &rest[4..]))
        }
        // Robots.txt leads away, too.
        None if path == "/robots.txt" => redirect(302, &format!("{away}robots.txt")),
        None if path == "/again" => match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => ("503 Later".to_owned(), String::new()),
            _ => html(""),
        },
        None => html("<a href='http://eve:hunter2@127.0.0.1:1/'>x</a>"),
    })
    .await;
    let origin = web.url("");
    let spider = Leaky {
        start: web.url("/").replace("://", "://ann:hunter2@"),
        other: other.url("/"),
    };
    let auth = AuthSettings {
        headers: [
            ("x-token".to_owned(), Secret::from("hunter2")),
            ("cookie".to_owned(), Secret::from("pin=hunter2")),
        ]
        .into(),
        ..AuthSettings::default()
    };
    let crawl = Crawl::new(spider)
        .db(db(&folder))
        .args(r#"{"u":"http://ann:hunter2@x/"}"#);
    let report = crawl
        .with(move |settings| {
            settings.auth = [(origin, auth)].into();
            settings.hosts = vec!["127.0.0.1".into()];
            settings.retry_delay = std::time::Duration::from_millis(1);
            settings.proxies = vec![ProxyUrl("http://ann:hunter2@proxy.invalid:1".into())];
            settings.secrets = [("pin".to_owned(), Secret::from("hunter2"))].into();
        })
        .run()
        .await
        .unwrap();
    let first = web.asked("/away/302?configured").remove(0);
    assert_eq!(first.header("x-token"), Some("hunter2"));
    assert_eq!(first.header("cookie"), Some("pin=hunter2"));
    assert_eq!(
        first.header("authorization"),
        Some("Basic YW5uOmh1bnRlcjI=")
    );
    for again in web.asked("/again") {
        assert_eq!(
            again.header("authorization"),
            Some("Bearer sesame"),
            "on the retry, too"
        );
    }
    assert_eq!(web.asked("/again").len(), 2);
    let own = web.asked("/away/307?body").remove(0);
    assert!(own.head.ends_with("pin=sesame"), "{own:?}");
    // It got everything but what a body would have gone on to.
    for path in [
        "/X-Api-Key1",
        "/aUTHORIZATION4",
        "/cookie",
        "/configured",
        "/direct",
    ] {
        assert!(
            !other.asked(path).is_empty(),
            "{path}: {}",
            other.everything()
        );
    }
    let (elsewhere, stored) = (other.everything(), bytes_of(folder.path()));
    let report = format!("{report:?} {}", serde_json::to_string(&report).unwrap());
    for secret in SECRETS {
        assert!(
            !elsewhere.contains(secret),
            "{secret} reached another origin"
        );
        assert!(!stored.contains(secret), "{secret} is in the database");
        assert!(!report.contains(secret), "{secret} is in the report");
    }
    assert!(
        !web.everything()
            .to_lowercase()
            .contains("proxy-authorization")
    );
}

/// The proxy's credentials stay with the proxy, however often a request is tried.
#[tokio::test]
async fn advisory_proxy_credentials_on_retry() {
    let folder = tempfile::tempdir().unwrap();
    let tries = std::sync::atomic::AtomicU32::new(0);
    let web =
        Web::start(
            move |path, _| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                _ if path == "/robots.txt" => nothing(),
                0..=2 => ("503 Later".to_owned(), String::new()),
                _ => redirect(302, "http://other.test/end"),
            },
        )
        .await;
    let proxy = Proxy::start(Rules {
        login: Some(("ann", "hunter2")),
        ..Rules::to(web.port)
    })
    .await;
    let url = proxy.url("http", "ann:hunter2@");
    let spider = Customers {
        start: "http://shop.test/".to_owned(),
        names: Vec::new(),
    };
    let crawl = Crawl::new(spider).db(db(&folder)).with(move |settings| {
        settings.proxies = vec![ProxyUrl(url.as_str().into())];
        settings.retry_delay = std::time::Duration::from_millis(1);
        settings.delay = Some(std::time::Duration::ZERO);
        settings.max_redirects = 3;
        settings.max_retry_after = std::time::Duration::from_millis(1);
    });
    crawl.run().await.unwrap();
    let asked = proxy.asked();
    assert!(asked.len() >= 5, "{asked:?}");
    assert!(
        asked
            .iter()
            .all(|head| head.contains("proxy-authorization: basic ")),
        "{asked:?}"
    );
    let seen = web.everything().to_lowercase();
    assert!(!seen.contains("proxy-authorization"), "{seen}");
    let stored = bytes_of(folder.path());
    for secret in SECRETS {
        assert!(!stored.contains(secret), "{secret} is in the database");
    }
}

#[test]
fn advisory_line_breaks_in_headers() {
    let page = Page::from_html("http://a.example/", "").unwrap();
    for value in ["a\r\nx: y", "a\nb", "a\0b"] {
        let request = page.request("/x", Customers::page);
        let error = request.header("x-a", value).send().unwrap_err();
        assert!(error.to_string().contains("forbidden character"), "{error}");
        let request = page.request("/x", Customers::page);
        let error = request.secret_header("x-a", value).send().unwrap_err();
        assert!(error.to_string().contains("forbidden character"), "{error}");
    }
    assert!(page.emitted().requests.is_empty());
}

/// Follows whatever a page links to.
#[derive(serde::Deserialize)]
struct Links {
    start: String,
}

#[spider]
impl Links {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::page).await
    }

    async fn page(&self, page: Page) -> Result {
        page.follow("a", Self::page)?;
        Ok(())
    }
}

#[tokio::test]
async fn a_referer_is_sent_and_stays_over_redirects() {
    let other = Web::start(|_, _| html("")).await;
    let away = other.url("/found");
    let moved = other.url("/moved");
    let web = Web::start(move |path, _| match path {
        "/robots.txt" => nothing(),
        "/?x=1" => html(&format!(
            "<a href=/near>1</a><a href=/hop>2</a><a href=/far>3</a><a href='{away}'>4</a>"
        )),
        "/hop" => redirect(302, "/landed"),
        "/far" => redirect(302, &moved),
        _ => html(""),
    })
    .await;
    let crawl = Crawl::new(Links {
        start: web.url("/?x=1"),
    });
    let crawl = crawl.db("sqlite::memory:").with(|settings| {
        settings.hosts = vec!["127.0.0.1".into()];
    });
    let report = crawl.run().await.unwrap();
    assert_eq!(report.statistics.failed, 0, "{report:?}");
    let told = |web: &Web, path: &str| {
        let asked = web.asked(path);
        assert_eq!(asked.len(), 1, "{path}");
        asked[0].header("referer").map(str::to_owned)
    };
    let (page, origin) = (web.url("/?x=1"), web.url("/"));
    assert_eq!(told(&web, "/?x=1"), None, "a seed is found nowhere");
    for path in ["/near", "/hop", "/landed", "/far"] {
        assert_eq!(told(&web, path).as_ref(), Some(&page), "{path}");
    }
    for path in ["/found", "/moved"] {
        assert_eq!(told(&other, path).as_ref(), Some(&origin), "{path}");
    }
}

#[tokio::test]
async fn the_environment_names_proxies() {
    let web = Web::start(|_, _| html("by proxy")).await;
    let proxy = Proxy::start(Rules::to(web.port)).await;
    let fetch = async |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nephila"));
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let folder = tempfile::tempdir().unwrap();
        command
            .current_dir(folder.path())
            .args(["fetch", "http://shop.test/"])
            .envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let url = proxy.url("http", "");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let before = proxy.asked().len();
        let said = fetch(&[(name, &url)]).await;
        assert!(said.contains("by proxy"), "{name}: {said}");
        assert!(proxy.asked().len() > before, "{name}");
    }
    let before = proxy.asked().len();
    let said = fetch(&[("HTTP_PROXY", &url), ("NO_PROXY", ".test")]).await;
    assert!(!said.contains("by proxy"), "{said}");
    assert_eq!(proxy.asked().len(), before, "NO_PROXY counts");
}
