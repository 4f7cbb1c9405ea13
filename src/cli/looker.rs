//! Single pages for commands that look at one: fetched as a crawl would, or read from a file.

use std::path::Path;
use std::sync::Arc;

use http::{HeaderValue, header};
use tokio::sync::OnceCell;
use url::Url;

use super::failure::Failure;
use super::fetch;
use super::flags::SpiderFlags;
use super::spiders;
use super::visitor::Visitor;
use crate::engine::{Fetcher, page_context};
use crate::page::Page;
use crate::request::{Request, Response, Session, StepRef};
use crate::settings::Settings;
use crate::spider::Spider;

/// How a page is fetched.
#[derive(Debug, clap::Args)]
pub(super) struct LookFlags {
    /// Fetch as this spider would, with its settings and middleware
    #[arg(long = "as", value_name = "SPIDER")]
    spider: Option<String>,
    #[command(flatten)]
    flags: SpiderFlags,
}

impl LookFlags {
    /// Whether a spider of the project is needed.
    pub(super) fn needs_spiders(&self) -> bool {
        let spider = self.spider.as_deref();
        spider.is_some_and(|spider| !spiders::is_file(spider))
    }

    pub(super) fn looker(&self) -> Result<Looker, Failure> {
        let Some(name) = &self.spider else {
            let settings = self.flags.settings()?;
            let fetcher = Fetcher::new(None, "{}", &settings)?;
            return Ok(Looker {
                spider: None,
                settings,
                fetcher,
                session: OnceCell::new(),
            });
        };
        let made = self.flags.make(name)?;
        Ok(Looker {
            fetcher: Fetcher::new(Some(&*made.spider), &made.json(), &made.settings)?,
            spider: Some(made.spider),
            settings: made.settings,
            session: OnceCell::new(),
        })
    }
}

/// What pages are looked at with.
pub(super) struct Looker {
    pub(super) spider: Option<Arc<dyn Spider>>,
    pub(super) settings: Settings,
    pub(super) fetcher: Fetcher,
    /// Once somebody is logged in.
    session: OnceCell<Session>,
}

impl Looker {
    /// The answer of a URL, redirects followed, or a file's content; none if a crawl would get nothing,
    /// which is said then.
    pub(super) async fn see(
        &self,
        target: &str,
        example: &str,
    ) -> Result<Option<Response>, Failure> {
        let path = Path::new(target);
        if !target.contains("://") && path.is_file() {
            return of_file(path).map(Some);
        }
        let url = fetch::url(target, example)?;
        if let Some(spider) = self.spider.as_deref() {
            let (settings, fetcher) = (&self.settings, &self.fetcher);
            let visitor = Visitor {
                spider,
                settings,
                fetcher,
            };
            let session = self.session.get_or_try_init(|| visitor.log_in()).await?;
            return visitor.visit(url, None, session.clone()).await;
        }
        self.fetcher.trust(&url);
        let request = Request::new(url, StepRef::named("look"));
        fetch::follow(&self.settings, &self.fetcher, request).await
    }

    /// A page with a budget of its own for what is read of it.
    pub(super) fn page(&self, response: &Response) -> Page {
        Page::new(response.clone(), page_context(&self.settings))
    }
}

/// A file as if it had been fetched.
fn of_file(path: &Path) -> Result<Response, Failure> {
    let cannot =
        |error: std::io::Error| Failure::usage(format!("can't read {}: {error}", path.display()));
    let body = std::fs::read(path).map_err(cannot)?;
    let whole = std::path::absolute(path).map_err(cannot)?;
    let url = Url::from_file_path(&whole)
        .map_err(|()| Failure::usage(format!("{} is no file", path.display())))?;
    let mut response = Response::new(url, body);
    let kind = match path.extension().and_then(|end| end.to_str()) {
        Some("json") => "application/json",
        Some("xml" | "rss" | "atom") => "application/xml",
        Some("txt" | "csv") => "text/plain",
        _ => "text/html",
    };
    let kind = HeaderValue::from_static(kind);
    response.headers.insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
