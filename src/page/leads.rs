//! Where a page leads as a whole: by its `Link` headers and `<link>` elements, and by a refresh.

use std::time::Duration;

use url::{Position, Url};

use super::{Page, refresh};
use crate::request::{Refresh, WebLink};

impl Page {
    /// The links of all `Link` headers, in order.
    pub fn header_links(&self) -> Vec<WebLink> {
        let headers = self.headers().get_all(http::header::LINK);
        let links =
            |value: &http::HeaderValue| WebLink::parse(&String::from_utf8_lossy(value.as_bytes()));
        headers.iter().flat_map(links).collect()
    }

    /// Where the first `Link` header of a relation leads, relative to the page's own URL: many APIs
    /// name their next page so.
    ///
    /// ```
    /// # use nephila::prelude::*;
    /// # #[derive(Default)] struct Api;
    /// # #[spider(start = "http://127.0.0.1:1/")]
    /// # impl Api {
    /// async fn list(&self, page: Page) -> Result {
    ///     if let Some(next) = page.header_link("next") {
    ///         page.visit(next, Self::list)?;
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn header_link(&self, rel: &str) -> Option<Url> {
        let links = self.header_links();
        let mut links = links.iter().filter(|link| link.has_rel(rel));
        links.find_map(|link| self.url().join(&link.target).ok())
    }

    /// Where links of a relation lead that are the page's as a whole: by its `Link` headers, then by its
    /// `<link>` elements, if it is HTML.
    pub(super) fn links_of(&self, rel: &str) -> Vec<Url> {
        let headers = self.header_links().into_iter();
        let headers = headers.filter(|link| link.has_rel(rel));
        let mut urls: Vec<Url> = headers
            .filter_map(|link| self.url().join(&link.target).ok())
            .collect();
        if self.is_html() {
            let is_of = |element: &scraper::ElementRef<'_>| {
                let mut own = element
                    .attr("rel")
                    .unwrap_or_default()
                    .split_ascii_whitespace();
                own.any(|own| own.eq_ignore_ascii_case(rel))
            };
            let hrefs = self.elements_named("link").filter(is_of);
            let hrefs = hrefs.filter_map(|link| link.attr("href"));
            urls.extend(hrefs.filter_map(|href| self.resolve_at(self.base(), href).ok()));
        }
        urls
    }

    /// Where the page leads by itself, and after how long: by its `Refresh` header, else by its first
    /// `<meta http-equiv=refresh>`. None if that is the page itself, or no web page.
    pub fn refresh(&self) -> Option<(Duration, Url)> {
        let header = self.headers().get(http::header::REFRESH);
        let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let refresh = header
            .as_deref()
            .and_then(|text| self.led_by(text, self.url()));
        let (delay, url) = refresh.or_else(|| refresh::of_html(self))?;
        let is_own = url[..Position::AfterQuery] == self.url()[..];
        (!is_own && matches!(url.scheme(), "http" | "https")).then_some((delay, url))
    }

    pub(super) fn led_by(&self, text: &str, base: &Url) -> Option<(Duration, Url)> {
        let refresh = Refresh::parse(text)?;
        let url = match refresh.target {
            "" => self.url().clone(),
            target => self.resolve_at(base, target).ok()?,
        };
        Some((refresh.delay, url))
    }
}
