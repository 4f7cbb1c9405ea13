//! Pages that crawls of a spider have kept, to be read again without a network.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;

use super::disk::Disk;
use super::entry::Entry;
use super::owned_by;
use crate::fetch::FetchSetupError;
use crate::request::Response;
use crate::settings::Settings;

/// The pages that crawls of one spider and set of arguments have kept: those with the setting `cache` at
/// `keep` or `dev`.
#[derive(Clone, Debug)]
pub struct KeptPages {
    disk: Arc<Disk>,
    owner: String,
    max_body: usize,
}

/// A page that was kept.
#[derive(Clone, Debug)]
pub struct KeptPage {
    /// The step that it was fetched for.
    pub step: String,
    /// The step's argument, as JSON.
    pub args: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    entry: Entry,
}

impl KeptPages {
    /// Those of a spider with these arguments (as JSON).
    ///
    /// # Errors
    /// If there is no folder for them.
    pub fn of(settings: &Settings, spider: &str, args: &str) -> Result<Self, FetchSetupError> {
        let root = settings.cache_root().ok_or(FetchSetupError::CacheFolder)?;
        let age = settings.cache_max_age;
        let disk = Disk::new(root.join("dev"), settings.cache_size as u64, age);
        Ok(Self {
            disk: Arc::new(disk),
            owner: super::hex(&owned_by(&[spider, args])),
            max_body: settings.max_body,
        })
    }

    /// All of them, by URL. Blocks on the disk.
    pub fn list(&self) -> Vec<KeptPage> {
        let mut pages: Vec<KeptPage> = self
            .disk
            .entries()
            .filter(|entry| entry.owner == self.owner && !entry.step.is_empty())
            .map(|mut entry| KeptPage {
                step: std::mem::take(&mut entry.step),
                args: entry.args.take(),
                at: entry.at,
                entry,
            })
            .collect();
        pages.sort_by(|one, other| one.url().cmp(other.url()));
        pages
    }

    /// The answer, if its body is still there. Blocks on the disk.
    pub fn load(&self, page: &KeptPage) -> Option<Response> {
        let body = self.disk.body(&page.entry, self.max_body)?;
        Some(Response {
            status: StatusCode::from_u16(page.entry.status).ok()?,
            headers: page.entry.headers(),
            ..Response::new(page.entry.url.parse().ok()?, body)
        })
    }
}

impl KeptPage {
    /// Its URL.
    pub fn url(&self) -> &str {
        &self.entry.url
    }

    /// Whether a step of its crawl has read it, as far as its status says: redirects were not.
    pub fn is_page(&self) -> bool {
        !(300..400).contains(&self.entry.status)
    }
}
