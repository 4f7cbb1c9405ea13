//! Lists in HTML pages, and the fields of their rows and of the pages they link to.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use url::Url;

use super::columns::{Column, settled};
use super::draft::{Details, Draft, Next, Way};
use crate::page::{Element, Page};

/// Elements that are looked at.
const LOOKED_AT: usize = 20_000;
/// Rows whose fields are compared.
const ROWS: usize = 60;
/// Columns that are made at the most.
const COLUMNS: usize = 16;
/// Rows that make a list.
const FEWEST: usize = 3;

/// The page's main list.
pub(super) fn look(page: &Page) -> Option<Draft> {
    let list = find_list(page)?;
    let rows: Vec<Element> = list.rows.iter().take(ROWS).cloned().collect();
    let columns = row_columns(&rows);
    let details = links(page, &list);
    (!columns.is_empty() || details.is_some()).then(|| Draft {
        count: list.rows.len(),
        each: list.selector,
        columns,
        next: next(page),
        details,
    })
}

/// Alike elements side by side.
struct List {
    selector: String,
    rows: Vec<Element>,
}

fn find_list(page: &Page) -> Option<List> {
    let mut best: Option<(f64, Vec<Element>)> = None;
    let mut open = page.css("body").ok()?;
    let mut looked_at = 0;
    while let Some(element) = open.pop() {
        looked_at += 1;
        if looked_at > LOOKED_AT {
            break;
        }
        let children = element.children();
        for rows in alike(&children) {
            let score = score(&rows);
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                best = Some((score, rows));
            }
        }
        open.extend(children);
    }
    let (score, rows) = best?;
    let selector = (score > 0.0).then(|| selector_of(page, &rows))??;
    let rows = page.css(&selector).ok()?;
    Some(List { selector, rows })
}

/// Children of one kind, if there are enough.
fn alike(children: &[Element]) -> Vec<Vec<Element>> {
    let mut groups: BTreeMap<String, Vec<Element>> = BTreeMap::new();
    for child in children {
        let name = child.name();
        if matches!(
            name,
            "script" | "style" | "br" | "hr" | "option" | "link" | "meta" | "path" | "p"
        ) {
            continue;
        }
        // A heading of a table is no row.
        if name == "tr" && child.css("td").is_ok_and(|cells| cells.is_empty()) {
            continue;
        }
        let mut classes: Vec<&str> = child.classes().filter(|class| is_stable(class)).collect();
        classes.sort_unstable();
        groups
            .entry(format!("{name}.{}", classes.join(".")))
            .or_default()
            .push(child.clone());
    }
    groups
        .into_values()
        .filter(|rows| rows.len() >= FEWEST)
        .collect()
}

/// Whether a class says what something is, rather than how it is now or what number it has.
fn is_stable(class: &str) -> bool {
    let states = [
        "active", "first", "last", "odd", "even", "selected", "current", "hidden", "open",
    ];
    let is_name = class.starts_with(|c: char| c.is_ascii_alphabetic())
        && class
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    // `card-7` and `col-4` are numbers in a row or of a layout.
    let is_numbered = class.ends_with(|c: char| c.is_ascii_digit());
    is_name && !is_numbered && !states.contains(&class)
}

/// How much of a list it is: much text that differs, in rows that have an inside.
fn score(rows: &[Element]) -> f64 {
    let sample: Vec<&Element> = rows.iter().take(ROWS).collect();
    let texts: Vec<String> = sample.iter().map(|row| row.text()).collect();
    let distinct = texts.iter().collect::<HashSet<_>>().len() as f64 / texts.len() as f64;
    let length: usize = texts.iter().map(|text| text.chars().count().min(200)).sum();
    let inside: usize = sample.iter().map(|row| leaves(row).len().min(8)).sum();
    let inside = inside as f64 / sample.len() as f64;
    let aside = ["nav", "header", "footer", "aside"];
    let mut above = rows.first().and_then(Element::parent);
    let mut weight = 1.0;
    while let Some(element) = above {
        let is_aside = aside.contains(&element.name())
            || element.classes().any(|class| {
                let class = class.to_ascii_lowercase();
                ["nav", "menu", "sidebar", "footer", "breadcrumb", "pag"]
                    .iter()
                    .any(|word| class.contains(word))
            });
        if is_aside {
            weight = 0.05;
        }
        above = element.parent();
    }
    if inside < 1.0 || length < rows.len() {
        return 0.0;
    }
    length as f64 * distinct * inside * weight
}

/// A selector of these elements and no others.
fn selector_of(page: &Page, rows: &[Element]) -> Option<String> {
    let first = rows.first()?;
    let mut own: Vec<String> = first
        .classes()
        .filter(|class| is_stable(class))
        .map(|class| format!("{}.{class}", first.name()))
        .collect();
    own.push(first.name().to_owned());
    if first.name() == "tr" {
        own = own
            .into_iter()
            .map(|own| format!("{own}:has(td)"))
            .collect();
    }
    let fits = |selector: &String| {
        page.css(selector).is_ok_and(|found| {
            // Alike rows of a second list are no harm; to miss some would be.
            found.len() == rows.len() && found.iter().zip(rows).all(|(one, other)| one == other)
        })
    };
    if let Some(found) = own.iter().find(|selector| fits(selector)) {
        return Some(found.clone());
    }
    let mut above = first.parent();
    let mut path = String::new();
    while let Some(element) = above {
        for name in names(&element) {
            for own in &own {
                let direct = format!("{name}{path} > {own}");
                if fits(&direct) {
                    return Some(direct);
                }
            }
        }
        path = format!(" > {}{path}", element.name());
        above = element.parent();
    }
    None
}

/// How an element may be called: by its id, its classes, its tag.
fn names(element: &Element) -> Vec<String> {
    let tag = element.name();
    let id = element.attr("id").filter(|id| is_stable(id));
    let id = id.map(|id| format!("{tag}#{id}"));
    let classes = element.classes().filter(|class| is_stable(class));
    let classes = classes.map(|class| format!("{tag}.{class}"));
    id.into_iter()
        .chain(classes)
        .chain([tag.to_owned()])
        .collect()
}

/// The elements within that hold a text of their own, a link, a picture or a time.
fn leaves(row: &Element) -> Vec<Element> {
    let mut found = Vec::new();
    let mut open: Vec<Element> = row.children();
    open.reverse();
    while let Some(element) = open.pop() {
        if matches!(
            element.name(),
            "script" | "style" | "button" | "form" | "svg"
        ) {
            continue;
        }
        let has_text = element
            .get::<Option<String>>("::text")
            .is_ok_and(|text| text.is_some_and(|text| text.chars().any(char::is_alphanumeric)));
        let is_source = match element.name() {
            "a" => element.attr("href").is_some(),
            "img" => element.attr("src").is_some(),
            "time" => element.attr("datetime").is_some(),
            "meta" => element.attr("itemprop").is_some(),
            _ => element
                .attr("data-price")
                .or(element.attr("data-n"))
                .is_some(),
        };
        if has_text || is_source {
            found.push(element.clone());
        }
        let mut children = element.children();
        children.reverse();
        open.extend(children);
    }
    found
}

/// The columns of rows: what stands at the same place in most of them.
fn row_columns(rows: &[Element]) -> Vec<Column> {
    let mut selectors: Vec<(String, String)> = Vec::new();
    let headings = headings(rows);
    for row in rows.iter().take(FEWEST) {
        for leaf in leaves(row) {
            for found in sources(row, &leaf, &headings) {
                if !selectors.contains(&found) {
                    selectors.push(found);
                }
            }
        }
    }
    let columns = selectors.into_iter().filter_map(|(name, selector)| {
        let values: Vec<Option<String>> = rows.iter().map(|row| value(row, &selector)).collect();
        let present = values.iter().flatten().count();
        let distinct = values.iter().flatten().collect::<HashSet<_>>().len();
        // What is the same in every row says nothing.
        let says = present * 2 >= rows.len() && distinct > 1;
        says.then(|| Column::of(&name, selector, values))?
    });
    let mut columns = settled(columns.collect(), &[]);
    columns.truncate(COLUMNS);
    columns
}

fn value(within: &Element, selector: &str) -> Option<String> {
    let value = within.get::<Option<String>>(selector).ok().flatten();
    value.filter(|value| !value.is_empty())
}

/// The headings over the columns of a table.
fn headings(rows: &[Element]) -> Vec<String> {
    let mut above = rows.first().and_then(Element::parent);
    while let Some(element) = above {
        if element.name() == "table" {
            let cells = element.css("tr:first-child th").unwrap_or_default();
            return cells.iter().map(Element::text).collect();
        }
        above = element.parent();
    }
    Vec::new()
}

/// Names and selectors of what an element of a row holds.
fn sources(row: &Element, leaf: &Element, headings: &[String]) -> Vec<(String, String)> {
    let Some((name, selector)) = within(row, leaf, headings) else {
        return Vec::new();
    };
    let with = |attribute: &str| format!("{selector}::attr({attribute})");
    let has_text = !leaf.text().is_empty();
    let mut all = Vec::new();
    match leaf.name() {
        "a" => {
            if has_text {
                all.push((name, selector.clone()));
            }
            all.push(("url".to_owned(), with("href")));
        }
        "img" => all.push(("image".to_owned(), with("src"))),
        "time" if leaf.attr("datetime").is_some() => all.push((name, with("datetime"))),
        "meta" => all.push((name, with("content"))),
        _ => {
            if let Some(attribute) = ["data-price", "data-n"]
                .into_iter()
                .find(|attribute| leaf.attr(attribute).is_some())
            {
                all.push((name.clone(), with(attribute)));
            }
            if has_text && all.is_empty() {
                all.push((name, selector));
            }
        }
    }
    all
}

/// A selector that finds an element first within a row, and what it may be called.
fn within(row: &Element, leaf: &Element, headings: &[String]) -> Option<(String, String)> {
    let finds = |selector: &str| {
        row.css(selector)
            .is_ok_and(|found| found.first() == Some(leaf))
    };
    let tag = leaf.name();
    if let Some(property) = leaf.attr("itemprop").filter(|name| is_stable(name)) {
        let selector = format!("[itemprop={property}]");
        if finds(&selector) {
            return Some((property.to_owned(), selector));
        }
    }
    if tag == "td" {
        let cells = row.css("td, th").ok()?;
        let at = cells.iter().position(|cell| cell == leaf)?;
        let name = headings.get(at).filter(|name| !name.is_empty());
        let by_class = leaf.classes().find(|class| is_stable(class));
        let name = name.cloned().or_else(|| by_class.map(str::to_owned));
        let name = name.unwrap_or_else(|| format!("column_{}", at + 1));
        if let Some(class) = by_class.map(|class| format!("td.{class}"))
            && finds(&class)
        {
            return Some((name, class));
        }
        let selector = format!("td:nth-child({})", at + 1);
        return finds(&selector).then_some((name, selector));
    }
    for class in leaf.classes().filter(|class| is_stable(class)) {
        let selector = format!("{tag}.{class}");
        if finds(&selector) {
            return Some((class.to_owned(), selector));
        }
    }
    let name = called(tag).to_owned();
    if finds(tag) {
        return Some((name, tag.to_owned()));
    }
    let parent = leaf.parent().filter(|parent| parent != row)?;
    for above in names(&parent) {
        let selector = format!("{above} > {tag}");
        if finds(&selector) {
            let class = parent.classes().find(|class| is_stable(class));
            return Some((class.map_or(name, str::to_owned), selector));
        }
    }
    None
}

/// What the text of a tag mostly is.
fn called(tag: &str) -> &str {
    match tag {
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "a" | "strong" | "b" => "title",
        "time" => "date",
        "p" => "text",
        tag => tag,
    }
}

/// Where the rows lead to, if each leads to a page of its own.
fn links(page: &Page, list: &List) -> Option<Details> {
    let row = list.rows.first()?;
    let is_own = |url: &Url| url.host_str() == page.url().host_str() && url != page.url();
    let heading = ["h1 a", "h2 a", "h3 a", "h4 a"].map(str::to_owned);
    let anchors = row.css("a").ok()?;
    let others = anchors.iter().filter_map(|anchor| within(row, anchor, &[]));
    let mut candidates: Vec<String> = heading.into_iter().collect();
    candidates.extend(others.map(|(_, selector)| selector));
    for candidate in candidates {
        let link = format!("{} {candidate}", list.selector);
        let urls: Vec<Url> = page.get(format!("{link}::attr(href)")).unwrap_or_default();
        let distinct: HashSet<&Url> = urls.iter().filter(|url| is_own(url)).collect();
        // One for each row, or nearly so; more would lead elsewhere, too.
        if distinct.len() * 5 >= list.rows.len() * 4 && distinct.len() == urls.len() {
            return Some(Details {
                link: Way::Links(link),
                urls,
                columns: Vec::new(),
            });
        }
    }
    None
}

/// The link to the next page.
fn next(page: &Page) -> Next {
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
    found.map_or(Next::None, |selector| Next::Link((*selector).to_owned()))
}

/// What a few pages of one kind have in common; none if that is next to nothing.
pub(super) fn details(pages: &[Page]) -> Option<Vec<Column>> {
    let first = pages.first()?;
    let mut selectors = vec![("title".to_owned(), "h1".to_owned())];
    selectors.extend(described(first));
    selectors.extend(facts(first));
    selectors.extend(main_parts(first));
    let mut known = HashSet::new();
    selectors.retain(|(_, selector)| known.insert(selector.clone()));
    let mut columns = Vec::new();
    for (name, selector) in selectors {
        let read =
            |page: &Page| value(&page.root(), &selector).or_else(|| page_value(page, &selector));
        let values: Vec<Option<String>> = pages.iter().map(read).collect();
        let present = values.iter().flatten().count();
        let is_short = values
            .iter()
            .flatten()
            .all(|value| value.chars().count() <= 2_000);
        if present * 2 > pages.len()
            && is_short
            && let Some(column) = Column::of(&name, selector, values)
        {
            // Three pages are not all: others may lack it.
            let optional = column.optional || column.name != "title";
            columns.push(Column { optional, ..column });
        }
    }
    let mut columns = settled(columns, &["url"]);
    columns.truncate(COLUMNS);
    Some(columns)
}

/// Of the whole page, as a step reads it: JSON-LD has no element.
fn page_value(page: &Page, selector: &str) -> Option<String> {
    let value = page.get::<Option<String>>(selector).ok().flatten();
    value.filter(|value| !value.is_empty())
}

/// Kinds of things that pages describe for search engines.
const KINDS: [&str; 12] = [
    "Product",
    "Book",
    "Article",
    "NewsArticle",
    "BlogPosting",
    "Recipe",
    "Event",
    "JobPosting",
    "Movie",
    "Person",
    "Organization",
    "Place",
];

fn described(page: &Page) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for kind in KINDS {
        let Ok(things) = page.json_ld::<Value>(kind) else {
            continue;
        };
        let Some(thing) = things.first().and_then(Value::as_object) else {
            continue;
        };
        for (key, value) in thing
            .iter()
            .filter(|(key, _)| is_stable(key) && *key != "url")
        {
            if value.is_string() || value.is_number() {
                let name = if key == "name" { "title" } else { key };
                all.push((name.to_owned(), format!("ld:{kind} >> json:{key}")));
            }
        }
        for (key, inner) in [
            ("offers", "price"),
            ("offers", "priceCurrency"),
            ("author", "name"),
            ("brand", "name"),
            ("aggregateRating", "ratingValue"),
        ] {
            if thing
                .get(key)
                .is_some_and(|value| value.get(inner).is_some())
            {
                let name = if inner == "name" { key } else { inner };
                all.push((
                    name.to_owned(),
                    format!("ld:{kind} >> json:$.{key}.{inner}"),
                ));
            }
        }
    }
    all
}

/// Rows of two cells, and lists of terms: `<th>UPC<td>a1`.
fn facts(page: &Page) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (head, body) in [("th", "td"), ("dt", "dd")] {
        let heads = page
            .css(format!("{head}:has(+ {body})"))
            .unwrap_or_default();
        for cell in heads {
            let text = cell.text();
            let is_plain = !text.contains(['"', '\\']) && (1..=40).contains(&text.chars().count());
            let alone = cell
                .parent()
                .is_some_and(|row| head == "dt" || row.children().len() == 2);
            if is_plain && alone {
                let name = text.trim_end_matches(':').to_owned();
                all.push((name, format!("{head}:contains(\"{text}\") + {body}")));
            }
        }
    }
    all
}

/// Parts with a class or property of their own, outside of what frames the page.
fn main_parts(page: &Page) -> Vec<(String, String)> {
    let root = page.root();
    let body = page.css("main, article, [role=main]").unwrap_or_default();
    let body = body.into_iter().next().unwrap_or_else(|| root.clone());
    let framing = ["nav", "header", "footer", "aside", "table", "dl"];
    let is_framed = |leaf: &Element| {
        let mut above = leaf.parent();
        while let Some(element) = above {
            if framing.contains(&element.name()) {
                return true;
            }
            above = element.parent();
        }
        false
    };
    let mut all = Vec::new();
    for leaf in leaves(&body).iter().take(200) {
        let has_name = leaf.attr("itemprop").is_some()
            || leaf.classes().any(is_stable)
            || leaf.name() == "time";
        // Several of a kind are a list of something else.
        if !has_name || is_framed(leaf) || matches!(leaf.name(), "a" | "img") {
            continue;
        }
        if let Some((name, selector)) = within(&root, leaf, &[])
            && page.css(&selector).is_ok_and(|found| found.len() == 1)
        {
            for (other, selector) in sources(&root, leaf, &[]) {
                let name = if other == "url" { other } else { name.clone() };
                all.push((name, selector));
            }
            let _ = selector;
        }
    }
    all
}
