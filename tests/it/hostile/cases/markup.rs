//! Documents that attack their parser, and what is written in them.

use super::{Cases, document, head, http};

pub(super) fn add(cases: &mut Cases) {
    let first = cases.len();
    trees(cases);
    cases.heavy(first);
    texts(cases);
    charsets(cases);
    links(cases);
}

/// Large documents are made when they are asked for.
fn big(cases: &mut Cases, name: &str, body: impl Fn() -> String + Send + Sync + 'static) {
    let title = name.to_owned();
    cases.add(name, "page", move |_| {
        vec![crate::raw::Act::Send(http("", document(&title, &body())))]
    });
    cases.heavy(cases.len() - 1);
}

fn trees(cases: &mut Cases) {
    for (name, piece, count) in [
        ("deep-div", "<div>", 40_000),
        ("deep-div-more", "<div>", 1_000_000),
        ("deep-font", "<font color=red>", 10_000),
        ("deep-b", "<b>", 100_000),
        ("deep-a", "<a href=x>", 30_000),
        ("deep-table", "<table>", 30_000),
        ("deep-table-row", "<table><tr><td>", 30_000),
        ("deep-form", "<form>", 30_000),
        ("deep-list", "<ul><li>", 50_000),
        ("deep-select", "<select><option>", 50_000),
        ("deep-button", "<button>", 50_000),
        ("deep-svg", "<svg><foreignObject>", 30_000),
        ("deep-math", "<math><mi><p>", 30_000),
        ("deep-template", "<template>", 50_000),
        ("deep-ruby", "<ruby><rt>", 30_000),
        ("deep-heading", "<h1>", 50_000),
        ("deep-nobr", "<nobr>", 30_000),
        ("deep-object", "<object>", 30_000),
        ("deep-marquee", "<marquee>", 30_000),
        ("deep-frameset", "<frameset>", 30_000),
        ("deep-optgroup", "<select><optgroup>", 30_000),
        ("misnested", "<b><p></b></p>", 30_000),
        ("misnested-a", "<a><div></a>", 30_000),
        ("misnested-fonts", "<font><p><font></p>", 20_000),
        ("misnested-table", "<table><b><tr><i>", 20_000),
        ("adoption", "<a><b><i><u><s></a>", 10_000),
        ("closing-only", "</p></br></div>", 200_000),
        ("bodies", "<body a=b><html c=d>", 50_000),
        ("attributes-on-body", "<body a=1 b=2 c=3 d=4 e=5>", 50_000),
        ("comments", "<!-- x -->", 500_000),
        ("comment-starts", "<!--", 500_000),
        ("entities", "&amp;&notit;&#x41;&#99999999;", 200_000),
        ("entity-starts", "&", 2_000_000),
        ("less-than", "<", 2_000_000),
        ("doctypes", "<!doctype html>", 200_000),
        ("cdata", "<![CDATA[x]]>", 200_000),
        ("processing", "<?xml version='1.0'?>", 200_000),
        ("styles", "<style>p{}</style>", 100_000),
        ("scripts", "<script>1</script>", 100_000),
        ("script-escapes", "<script><!--<script>", 50_000),
        ("metas", "<meta charset=utf-16>", 100_000),
        ("bases", "<base href=http://other.example/>", 100_000),
        ("inputs", "<input name=a value=b>", 300_000),
        ("options", "<option>x", 300_000),
        ("spans", "<span>x</span>", 500_000),
        ("nul-bytes", "\0<p>\0", 300_000),
    ] {
        big(cases, name, move || piece.repeat(count));
    }
    big(cases, "attributes-100000", || {
        let attributes: String = (0..100_000).map(|n| format!(" a{n}=1")).collect();
        format!("<p{attributes}>x")
    });
    big(cases, "attribute-same-100000", || {
        format!("<p{}>x", " a=1".repeat(100_000))
    });
    big(cases, "attribute-of-10-mb", || {
        format!("<p title=\"{}\">x", "x".repeat(10_000_000))
    });
    big(cases, "attribute-name-of-10-mb", || {
        format!("<p {}=x>x", "x".repeat(10_000_000))
    });
    big(cases, "tag-name-of-10-mb", || {
        format!("<{}>x", "x".repeat(10_000_000))
    });
    big(cases, "href-of-10-mb", || {
        format!("<a href=\"/plain/1?{}\">x</a>", "x".repeat(10_000_000))
    });
    big(cases, "comment-of-10-mb", || {
        format!("<!--{}-->", "-".repeat(10_000_000))
    });
    big(cases, "script-of-10-mb", || {
        format!("<script>{}", "<!--".repeat(2_500_000))
    });
    big(cases, "entity-of-10-mb", || {
        format!("&{}", "x".repeat(10_000_000))
    });
    big(cases, "attributes-everywhere", || {
        "<p a b c d e f g h i j k l m n o p>".repeat(30_000)
    });
    big(cases, "unclosed-attribute", || {
        format!("<p title=\"{}", "<p>x".repeat(100_000))
    });
    big(cases, "plaintext", || {
        format!("<plaintext>{}", "<p>x".repeat(100_000))
    });
}

/// What stands in titles and bodies, and must be stored as it is and never reach a terminal as such.
fn texts(cases: &mut Cases) {
    for (name, title) in [
        ("title-escapes", "\u{1b}[2J\u{1b}]0;owned\u{7}red"),
        ("title-c1-escapes", "\u{9b}31mred"),
        ("title-bidi", "\u{202e}desrever"),
        ("title-formula", "=cmd|' /C calc'!A0"),
        ("title-formula-plus", "+1+1"),
        ("title-formula-at", "@SUM(1)"),
        ("title-formula-minus", "-1+1"),
        ("title-sql", "'); DROP TABLE links; --"),
        ("title-sql-2", "\" OR 1=1 --"),
        ("title-path", "../../../../etc/passwd"),
        ("title-template", "{{7*7}} ${7*7} %s%n"),
        ("title-emoji", "\u{1f577}\u{200d}\u{1f577}"),
        ("title-quotes", "a\"b'c,d;e"),
        ("title-private-use", "\u{f8ff}\u{fffe}\u{10ffff}"),
    ] {
        let body = document(title, "");
        let fields = format!(
            "Content-Length: {}\r\nContent-Type: text/html; charset=utf-8\r\n",
            body.len()
        );
        cases.send(
            name,
            &format!("titled {title}"),
            super::answer("200 OK", &fields, body),
        );
    }
    big(cases, "unclosed-title", String::new);
    cases.send(
        "title-of-5-mb",
        &format!("titled {}", "x".repeat(5_000_000)),
        http("", document(&"x".repeat(5_000_000), "")),
    );
    cases.send(
        "title-never-ends",
        "titled never ends",
        head("", "<title>never ends"),
    );
    cases.send(
        "title-nul",
        "titled a\u{fffd}b",
        http("", document("a\0b", "")),
    );
    cases.send(
        "json-deep",
        "untitled",
        super::answer(
            "200 OK",
            "Content-Type: application/json\r\n",
            "[".repeat(1_000_000),
        ),
    );
    cases.send("xml-entities", "untitled|page", super::answer("200 OK", "Content-Type: application/xml\r\n",
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]><x>&b;</x>"));
    cases.send(
        "xml-external",
        "untitled|page",
        super::answer(
            "200 OK",
            "Content-Type: application/xml\r\n",
            "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
        ),
    );
}

fn charsets(cases: &mut Cases) {
    let labelled = |label: &str, body: &[u8]| {
        let fields = format!(
            "Content-Type: text/html; charset={label}\r\nContent-Length: {}\r\n",
            body.len()
        );
        super::answer("200 OK", &fields, body)
    };
    for (name, label, body, title) in [
        (
            "charset-lies",
            "utf-16",
            b"<title>charset</title>".as_slice(),
            "?",
        ),
        (
            "charset-unknown",
            "klingon",
            b"<title>caf\xc3\xa9</title>",
            "caf\u{e9}",
        ),
        (
            "charset-empty",
            "",
            b"<title>caf\xc3\xa9</title>",
            "caf\u{e9}",
        ),
        (
            "charset-invalid-utf8",
            "utf-8",
            b"<title>a\xff\xfe\xc3b</title>",
            "a\u{fffd}\u{fffd}\u{fffd}b",
        ),
        (
            "charset-overlong",
            "utf-8",
            b"<title>\xc0\xafx</title>",
            "\u{fffd}\u{fffd}x",
        ),
        (
            "charset-surrogates",
            "utf-8",
            b"<title>\xed\xa0\x80x</title>",
            "\u{fffd}\u{fffd}\u{fffd}x",
        ),
        (
            "charset-utf7",
            "utf-7",
            b"<title>+ADw-script+AD4-</title>",
            "+ADw-script+AD4-",
        ),
        (
            "charset-mixed",
            "windows-1252",
            b"<title>caf\xe9 caf\xc3\xa9</title>",
            "caf\u{e9} caf\u{c3}\u{a9}",
        ),
        (
            "charset-bom-wins",
            "latin1",
            b"\xef\xbb\xbf<title>caf\xc3\xa9</title>",
            "caf\u{e9}",
        ),
        (
            "charset-replacement",
            "iso-2022-cn",
            b"<title>x</title>",
            "?",
        ),
        (
            "charset-shift-jis-cut",
            "shift_jis",
            b"<title>\x83</title>",
            "?",
        ),
        (
            "charset-iso-2022-jp",
            "iso-2022-jp",
            b"<title>\x1b$B</title>",
            "?",
        ),
        (
            "charset-gb18030-cut",
            "gb18030",
            b"<title>\x81\x30\x81</title>",
            "?",
        ),
    ] {
        let expected = if title == "?" {
            "any".to_owned()
        } else {
            format!("titled {title}")
        };
        cases.send(name, &expected, labelled(label, body));
    }
    big(cases, "charset-undeclared-16-mb", || {
        "caf\u{e9} ".repeat(2_500_000)
    });
    cases.add("charset-latin1-16-mb", "page", |_| {
        let mut body = document("charset-latin1-16-mb", "").into_bytes();
        body.extend(b"caf\xe9 ".repeat(2_500_000));
        vec![crate::raw::Act::Send(http("", body))]
    });
}

fn links(cases: &mut Cases) {
    big(cases, "links-500000", || {
        (0..500_000)
            .map(|n| format!("<a href=//x.invalid/{n}>"))
            .collect()
    });
    big(cases, "links-long", || {
        format!("<a href='/{}'>x</a>", "a/../".repeat(100_000))
    });
    big(cases, "links-same", || {
        "<a href=/plain/1>x</a>".repeat(200_000)
    });
    big(cases, "links-invalid", || {
        [
            "http://",
            "http:///",
            "http://[",
            "http://[::1",
            "http://a b/",
            "http://%zz/",
            "http://a:b/",
            "http://a:99999/",
            "http://a:-1/",
            "//",
            "///",
            "http://user:pass@x.invalid/",
            "http://x.invalid:0/",
            "http://xn--/",
            "http://\u{e4}.invalid/",
            "http://a..b.invalid/",
            "http://\u{200b}/",
            "http:\\\\x.invalid\\a",
            "\\\\x.invalid\\a",
            "\t\n/pl\nain/7\t",
            "/plain/%",
            "/plain/%zz",
            "/plain/\0",
            "/plain/8#\u{1f577}",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "mailto:a@b",
            "tel:1",
            "about:blank",
            "/a/../../../plain/9",
            "/./././plain/9",
            "/%2e%2e/plain/9",
            "?",
            "#",
            "",
            " ",
            "http://x.invalid./",
            "HTTP://X.INVALID/",
            "http://1.2.3.4.5/",
            "http://0x/",
            "http://1e3.invalid/",
            "http://a_b.invalid/",
            "http://-a.invalid/",
            "http://\u{1b}[31m/",
            "ht\ntp://x.invalid/",
            "http://x.invalid:80:80/",
            "::",
            ":",
        ]
        .map(|link| format!("<a href=\"{link}\">x</a>"))
        .concat()
    });
}
