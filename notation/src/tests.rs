use super::*;

fn described(source: &str) -> String {
    match Notation::parse(source) {
        Err(invalid) => invalid.to_string(),
        Ok(notation) => {
            let parts = notation.parts.iter().map(|part| {
                let find = match &part.find {
                    Find::Itself => "itself".to_owned(),
                    Find::Css(css) if format!("{css:?}").contains(CONTAINS) => {
                        "contains".to_owned()
                    }
                    Find::Css(_) => "css".to_owned(),
                    Find::XPath(_) => "xpath".to_owned(),
                    Find::Json(path) => format!("json {path}"),
                    Find::Data(kind) => format!("ld {kind}"),
                    Find::Micro(kind) => format!("micro {kind}"),
                    Find::Feed => "feed".to_owned(),
                    Find::Xml(name) => format!("xml {name}"),
                    Find::Csv => "csv".to_owned(),
                    Find::Table(_) => "table".to_owned(),
                    Find::Meta(name) => format!("meta {name}"),
                    Find::Link(rel) => format!("link {rel}"),
                    Find::Main => "main".to_owned(),
                };
                match &part.take {
                    Take::AllText => find,
                    Take::Attribute(name) => format!("{find} Attribute({:?})", &**name),
                    take => format!("{find} {take:?}"),
                }
            });
            parts.collect::<Vec<_>>().join(" >> ")
        }
    }
}

fn check(source: &str, expected: &str) {
    assert_eq!(described(source), expected, "{source}");
}

#[test]
fn css() {
    check("p.price", "css");
    check("p.price::text", "css OwnText");
    check("div.body::html", "css Html");
    check("a::attr(HREF)", "css Attribute(\"href\")");
    check("::attr(href)", "itself Attribute(\"href\")");
    check("::text", "itself OwnText");
    check("a[title=\"b::c\"]", "css");
    check("ul:has(> li.x) :is(a, b)", "css");
    let invalid = |source: &str, reason: &str| {
        check(source, &format!("invalid CSS selector: {reason}"));
    };
    let neither = "is neither `::text` nor `::attr(name)` nor `::html` nor `::markdown`";
    invalid("a::attr()", &format!("`::attr()` {neither}"));
    invalid("p::before", &format!("`::before` {neither}"));
    invalid("", "nothing is selected");
    invalid("p >", "`>`, `+` and `~` stand between two selectors");
    invalid("p..a", "no name after `.`");
    invalid("p[=a]", "no attribute's name in `[..]`");
    invalid("p[a=1]", "bad value in `[..]`: quote it");
    invalid("p:nope", "unknown pseudo-class");
    invalid("p[", "Unexpected EOL");
}

#[test]
fn contains() {
    check("p:contains('In stock')", "contains");
    check("th:contains(UPC) + td::text", "contains OwnText");
    check("tr:not(:has(b:contains(\"(x)\"))) td", "contains");
    check("a[title=':contains(x)']", "css");
    let invalid = |source: &str, reason: &str| {
        check(source, &format!("invalid CSS selector: {reason}"));
    };
    invalid("p:contains('a'", "`:contains(..)` is not closed");
    invalid("p:contains('')", "no text in `:contains(..)`");
    invalid(
        "p:contains(a) >",
        "`>`, `+` and `~` stand between two selectors",
    );
}

#[test]
fn xpath() {
    check("xpath://h1", "xpath");
    check("xpath: normalize-space(//p[@class='a'][last()])", "xpath");
    check("xpath://a[contains(@href, ' >> ')]", "xpath");
    check("xpath:concat(//a, ' ', //b, '!')", "xpath");
    let invalid = |source: &str, reason: &str| {
        check(source, &format!("invalid XPath: {reason}"));
    };
    invalid("xpath:", "nothing is selected");
    invalid(
        "xpath://a[matches(., 'x')]",
        "XPath 1.0 has no function `matches`",
    );
    invalid(
        "xpath://a[contains(.)]",
        "`contains` takes 2 arguments, not 1",
    );
    invalid(
        "xpath:substring('a')",
        "`substring` takes 2 to 3 arguments, not 1",
    );
    invalid("xpath:count('a')", "`count` takes a path");
    invalid("xpath:'a' | //b", "`|` stands between two paths");
    invalid("xpath:'a'[1]", "`[..]` stands after a path");
    invalid("xpath://a[$n]", "no variable `$n`");
    invalid(
        "xpath://svg:path",
        "no namespace `svg:` in HTML: write the name alone",
    );
    assert!(described("xpath://a[").starts_with("invalid XPath: "));
    let Find::XPath(xpath) = &Notation::parse("xpath://a[@x = //b]").unwrap().parts[0].find else {
        panic!("no XPath");
    };
    assert!(xpath.compares_sets);
}

#[test]
fn json() {
    check("json:$.books[*].title", "json $.books[*].title");
    check("json:books[0]", "json $.books[0]");
    check("json:[0].a", "json $[0].a");
    check("json:..a", "json $...a");
    check("json:$..[?@.n > 3]", "json $..[?@['n']>3]");
    check("json:@id", "json $['@id']");
    check("json:g:price", "json $['g:price']");
    check("json:my-key", "json $['my-key']");
    check("json:", "invalid JSON path: nothing is selected");
    assert!(described("json:$.a[").starts_with("invalid JSON path: "));
}

#[test]
fn of_the_page_as_a_whole() {
    check("meta:og:title", "meta og:title");
    check("meta:description", "meta description");
    check("link:Next", "link next");
    check("main:", "main");
    // Elements of these names.
    check(
        "meta:not([name])::attr(content)",
        "css Attribute(\"content\")",
    );
    check("meta:first-child", "css");
    check("link:nope(x)", "invalid CSS selector: unknown pseudo-class");
    check("main:has(p)", "css");
    check("main::markdown", "css Markdown");
    check("meta::attr(x)", "css Attribute(\"x\")");
    assert_eq!(plain_css("meta:og:title"), None);
    assert_eq!(plain_css("meta:first-child"), Some("meta:first-child"));
}

#[test]
fn chains() {
    check("script#data >> json:$.a", "css >> json $.a");
    check(
        "::attr(data-x) >> json:a",
        "itself Attribute(\"data-x\") >> json $.a",
    );
    check("ld:Product >> json:name", "ld Product >> json $.name");
    check("micro:Product >> json:name", "micro Product >> json $.name");
    check("feed: >> json:url", "feed >> json $.url");
    check("xml:item", "xml item");
    check("xml:media:content", "xml media:content");
    check("csv:", "csv");
    check("table:table.specs", "table");
    check("article::markdown", "css Markdown");
    check(
        "xml:",
        "invalid XML name: `` is no name of an element, as `item` or `media:content` is",
    );
    check(
        "csv:a",
        "invalid selector: `csv:` stands alone: what it finds is read by `json:`",
    );
    check("table:p..a", "invalid CSS selector: no name after `.`");
    check(
        "micro:a b",
        "invalid microdata type: `a b` is no name of a type, as `Product` is",
    );
    check(
        "ld:",
        "invalid JSON-LD type: `` is no name of a type, as `Product` is",
    );
    check("a > b", "css");
    assert_eq!(plain_css("p.a::text"), Some("p.a"));
    assert_eq!(plain_css("::text"), None);
    assert_eq!(plain_css("json:a"), None);
    assert_eq!(plain_css("a >> b"), None);
}

#[test]
fn patterns() {
    let check = |source: &str, expected: Option<&str>| {
        let reason = check_pattern(source)
            .err()
            .map(|invalid| invalid.to_string());
        assert_eq!(reason.as_deref(), expected);
    };
    check(r"([\d.]+)", None);
    check(r"([\d.]+", Some("invalid pattern: unclosed group"));
    check(
        r"\p{Nope}",
        Some("invalid pattern: Unicode property not found"),
    );
}
