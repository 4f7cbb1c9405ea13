//! The list of everything, for people. No page of the shop links here.

use super::html::{Html, Text};
use super::reply::Reply;

/// Address and meaning.
const EXHIBITS: &[(&str, &str)] = &[
    ("/", "the shop: lists, books, categories"),
    ("/?layout=2", "the shop after a redesign"),
    ("/?run=2", "the shop with other prices"),
    ("/login", "a login with a CSRF token: ann, secret"),
    ("/orders", "what is behind it"),
    ("/api/quotes?page=1", "a JSON API"),
    ("/scroll", "a page that scrolls without an end"),
    ("/js", "a page that is filled by its script"),
    ("/robots.txt", "rules for robots"),
    ("/private/notes", "what they forbid"),
    ("/sitemap.xml", "sitemaps, one of them compressed"),
    ("/feed.xml", "an RSS feed"),
    (
        "/redirect/301?to=/book/1",
        "a redirect (302, 303, 307, 308 too)",
    ),
    ("/redirect/chain/5", "a chain of them"),
    ("/redirect/loop/a", "a loop"),
    (
        "/redirect/cookie",
        "a redirect to itself that sets a cookie",
    ),
    (
        "/redirect/bad",
        "a bad Location (bytes, none, empty, scheme too)",
    ),
    ("/echo", "the request as JSON"),
    ("/slow?ms=500", "a slow page"),
    ("/flaky/503/2/a", "503 twice, then a page"),
    ("/flaky/429/1/a?after=3", "429 once, Retry-After 3"),
    ("/reset", "a connection that is reset"),
    ("/reset/body", "a body that is cut short"),
    ("/status/410", "any status"),
    ("/charset", "charsets"),
    ("/encoding", "content encodings"),
    ("/graph/0?of=600", "a web of 600 tiny pages"),
    ("/hostile/deep?n=40000", "40 000 nested elements"),
    ("/hostile/fonts", "unclosed elements"),
    ("/hostile/attributes", "100 000 attributes"),
    ("/hostile/bomb?mb=32", "a compressed bomb"),
    ("/hostile/endless", "a body without an end"),
    ("/hostile/trap", "a calendar without an end"),
];

/// `/zoo`.
pub(super) fn reply() -> Reply {
    let mut html = Html::small("The zoo");
    html.push("<h1>The zoo</h1>\n<dl>\n");
    for (path, meaning) in EXHIBITS {
        let path = Text(path);
        writeln!(
            html,
            "<dt><a href=\"{path}\">{path}</a></dt>\n<dd>{meaning}</dd>"
        );
    }
    html.push("</dl>\n");
    Reply::html(html.end())
}

#[cfg(test)]
mod tests {
    use super::super::client::{ask, get, site};

    #[tokio::test]
    async fn every_exhibit_is_there() {
        let site = site().await;
        let links = get(&site, "/zoo").await.links();
        assert_eq!(links.len(), super::EXHIBITS.len());
        let finite = links.iter().filter(|link| !link.ends_with("/endless"));
        for link in finite {
            match ask(&site, "GET", link, &[], "").await {
                Ok(answer) => assert_ne!(answer.status, 404, "{link}"),
                Err(error) => assert!(link.starts_with("/reset"), "{link}: {error}"),
            }
        }
    }
}
