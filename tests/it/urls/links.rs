//! What becomes of a link's text: bases, odd and invalid URLs, links of headers.

use nephila::request::canonical;

use super::*;

/// The requests that a page makes of its links.
fn links(url: &str, html: &str) -> Vec<String> {
    let page = Page::from_html(url, html).unwrap();
    page.follow("a", Walk::read).unwrap();
    let emitted = page.emitted();
    let links = emitted.requests.iter();
    links.map(|request| request.url.to_string()).collect()
}

#[test]
fn bases() {
    let check = |html: &str, expected: &str| {
        assert_eq!(links("http://e.x/a/b?q", html), [expected], "{html}");
    };
    check("<a href=c>", "http://e.x/a/c");
    check("<base href=/d/><a href=c>", "http://e.x/d/c");
    check("<base href=d/><a href=c>", "http://e.x/a/d/c");
    check("<base href=//f.x><a href=c>", "http://f.x/c");
    check("<base href=?z><a href=''>", "http://e.x/a/b?z");
    check("<base href=''><a href=c>", "http://e.x/a/c");
    check("<base href=' \n/d/ '><a href=c>", "http://e.x/d/c");
    // The first with a href counts, whatever it says.
    check("<base href=/1/><base href=/2/><a href=c>", "http://e.x/1/c");
    check(
        "<base target=_top><base href=/2/><a href=c>",
        "http://e.x/2/c",
    );
    check(
        "<base href=http://[><base href=/2/><a href=c>",
        "http://e.x/a/c",
    );
    check(
        "<base href=data:text/html,x><base href=/2/><a href=c>",
        "http://e.x/a/c",
    );
    check("<base href=javascript:x><a href=c>", "http://e.x/a/c");
    check("<base href=' JAVAscript:x'><a href=c>", "http://e.x/a/c");
    // Anywhere, for links before it, too.
    check("<a href=c></a><base href=/d/>", "http://e.x/d/c");
    check(
        "<body><p><a href=c></a><div><base href=/d/></div>",
        "http://e.x/d/c",
    );
    check(
        "<table><base href=/d/><tr><td><a href=c></table>",
        "http://e.x/d/c",
    );
    // Not where it is no base.
    check("<!-- <base href=/d/> --><a href=c>", "http://e.x/a/c");
    check(
        "<template><base href=/d/></template><a href=c>",
        "http://e.x/a/c",
    );
    check(
        "<noscript><base href=/d/></noscript><a href=c>",
        "http://e.x/a/c",
    );
    check(
        "<svg><g><desc>x</desc><base href=/d/></g></svg><a href=c>",
        "http://e.x/a/c",
    );
    check(
        "<script>'<base href=/d/>'</script><a href=c>",
        "http://e.x/a/c",
    );
    // Absolute links lean on nothing.
    check("<base href=/d/><a href=http://g.x/>", "http://g.x/");
    // A base that is no folder of anything leaves relative links without a meaning.
    assert_eq!(
        links("http://e.x/", "<base href=mailto:ann><a href=c>"),
        [""; 0]
    );
}

/// What a browser would ask for: `origin path` of the canonical form, or why it is none.
fn outcome(href: &str) -> String {
    let href = href.replace('&', "&amp;").replace('"', "&quot;");
    let links = links("http://e.x/a/b?q", &format!("<a href=\"{href}\">"));
    let Some(link) = links.first() else {
        return "no URL".to_owned();
    };
    match canonical(&link.parse().unwrap(), 8192) {
        Ok((origin, path)) if origin == "http://e.x" => path,
        Ok((origin, path)) => format!("{origin} {path}"),
        Err(nephila::request::Uncrawlable::Scheme(scheme)) => format!("{scheme}:"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn odd_urls() {
    let mut wrong = Vec::new();
    for (href, expected) in ODD {
        let found = outcome(href);
        if found != *expected {
            wrong.push(format!(
                "        ({href:?}, {found:?}),  // not {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ODD.len() >= 80, "{}", ODD.len());
    let long = format!("/{}", "x".repeat(8_192 - "http://e.x/".len()));
    assert_eq!(outcome(&long), long);
    let longer = "/x".repeat(500_000);
    // It is counted and not kept.
    assert_eq!(outcome(&longer), "no URL");
    let longer = format!("http://e.x{longer}").parse().unwrap();
    let error = canonical(&longer, 8192).unwrap_err().to_string();
    assert_eq!(error, "1000010 bytes long, the limit is 8192");
}

/// A link on `http://e.x/a/b?q`, and what it means.
const ODD: &[(&str, &str)] = &[
    ("", "/a/b?q"),
    (" ", "/a/b?q"),
    ("#", "/a/b?q"),
    ("#top", "/a/b?q"),
    ("?", "/a/b?"),
    ("?x", "/a/b?x"),
    ("?x#y", "/a/b?x"),
    (".", "/a/"),
    ("..", "/"),
    ("../..", "/"),
    ("../../..", "/"),
    ("./c", "/a/c"),
    ("c/../d", "/a/d"),
    ("c/./d/.", "/a/c/d/"),
    ("%2e%2e/c", "/c"),
    ("%2E/c", "/a/c"),
    (".%2e/c", "/c"),
    ("c%2fd", "/a/c%2fd"),
    ("c//d", "/a/c//d"),
    ("//", "no URL"),
    // Browsers take these for `//c`.
    ("///c", "no URL"),
    ("////c", "no URL"),
    ("//f.x", "http://f.x /"),
    ("//f.x/c", "http://f.x /c"),
    ("/\\f.x/c", "http://f.x /c"),
    ("\\c", "/c"),
    ("\\\\f.x\\c", "http://f.x /c"),
    ("c\\d", "/a/c/d"),
    ("c?d\\e", "/a/c?d\\e"),
    (" c ", "/a/c"),
    ("\tc\n", "/a/c"),
    ("c\td", "/a/cd"),
    ("c\r\nd", "/a/cd"),
    ("java\nscript:x", "javascript:"),
    ("ht\ttp://f.x/", "http://f.x /"),
    ("\u{a0}c", "/a/%C2%A0c"),
    ("c\u{a0}", "/a/c%C2%A0"),
    ("\u{3000}c", "/a/%E3%80%80c"),
    ("\u{1}c", "/a/c"),
    ("c\u{7f}", "/a/c%7F"),
    ("c d", "/a/c%20d"),
    ("c?d e", "/a/c?d%20e"),
    ("c\u{e4}?\u{e4}", "/a/c%C3%A4?%C3%A4"),
    ("c%", "/a/c%"),
    ("c%zz", "/a/c%zz"),
    ("c%e4", "/a/c%e4"),
    ("c%C3%A4", "/a/c%C3%A4"),
    ("C%7e~", "/a/C%7e~"),
    ("c|d", "/a/c|d"),
    ("c?'d'", "/a/c?%27d%27"),
    ("c?<d>", "/a/c?%3Cd%3E"),
    ("c`d", "/a/c%60d"),
    ("c{d}", "/a/c%7Bd%7D"),
    ("c^d[e]", "/a/c^d[e]"),
    ("c?a[]=1&a[]=2", "/a/c?a[]=1&a[]=2"),
    ("c?&&", "/a/c?&&"),
    ("c;v=1", "/a/c;v=1"),
    ("c:d", "c:"),
    ("./c:d", "/a/c:d"),
    ("1:2", "/a/1:2"),
    ("+x:1", "/a/+x:1"),
    ("-x:1", "/a/-x:1"),
    ("http:c", "/a/c"),
    ("http:/c", "/c"),
    ("http:///f.x/c", "http://f.x /c"),
    ("http:", "/a/b?q"),
    ("http:?z", "/a/b?z"),
    ("https:c", "https://c /"),
    ("http://", "no URL"),
    ("http:///", "no URL"),
    ("http://?", "no URL"),
    ("http://#", "no URL"),
    ("http:\\\\f.x\\c", "http://f.x /c"),
    ("HTTP://F.X/C", "http://f.x /C"),
    ("https://f.x", "https://f.x /"),
    ("http://f.x:80/", "http://f.x /"),
    ("https://f.x:443/", "https://f.x /"),
    ("http://f.x:443/", "http://f.x:443 /"),
    ("http://f.x:/", "http://f.x /"),
    ("http://f.x:0/", "http://f.x:0 /"),
    ("http://f.x:00080/", "http://f.x /"),
    ("http://f.x:65535/", "http://f.x:65535 /"),
    ("http://f.x:65536/", "no URL"),
    ("http://f.x:8o/", "no URL"),
    ("http://f.x:-1/", "no URL"),
    ("http://ann@f.x/", "http://f.x /"),
    ("http://ann:pw@f.x/", "http://f.x /"),
    ("http://:@f.x/", "http://f.x /"),
    ("http://a@b@f.x/", "http://f.x /"),
    ("http://ann:pw@/", "no URL"),
    ("http://f.x\\@g.x/", "http://f.x /@g.x/"),
    (
        "http://b\u{fc}cher.example/",
        "http://xn--bcher-kva.example /",
    ),
    (
        "http://B\u{dc}CHER.example/",
        "http://xn--bcher-kva.example /",
    ),
    ("http://fa\u{df}.example/", "http://xn--fa-hia.example /"),
    (
        "http://xn--bcher-kva.example/",
        "http://xn--bcher-kva.example /",
    ),
    ("http://xn--/", "no URL"),
    ("http://xn--a/", "no URL"),
    ("http://\u{ff26}.\u{ff38}/", "http://f.x /"),
    ("http://f\u{3002}x/", "http://f.x /"),
    ("http://f.x./", "http://f.x. /"),
    ("http://.f.x/", "http://.f.x /"),
    ("http://f..x/", "http://f..x /"),
    ("http://-f.x/", "http://-f.x /"),
    ("http://f_g.x/", "http://f_g.x /"),
    ("http://f g.x/", "no URL"),
    ("http://f%20g.x/", "no URL"),
    ("http://%66.x/", "http://f.x /"),
    ("http://f.x%00/", "no URL"),
    ("http://f\u{ad}.x/", "http://f.x /"),
    ("http://f<.x/", "no URL"),
    ("http://[::1]/", "http://[::1] /"),
    ("http://[::ffff:1.2.3.4]/", "http://[::ffff:102:304] /"),
    ("http://[1::2::3]/", "no URL"),
    ("http://[::1/", "no URL"),
    ("http://::1/", "no URL"),
    ("http://[::1%25eth0]/", "no URL"),
    ("http://127.1/", "http://127.0.0.1 /"),
    ("http://0x7f000001/", "http://127.0.0.1 /"),
    ("http://017700000001/", "http://127.0.0.1 /"),
    ("http://2130706433/", "http://127.0.0.1 /"),
    ("http://256.1.1.1/", "no URL"),
    ("http://1.2.3/", "http://1.2.0.3 /"),
    ("http://1.2.3.4.5/", "no URL"),
    ("http://0x/", "http://0.0.0.0 /"),
    ("http://1.2.3.08/", "no URL"),
    ("mailto:ann@e.x", "mailto:"),
    ("javascript:void(0)", "javascript:"),
    ("JavaScript:x", "javascript:"),
    ("data:text/html,x", "data:"),
    ("tel:123", "tel:"),
    ("ftp://f.x/", "ftp:"),
    ("file:///etc/passwd", "file:"),
    ("file:c", "file:"),
    ("ws://f.x/", "ws:"),
    ("about:blank", "about:"),
    ("blob:http://f.x/1", "blob:"),
    ("view-source:http://f.x/", "view-source:"),
    ("x-y.z+1:a", "x-y.z+1:"),
    ("urn:isbn:1", "urn:"),
    ("c#d#e", "/a/c"),
    ("c?d#e?f", "/a/c?d"),
    ("c??d", "/a/c??d"),
    ("c?d=%26&e=%3D", "/a/c?d=%26&e=%3D"),
    ("\u{202e}c", "/a/%E2%80%AEc"),
    ("\u{feff}c", "/a/%EF%BB%BFc"),
    ("\u{1f600}", "/a/%F0%9F%98%80"),
    ("c\0d", "/a/c%EF%BF%BDd"),
    ("www.f.x", "/a/www.f.x"),
    ("f.x/c", "/a/f.x/c"),
    ("{{ url }}", "/a/%7B%7B%20url%20%7D%7D"),
    ("<%= url %>", "/a/%3C%=%20url%20%%3E"),
    ("${url}", "/a/$%7Burl%7D"),
    ("undefined", "/a/undefined"),
    ("null", "/a/null"),
    ("%", "/a/%"),
    ("?%", "/a/b?%"),
    ("&", "/a/&"),
    ("=", "/a/="),
    ("c&amp;d", "/a/c&amp;d"),
];

#[test]
fn links_of_headers() {
    let page = |values: &[&str]| {
        let url = "http://e.x/api/items?page=1".parse().unwrap();
        let mut response = nephila::request::Response::new(url, "<base href=/other/>");
        for value in values {
            response.headers.append("link", value.parse().unwrap());
        }
        response
            .headers
            .append("content-type", "text/html".parse().unwrap());
        Page::new(response, nephila::page::Context::default())
    };
    let next = |values: &[&str]| page(values).header_link("next").map(String::from);
    let two = [
        "</first>; rel=first, <?page=0>; rel=prev",
        "<?page=2>; rel=\"NEXT last\"",
    ];
    assert_eq!(next(&two).as_deref(), Some("http://e.x/api/items?page=2"));
    assert_eq!(page(&two).header_links().len(), 3);
    assert_eq!(
        next(&["<http://[>; rel=next, <x>; rel=next"]).as_deref(),
        Some("http://e.x/api/x")
    );
    assert_eq!(next(&["</x>; rel=prev"]), None);
    assert_eq!(next(&[]), None);
}

#[tokio::test]
async fn a_list_goes_on_by_its_header() {
    #[derive(Default, serde::Deserialize)]
    struct Paged {
        start: String,
    }
    #[spider]
    impl Paged {
        async fn start(&self, seeds: Seeds) -> Result {
            seeds.push(&self.start, Self::list).await
        }
        async fn list(&self, page: Page) -> Result<Seen> {
            if let Some(next) = page.header_link("next") {
                page.visit(next, Self::list)?;
            }
            Ok(Seen::of(&page))
        }
    }
    let web = Web::serve(|hit: &Hit| {
        let number: u32 = hit.path.trim_start_matches("/?page=").parse().unwrap_or(0);
        let json = Answer::empty(200);
        match number {
            1..5 => json.with("Link", &format!("<?page={}>; rel=next", number + 1)),
            _ => json,
        }
    })
    .await;
    let start = web.url("/?page=1").to_string();
    let report = Crawl::new(Paged { start }).db("sqlite::memory:").run();
    assert_eq!(report.await.unwrap().statistics.item_count(), 5);
}
