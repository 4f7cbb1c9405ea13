//! What a step leaves behind.

use url::Url;

use crate::item::Record;
use crate::request::Request;

/// Requests and items of one run of a step, and what it looked for in vain.
#[derive(Debug, Default)]
pub struct Emitted {
    /// Requests in order of emission, not yet checked against the scope.
    pub requests: Vec<Request>,
    /// Items in order of emission.
    pub records: Vec<Record>,
    /// Links that are no URLs: how many, and the first.
    pub invalid_links: Option<(u64, String)>,
    /// Links of a sitemap beyond what one page may have: how many, and the first.
    pub surplus: Option<(u64, String)>,
    /// Selectors of `follow` and `items` that matched nothing.
    pub missed: Vec<String>,
}

impl Emitted {
    pub(super) fn invalid_link(&mut self, href: &str) {
        self.add_invalid(1, href);
    }

    pub(super) fn add_invalid(&mut self, more: u64, sample: &str) {
        match &mut self.invalid_links {
            Some((count, _)) => *count += more,
            None => self.invalid_links = Some((more, sample.to_owned())),
        }
    }

    pub(super) fn add_surplus(&mut self, url: &Url) {
        match &mut self.surplus {
            Some((count, _)) => *count += 1,
            None => self.surplus = Some((1, url.to_string())),
        }
    }

    pub(super) fn missed(&mut self, selector: &str) {
        if !self.missed.iter().any(|known| known == selector) {
            self.missed.push(selector.to_owned());
        }
    }
}
