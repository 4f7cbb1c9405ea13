use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::Context;
use super::*;
use crate::request::Response;

const HOST: &str = "http://e.x/";

fn page(path: &str, body: impl Into<Vec<u8>>) -> Page {
    let url = Url::parse(HOST).and_then(|host| host.join(path)).unwrap();
    let context = Context {
        links: crate::page::LinkLimits {
            count: 3,
            ..Default::default()
        },
        ..Context::default()
    };
    Page::new(Response::new(url, body.into()), context)
}

/// Paths of pages, `[path]` of sitemaps, with the date where there is one, and the error.
fn read(sitemap: Sitemap<'_>) -> String {
    let mut all = Vec::new();
    for entry in sitemap {
        match entry {
            Err(error) => all.push(error.to_string()),
            Ok(entry) => {
                let mut text = entry.url.as_str().replace(HOST, "/");
                if entry.is_map {
                    text = format!("[{text}]");
                }
                if let Some(moment) = entry.lastmod {
                    write!(text, "@{}", moment.strftime("%Y-%m-%d")).unwrap();
                }
                all.push(text);
            }
        }
    }
    all.join(" ")
}

fn check(path: &str, body: impl Into<Vec<u8>>, expected: &str) {
    let page = page(path, body);
    let found = page.sitemap().map_or_else(|error| error.to_string(), read);
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(page.body()));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn kinds() {
    check(
        "robots.txt",
        "User-agent: *\nSitemap: /a.xml\nsitemap: http://e.x/b",
        "[/a.xml] [/b]",
    );
    check(
        "a",
        "http://e.x/1\r\n\n nonsense\nftp://e.x/2\nhttp://e.x/3",
        "/1 /3",
    );
    check(
        "a",
        "<sitemapindex><sitemap><loc>/1</loc><lastmod>2026-01-02</lastmod></sitemap></sitemapindex>",
        "[/1]@2026-01-02",
    );
    check("a", "<urlset/>", "");
    check(
        "a",
        "<urlset><url><loc>/1</loc></url><sitemap><loc>/2</loc></sitemap></urlset>",
        "/1 [/2]",
    );
    check(
        "a",
        "<?xml version='1.0'?><rss><channel><link>/</link><title>t</title><item><title>a</title>\
         <atom:link href='/no'/><link>/1</link><pubDate>Sat, 03 Jan 2026 10:00:00 GMT</pubDate></item>\
         <item><guid isPermaLink='false'>7</guid></item><item><guid>http://e.x/2</guid></item></channel></rss>",
        "/1@2026-01-03 /2",
    );
    check(
        "a",
        "<rdf:RDF><channel><link>/</link></channel><item><link>/1</link><dc:date>2026-01-04</dc:date></item></rdf:RDF>",
        "/1@2026-01-04",
    );
    check(
        "a",
        "<feed><link href='/'/><entry><link rel='edit' href='/e'/><link href='/1'/><link rel='alternate' \
         href='/2'/><published>2025-01-01</published><updated>2026-01-05</updated></entry></feed>",
        "/1@2026-01-05",
    );
}

#[test]
fn what_is_none() {
    check("a", "", "no sitemap: neither XML nor a list of URLs");
    check(
        "a",
        "not found",
        "no sitemap: neither XML nor a list of URLs",
    );
    check(
        "a",
        "<!DOCTYPE html><html><body>",
        "no sitemap: it begins with `<html`",
    );
    check(
        "a",
        "<a",
        "the sitemap is broken at byte 0: syntax error: tag not closed: `>` not found before end of input",
    );
    check("a", "<!-- only -->", "the sitemap ends early, at byte 13");
    check("a", gzip(b"").split_at(4).0, "the sitemap can't be read on");
}

#[test]
fn broken_files_are_read_as_far_as_they_go() {
    check(
        "a",
        "<urlset><url><loc>/1</loc></url><url><loc>/2</lo",
        "/1 /2 the sitemap is broken at byte 44: syntax error: tag not closed: `>` not found before \
         end of input",
    );
    // Who knows how long that URL was.
    check(
        "a",
        "<urlset><url><loc>/1</loc></url><url><loc>/2",
        "/1 the sitemap ends early, at byte 44",
    );
    check(
        "a",
        "<urlset><url><loc>/1<url><loc>/2</url><loc>/3</urlset>",
        "/1 /2 /3",
    );
    check(
        "a",
        "<urlset><url><loc>/1</loc><loc>/2</loc></b></url></urlset>junk<",
        "/1 /2",
    );
    check(
        "a",
        "<urlset><url><loc>/1?a=1&b=2&amp;c=&nbsp;&#51;</loc></url></urlset>",
        "/1?a=1&b=2&c=&nbsp;3",
    );
    check(
        "a",
        "<urlset><url><loc>e.x/1</loc></url><url><loc>mailto:a@e.x</loc></url></urlset>",
        "/1",
    );
    let packed = gzip("<urlset><url><loc>/1</loc></url>".as_bytes());
    let cut = &packed[..packed.len() - 8];
    check("a", cut, "/1 the sitemap can't be read on");
}

#[test]
fn no_entity_is_expanded_and_no_file_read() {
    let body = "<!DOCTYPE urlset [<!ENTITY a \"aaaa\"><!ENTITY b SYSTEM \"file:///etc/passwd\">]>\
                <urlset><url><loc>/1&a;&b;</loc></url></urlset>";
    check("a", body, "/1&a;&b;");
}

#[test]
fn charsets() {
    let text =
        "<?xml version=\"1.0\" encoding=\"latin1\"?><urlset><url><loc>/\u{e9}</loc></url></urlset>";
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    check("a", latin, "/%C3%A9");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(
        "a",
        [b"\xff\xfe".to_vec(), utf16.clone()].concat(),
        "/%C3%A9",
    );
    check("a", utf16, "/%C3%A9");
    check(
        "a",
        "\u{feff}<urlset><url><loc>\u{a0}/\u{e9} </loc></url></urlset>",
        "/%C3%A9",
    );
    check(
        "a",
        b"<urlset><url><loc>/\xff</loc></url></urlset>".as_slice(),
        "/%EF%BF%BD",
    );
}

#[test]
fn extensions() {
    let body = "<s:urlset xmlns:s='x'><s:url><s:loc>/1</s:loc>
        <xhtml:link rel='alternate' hreflang='de' href='/de?a=1&amp;b'/>
        <image:image><image:loc>/i.png</image:loc><image:title>t</image:title></image:image>
        <video:video><video:title>v &amp; w</video:title><video:content_loc>/v.mp4</video:content_loc>
        <video:tag><b/></video:tag><video:thumbnail_loc>/t.png</video:thumbnail_loc></video:video>
        <news:news><news:publication><news:name>Times</news:name><news:language>en</news:language>
        </news:publication><news:publication_date>2026-01-02</news:publication_date>
        <news:title>Silk</news:title></news:news><s:priority>0.7</s:priority><s:changefreq> Weekly
        </s:changefreq></s:url><s:url><s:loc>/2</s:loc><s:priority>7</s:priority></s:url></s:urlset>";
    let page = page("a", body);
    let all: Vec<_> = page
        .sitemap()
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    let first = &all[0];
    assert_eq!(
        (first.priority, first.changefreq),
        (Some(0.7), Some(ChangeFreq::Weekly))
    );
    assert_eq!(first.alternates[0].hreflang, "de");
    assert_eq!(first.alternates[0].url.as_str(), "http://e.x/de?a=1&b");
    assert_eq!(first.images[0].path(), "/i.png");
    let video = &first.videos[0];
    assert_eq!(video.title.as_deref(), Some("v & w"));
    assert_eq!(video.content.as_ref().map(Url::path), Some("/v.mp4"));
    assert_eq!(video.thumbnail.as_ref().map(Url::path), Some("/t.png"));
    let news = first.news.as_ref().unwrap();
    assert_eq!(news.title.as_deref(), Some("Silk"));
    assert_eq!(news.publication.as_deref(), Some("Times"));
    assert_eq!(news.language.as_deref(), Some("en"));
    assert!(news.published.is_some());
    assert_eq!(
        all[1],
        SitemapEntry::new("http://e.x/2".parse().unwrap(), false)
    );
}

#[test]
fn filters() {
    let body = "<urlset><url><loc>/book/1</loc><lastmod>2026-01-01</lastmod></url>\
        <url><loc>/book/2</loc><lastmod>2026-01-03</lastmod></url><url><loc>/a</loc></url>\
        <sitemap><loc>/m</loc></sitemap><sitemap><loc>/n</loc><lastmod>2025-01-01</lastmod></sitemap></urlset>";
    let page = page("book/map.xml", body);
    let map = || page.sitemap().unwrap();
    let since: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    assert_eq!(read(map().since(since)), "/book/2@2026-01-03 /a [/m]");
    assert_eq!(read(map().since(None)).split(' ').count(), 5);
    let books = map().only("/book/*").unwrap().since(since);
    assert_eq!(read(books), "/book/2@2026-01-03 [/m]");
    assert!(read(map().strict()).starts_with("/book/1@2026-01-01 /book/2@2026-01-03 [/m]"));
    let two = map().only("/a").unwrap().only("*2").unwrap();
    assert_eq!(read(two).split(' ').count(), 4);
    assert!(map().only("re:(").is_err());
    // Who leaves out everything is told so.
    let step = || crate::request::StepRef::named("a");
    let followed = map().only("/book/*").unwrap().follow(step(), step());
    assert_eq!(followed.unwrap().pages, 2);
    assert!(page.emitted().missed.is_empty());
    let page = self::page("book/map.xml", body);
    let map = || page.sitemap().unwrap();
    let followed = map().only("/boks/*").unwrap().follow(step(), step());
    assert_eq!(followed.unwrap().maps, 2);
    assert_eq!(page.emitted().missed, ["only /boks/*"]);
}

#[test]
fn languages() {
    let link = |hreflang: &str| {
        format!("<xhtml:link rel='alternate' hreflang='{hreflang}' href='/{hreflang}/1'/>")
    };
    let links = ["en", "de-AT", "de", "den", "x-default"].map(link).concat();
    let body = format!(
        "<urlset><url><loc>/en/1</loc><lastmod>2026-01-01</lastmod>{links}</url>\
         <url><loc>/de/1</loc>{links}</url><url><loc>/only</loc></url><sitemap><loc>/m</loc></sitemap></urlset>"
    );
    let page = page("map.xml", body);
    let check = |languages: &[&str], expected: &str| {
        let map = page.sitemap().unwrap();
        let map = languages.iter().fold(map, |map, own| map.language(own));
        assert_eq!(read(map), expected, "{languages:?}");
    };
    check(&[], "/en/1@2026-01-01 /de/1 /only [/m]");
    check(&["DE"], "/de-AT/1@2026-01-01 /de/1@2026-01-01 /only [/m]");
    check(&["fr"], "/only [/m]");
    check(
        &["en", "x-default"],
        "/en/1@2026-01-01 /x-default/1@2026-01-01 /only [/m]",
    );
    let all = page.sitemap().unwrap().language("*");
    assert_eq!(read(all).split(' ').count(), 7);
    let austrian = page
        .sitemap()
        .unwrap()
        .language("de")
        .only("/de-*/*")
        .unwrap();
    assert_eq!(read(austrian), "/de-AT/1@2026-01-01 [/m]");
}

/// Kilobytes that unpack to megabytes without an end of tag, text or nesting.
#[test]
fn depth_and_length_are_bounded() {
    let check = |head: &str, unit: &str, expected: &str| {
        let page = page(
            "a",
            gzip((head.to_owned() + &unit.repeat(300_000)).as_bytes()),
        );
        assert!(page.body().len() < 40_000);
        let mut all = page.sitemap().unwrap();
        let error = match all.next() {
            Some(Err(SitemapError::Read(error))) => error.to_string(),
            other => other.unwrap().unwrap_err().to_string(),
        };
        assert!(error.starts_with(expected), "{head} {unit}: {error}");
        assert!(all.next().is_none());
    };
    let long = "a tag or text is longer than 1048576 bytes";
    check("<urlset><!-- ", "aaaaaaaa", long);
    check("<urlset><url><loc>", "aaaaaaaa", long);
    check("<urlset><url a='", "aaaaaaaa", long);
    check("http://e.x/", "aaaaaaaa", long);
    check(
        "<urlset>",
        "<a><b>",
        "the sitemap is nested too deeply, at byte ",
    );
}

#[test]
fn links_beyond_the_limit_are_counted_and_not_made() {
    let mut body = "<urlset>".to_owned();
    for number in 0..10 {
        write!(body, "<url><loc>/{number}</loc></url>").unwrap();
    }
    let page = page("a", body + "<url><loc>ftp://e.x/</loc></url>");
    let step = || crate::request::StepRef::named("a");
    let followed = page.sitemap().unwrap().follow(step(), step()).unwrap();
    assert_eq!((followed.maps, followed.pages), (0, 3));
    assert!(matches!(followed.broken, Some(SitemapError::EndsEarly(_))));
    let emitted = page.take_emitted();
    assert_eq!(emitted.requests.len(), 3);
    assert_eq!(emitted.surplus, Some((7, "http://e.x/3".to_owned())));
    assert_eq!(emitted.invalid_links, Some((1, "ftp://e.x/".to_owned())));
}
