//! What a step leaves behind.

use url::Url;

use super::{BadRows, Unresolved};
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
    /// Links beyond what one page may have: how many, and the first.
    pub surplus: Option<(u64, String)>,
    /// Links that are too long to be kept.
    pub long: Vec<LongLinks>,
    /// Selectors of `follow` and `items` that matched nothing.
    pub missed: Vec<String>,
    /// Rows that could not be read or stored, and were left out.
    pub bad_rows: Vec<BadRows>,
    /// Items that a pipeline dropped.
    pub dropped: Vec<Dropped>,
    /// Bytes of the URLs of `requests`.
    url_bytes: usize,
}

/// Items of a table that a pipeline dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Their table.
    pub table: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Links of one scheme that are too long to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongLinks {
    /// Their scheme.
    pub scheme: Box<str>,
    /// How many.
    pub count: u64,
    /// The beginning of the first.
    pub sample: String,
}

/// What is kept of the links of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Links.
    pub count: usize,
    /// Bytes of one of them. All of them together have 256 each.
    pub url_bytes: usize,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            count: 50_000,
            url_bytes: 8 * 1024,
        }
    }
}

/// What a link has on the average, if a page has as many as it may.
const BYTES_PER_LINK: usize = 256;
/// What is shown of a link that is refused.
const SAMPLE: usize = 500;
/// Reasons of dropped items that are told apart.
const REASONS: usize = 50;

impl Emitted {
    /// Keeps a request, unless it is one too many or too long.
    pub(super) fn push(&mut self, request: Request, limits: &LinkLimits) {
        let url = &request.url;
        let length = url.as_str().len();
        if length > limits.url_bytes {
            self.long_link(url.scheme(), url.as_str());
        } else if self.is_full(length, limits) {
            self.add_surplus(url);
        } else {
            self.url_bytes += length;
            self.requests.push(request);
        }
    }

    fn is_full(&self, length: usize, limits: &LinkLimits) -> bool {
        let bytes = limits.count.saturating_mul(BYTES_PER_LINK);
        let bytes = bytes.max(limits.url_bytes);
        self.requests.len() >= limits.count || self.url_bytes.saturating_add(length) > bytes
    }

    /// Counts a link that is no URL.
    pub(super) fn unresolved(&mut self, why: &Unresolved, base: &Url, href: &str) {
        match why {
            Unresolved::Invalid(_) => self.invalid_link(href),
            Unresolved::TooLong => self.long_link(base.scheme(), href),
        }
    }

    fn long_link(&mut self, scheme: &str, sample: &str) {
        let known = self.long.iter_mut().find(|long| *long.scheme == *scheme);
        match known {
            Some(long) => long.count += 1,
            None => self.long.push(LongLinks {
                scheme: scheme.into(),
                count: 1,
                sample: beginning(sample),
            }),
        }
    }

    pub(super) fn invalid_link(&mut self, href: &str) {
        self.add_invalid(1, href);
    }

    pub(super) fn add_invalid(&mut self, more: u64, sample: &str) {
        match &mut self.invalid_links {
            Some((count, _)) => *count += more,
            None => self.invalid_links = Some((more, beginning(sample))),
        }
    }

    pub(super) fn add_surplus(&mut self, url: &Url) {
        match &mut self.surplus {
            Some((count, _)) => *count += 1,
            None => self.surplus = Some((1, beginning(url.as_str()))),
        }
    }

    pub(super) fn drop_item(&mut self, table: String, reason: String) {
        let is_known = |known: &Dropped| known.table == table && known.reason == reason;
        let reason = if self.dropped.len() < REASONS || self.dropped.iter().any(is_known) {
            reason
        } else {
            "(others)".to_owned()
        };
        let is_known = |known: &&mut Dropped| known.table == table && known.reason == reason;
        match self.dropped.iter_mut().find(is_known) {
            Some(known) => known.count += 1,
            None => self.dropped.push(Dropped {
                table,
                reason: beginning(&reason),
                count: 1,
            }),
        }
    }

    pub(super) fn missed(&mut self, selector: &str) {
        if !self.missed.iter().any(|known| known == selector) {
            self.missed.push(selector.to_owned());
        }
    }
}

fn beginning(link: &str) -> String {
    match link.char_indices().nth(SAMPLE) {
        Some((end, _)) => format!("{}\u{2026}", &link[..end]),
        None => link.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Context, Page};
    use crate::request::{Response, StepRef};

    /// The requests that are left of a page's links, and what was refused, by reason.
    fn check(html: &str, requests: usize, invalid: u64, surplus: u64, long: u64) {
        let links = LinkLimits {
            count: 20,
            url_bytes: 1_000,
        };
        let context = Context {
            links,
            ..Context::default()
        };
        let url = Url::parse("http://e.x/a/").unwrap();
        let page = Page::new(Response::new(url, html.to_owned()), context);
        page.follow("a", StepRef::named("read")).unwrap();
        let emitted = page.take_emitted();
        let count = |refused: Option<(u64, String)>| refused.map_or(0, |(count, _)| count);
        let long_ones: u64 = emitted.long.iter().map(|long| long.count).sum();
        let found = (
            emitted.requests.len(),
            count(emitted.invalid_links),
            count(emitted.surplus),
            long_ones,
        );
        assert_eq!(found, (requests, invalid, surplus, long), "{html:.100}");
        assert!(emitted.long.iter().all(|long| long.sample.len() < 600));
    }

    #[test]
    fn links_are_bounded_by_number_and_length() {
        check(&"<a href=x>".repeat(30), 20, 0, 10, 0);
        check(&format!("<a href=x{}>", "y".repeat(2_000)), 0, 0, 0, 1);
        check(&format!("<a href=data:{}>", "y".repeat(2_000)), 0, 0, 0, 1);
        check(
            &format!("<a href=http://[{}>", "y".repeat(2_000)),
            0,
            1,
            0,
            0,
        );
        // All of them together, too.
        let base = |length: usize| format!("<base href=/{}/>", "b".repeat(length));
        check(&(base(500) + &"<a href=x>".repeat(15)), 9, 0, 6, 0);
        check(&(base(990) + &"<a href=x>".repeat(15)), 0, 0, 0, 15);
        // A base so long is not copied; what does not need it is found.
        let links = "<a href=x><a href=?x><a href=/x><a href=//f.x/y><a href=http://g.x/><a href='http://['>";
        check(&(base(100_000) + links), 3, 0, 0, 3);
    }
}
