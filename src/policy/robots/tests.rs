use proptest::prelude::*;

use super::*;

/// The file for FooBot: the lines given, after `User-agent: FooBot`.
fn for_foobot(lines: &str) -> Robots {
    Robots::parse(format!("User-agent: FooBot\n{lines}").as_bytes(), "FooBot")
}

#[test]
fn longest_rule_wins_and_allow_wins_ties() {
    let check = |lines: &str, path: &str, allowed: bool, line: Option<u32>| {
        let robots = for_foobot(lines);
        let verdict = robots.verdict(path);
        let found = (verdict.allowed, verdict.rule.map(|rule| rule.line));
        assert_eq!(found, (allowed, line), "{lines:?} on {path}");
    };
    check("Disallow: /a\nAllow: /a/b", "/a/b/c", true, Some(3));
    check("Allow: /a/b\nDisallow: /a", "/a/c", false, Some(3));
    check("Disallow: /a\nAllow: /a", "/a", true, Some(3));
    check("Allow: /a\nDisallow: /*.html", "/a.html", false, Some(3));
    check("Allow: /a\nDisallow: /a$", "/a", false, Some(3));
    check("Disallow: /a\nDisallow: /b", "/c", true, None);
    check("Disallow:", "/a", true, None);
    check("Allow:\nDisallow: /", "/a", false, Some(3));
    check("Disallow: /", "/robots.txt", true, None);
    check("Disallow: /", "/robots.txt.bak", false, Some(2));
    check("Allow: /d/index.html\nDisallow: /", "/d/", true, Some(2));
    check("Allow: /d/index.html\nDisallow: /", "/d/x", false, Some(3));
    check("Allow: /\nDisallow: /d/index.html", "/d/", true, Some(2));
}

#[test]
fn typos_are_understood() {
    let check = |line: &str, blocks: bool| {
        assert_eq!(!for_foobot(line).verdict("/a").allowed, blocks, "{line}");
    };
    for key in
        "Disallow DISALLOW dissallow dissalow disalow diasllow disallaw disallowed".split(' ')
    {
        check(&format!("{key}: /a"), true);
        check(&format!("{key} /a"), true);
    }
    check("disllow: /a", false);
    check("noindex: /a", false);
    for agent in [
        "user-agent:",
        "useragent:",
        "user agent:",
        "User-Agent",
        "User-agent :",
    ] {
        let body = format!("{agent} FooBot\nDisallow: /a");
        assert!(
            !Robots::parse(body.as_bytes(), "foobot")
                .verdict("/a")
                .allowed,
            "{agent}"
        );
    }
}

#[test]
fn groups_that_apply() {
    let check = |body: &str, agent: &str, blocked: &str| {
        let robots = Robots::parse(body.as_bytes(), agent);
        let found: String = ["/a", "/b", "/c"]
            .into_iter()
            .filter(|path| !robots.verdict(path).allowed)
            .map(|path| path.trim_start_matches('/'))
            .collect();
        assert_eq!(found, blocked, "{agent} in {body:?}");
    };
    let groups = "Disallow: /c\nUser-agent: One\nUser-agent: Two\nDisallow: /a\n\
                  User-agent: *\nDisallow: /b\nUser-agent: two\nDisallow: /c\n";
    check(groups, "one", "a");
    check(groups, "TWO", "ac");
    check(groups, "three", "b");
    check(groups, "on", "b");
    check(groups, "*", "b");
    check(groups, "", "b");
    // a group without rules is a group
    check("User-agent: *\nDisallow: /a\nUser-agent: One", "one", "");
    // only rules part groups
    check(
        "User-agent: One\n\nSitemap: x\nFoo: 1\nCrawl-delay: 1\nUser-agent: Two\nDisallow: /a",
        "one",
        "a",
    );
    check("User-agent: One\nUser-agent: *\nDisallow: /a", "one", "a");
    check(
        "User-agent: One\nDisallow:\nUser-agent: Two\nDisallow: /a",
        "one",
        "",
    );
    check("User-agent:\nDisallow: /a", "one", "");
    // which names are ours
    for line in [
        "One/1.0",
        "One Two",
        "One*",
        "ONE",
        "One, Two",
        "One2",
        "one(compatible)",
    ] {
        check(
            &format!("User-agent: {line}\nDisallow: /a"),
            "One/2.0 (+http://x)",
            "a",
        );
    }
    for line in ["Ones", "One-Two", "One_", "O", "/One", "*One", "Two One"] {
        check(&format!("User-agent: {line}\nDisallow: /a"), "One", "");
    }
    check(
        "User-agent: Bot1\nDisallow: /a\nUser-agent: Bot2\nDisallow: /b",
        "bot2",
        "b",
    );
    check(
        "User-agent: 2bot\nDisallow: /a\nUser-agent: 3bot\nDisallow: /b",
        "3bot",
        "b",
    );
    check("User-agent: * everyone\nDisallow: /a", "One", "a");
}

#[test]
fn marks_and_line_ends() {
    let check = |body: &[u8]| {
        let robots = Robots::parse(body, "FooBot");
        assert!(!robots.verdict("/a").allowed, "{}", body.escape_ascii());
        assert!(robots.verdict("/b").allowed, "{}", body.escape_ascii());
    };
    check(b"\xEF\xBB\xBFUser-agent: FooBot\nDisallow: /a\n");
    check(b"\xEF\xBBUser-agent: FooBot\nDisallow: /a\n");
    check(b"User-agent: FooBot\rDisallow: /a");
    let units = "User-agent: FooBot\r\nDisallow: /a".encode_utf16();
    let little: Vec<u8> = units.clone().flat_map(u16::to_le_bytes).collect();
    check(&[&b"\xFF\xFE"[..], &little].concat());
    let big: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
    check(&[&b"\xFE\xFF"[..], &big].concat());
    check(b"\xFF\xFEUser-agent: FooBot\nDisallow: /a\n");
    check(b"\xFE\xFF\nUser-agent: FooBot\nDisallow: /a\n");
    check(b"User-agent: FooBot\r\n\r\nDisallow: /a\r\n");
    check(b"  user-agent:FooBot#x\n\n\tdisallow:/a#/b");
}

#[test]
fn crawl_delay_and_sitemaps() {
    let check = |body: &str, agent: &str, delay: Option<u64>, sitemaps: &[&str]| {
        let robots = Robots::parse(body.as_bytes(), agent);
        assert_eq!(
            robots.crawl_delay(),
            delay.map(Duration::from_secs),
            "{agent} in {body:?}"
        );
        assert_eq!(robots.sitemaps(), sitemaps, "{body:?}");
    };
    check(
        "User-agent: *\nCrawl-delay: 3\nDisallow: /",
        "a",
        Some(3),
        &[],
    );
    check(
        "User-agent: a\nDisallow:\nUser-agent: *\nCrawl-delay: 3",
        "a",
        None,
        &[],
    );
    let chained = "User-agent: a\nCrawl-delay: 1\nUser-agent: b\nCrawl-delay: 2\nDisallow: /";
    check(chained, "a", Some(1), &[]);
    check(chained, "b", Some(2), &[]);
    check(
        "User-agent: a\nUser-agent: b\ncrawl-delay: 2",
        "a",
        Some(2),
        &[],
    );
    check(
        "User-agent: a\nCrawl-delay: 9\nUser-agent: a\nCrawl-delay: 2",
        "a",
        Some(9),
        &[],
    );
    check(
        "User-agent: a\nCrawl-delay: 2\nUser-agent: a\nCrawl-delay: 9",
        "a",
        Some(9),
        &[],
    );
    check("User-agent: a\nCrawl-delay: soon", "a", None, &[]);
    check("Crawl-delay: 9", "a", None, &[]);
    check(
        "sitemap: http://x/1\nUser-agent: b\nSite-map: /2\nSitemap:\n",
        "a",
        None,
        &["http://x/1", "/2"],
    );
}

#[test]
fn sitemap_urls_are_resolved() {
    let body = b"Sitemap: /a.xml\nSitemap: http://h/a.xml\nSitemap: ftp://h/b\nSitemap: http://[\n";
    let base = Url::parse("http://h/robots.txt").unwrap();
    let urls = Robots::parse(body, "a").sitemap_urls(&base);
    assert_eq!(urls, [Url::parse("http://h/a.xml").unwrap()]);
}

#[test]
fn a_verdict_names_the_line_as_written() {
    let robots = for_foobot("\n  Disallow: /b\u{fc}cher/  # no\r\n");
    let verdict = robots.verdict("/b%C3%BCcher/1");
    let expected = MatchedRule {
        line: 3,
        text: "Disallow: /b\u{fc}cher/  # no".to_owned(),
    };
    assert_eq!(
        verdict,
        Verdict {
            allowed: false,
            rule: Some(&expected)
        }
    );
}

#[test]
fn no_file_and_no_answer() {
    assert!(Robots::allow_all().verdict("/a").allowed);
    assert!(Robots::default().verdict("/a").allowed);
    assert!(!Robots::disallow_all().verdict("/").allowed);
    assert!(Robots::disallow_all().verdict("/robots.txt").allowed);
    let body = b"User-agent: *\nDisallow: /a";
    let blocked = |status| {
        let robots = Robots::of_answer(status, body, "x");
        ["/a", "/b"].map(|path| !robots.verdict(path).allowed)
    };
    let expected = [[true, false], [false, false], [true, true]];
    assert_eq!([200, 404, 503].map(blocked), expected);
    let check =
        |status, expected| assert_eq!(Availability::of_status(status), expected, "{status}");
    for status in [200, 204, 206] {
        check(status, Availability::Readable);
    }
    for status in [301, 304, 400, 401, 403, 404, 410, 451] {
        check(status, Availability::Unavailable);
    }
    for status in [0, 408, 429, 500, 501, 503, 599] {
        check(status, Availability::Unreachable);
    }
}

#[test]
fn paths_of_urls() {
    let check = |url: &str, path: &str| assert_eq!(path_to_match(url), path, "{url}");
    check("", "/");
    check("http://a", "/");
    check("http://a#/b", "/");
    check("http://a/", "/");
    check("http://u@a:1/b;c?d#e", "/b;c?d");
    check("http://a;b", "/;b");
    check("http://a?b=http://c/d", "/?b=http://c/d");
    check("//a/b", "/b");
    check("/a?b=http://c/d#e", "/a?b=http://c/d");
    check("a/b", "/b");
    check("http://a//b/../c", "//b/../c");
}

#[test]
fn product_tokens() {
    let check = |agent: &str, token: &str| assert_eq!(product_token(agent), token, "{agent}");
    check("Nephila/0.1 (+https://example.org)", "Nephila");
    check("my-bot_2", "my-bot_2");
    check("*", "");
    check("", "");
    check("caf\u{e9}", "caf");
}

#[test]
fn a_file_too_long_is_cut_at_a_line() {
    let head = "User-agent: *\nDisallow: /a\n";
    let comment = format!("#{}\n", "x".repeat(99));
    let fill = comment.repeat((MAX_BYTES - head.len()) / comment.len());
    let cut = format!(
        "Disallow: /b{}",
        "b".repeat(MAX_BYTES - head.len() - fill.len())
    );
    let body = format!("{head}{fill}{cut}\nDisallow: /c\n");
    let robots = Robots::parse(body.as_bytes(), "x");
    let blocked = ["/a", "/bb", "/c"].map(|path| !robots.verdict(path).allowed);
    assert_eq!(blocked, [true, false, false]);
    assert_eq!(to_text(body.as_bytes(), MAX_BYTES), format!("{head}{fill}"));
    assert_eq!(to_text(&vec![b'x'; MAX_BYTES], MAX_BYTES).len(), MAX_BYTES);
    assert_eq!(to_text(&vec![b'x'; MAX_BYTES + 1], MAX_BYTES), "");
}

#[test]
fn the_work_of_a_verdict_is_bounded() {
    let check = |rule: &str, path: &str, allowed: bool| {
        let body = rule.repeat(MAX_BYTES / rule.len());
        let robots = Robots::parse(format!("User-agent: *\n{body}").as_bytes(), "x");
        let verdict = robots.verdict(path);
        assert_eq!((verdict.allowed, verdict.rule), (allowed, None), "{rule:?}");
    };
    let long = format!("/{}", "b".repeat(8 << 10));
    check("Disallow:/*ba*c\n", &long, false);
    check("Disallow:/*ba*c\n", "/an/ordinary/path.html?page=2", true);
    check("Disallow: /caf\u{e9}/au-lait/\n", &long, true);
}

#[test]
fn text_keeps_what_a_column_cannot_hold() {
    let body = b"User-agent: *\nDisallow: /b\xFCcher\0/\nDisallow: /\xC3\xBC";
    let text = to_text(body, MAX_BYTES);
    assert_eq!(
        text,
        "User-agent: *\nDisallow: /b%FCcher%00/\nDisallow: /\u{fc}"
    );
    assert!(
        !Robots::parse(text.as_bytes(), "x")
            .verdict("/b%fccher%00/1")
            .allowed
    );
}

/// Octets that look like a robots.txt, so that the parser gets beyond the first line.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\nUser-agent: *\n".to_vec()),
        Just(b"\nUser-agent: FooBot".to_vec()),
        Just(b"\nAllow: /".to_vec()),
        Just(b"\rdisalow /".to_vec()),
        Just(b"\r\nCrawl-delay: 1".to_vec()),
        "[a%2*$/?#: ]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn never_panics_and_is_the_same_from_text(body in any_file(), path in "/[a%2*$/?]{0,8}|.*") {
        let robots = Robots::parse(&body, "FooBot");
        let kept = Robots::parse(to_text(&body, MAX_BYTES).as_bytes(), "FooBot");
        let path = path_to_match(&path);
        let (verdict, again) = (robots.verdict(&path), kept.verdict(&path));
        prop_assert_eq!(verdict.allowed, again.allowed);
        prop_assert_eq!(verdict.rule.map(|rule| rule.line), again.rule.map(|rule| rule.line));
        prop_assert!(verdict.allowed || verdict.rule.is_some());
    }

    #[test]
    fn any_octets_are_a_file(body: Vec<u8>, agent: String, path: String) {
        let robots = Robots::parse(&body, &agent);
        robots.verdict(&path_to_match(&path));
    }
}
