//! Pages that are there in several languages.

use std::collections::{HashSet, VecDeque};

use url::Url;

use super::SitemapEntry;

/// Which languages are wanted.
#[derive(Default)]
pub(super) struct Languages {
    wanted: Vec<String>,
    /// Pages of the entry that was read last.
    waiting: VecDeque<SitemapEntry>,
    /// The entry of each language names those of all others.
    known: HashSet<Url>,
}

impl Languages {
    pub(super) fn want(&mut self, language: &str) {
        self.wanted.push(language.to_ascii_lowercase());
    }

    /// Whether the entry is one to choose from.
    pub(super) fn are_of(&self, entry: &SitemapEntry) -> bool {
        !self.wanted.is_empty() && !entry.alternates.is_empty()
    }

    /// Chooses the pages of an entry, for [`next`](Self::next).
    pub(super) fn choose(&mut self, entry: &SitemapEntry) {
        for alternate in &entry.alternates {
            if self.take(&alternate.hreflang) && self.known.insert(alternate.url.clone()) {
                self.waiting.push_back(SitemapEntry {
                    lastmod: entry.lastmod,
                    changefreq: entry.changefreq,
                    priority: entry.priority,
                    ..SitemapEntry::new(alternate.url.clone(), false)
                });
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<SitemapEntry> {
        self.waiting.pop_front()
    }

    fn take(&self, hreflang: &str) -> bool {
        let hreflang = hreflang.to_ascii_lowercase();
        self.wanted.iter().any(|wanted| {
            let rest = hreflang.strip_prefix(wanted.as_str());
            wanted == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    }
}
