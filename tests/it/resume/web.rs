//! The crawl that is disturbed: a web of pages with failures and redirects, and orders behind a
//! login; run in this process, or in a child that can be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::{PASSWORD, Site, USER};
use serde::{Deserialize, Serialize};

/// Set in the child alone: what it crawls, as JSON.
const ORDER: &str = "NEPHILA_TEST_CHILD";

/// Stored once per URL, by its key.
#[derive(Item)]
#[item(table = "nodes", key = "url")]
struct Node {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.value")]
    value: String,
}

/// Without a key: a page that is stored twice shows.
#[derive(Item)]
#[item(table = "visits")]
struct Visit {
    #[css("h1")]
    title: String,
}

#[derive(Item)]
#[item(table = "orders")]
struct Order {
    #[css("td.id")]
    number: String,
}

/// What is crawled, and how.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Web {
    pub(super) start: Url,
    pub(super) db: PathBuf,
    pub(super) delay: Duration,
}

#[spider]
impl Web {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(self.start.join("/login")?, Self::login).await?;
        seeds.push(&self.start, Self::node).await
    }

    async fn node(&self, page: Page) -> Result<Node> {
        page.follow("a", Self::node)?;
        page.emit(page.item::<Visit>()?)?;
        page.item()
    }

    async fn login(&self, page: Page) -> Result {
        let fields = [("user", USER), ("pass", PASSWORD)];
        page.submit("form.login", &fields, Self::orders)
    }

    /// The later orders come last of all, so that the login must outlive what happens in between.
    async fn orders(&self, page: Page) -> Result<Vec<Order>> {
        if let Some(next) = page.get::<Option<Url>>("a[rel=next]::attr(href)")? {
            page.request(next, Self::orders).priority(-1).send()?;
        }
        page.items("tr.order")
    }
}

impl Web {
    pub(super) fn new(site: &Site, path: &str, folder: &Path) -> Self {
        Self {
            start: site.page(path),
            db: folder.join("crawl.db"),
            delay: Duration::ZERO,
        }
    }

    /// The crawl in this process.
    pub(super) fn crawl(&self) -> Crawl {
        let delay = self.delay;
        Crawl::new(self.clone())
            .db(format!("sqlite:{}", self.db.display()))
            .with(|settings| {
                settings.retry_delay = Duration::from_millis(10);
                settings.delay = Some(delay);
                settings.jitter = 0.0;
            })
    }

    /// The crawl in a process of its own.
    pub(super) fn spawn(&self) -> Running {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["resume::web::child", "--exact", "--nocapture"])
            .env(ORDER, serde_json::to_string(self).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running(Some(child))
    }

    /// Crawls to the end in a process of its own.
    pub(super) async fn finish(&self) {
        let mut running = self.spawn();
        let child = running.0.take().unwrap();
        let output = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = output.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
    }
}

/// A child, killed when dropped, which it may have outrun.
pub(super) struct Running(Option<Child>);

impl Running {
    pub(super) fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// SIGKILL.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The child; in the test run itself there is nothing to do.
#[test]
fn child() {
    let Ok(web) = std::env::var(ORDER) else {
        return;
    };
    let web: Web = serde_json::from_str(&web).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(web.crawl().run()).unwrap();
    assert_eq!(report.exit_code(), 0, "{report:?}");
}
