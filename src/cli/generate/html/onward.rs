//! Where a list leads: to pages of its rows, and to its next page.

use std::collections::HashSet;
use std::fmt::Display;

use url::{Position, Url};

use super::fields::{cell_of, within};
use super::list::{List, names};
use super::{FEWEST, is_stable};
use crate::cli::generate::draft::{Details, Next, Way};
use crate::page::{Element, Page};

/// Where the rows lead to, if each leads to a page of its own.
pub(super) fn links(page: &Page, list: &List) -> Option<Details> {
    let is_own = |url: &Url| url.host_str() == page.url().host_str() && url != page.url();
    // Rows that are links lead where they say.
    let mut candidates = ["", " h1 a", " h2 a", " h3 a", " h4 a"]
        .map(str::to_owned)
        .to_vec();
    for row in list.rows.iter().take(FEWEST) {
        for anchor in row.css("a").ok()? {
            for way in ways(row, &anchor).iter().map(|way| format!(" {way}")) {
                if !candidates.contains(&way) {
                    candidates.push(way);
                }
            }
        }
    }
    for candidate in candidates {
        let link = format!("{}{candidate}", list.selector);
        let urls: Vec<Url> = page.get(format!("{link}::attr(href)")).unwrap_or_default();
        let distinct: HashSet<&Url> = urls.iter().filter(|url| is_own(url)).collect();
        // One for each row, or nearly so; more would lead elsewhere, too.
        let is_each = distinct.len() == urls.len() && distinct.len() <= list.rows.len();
        if is_each && distinct.len() * 5 >= list.rows.len() * 4 {
            return Some(Details {
                link: Way::Links(link),
                urls,
                columns: Vec::new(),
            });
        }
    }
    None
}

/// How an anchor may be found in its row.
fn ways(row: &Element, anchor: &Element) -> Vec<String> {
    let classes = anchor.classes().filter(|class| is_stable(class));
    let mut ways: Vec<String> = classes.map(|class| format!("a.{class}")).collect();
    ways.extend(within(row, anchor, &[]).map(|(_, selector)| selector));
    if let Some(at) = cell_of(row, anchor) {
        ways.push(format!("td:nth-child({}) a", at + 1));
    }
    if let Some(parent) = anchor.parent().filter(|parent| parent != row) {
        ways.extend(names(&parent).iter().map(|name| format!("{name} > a")));
    } else {
        ways.push("a:first-of-type".to_owned());
    }
    ways
}

/// The link to the next page, or those to all pages by their numbers; none that stands in a row.
pub(super) fn next(page: &Page, rows: &[Element]) -> Next {
    let selectors = [
        "a[rel=next]",
        "link[rel=next]",
        "li.next a",
        "a.next",
        ".next > a",
        ".pagination-next a",
        "a.pagination-next",
        "a:contains('Next')",
        "a:contains('next')",
        "a:contains('Older')",
        "a:contains('→')",
        "a:contains('»')",
        "a:contains('›')",
    ];
    let leads_on = |selector: &&str| {
        let urls: Vec<Url> = page
            .get(format!("{selector}::attr(href)"))
            .unwrap_or_default();
        let is_own = |url: &Url| url.host_str() == page.url().host_str();
        (1..=2).contains(&urls.len()) && urls.iter().all(|url| is_own(url) && url != page.url())
    };
    let found = selectors.iter().find(|selector| leads_on(selector));
    match found {
        Some(selector) => Next::Link((*selector).to_owned()),
        None => numbered(page, rows).unwrap_or(Next::None),
    }
}

/// Links whose text is a number and whose URLs differ in a number only.
fn numbered(page: &Page, rows: &[Element]) -> Option<Next> {
    let mut linked: Vec<(i64, String)> = Vec::new();
    for anchor in page.css("a[href]").ok()? {
        let text = anchor.text();
        let number = text.parse().ok().filter(|_| text.len() <= 4);
        let url = anchor.get::<Url>("::attr(href)").ok();
        let url = url.filter(|url| url.origin() == page.url().origin() && url != page.url());
        if let (Some(number), Some(url)) = (number, url)
            && !is_within(&anchor, rows)
        {
            linked.push((number, path_of(&url).to_owned()));
        }
    }
    let mut patterns: Vec<(Pattern, Vec<(i64, i64)>)> = Vec::new();
    for (number, path) in &linked {
        for (pattern, found) in patterns_of(path) {
            match patterns.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, numbers)) => numbers.push((*number, found)),
                None => patterns.push((pattern, vec![(*number, found)])),
            }
        }
    }
    let most = patterns.iter().map(|(_, numbers)| numbers.len()).max()?;
    // The last number of a path is the page's, unless it is another one that differs.
    let mut best = patterns.into_iter().rev();
    let (pattern, numbers) = best.find(|(_, numbers)| numbers.len() == most)?;
    // The first page is the one that one is on, by a shorter name, if its number is not in its URL.
    let is_numbered = patterns_of(path_of(page.url()))
        .iter()
        .any(|(known, _)| *known == pattern);
    let first = first_of(&numbers).filter(|_| !is_numbered);
    Some(Next::Numbers {
        first: first.map(|number| pattern.with(number)),
        pattern: pattern.with("*"),
    })
}

fn path_of(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

fn is_within(element: &Element, rows: &[Element]) -> bool {
    let mut above = Some(element.clone());
    while let Some(element) = above {
        if rows.contains(&element) {
            return true;
        }
        above = element.parent();
    }
    false
}

/// What the first page has in its URL, by what others have: 1, or 0 where rows are counted from there.
fn first_of(numbers: &[(i64, i64)]) -> Option<i64> {
    let &(page, number) = numbers.first()?;
    match numbers.iter().find(|(other, _)| *other != page) {
        Some((other, others)) => {
            let by = (others - number) / (other - page);
            Some(number - by * (page - 1))
        }
        None if number == page => Some(1),
        None => None,
    }
}

/// A path without one of its numbers.
#[derive(PartialEq, Eq)]
struct Pattern(String, String);

impl Pattern {
    fn with(&self, number: impl Display) -> String {
        format!("{}{number}{}", self.0, self.1)
    }
}

/// A path without each of its numbers in turn, and that number.
fn patterns_of(path: &str) -> Vec<(Pattern, i64)> {
    let bytes = path.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts = (0..bytes.len()).filter(|&at| is_digit(at) && (at == 0 || !is_digit(at - 1)));
    let without = |start: usize| {
        let end = (start..=bytes.len()).find(|&at| !is_digit(at))?;
        let number = path[start..end].parse().ok()?;
        Some((
            Pattern(path[..start].to_owned(), path[end..].to_owned()),
            number,
        ))
    };
    starts
        .filter(|_| !path.contains(['*', '{']))
        .filter_map(without)
        .collect()
}
