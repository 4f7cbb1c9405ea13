//! What a site says to robots: robots.txt, sitemaps, a feed.

use std::io::Write;
use std::ops::Range;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;

use super::call::Call;
use super::html::{Html, Text};
use super::product::{CATEGORIES, slug};
use super::reply::Reply;
use super::state::State;
use super::template::View;

/// Books in a sitemap.
const PER_MAP: usize = 400;
/// Books in the feed.
const NEWEST: usize = 20;
const XML: &str = "application/xml; charset=utf-8";
const HEADER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

pub(super) fn robots(state: &State, call: &Call) -> Reply {
    if let Some((status, text)) = &state.options.robots {
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
        return Reply::new("text/plain; charset=utf-8", text.clone()).with_status(status);
    }
    let origin = call.origin();
    let text = format!("User-agent: *\nDisallow: /private/\n\nSitemap: {origin}/sitemap.xml\n");
    Reply::new("text/plain; charset=utf-8", text)
}

/// `/sitemap.xml`: the index. The first map has the home page and the lists, the others have the
/// books; the last is compressed.
pub(super) fn index(state: &State, call: &Call) -> Reply {
    let origin = call.origin();
    let mut xml = Html::default();
    writeln!(xml, "{HEADER}<sitemapindex xmlns=\"{NAMESPACE}\">");
    let last = maps(state.options.products);
    for number in 1..=last {
        let end = if number == last && number > 1 {
            ".xml.gz"
        } else {
            ".xml"
        };
        let at = Text(&origin);
        write!(xml, "<sitemap><loc>{at}/sitemap-{number}{end}</loc>");
        xml.push("<lastmod>2026-11-01T00:00:00Z</lastmod></sitemap>\n");
    }
    xml.push("</sitemapindex>\n");
    Reply::new(XML, xml.into_bytes())
}

fn maps(products: usize) -> usize {
    1 + products.div_ceil(PER_MAP)
}

/// `/sitemap-N.xml` and `/sitemap-N.xml.gz`; both exist for every map. None for another path.
pub(super) fn map(state: &State, call: &Call) -> Option<Reply> {
    let name = call.path.strip_prefix("/sitemap-")?;
    let (number, packed) = match name.strip_suffix(".xml.gz") {
        Some(number) => (number, true),
        None => (name.strip_suffix(".xml")?, false),
    };
    let number: usize = number.parse().ok()?;
    let products = state.options.products;
    if !(1..=maps(products)).contains(&number) {
        return None;
    }
    let xml = if number == 1 {
        lists(&call.origin())
    } else {
        let start = (number - 2) * PER_MAP + 1;
        books(
            &View::new(state, call),
            start..(start + PER_MAP).min(products + 1),
        )
    };
    if packed {
        Some(Reply::new("application/gzip", gzip(&xml)))
    } else {
        Some(Reply::new(XML, xml))
    }
}

fn lists(origin: &str) -> String {
    let mut xml = Html::default();
    writeln!(
        xml,
        "{HEADER}<urlset xmlns=\"{NAMESPACE}\">\n<url><loc>{}/</loc></url>",
        Text(origin)
    );
    for number in 0..CATEGORIES.len() {
        let (at, slug) = (Text(origin), slug(number));
        writeln!(
            xml,
            "<url><loc>{at}/category/{slug}</loc><priority>0.8</priority></url>"
        );
    }
    xml.push("</urlset>\n");
    xml.into_string()
}

fn books(view: &View, ids: Range<usize>) -> String {
    let mut xml = Html::default();
    writeln!(xml, "{HEADER}<urlset xmlns=\"{NAMESPACE}\">");
    for id in ids {
        let at = Text(&view.origin);
        writeln!(
            xml,
            "<url><loc>{at}/book/{id}</loc><lastmod>{}</lastmod></url>",
            date(view, id)
        );
    }
    xml.push("</urlset>\n");
    xml.into_string()
}

fn date(view: &View, id: usize) -> String {
    let modified = view.product(id).modified(view.run);
    let seconds = modified
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    jiff::Timestamp::from_second(seconds as i64)
        .unwrap_or_default()
        .to_string()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail; if it did, the reader would see a broken file.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// `/feed.xml`: RSS 2.0 of the books with the highest numbers.
pub(super) fn feed(state: &State, call: &Call) -> Reply {
    let view = View::new(state, call);
    let at = Text(&view.origin);
    let mut xml = Html::default();
    writeln!(
        xml,
        "{HEADER}<rss version=\"2.0\">\n<channel>\n<title>Orb &amp; Weaver Books</title>\n\
         <link>{at}/</link>\n<description>New books</description>"
    );
    for id in (1..=view.products).rev().take(NEWEST) {
        let product = view.product(id);
        let title = Text(&product.title);
        let date = httpdate::fmt_http_date(product.modified(view.run));
        writeln!(
            xml,
            "<item><title>{title}</title><link>{at}/book/{id}</link>\
             <guid isPermaLink=\"false\">{}</guid><pubDate>{date}</pubDate>\
             <category>{}</category><description>{title}, {}</description></item>",
            product.upc,
            Text(product.category),
            product.price(),
        );
    }
    xml.push("</channel>\n</rss>\n");
    Reply::new("application/rss+xml; charset=utf-8", xml.into_bytes())
}

/// `/private/…`: what robots.txt forbids.
pub(super) fn private(call: &Call) -> Reply {
    let mut html = Html::small("Private");
    writeln!(
        html,
        "<h1>Private</h1>\n<p>{} is not for robots.</p>",
        Text(&call.path)
    );
    html.push("<a href=\"/private/more\">More</a>\n");
    Reply::html(html.end())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::super::client::{ask, get, site};
    use super::super::{Options, Site};

    fn locations(xml: &str) -> Vec<String> {
        let parts = xml
            .split("<loc>")
            .skip(1)
            .filter_map(|part| part.split_once("</loc>"));
        parts.map(|(location, _)| location.to_owned()).collect()
    }

    #[tokio::test]
    async fn robots_txt_says_what_is_private_and_where_the_sitemap_is() {
        let site = site().await;
        let answer = get(&site, "/robots.txt").await;
        assert_eq!(
            answer.text(),
            "User-agent: *\nDisallow: /private/\n\nSitemap: http://shop.test/sitemap.xml\n"
        );
        assert_eq!(get(&site, "/private/notes").await.status, 200);
    }

    #[tokio::test]
    async fn robots_txt_can_be_replaced() {
        let robots = Some((503, "closed".to_owned()));
        let options = Options {
            robots,
            ..Options::default()
        };
        let site = Site::start_with("127.0.0.1:0", options)
            .await
            .expect("a free port");
        let answer = get(&site, "/robots.txt").await;
        assert_eq!((answer.status, answer.text().as_str()), (503, "closed"));
    }

    #[tokio::test]
    async fn the_sitemaps_have_every_book_once() {
        let site = Site::start("127.0.0.1:0").await.expect("a free port");
        let host = [("Host", "a.test:80")];
        let index = ask(&site, "GET", "/sitemap.xml", &host, "")
            .await
            .expect("an answer");
        let maps = locations(&index.text());
        assert_eq!(maps.len(), 4);
        assert!(maps[3].ends_with("/sitemap-4.xml.gz"), "{maps:?}");
        let mut found = Vec::new();
        for (number, map) in maps.into_iter().enumerate() {
            let path = map
                .strip_prefix("http://a.test:80")
                .expect("the asked host");
            let answer = ask(&site, "GET", path, &host, "").await.expect("an answer");
            let mut xml = String::new();
            if number == 3 {
                assert_eq!(answer.header("content-type"), Some("application/gzip"));
                GzDecoder::new(&answer.body[..])
                    .read_to_string(&mut xml)
                    .expect("gzip");
            } else {
                xml = answer.text();
            }
            found.extend(locations(&xml));
        }
        assert_eq!(found.len(), 11 + 1000);
        for id in 1..=1000 {
            assert!(
                found.contains(&format!("http://a.test:80/book/{id}")),
                "{id}"
            );
        }
        for path in [
            "/sitemap-0.xml",
            "/sitemap-5.xml",
            "/sitemap-x.xml",
            "/sitemap-1.txt",
        ] {
            assert_eq!(get(&site, path).await.status, 404, "{path}");
        }
    }

    #[tokio::test]
    async fn the_feed_has_the_newest_books() {
        let site = site().await;
        let text = get(&site, "/feed.xml").await.text();
        assert_eq!(text.matches("<item>").count(), 20);
        assert!(
            text.contains("<link>http://shop.test/book/50</link>"),
            "{text}"
        );
        assert!(!text.contains("/book/30<"));
    }
}
