//! Entries of feeds, whatever their format, as objects of one form.
//!
//! `title`, `url`, `id`, `published` and `updated` (RFC 3339), `author`, `summary`, `content` (HTML),
//! `categories` (a list), `enclosure` (a URL). What an entry does not say is not there.

use serde_json::{Map, Value, json};

use super::xml;
use crate::page::Page;
use crate::page::sitemap::moment;

/// The entries of RSS, Atom, or JSON Feed.
pub(in crate::page) fn entries(page: &Page) -> Result<Vec<Value>, String> {
    let text = page.text().trim_start();
    if text.starts_with('{') {
        let feed: Value =
            serde_json::from_str(text).map_err(|error| format!("the page is no feed: {error}"))?;
        let items = feed["items"].as_array();
        let items = items.ok_or("the page is no feed: it is JSON without `items`")?;
        return Ok(items.iter().map(|item| of_json(page, item)).collect());
    }
    let items = xml::all(page, "item")?;
    if !items.is_empty() {
        return Ok(items.iter().map(|item| of_rss(page, item)).collect());
    }
    let entries = xml::all(page, "entry")?;
    if entries.is_empty()
        && !["<rss", "<feed", "<rdf:RDF"]
            .iter()
            .any(|root| text.contains(root))
    {
        return Err("the page is no feed: neither RSS nor Atom nor JSON Feed".to_owned());
    }
    Ok(entries.iter().map(|entry| of_atom(page, entry)).collect())
}

/// An entry in the making.
struct Entry<'a> {
    page: &'a Page,
    fields: Map<String, Value>,
}

impl Entry<'_> {
    fn text(&mut self, name: &str, texts: &[Option<String>]) {
        if let Some(text) = texts.iter().flatten().find(|text| !text.is_empty()) {
            self.fields.insert(name.to_owned(), text.as_str().into());
        }
    }

    fn url(&mut self, name: &str, links: &[Option<String>]) {
        let link = links.iter().flatten().find(|link| !link.is_empty());
        if let Some(url) = link.and_then(|link| self.page.url().join(link.trim()).ok()) {
            self.fields.insert(name.to_owned(), url.as_str().into());
        }
    }

    fn moment(&mut self, name: &str, texts: &[Option<String>]) {
        let found = texts.iter().flatten().find_map(|text| moment(text));
        if let Some(moment) = found {
            self.fields
                .insert(name.to_owned(), moment.to_string().into());
        }
    }

    fn categories(&mut self, all: Vec<String>) {
        let all: Vec<String> = all.into_iter().filter(|name| !name.is_empty()).collect();
        if !all.is_empty() {
            self.fields.insert("categories".to_owned(), json!(all));
        }
    }
}

fn entry(page: &Page) -> Entry<'_> {
    let fields = Map::new();
    Entry { page, fields }
}

/// The text of a value that may be a text, an object with one, or a list of them.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(all) => all.iter().find_map(text),
        Value::Object(object) => object.get("#text").and_then(text),
        _ => None,
    }
}

/// A value, or the values of a list.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().collect(),
        value => vec![value],
    }
}

fn of_rss(page: &Page, item: &Value) -> Value {
    let mut entry = entry(page);
    let is_permanent = item["guid"]["@isPermaLink"] != "false";
    let guid = text(&item["guid"]);
    let as_link = guid
        .clone()
        .filter(|guid| is_permanent && guid.starts_with("http"));
    let about = text(&item["@rdf:about"]);
    entry.text("title", &[text(&item["title"]), text(&item["dc:title"])]);
    entry.url(
        "url",
        &[
            text(&item["link"]),
            link_of(&item["atom:link"]),
            as_link,
            about,
        ],
    );
    entry.text("id", &[guid, text(&item["link"])]);
    entry.moment(
        "published",
        &[text(&item["pubDate"]), text(&item["dc:date"])],
    );
    entry.moment(
        "updated",
        &[text(&item["atom:updated"]), text(&item["dcterms:modified"])],
    );
    entry.text(
        "author",
        &[text(&item["dc:creator"]), text(&item["author"])],
    );
    entry.text("summary", &[text(&item["description"])]);
    entry.text("content", &[text(&item["content:encoded"])]);
    entry.categories(
        each(&item["category"])
            .into_iter()
            .filter_map(text)
            .collect(),
    );
    entry.url(
        "enclosure",
        &[
            text(&item["enclosure"]["@url"]),
            text(&item["media:content"]["@url"]),
        ],
    );
    entry.fields.into()
}

/// Where Atom's `link` leads: the one without a `rel`, or with `alternate`.
fn link_of(links: &Value) -> Option<String> {
    let is_own = |link: &&Value| matches!(link["@rel"].as_str(), None | Some("alternate"));
    let links = each(links);
    let own = links.iter().copied().find(is_own)?;
    text(&own["@href"])
}

fn of_atom(page: &Page, item: &Value) -> Value {
    let mut entry = entry(page);
    let enclosed = each(&item["link"])
        .into_iter()
        .find(|link| link["@rel"] == "enclosure");
    entry.text("title", &[text(&item["title"])]);
    entry.url("url", &[link_of(&item["link"])]);
    entry.text("id", &[text(&item["id"])]);
    entry.moment(
        "published",
        &[text(&item["published"]), text(&item["issued"])],
    );
    entry.moment(
        "updated",
        &[text(&item["updated"]), text(&item["modified"])],
    );
    let author = each(&item["author"])
        .into_iter()
        .find_map(|author| text(&author["name"]));
    entry.text("author", &[author]);
    entry.text("summary", &[text(&item["summary"])]);
    entry.text("content", &[text(&item["content"])]);
    let categories = each(&item["category"]).into_iter();
    entry.categories(
        categories
            .filter_map(|category| text(&category["@term"]))
            .collect(),
    );
    entry.url(
        "enclosure",
        &[enclosed.and_then(|link| text(&link["@href"]))],
    );
    entry.fields.into()
}

fn of_json(page: &Page, item: &Value) -> Value {
    let mut entry = entry(page);
    let author = text(&item["author"]["name"]).or_else(|| text(&item["authors"][0]["name"]));
    entry.text("title", &[text(&item["title"])]);
    entry.url("url", &[text(&item["url"]), text(&item["external_url"])]);
    entry.text("id", &[text(&item["id"])]);
    entry.moment("published", &[text(&item["date_published"])]);
    entry.moment("updated", &[text(&item["date_modified"])]);
    entry.text("author", &[author]);
    entry.text("summary", &[text(&item["summary"])]);
    entry.text(
        "content",
        &[text(&item["content_html"]), text(&item["content_text"])],
    );
    entry.categories(each(&item["tags"]).into_iter().filter_map(text).collect());
    entry.url("enclosure", &[text(&item["attachments"][0]["url"])]);
    entry.fields.into()
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[derive(Debug, Item)]
    struct Entry {
        #[json("title")]
        title: String,
        #[json("url")]
        url: Url,
        #[json("published")]
        published: Option<jiff::Timestamp>,
        #[json("author")]
        author: Option<String>,
        #[json("content")]
        content: Option<String>,
        #[json("categories[*]")]
        categories: Vec<String>,
        #[json("enclosure")]
        enclosure: Option<Url>,
    }

    const RSS: &str = r#"<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
        xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>News</title><link>/</link>
        <item><title>Silk &amp; wool</title><link>/1</link><guid isPermaLink="false">7</guid>
        <pubDate>Fri, 01 Oct 2004 18:23:17 GMT</pubDate><dc:creator>Ann</dc:creator>
        <content:encoded><![CDATA[<p>Long</p>]]></content:encoded><category>a</category><category>b</category>
        <enclosure url="/a.mp3" type="audio/mpeg" length="1"/></item></channel></rss>"#;
    const ATOM: &str = r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><link href="/" rel="self"/>
        <entry><title type="html">Silk &amp;amp; wool</title><link rel="enclosure" href="/a.mp3"/>
        <link rel="alternate" href="/1"/><id>7</id><published>2004-10-01T18:23:17Z</published>
        <author><name>Ann</name></author><content type="html">&lt;p&gt;Long&lt;/p&gt;</content>
        <category term="a"/><category term="b"/></entry></feed>"#;
    const JSON: &str = r#"{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": 7, "title": "Silk & wool",
        "url": "/1", "date_published": "2004-10-01T18:23:17Z", "authors": [{"name": "Ann"}],
        "content_html": "<p>Long</p>", "tags": ["a", "b"], "attachments": [{"url": "/a.mp3"}]}]}"#;

    /// Atom before it was a standard.
    #[test]
    fn old_names_of_dates() {
        let feed = ATOM.replace("published>", "issued>");
        let page = Page::from_html("http://e.x/feed", feed).unwrap();
        let entries: Vec<Entry> = page.items("feed:").unwrap();
        let published = entries[0].published.map(|moment| moment.to_string());
        assert_eq!(published.as_deref(), Some("2004-10-01T18:23:17Z"));
    }

    #[test]
    fn one_entry_in_three_formats() {
        for (feed, title) in [
            (RSS, "Silk & wool"),
            (ATOM, "Silk &amp; wool"),
            (JSON, "Silk & wool"),
        ] {
            let page = Page::from_html("http://e.x/feed", feed).unwrap();
            let entries: Vec<Entry> = page.items("feed:").unwrap();
            assert_eq!(entries.len(), 1, "{feed}");
            let entry = &entries[0];
            assert_eq!(entry.title, title);
            assert_eq!(entry.url.as_str(), "http://e.x/1");
            assert_eq!(entry.published.unwrap().to_string(), "2004-10-01T18:23:17Z");
            assert_eq!(entry.author.as_deref(), Some("Ann"));
            assert_eq!(entry.content.as_deref(), Some("<p>Long</p>"));
            assert_eq!(entry.categories, ["a", "b"]);
            assert_eq!(entry.enclosure.as_ref().unwrap().path(), "/a.mp3");
            assert_eq!(
                page.follow("feed: >> json:url", crate::request::StepRef::named("x"))
                    .unwrap(),
                1
            );
        }
    }

    #[test]
    fn what_is_no_feed_says_so() {
        let check = |text: &str, why: &str| {
            let page = Page::from_html("http://e.x/", text).unwrap();
            let read = page.items::<Entry>("feed:");
            let read = read.map(|entries| entries.len().to_string());
            assert_eq!(
                read.unwrap_or_else(|error| error.to_string()),
                why,
                "{text}"
            );
        };
        check(
            "<html><p>x",
            "the page is no feed: neither RSS nor Atom nor JSON Feed",
        );
        check("{}", "the page is no feed: it is JSON without `items`");
        check("<rss><channel></channel></rss>", "0");
    }
}
