//! Logins: once for each session, again when it is logged out, and never more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::settings::{Secret, SessionSettings, Settings};

use crate::sessions::{Answer, Asked, Web, bytes_of, db, html, nothing, redirect};

/// Reads what members see.
#[derive(serde::Deserialize)]
struct Members {
    site: String,
    #[serde(default)]
    names: Vec<String>,
}

#[spider]
impl Members {
    async fn start(&self, seeds: Seeds) -> Result {
        if self.names.is_empty() {
            return seeds.push(&self.site, Self::list).await;
        }
        for name in &self.names {
            let step = nephila::request::StepRef::named("list");
            let mut request = Request::new(self.site.parse()?, step);
            request.session = name.as_str().into();
            seeds.send(request).await?;
        }
        Ok(())
    }

    async fn login(&self, login: Login) -> Result {
        let form = login.get(format!("{}login", self.site)).await?;
        let fields = [("user", login.session()), ("pin", login.secret("pin")?)];
        let page = login.submit(&form, "form", &fields).await?;
        page.get::<String>("a.logout").map(drop)
    }

    async fn list(&self, page: Page) -> Result {
        if page.get::<bool>("form")? {
            return Err(LoggedOut.into());
        }
        page.follow("a.page", Self::list)?;
        Ok(())
    }
}

/// Lets each login see a number of pages.
#[derive(Default)]
struct Club {
    views: u32,
    tokens: Mutex<BTreeMap<String, u32>>,
    logins: AtomicU32,
    /// Whether strangers get the form at once, instead of being led to it.
    in_place: bool,
}

const FORM: &str = "<form action=/login method=post><input type=hidden name=csrf value=7>
    <input name=user><input name=pin></form>";

impl Club {
    fn answer(&self, path: &str, asked: &Asked) -> Answer {
        match path {
            "/robots.txt" => nothing(),
            "/login" if asked.line.starts_with("POST") => self.log_in(asked),
            "/login" => html(FORM),
            "/welcome" => html("<a class=logout href=/logout>bye</a>"),
            _ if self.admits(asked) => {
                let link = |n| format!("<a class=page href=/p/{n}>{n}</a>");
                let links: Vec<_> = (0..30).map(link).collect();
                html(&links.concat())
            }
            _ if self.in_place => html(FORM),
            _ => redirect(302, "/login"),
        }
    }

    fn log_in(&self, asked: &Asked) -> Answer {
        let number = self.logins.fetch_add(1, Ordering::SeqCst);
        if !asked.head.contains("csrf=7") || !asked.head.contains("pin=hunter2") {
            return ("403 No".to_owned(), String::new());
        }
        let token = format!("token={number}");
        let (head, body) = redirect(303, "/welcome");
        let head = format!("{head}\r\nSet-Cookie: {token}; Path=/");
        self.tokens.lock().unwrap().insert(token, self.views);
        (head, body)
    }

    fn admits(&self, asked: &Asked) -> bool {
        let mut tokens = self.tokens.lock().unwrap();
        let token = asked
            .header("cookie")
            .and_then(|token| tokens.get_mut(token));
        token.is_some_and(|left| {
            let admitted = *left > 0;
            *left = left.saturating_sub(1);
            admitted
        })
    }
}

async fn club(club: Club) -> (Web, Arc<Club>) {
    let club = Arc::new(club);
    let inner = Arc::clone(&club);
    let web = Web::start(move |path, asked| inner.answer(path, asked)).await;
    (web, club)
}

fn members(web: &Web, names: &[&str]) -> Members {
    Members {
        site: web.url("/"),
        names: names.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn pin(settings: &mut Settings, pin: &str) {
    settings.secrets = [("pin".to_owned(), Secret::from(pin))].into();
    settings.retry_delay = Duration::from_millis(1);
    settings.allow_empty = true;
}

#[tokio::test]
async fn once_and_again_when_it_expires() {
    for in_place in [false, true] {
        let (web, club) = club(Club {
            views: 10,
            in_place,
            ..Club::default()
        })
        .await;
        let crawl = Crawl::new(members(&web, &[])).db("sqlite::memory:");
        let report = crawl.with(|settings| pin(settings, "hunter2")).run().await;
        let report = report.unwrap();
        assert_eq!(report.exit_code(), 0, "{report:?}");
        assert_eq!(report.statistics.pages, 31, "{report:?}");
        // 31 pages, ten for each login, and eight requests at once.
        assert_eq!(
            club.logins.load(Ordering::SeqCst),
            4,
            "in place: {in_place}"
        );
    }
}

#[tokio::test]
async fn every_session_for_itself_and_not_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (web, club) = club(Club {
        views: 1000,
        ..Club::default()
    })
    .await;
    let crawl = |pages| {
        let crawl = Crawl::new(members(&web, &["ann", "bob"])).db(db(&folder));
        crawl.with(move |settings| {
            pin(settings, "wrong");
            settings.max_pages = pages;
            let own = SessionSettings {
                secrets: [("pin".to_owned(), Secret::from("hunter2"))].into(),
                ..SessionSettings::default()
            };
            settings.sessions = [("ann".to_owned(), own.clone()), ("bob".to_owned(), own)].into();
        })
    };
    for pages in [Some(5), Some(5), None] {
        let report = crawl(pages).run().await.unwrap();
        assert_eq!(report.statistics.failed, 0, "{report:?}");
    }
    assert_eq!(club.logins.load(Ordering::SeqCst), 2);
    let posts = web.asked("/login");
    for name in ["ann", "bob"] {
        let field = format!("user={name}");
        assert_eq!(
            posts
                .iter()
                .filter(|post| post.head.contains(&field))
                .count(),
            1
        );
    }
    assert_eq!(web.asked("/p/7").len(), 2, "one for each");
    let stored = bytes_of(folder.path());
    assert!(
        !stored.contains("hunter2") && !stored.contains("pin="),
        "a pin is stored"
    );
}

#[tokio::test]
async fn a_login_that_fails_is_not_tried_for_ever() {
    let (web, club) = club(Club::default()).await;
    let crawl = Crawl::new(members(&web, &[])).db("sqlite::memory:");
    let report = crawl
        .with(|settings| pin(settings, "wrong"))
        .run()
        .await
        .unwrap();
    assert_ne!(report.exit_code(), 0);
    assert_eq!(club.logins.load(Ordering::SeqCst), 1, "a lock-out is near");
    let shown = format!("{report:?}");
    assert!(
        shown.contains("login failed: ") && shown.contains("403"),
        "{shown}"
    );
    assert!(!shown.contains("wrong"), "{shown}");
    assert_eq!(web.asked("/").len(), 0, "nothing is asked by nobody");
}

/// A login page that is out of order for the first times.
#[tokio::test]
async fn a_login_is_tried_again_where_no_answer_came() {
    for (broken, tries, code) in [(2, 3, 0), (9, 3, 1)] {
        let club = Arc::new(Club {
            views: 99,
            ..Club::default()
        });
        let asked = Arc::new(AtomicUsize::new(0));
        let (inner, count) = (Arc::clone(&club), Arc::clone(&asked));
        let web = Web::start(move |path, asked| {
            let is_login = path == "/login" && asked.line.starts_with("GET");
            if is_login && count.fetch_add(1, Ordering::SeqCst) < broken {
                return ("503 Later".to_owned(), String::new());
            }
            inner.answer(path, asked)
        })
        .await;
        let crawl = Crawl::new(members(&web, &[])).db("sqlite::memory:");
        let report = crawl.with(|settings| pin(settings, "hunter2")).run().await;
        let report = report.unwrap();
        assert_eq!(report.exit_code(), code, "{report:?}");
        assert_eq!(asked.load(Ordering::SeqCst), tries, "{broken}");
        let shown = format!("{report:?}");
        assert_eq!(shown.contains(", 3 tries"), code == 1, "{shown}");
    }
}

#[tokio::test]
async fn a_login_keeps_to_robots_and_pace() {
    let forbidden = Web::start(|path, _| match path {
        "/robots.txt" => html("User-agent: *\nDisallow: /login"),
        _ => html(""),
    })
    .await;
    let crawl = Crawl::new(members(&forbidden, &[])).db("sqlite::memory:");
    let report = crawl
        .with(|settings| pin(settings, "hunter2"))
        .run()
        .await
        .unwrap();
    assert!(
        format!("{report:?}").contains("is forbidden: "),
        "{report:?}"
    );
    assert!(forbidden.asked("/login").is_empty());

    let (web, _) = club(Club {
        views: 1000,
        ..Club::default()
    })
    .await;
    let crawl = Crawl::new(members(&web, &[])).db("sqlite::memory:");
    crawl
        .with(|settings| {
            pin(settings, "hunter2");
            settings.delay = Some(Duration::from_millis(200));
            settings.jitter = 0.0;
            settings.max_pages = Some(4);
        })
        .run()
        .await
        .unwrap();
    let times = web.times();
    assert!(times.len() >= 8, "{times:?}");
    for pair in times.windows(2) {
        // Both ends of a gap are late by chance, the second one perhaps less.
        assert!(pair[1] - pair[0] >= Duration::from_millis(120), "{times:?}");
    }
}

/// Has a token instead of cookies.
#[derive(serde::Deserialize)]
struct Token {
    site: String,
    /// Where tokens come from.
    desk: String,
}

#[spider]
impl Token {
    async fn start(&self, seeds: Seeds) -> Result {
        if self.desk != self.site {
            seeds.push(format!("{}data", self.desk), Self::leaf).await?;
        }
        seeds.push(format!("{}data", self.site), Self::data).await
    }

    async fn login(&self, login: Login) -> Result {
        let answer = login
            .post_json(format!("{}token", self.desk), &["hunter2"])
            .await?;
        let token: String = answer.json()?;
        login
            .keep_header(&self.site, "authorization", &format!("Bearer {token}"))
            .await
    }

    async fn data(&self, page: Page) -> Result {
        page.visit("/more", Self::data)
    }

    async fn leaf(&self, _: Page) -> Result {
        Ok(())
    }
}

#[tokio::test]
async fn tokens_and_401() {
    let folder = tempfile::tempdir().unwrap();
    let issued = Arc::new(AtomicU32::new(0));
    let now = Arc::clone(&issued);
    let web = Web::start(move |path, asked| {
        let right = format!("Bearer t{}", now.load(Ordering::SeqCst));
        match path {
            "/token" => {
                let number = now.fetch_add(1, Ordering::SeqCst) + 1;
                html(&format!("\"t{number}\""))
            }
            "/data" | "/more" if asked.header("authorization") == Some(&right) => {
                if path == "/data" {
                    // Nobody's from now on.
                    now.fetch_add(1, Ordering::SeqCst);
                }
                html("")
            }
            "/data" | "/more" => ("401 Who Are You".to_owned(), String::new()),
            _ => nothing(),
        }
    })
    .await;
    let (site, desk) = (web.url("/"), web.url("/"));
    let crawl = Crawl::new(Token { site, desk }).db(db(&folder));
    let report = crawl
        .with(|settings| pin(settings, ""))
        .run()
        .await
        .unwrap();
    assert_eq!(report.statistics.failed, 0, "{report:?}");
    assert_eq!(web.asked("/token").len(), 2);
    assert!(!bytes_of(folder.path()).contains("Bearer"));
}

/// The only slot is held by the request that waits for the login, which asks another host.
#[tokio::test]
async fn a_login_needs_no_slot_besides() {
    let site = Web::start(|path, asked| match path {
        "/robots.txt" => nothing(),
        _ if asked.header("authorization") == Some("Bearer t") => html(""),
        _ => ("401 Who Are You".to_owned(), String::new()),
    })
    .await;
    let desk = Web::start(|path, _| match path {
        "/robots.txt" => nothing(),
        "/token" => html("\"t\""),
        _ => html(""),
    })
    .await;
    let crawl = Crawl::new(Token {
        site: site.url("/"),
        desk: desk.url("/"),
    });
    let crawl = crawl.db("sqlite::memory:").with(|settings| {
        pin(settings, "");
        settings.concurrency = 1;
        settings.concurrency_per_host = 1;
    });
    let report = crawl.run().await.unwrap();
    assert_eq!(report.statistics.failed, 0, "{report:?}");
    assert_eq!(report.statistics.pages, 3, "{report:?}");
    assert_eq!(desk.asked("/token").len(), 1);
}
