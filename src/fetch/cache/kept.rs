//! Pages that crawls of a spider have kept, to be read again without a network.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use sha2::Digest;

use super::disk::Disk;
use super::entry::Entry;
use super::{Key, asked, hex, owned_by};
use crate::clock;
use crate::fetch::FetchSetupError;
use crate::request::{Request, Response, StepRef};
use crate::settings::Settings;

/// The pages that crawls of one spider and set of arguments have kept: those with the setting `cache` at
/// `keep` or `dev`.
#[derive(Clone, Debug)]
pub struct KeptPages {
    disk: Arc<Disk>,
    owner: [u8; 32],
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
            owner: owned_by(&[spider, args]),
            max_body: settings.max_body,
        })
    }

    /// All of them, by URL. Blocks on the disk.
    pub fn list(&self) -> Vec<KeptPage> {
        let owner = hex(&self.owner);
        let mut pages: Vec<KeptPage> = self
            .disk
            .entries()
            .filter(|entry| entry.owner == owner && !entry.step.is_empty())
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

    /// Keeps an answer to a plain GET, for a step: a crawl with the setting `cache` at `dev` finds it. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn keep(
        &self,
        step: &str,
        args: Option<&str>,
        response: &Response,
        at: Option<Timestamp>,
    ) -> io::Result<()> {
        let request = Request::new(response.url.clone(), StepRef::named("kept"));
        let key = Key(hex(&asked(&self.owner, &request).finalize()));
        let entry = Entry {
            owner: hex(&self.owner),
            step: step.to_owned(),
            args: args.map(str::to_owned),
            at: at.or_else(|| Some(clock::now())),
            ..Entry::of(response, None)
        };
        self.disk.store(&key, entry, &response.body)
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
