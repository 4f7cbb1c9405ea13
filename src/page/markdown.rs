//! What people read of a page: its main content, as Markdown or as plain text.

use ego_tree::NodeRef;
use scraper::{ElementRef, Node};

use super::effort::Effort;
use super::{Element, Page};

/// How deeply elements are gone into.
const MAX_DEPTH: usize = 200;

impl Page {
    /// The element with the main content: `<main>`, `<article>`, or what has the most text that is not
    /// links; without what frames it, as menus and footers. A guess, where the page does not say it.
    pub fn main(&self) -> Element {
        let root = self.root();
        for selector in ["main", "[role=main]", "article"] {
            let found = root.css(selector).unwrap_or_default();
            if let [only] = &found[..] {
                return only.clone();
            }
        }
        densest(self).unwrap_or(root)
    }

    /// The main content as Markdown: headings, lists, links (absolute), emphasis, code, tables, pictures.
    ///
    /// ```
    /// # use nephila::page::Page;
    /// let html = "<nav><a href=/>Home</a></nav><main><h1>Silk</h1><p>A <b>fine</b> <a href=/t>thread</a>.</main>";
    /// let page = Page::from_html("http://shop.example/", html)?;
    /// assert_eq!(page.markdown(), "# Silk\n\nA **fine** [thread](http://shop.example/t).");
    /// assert_eq!(page.main_text(), "Silk\n\nA fine thread.");
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn markdown(&self) -> String {
        self.main().markdown()
    }

    /// The main content as text, with an empty line between paragraphs.
    pub fn main_text(&self) -> String {
        written(self, self.main().node(), false)
    }
}

impl Element {
    /// What people read of the element, as Markdown: see [`Page::markdown`].
    pub fn markdown(&self) -> String {
        of(self.page(), self.node())
    }
}

/// An element as Markdown.
pub(super) fn of(page: &Page, element: ElementRef<'_>) -> String {
    written(page, element, true)
}

fn written(page: &Page, element: ElementRef<'_>, has_marks: bool) -> String {
    let mut writer = Writer {
        page,
        has_marks,
        text: String::new(),
        prefix: String::new(),
        lists: Vec::new(),
        is_code: false,
    };
    writer.children(*element, 0);
    writer.text.trim().to_owned()
}

/// The element whose own paragraphs have the most text, links counted against it.
fn densest(page: &Page) -> Option<Element> {
    let paragraphs = page.css("p, pre, blockquote, li, td").ok()?;
    let mut best: Option<(i64, Element)> = None;
    let mut scores: Vec<(Element, i64)> = Vec::new();
    for paragraph in paragraphs {
        if is_framed(&paragraph) {
            continue;
        }
        let length = paragraph.text().chars().count() as i64;
        let links = paragraph.css("a").unwrap_or_default();
        let linked: i64 = links
            .iter()
            .map(|link| link.text().chars().count() as i64)
            .sum();
        let score = length - 2 * linked;
        let mut above = paragraph.parent();
        for share in [2, 1] {
            let Some(element) = above else { break };
            let score = score * share / 2;
            match scores
                .iter_mut()
                .rev()
                .take(50)
                .find(|(known, _)| *known == element)
            {
                Some((_, sum)) => *sum += score,
                None => scores.push((element.clone(), score)),
            }
            above = element.parent();
        }
    }
    for (element, score) in scores {
        if best.as_ref().is_none_or(|(known, _)| score > *known) {
            best = Some((score, element));
        }
    }
    best.filter(|(score, _)| *score > 0)
        .map(|(_, element)| element)
}

fn is_framed(element: &Element) -> bool {
    let mut above = Some(element.clone());
    while let Some(element) = above {
        if is_frame(element.name()) {
            return true;
        }
        above = element.parent();
    }
    false
}

/// What frames the content of a page.
fn is_frame(name: &str) -> bool {
    matches!(name, "nav" | "footer" | "aside" | "header" | "form")
}

struct Writer<'a> {
    page: &'a Page,
    has_marks: bool,
    text: String,
    /// What every line begins with: of quotes and lists.
    prefix: String,
    /// The numbers of the lists that are open; 0 for one without.
    lists: Vec<u32>,
    is_code: bool,
}

impl Writer<'_> {
    fn effort(&self) -> &Effort {
        self.page.effort()
    }

    fn children(&mut self, node: NodeRef<'_, Node>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for child in node.children() {
            if !self.effort().look(1) {
                return;
            }
            match child.value() {
                Node::Text(text) => self.say(text),
                Node::Element(_) => {
                    if let Some(element) = ElementRef::wrap(child) {
                        self.element(element, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, text: &str) {
        if !self.effort().take(text.len()) {
            return;
        }
        if self.is_code {
            let line = format!("\n{}", self.prefix);
            self.text.push_str(&text.replace('\n', &line));
            return;
        }
        let at_start = self.text.is_empty()
            || self.text.ends_with([' ', '\n'])
            || self.text.ends_with(&self.prefix) && !self.prefix.is_empty();
        let words: Vec<&str> = text.split_whitespace().collect();
        let has_space = |c: Option<char>| c.is_some_and(char::is_whitespace);
        if has_space(text.chars().next()) && !at_start {
            self.text.push(' ');
        }
        self.text.push_str(&words.join(" "));
        if !words.is_empty() && has_space(text.chars().next_back()) {
            self.text.push(' ');
        }
    }

    /// Ends the line that is written, and leaves so many empty ones.
    fn paragraph(&mut self, empty: usize) {
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        if self.text.is_empty()
            || self.text.ends_with(&self.prefix)
                && !self.prefix.is_empty()
                && self
                    .text
                    .trim_end_matches(&self.prefix)
                    .ends_with(['\n', ' '])
        {
            return;
        }
        let newlines = self.text.len() - self.text.trim_end_matches('\n').len();
        for _ in newlines..=empty {
            self.text.push('\n');
        }
        self.text.push_str(&self.prefix);
    }

    fn mark(&mut self, mark: &str) {
        if self.has_marks {
            self.text.push_str(mark);
        }
    }

    fn around(&mut self, element: ElementRef<'_>, mark: &str, depth: usize) {
        let at = self.text.len();
        self.children(*element, depth);
        let inner = self.text.split_off(at);
        let (plain, mark) = (inner.trim(), if self.has_marks { mark } else { "" });
        if plain.is_empty() {
            self.text.push_str(&inner);
            return;
        }
        let start = inner.len() - inner.trim_start().len();
        let end = inner.trim_end().len();
        self.text
            .extend([&inner[..start], mark, plain, mark, &inner[end..]]);
    }

    fn block(&mut self, element: ElementRef<'_>, begin: &str, depth: usize) {
        self.paragraph(1);
        self.mark(begin);
        self.children(*element, depth);
        self.paragraph(1);
    }

    fn element(&mut self, element: ElementRef<'_>, depth: usize) {
        match element.value().name() {
            "script" | "style" | "template" | "noscript" | "svg" | "button" | "select"
            | "iframe" | "input" | "textarea" => {}
            name if is_frame(name) && depth > 0 => {}
            "h1" => self.block(element, "# ", depth),
            "h2" => self.block(element, "## ", depth),
            "h3" => self.block(element, "### ", depth),
            "h4" => self.block(element, "#### ", depth),
            "h5" => self.block(element, "##### ", depth),
            "h6" => self.block(element, "###### ", depth),
            "br" => self.paragraph(0),
            "hr" => {
                self.paragraph(1);
                self.mark("---");
                self.paragraph(1);
            }
            "b" | "strong" => self.around(element, "**", depth),
            "i" | "em" => self.around(element, "*", depth),
            "code" | "kbd" | "samp" if !self.is_code => self.around(element, "`", depth),
            "a" => self.link(element, depth),
            "img" => self.picture(element),
            "pre" => self.code(element, depth),
            "blockquote" => self.within(element, "> ", depth),
            "ul" | "ol" => self.list(element, depth),
            "li" => self.entry(element, depth),
            "table" => self.table(element),
            "p" | "div" | "section" | "article" | "main" | "dl" | "dt" | "dd" | "figure"
            | "figcaption" | "address" | "details" | "summary" | "body" => {
                self.block(element, "", depth);
            }
            _ => self.children(*element, depth),
        }
    }

    fn link(&mut self, element: ElementRef<'_>, depth: usize) {
        let at = self.text.len();
        self.children(*element, depth);
        let url = element
            .attr("href")
            .and_then(|href| self.page.resolve(href.trim()).ok());
        let Some(url) =
            url.filter(|url| self.has_marks && matches!(url.scheme(), "http" | "https" | "mailto"))
        else {
            return;
        };
        let inner = self.text.split_off(at);
        let plain = inner.trim();
        if plain.is_empty() || plain.contains('\n') || !self.effort().take(url.as_str().len()) {
            self.text.push_str(&inner);
            return;
        }
        let start = inner.len() - inner.trim_start().len();
        let url = url.as_str().replace(')', "%29");
        self.text.extend([
            &inner[..start],
            "[",
            plain,
            "](",
            &url,
            ")",
            &inner[inner.trim_end().len()..],
        ]);
    }

    fn picture(&mut self, element: ElementRef<'_>) {
        let alt = element.attr("alt").unwrap_or_default().trim();
        let url = element
            .attr("src")
            .and_then(|src| self.page.resolve(src.trim()).ok());
        if let Some(url) =
            url.filter(|url| self.has_marks && matches!(url.scheme(), "http" | "https"))
            && self.effort().take(url.as_str().len() + alt.len())
        {
            let url = url.as_str().replace(')', "%29");
            self.text.extend(["![", alt, "](", &url, ")"]);
        }
    }

    fn code(&mut self, element: ElementRef<'_>, depth: usize) {
        self.paragraph(1);
        let fence = format!("```\n{}", self.prefix);
        self.mark(&fence);
        self.is_code = true;
        self.children(*element, depth);
        self.is_code = false;
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        let fence = format!("\n{}```", self.prefix);
        self.mark(&fence);
        self.paragraph(1);
    }

    fn within(&mut self, element: ElementRef<'_>, prefix: &str, depth: usize) {
        self.paragraph(1);
        let before = self.prefix.len();
        if self.has_marks {
            self.prefix.push_str(prefix);
            self.text.push_str(prefix);
        }
        self.children(*element, depth);
        let end = self.text.trim_end_matches(['\n', ' ', '>']).len();
        self.text.truncate(end);
        self.prefix.truncate(before);
        self.paragraph(1);
    }

    fn list(&mut self, element: ElementRef<'_>, depth: usize) {
        let is_nested = !self.lists.is_empty();
        self.paragraph(usize::from(!is_nested));
        let first = element
            .attr("start")
            .and_then(|start| start.trim().parse().ok());
        let is_ordered = element.value().name() == "ol";
        self.lists
            .push(if is_ordered { first.unwrap_or(1) } else { 0 });
        self.children(*element, depth);
        self.lists.pop();
        self.paragraph(usize::from(!is_nested));
    }

    fn entry(&mut self, element: ElementRef<'_>, depth: usize) {
        self.paragraph(0);
        let level = self.lists.len().saturating_sub(1);
        let mark = match self.lists.last_mut() {
            Some(0) | None => "* ".to_owned(),
            Some(number) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
        };
        self.text.push_str(&"  ".repeat(level));
        self.text.push_str(&mark);
        self.children(*element, depth);
        self.paragraph(0);
    }

    fn table(&mut self, element: ElementRef<'_>) {
        let table = Element::of_node(self.page, element);
        let rows = table.rows_within();
        let width = rows.iter().map(Vec::len).max().unwrap_or_default();
        if width == 0 {
            return;
        }
        self.paragraph(1);
        for (at, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            if self.has_marks {
                self.text.extend(["| ", &cells.join(" | "), " |"]);
            } else {
                self.text.push_str(&row.join("  "));
            }
            self.paragraph(0);
            if at == 0 && self.has_marks {
                self.text.push('|');
                self.text.push_str(&"---|".repeat(width));
                self.paragraph(0);
            }
        }
        self.paragraph(1);
    }
}

#[cfg(test)]
mod tests;
