//! What a page has that can be typed: its tags, classes, ids and attributes.

use std::collections::BTreeSet;

use super::commands::COMMANDS;
use super::find::described;
use crate::page::Page;

/// Words of a kind that are kept.
const KEPT: usize = 5_000;

#[derive(Default)]
pub(super) struct Words {
    tags: BTreeSet<String>,
    classes: BTreeSet<String>,
    ids: BTreeSet<String>,
    attributes: BTreeSet<String>,
    /// Types of what its JSON-LD describes.
    things: BTreeSet<String>,
}

impl Words {
    pub(super) fn of(page: &Page) -> Self {
        let mut words = Self::default();
        for element in page.css("*").unwrap_or_default() {
            let keep = |set: &mut BTreeSet<String>, word: &str| {
                if set.len() < KEPT && !set.contains(word) {
                    set.insert(word.to_owned());
                }
            };
            keep(&mut words.tags, element.name());
            for class in element.classes() {
                keep(&mut words.classes, class);
            }
            for (name, value) in element.attrs() {
                keep(&mut words.attributes, name);
                if name == "id" {
                    keep(&mut words.ids, value);
                }
            }
        }
        words.things = described(page).into_iter().map(|(kind, _)| kind).collect();
        words
    }

    /// Where the word begins that the line ends with, and what it may become.
    pub(super) fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let start = line.trim_end_matches(is_part).len();
        let (before, word) = line.split_at(start);
        let takes = |words: &BTreeSet<String>| {
            let mut all: Vec<String> = words
                .iter()
                .filter(|known| known.starts_with(word))
                .cloned()
                .collect();
            all.truncate(100);
            all
        };
        let fixed = |all: &[&str]| {
            let all = all.iter().filter(|known| known.starts_with(word));
            all.map(|known| (*known).to_owned()).collect()
        };
        let found = if before.trim().is_empty() {
            let names = COMMANDS.map(|(name, ..)| name);
            let mut found: Vec<String> = fixed(&names);
            found.extend(takes(&self.tags));
            found
        } else if before.ends_with("::attr(") {
            let names = takes(&self.attributes).into_iter();
            names.map(|name| name + ")").collect()
        } else if before.ends_with("ld:") || before.trim() == "ld" {
            takes(&self.things)
        } else if before.ends_with('[') || before.ends_with('@') {
            takes(&self.attributes)
        } else if before.ends_with("::") {
            fixed(&["text", "attr(", "html", "markdown"])
        } else if before.ends_with(':') {
            fixed(&[
                "has(",
                "is(",
                "not(",
                "contains(",
                "nth-child(",
                "first-child",
                "last-child",
            ])
        } else if before.ends_with('.') && !before.starts_with("json") {
            takes(&self.classes)
        } else if before.ends_with('#') {
            takes(&self.ids)
        } else {
            takes(&self.tags)
        };
        (start, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_own_words() {
        let html = "<main id=main><p class='price price-old' data-n=3>x<p class=stars>y</main>\
                    <script type=application/ld+json>{\"@type\": \"Product\"}</script>";
        let page = Page::from_html("http://e.x/", html).unwrap();
        let words = Words::of(&page);
        let check = |line: &str, start: usize, expected: &[&str]| {
            let (at, found) = words.complete(line);
            assert_eq!(
                (at, found),
                (start, expected.iter().map(|s| (*s).to_owned()).collect()),
                "{line}"
            );
        };
        check("css p.pr", 6, &["price", "price-old"]);
        check("css p.price-", 6, &["price-old"]);
        check("css #m", 5, &["main"]);
        check("css ma", 4, &["main"]);
        check("css p[da", 6, &["data-n"]);
        check("css p::attr(d", 12, &["data-n)"]);
        check("css p::t", 7, &["text"]);
        check("css p:ha", 6, &["has("]);
        check("xpath //p[@cl", 11, &["class"]);
        check("xpath //ma", 8, &["main"]);
        check("css main > .st", 12, &["stars"]);
        check("xp", 0, &["xpath"]);
        check("p.st", 2, &["stars"]);
        check("json $.st", 7, &[]);
        check("ld P", 3, &["Product"]);
        check("ld:", 3, &["Product"]);
    }
}
