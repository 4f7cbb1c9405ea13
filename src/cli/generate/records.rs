//! Lists in what is no HTML: feeds, XML, CSV, sitemaps.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::draft::{Details, Draft, Next, Way};
use super::json;
use crate::page::{Page, SitemapEntry, SitemapKind};

/// Names of XML elements that are looked at.
const NAMES: usize = 200;
/// Entries of a sitemap that are looked at.
const ENTRIES: usize = 5_000;

/// What the page is a list of, if it is one of these.
pub(super) fn look(page: &Page) -> Option<Draft> {
    let kind = page.response().header("content-type").unwrap_or_default();
    let path = page.url().path();
    let has_ending = |ending: &str| path.to_ascii_lowercase().ends_with(ending);
    if kind.contains("csv")
        || kind.contains("tab-separated")
        || has_ending(".csv")
        || has_ending(".tsv")
    {
        return listed(page, "csv:".to_owned());
    }
    if page.url().path() == "/robots.txt" || is_xml(page, kind) {
        return feed(page).or_else(|| map(page)).or_else(|| elements(page));
    }
    None
}

fn is_xml(page: &Page, kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_said = kind.ends_with("/xml") || kind.ends_with("+xml") && !kind.contains("html");
    is_said || page.text().trim_start().starts_with("<?xml") && !page.text().contains("<html")
}

/// Rows that a selector finds, all of their values texts.
fn listed(page: &Page, each: String) -> Option<Draft> {
    let rows: Vec<Value> = page.get(&each).ok()?;
    let are_rows = rows
        .iter()
        .all(|row| row.as_object().is_some_and(|row| row.len() >= 2));
    let columns = json::columns(&rows, false);
    if rows.len() < 2 || !are_rows || columns.is_empty() {
        return None;
    }
    Some(Draft {
        count: rows.len(),
        each,
        columns,
        next: Next::None,
        details: None,
    })
}

/// The entries of a feed.
fn feed(page: &Page) -> Option<Draft> {
    let draft = listed(page, "feed:".to_owned())?;
    let next = page.get::<Option<String>>("link:next").ok()?;
    let next = next.map_or(Next::None, |_| Next::Link("link:next".to_owned()));
    Some(Draft { next, ..draft })
}

/// The outermost elements that come more than once and have something in them.
fn elements(page: &Page) -> Option<Draft> {
    let mut names: Vec<&str> = Vec::new();
    for tag in page.text().split('<').skip(1) {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        let name = &tag[..tag.find(|c| !is_name(c)).unwrap_or(tag.len())];
        if !name.is_empty() && !names.contains(&name) && names.len() < NAMES {
            names.push(name);
        }
    }
    names
        .into_iter()
        .find_map(|name| listed(page, format!("xml:{name}")))
}

/// The maps and pages that a sitemap, or a robots.txt, names.
pub(super) fn entries(page: &Page) -> Option<Vec<SitemapEntry>> {
    let map = page.sitemap().ok()?;
    if matches!(
        map.kind(),
        SitemapKind::Text | SitemapKind::Rss | SitemapKind::Atom
    ) {
        return None;
    }
    let entries: Vec<SitemapEntry> = map.filter_map(Result::ok).take(ENTRIES).collect();
    (!entries.is_empty()).then_some(entries)
}

fn map(page: &Page) -> Option<Draft> {
    entries(page).map(|entries| of_entries(&entries))
}

/// The spider of a sitemap: of its pages those of the kind that there are most of.
pub(super) fn of_entries(entries: &[SitemapEntry]) -> Draft {
    let pages: Vec<&Url> = entries
        .iter()
        .filter(|entry| !entry.is_map)
        .map(|entry| &entry.url)
        .collect();
    let mut folders: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for url in &pages {
        let mut parts = url.path_segments().into_iter().flatten();
        if let (Some(first), Some(second)) = (parts.next(), parts.next())
            && !second.is_empty()
        {
            folders
                .entry(format!("/{first}/**"))
                .or_default()
                .push((*url).clone());
        }
    }
    let largest = folders.into_iter().max_by_key(|(_, urls)| urls.len());
    let (only, urls) = match largest {
        Some((only, urls)) if urls.len() * 2 >= pages.len() && urls.len() >= 3 => {
            (Some(only), urls)
        }
        _ => (None, pages.into_iter().cloned().collect()),
    };
    Draft {
        count: entries.len(),
        each: "entries of a sitemap".to_owned(),
        columns: Vec::new(),
        next: Next::None,
        details: Some(Details {
            link: Way::Map(only),
            urls,
            columns: Vec::new(),
        }),
    }
}
