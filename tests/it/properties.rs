//! What a server may write anywhere: never a panic, and never more work than its length is worth.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use nephila::clock::thread_cpu;
use nephila::fetch::Jar;
use nephila::policy::retry::parse_retry_after;
use nephila::policy::robots::Robots;
use nephila::prelude::*;
use nephila::request::{Refresh, WebLink, canonical, charset};
use proptest::prelude::*;

fn url() -> Url {
    "http://shop.example/a/b".parse().expect("a URL")
}

fn set_cookies(fields: &[Vec<u8>]) -> Jar {
    let values = fields
        .iter()
        .filter_map(|field| HeaderValue::from_bytes(field).ok());
    let headers: HeaderMap = values.map(|value| (header::SET_COOKIE, value)).collect();
    let jar = Jar::new();
    jar.store(&url(), &headers);
    jar
}

fn cookie() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "a",
        "=",
        ";",
        " ",
        "Path=/",
        "Domain=",
        "shop.example",
        ".example",
        "co.uk",
        "Max-Age=",
        "-1",
        "99999999999999999999",
        "Expires=",
        "Wed, 21 Oct 2099 07:28:00 GMT",
        "Secure",
        "HttpOnly",
        "SameSite=None",
        "__Host-a",
        "\"",
        ",",
        "\u{e9}",
        "\t",
        "Partitioned",
    ]);
    let written =
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![written, prop::collection::vec(any::<u8>(), 0..60)]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        b"<meta charset=".as_slice(),
        b"utf-8",
        b"utf-16",
        b"shift_jis",
        b"'",
        b"\"",
        b">",
        b"<",
        b"<!--",
        b"-->",
        b"<meta http-equiv=content-type content='text/html; charset=",
        b"charset",
        b"=",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\0",
        b"\x1b$B",
        b"\x81\x30",
        b"\xed\xa0\x80",
        b"</",
        b"<script>",
        b"/",
        b" ",
        b"x-user-defined",
        b"\xc3\xa9",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cookies(fields in prop::collection::vec(cookie(), 0..20), to in "https?://[a-z.:/0-9]{1,20}") {
        let jar = set_cookies(&fields);
        let other = to.parse().unwrap_or_else(|_| url());
        for url in [url(), other] {
            let sent = jar.cookie_header(&url);
            let text = sent.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            prop_assert!(!text.contains(['\r', '\n', '\0']));
            prop_assert!(sent.is_none() || url.host_str() == Some("shop.example"), "{url} got {text}");
        }
        let stored = jar.take_changed();
        Jar::new().load(stored);
    }

    #[test]
    fn links_and_refreshes(text in "(<|>|;|,|=|url|rel|[*]|\"|'|\\\\| |[0-9]|[.]|/|%|\\PC){0,60}") {
        for link in WebLink::parse(&text) {
            prop_assert!(link.target.len() <= text.len());
            let _ = link.has_rel("next");
        }
        if let Some(refresh) = Refresh::parse(&text) {
            prop_assert!(text.contains(refresh.target));
        }
    }

    #[test]
    fn canonical_forms(link in "(https?:|/|\\\\|@|:|[?]|#|[.]{1,2}|%[0-9a-g]{0,2}|\\[|\\]|[0-9]|xn--|\\PC){0,40}") {
        if let Ok(url) = url().join(&link)
            && let Ok((origin, path)) = canonical(&url, 8192)
        {
            let again: Url = format!("{origin}{path}").parse().expect("a canonical URL is one");
            prop_assert_eq!(canonical(&again, 8192).expect("it stays so"), (origin, path));
        }
    }

    #[test]
    fn charsets(body in body(), label in "(text/html; ?charset=)?[a-z0-9_-]{0,12}|.{0,40}") {
        let (text, _) = charset::decode(Some(&label), &body);
        prop_assert!(text.len() <= body.len() * 3 + 3);
        prop_assert_eq!(charset::decode(Some(&label), &body).0, text);
    }
}

/// How much dearer `work` is for ten times as much.
fn ratio(small: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut least = |size| {
        let cost = |_| {
            let before = thread_cpu();
            work(size);
            thread_cpu().saturating_sub(before)
        };
        (0..3).map(cost).min().unwrap_or_default()
    };
    let (one, ten) = (least(small), least(small * 10));
    ten.as_secs_f64() / one.max(Duration::from_micros(20)).as_secs_f64()
}

fn check(name: &str, piece: &str, read: impl Fn(&str)) {
    let small = 20_000 / piece.len();
    let texts = [piece.repeat(small), piece.repeat(small * 10)];
    let ratio = ratio(small, |size| read(&texts[usize::from(size > small)]));
    // Quadratic work would be a hundred times as much.
    assert!(
        ratio < 40.0,
        "{name} of {piece:?}: {ratio:.0} times the work for ten times the text"
    );
}

#[test]
fn work_is_linear() {
    for piece in [
        "a=b; ",
        ";",
        "=",
        "Path=/;",
        "Domain=a.b.c.d.e.f.",
        "Expires=Wed, ",
        "\"",
        " ",
    ] {
        check("Set-Cookie", piece, |text| {
            drop(set_cookies(&[text.as_bytes().to_vec()]));
        });
    }
    for piece in ["1", "Wed, ", " ", "21 Oct 2099 ", "GMT ", "-"] {
        check("Retry-After", piece, |text| {
            let _ = parse_retry_after(text, nephila::clock::now());
        });
    }
    for piece in [
        "<meta ",
        "<meta charset=",
        "<!--",
        "<",
        "charset=",
        "\u{0}",
        "<a b='",
        "caf\u{e9} ",
        "\u{1b}$B",
    ] {
        check("a charset", piece, |text| {
            let _ = charset::decode(None, text.as_bytes());
        });
        check("a label", piece, |text| {
            let _ = charset::decode(Some(text), b"caf\xe9");
        });
    }
    for piece in [
        "<a>; rel=x, ",
        "<",
        ",",
        ";",
        "=",
        "\"",
        "\\",
        "<a>; rel*=utf-8''%",
        " ",
    ] {
        check("Link", piece, |text| drop(WebLink::parse(text)));
    }
    for piece in ["1", ".", " ", "url=", ";", "'", "\"", "0;"] {
        check("Refresh", piece, |text| {
            let _ = Refresh::parse(text);
            let _ = Refresh::parse(&format!("0; url={text}"));
        });
    }
    for piece in [
        "/..", "/.", "%2e", "%", "?", "#", "@", ":", "\\", "\t", "\u{e9}", "a.", "&a=1", "xn--",
        "[",
    ] {
        check("a URL", piece, |text| {
            for text in [
                format!("http://{text}/"),
                format!("http://e.x/{text}"),
                text.to_owned(),
            ] {
                if let Ok(url) = url().join(&text) {
                    let _ = canonical(&url, usize::MAX);
                }
            }
        });
    }
    for piece in [
        "*",
        "a*",
        "Disallow: /*a*b*c$\n",
        "Allow: /\nUser-agent: *\n",
        "\r",
        "#",
        "%",
        "Crawl-delay: 1\n",
        "Sitemap: x\n",
    ] {
        check("robots.txt", piece, |text| {
            let robots = Robots::parse(
                format!("User-agent: *\nDisallow: /{text}").as_bytes(),
                "nephila",
            );
            let _ = robots.verdict(
                "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
            );
        });
    }
}
