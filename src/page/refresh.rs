//! `<meta http-equiv=refresh>`: found without making a tree where there is none.

use std::time::Duration;

use memchr::memchr2_iter;
use url::Url;

use super::{Page, dom};

/// Where the first refresh of a page's HTML leads, as browsers would have it.
pub(super) fn of_html(page: &Page) -> Option<(Duration, Url)> {
    // Every page pays for this look, so it goes for the rarest letter of `http-equiv`.
    if !page.says_html() || !may_refresh(page.text().as_bytes()) {
        return None;
    }
    let contents = dom::refreshes(page.html());
    contents
        .into_iter()
        .find_map(|content| page.led_by(content, page.base()))
}

/// Whether `http-equiv=refresh` may be somewhere in a text.
fn may_refresh(text: &[u8]) -> bool {
    memchr2_iter(b'q', b'Q', text).any(|at| {
        let before = at.checked_sub(6).map(|start| &text[start..at]);
        let after = text.get(at + 1..at + 4);
        before.is_some_and(|before| before.eq_ignore_ascii_case(b"http-e"))
            && after.is_some_and(|after| after.eq_ignore_ascii_case(b"uiv"))
            && begins_refresh(&text[at + 4..])
    })
}

/// Whether the attribute's value begins like `refresh`, or with what may stand for it.
fn begins_refresh(rest: &[u8]) -> bool {
    let value = rest
        .iter()
        .position(|byte| !(byte.is_ascii_whitespace() || matches!(byte, b'=' | b'"' | b'\'')));
    value.is_some_and(|at| matches!(rest[at], b'r' | b'R' | b'&'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: Option<(u64, &str)>) {
        let page = Page::from_html("http://e.x/a/b?c", html).unwrap();
        let refresh = page.refresh();
        let refresh = refresh
            .as_ref()
            .map(|(delay, url)| (delay.as_secs(), url.as_str()));
        assert_eq!(refresh, expected, "{html}");
    }

    #[test]
    fn where_a_page_leads() {
        check(
            "<meta http-equiv=refresh content='0; url=/d'>",
            Some((0, "http://e.x/d")),
        );
        check(
            "<META CONTENT='3;URL=d' HTTP-EQUIV = \"Refresh\">",
            Some((3, "http://e.x/a/d")),
        );
        check(
            "<meta http-equiv='&#114;efresh' content='0;/d'>",
            Some((0, "http://e.x/d")),
        );
        check(
            "<p>x<meta http-equiv=refresh content=0;/d>",
            Some((0, "http://e.x/d")),
        );
        check(
            "<base href=/q/><meta http-equiv=refresh content=0;d>",
            Some((0, "http://e.x/q/d")),
        );
        check(
            "<meta http-equiv=refresh content=0;//f.x/>",
            Some((0, "http://f.x/")),
        );
    }

    #[test]
    fn the_first_that_is_one_counts() {
        check(
            "<meta http-equiv=refresh content=x><meta http-equiv=refresh content='0;/1'>
             <meta http-equiv=refresh content='0;/2'>",
            Some((0, "http://e.x/1")),
        );
        check(
            "<meta http-equiv=refresh content='0;http://['><meta http-equiv=refresh content='0;/1'>",
            Some((0, "http://e.x/1")),
        );
    }

    #[test]
    fn what_is_none() {
        for html in [
            "",
            "<p>http-equiv=refresh</p>",
            "<meta http-equiv=content-type content='0;/d'>",
            "<meta name=refresh content='0;/d'>",
            "<meta http-equiv=refreshing content='0;/d'>",
            "<meta http-equiv=refresh>",
            "<meta http-equiv=refresh content='5'>",
            "<meta http-equiv=refresh content='5;?c'>",
            "<meta http-equiv=refresh content='5;?c#top'>",
            "<meta http-equiv=refresh content='0;javascript:x'>",
            "<meta http-equiv=refresh content='0;data:text/html,x'>",
            "<!-- <meta http-equiv=refresh content='0;/d'> -->",
            "<noscript><meta http-equiv=refresh content='0;/d'></noscript>",
            "<template><meta http-equiv=refresh content='0;/d'></template>",
            "<script>'<meta http-equiv=refresh content=\"0;/d\">'</script>",
            "<textarea><meta http-equiv=refresh content='0;/d'></textarea>",
        ] {
            check(html, None);
        }
    }

    #[test]
    fn the_header_comes_first() {
        let page = |value: &str, html: &str| {
            let mut response =
                crate::request::Response::new("http://e.x/a#f".parse().unwrap(), html.to_owned());
            let headers = &mut response.headers;
            headers.insert("refresh", value.parse().unwrap());
            headers.insert("content-type", "text/html".parse().unwrap());
            Page::new(response, super::super::Context::default())
        };
        let to = |page: Page| page.refresh().map(|(_, url)| url.to_string());
        let meta = "<base href=/q/><meta http-equiv=refresh content='0;meta'>";
        assert_eq!(
            to(page("0;url=header", meta)).as_deref(),
            Some("http://e.x/header")
        );
        assert_eq!(to(page("x", meta)).as_deref(), Some("http://e.x/q/meta"));
        assert_eq!(to(page("5", meta)), None);
        let plain = page("0; /b", "");
        assert_eq!(
            (plain.url().as_str(), plain.fragment()),
            ("http://e.x/a", Some("f"))
        );
    }
}
