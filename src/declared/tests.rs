use super::*;

const BOOKS: &str = r#"
start = ["{site}", { url = "{site}page/{2..3}", step = "list" }]
[args]
site = "http://e.x/"
max = ""
[settings]
delay = "1s"
[step.list]
follow = { "h3 a" = "book" }
[step.book]
was = "detail"
status = [404]
revisit = "every 7d"
[step.book.item]
table = "books"
key = ["url"]
[step.book.item.fields]
url = "@url"
title = "h1"
price = { css = "p.price", re = '[\d.]+', type = "float" }
stars = { css = "p.stars::attr(data-n)", type = "int?" }
tags = { css = "li", type = "[text]" }
sold = { css = "p.sold", type = "bool" }
weight = { xpath = "//dd", parse = "number", default = 0.5 }
kind = { value = "book" }
parts = { css = "tr", fields = { name = "th", n = { css = "td", type = "int" } } }
"#;

fn read(text: &str) -> Result<Arc<Declared>, DeclaredError> {
    Declared::parse("books.toml".as_ref(), text)
}

#[test]
fn files_become_spiders() {
    let books = read(BOOKS).unwrap();
    assert_eq!(books.name(), "books");
    let names: Vec<&str> = books.steps().iter().map(|step| step.name).collect();
    assert_eq!(names, ["list", "book"]);
    let book = &books.steps()[1];
    assert_eq!((book.was, book.accepts), (&["detail"][..], &[404][..]));
    let tables = book.tables();
    let columns: Vec<String> = tables[0]
        .columns()
        .iter()
        .map(|column| {
            let null = if column.nullable { "?" } else { "" };
            format!("{} {:?}{null}", column.name, column.kind)
        })
        .collect();
    let expected = [
        "url Text",
        "title Text",
        "price Real",
        "stars Integer?",
        "tags Json",
        "sold Boolean",
        "weight Real",
        "kind Text",
        "parts Json",
    ];
    assert_eq!(columns, expected);
    assert_eq!(books.settings.trim(), "delay = \"1s\"");
    let unknown = books.spider(&Args::from([("sit".to_owned(), String::new())]));
    assert_eq!(
        unknown.err().unwrap().to_string(),
        "spider `books` has no argument `sit`"
    );
}

#[test]
fn items_are_read() {
    let html = "<h1> Orb\nwebs</h1><p class=price>£51.77</p><p class=stars data-n=3></p><ul><li>a<li>b</ul>\
                <table><tr><th>x<td>1<tr><th>y<td>2</table>";
    let page = crate::page::Page::from_html("http://e.x/book/1", html).unwrap();
    let spider = read(BOOKS).unwrap().spider(&Args::new()).unwrap();
    let step = spider.run("detail", None, page.clone()).unwrap();
    futures_util::FutureExt::now_or_never(step)
        .unwrap()
        .unwrap();
    let emitted = page.take_emitted();
    let expected = serde_json::json!({
        "url": "http://e.x/book/1", "title": "Orb webs", "price": 51.77, "stars": 3,
        "tags": ["a", "b"], "sold": false, "weight": 0.5, "kind": "book",
        "parts": [{"name": "x", "n": 1}, {"name": "y", "n": 2}],
    });
    assert_eq!(emitted.records[0].to_json(), expected);
    assert!(spider.run("bok", None, page).is_none());
}

#[test]
fn mistakes_say_where() {
    let mut wrong = Vec::new();
    let mut check = |from: &str, to: &str, expected: &str| {
        assert!(BOOKS.contains(from), "{from}");
        let error = read(&BOOKS.replacen(from, to, 1)).unwrap_err().to_string();
        if error != format!("books.toml:{expected}") {
            wrong.push(format!("{error}\n{expected}"));
        }
    };
    check(
        "\"book\" }",
        "\"bok\" }",
        "9:21: no step `bok`; did you mean `book`?",
    );
    check(
        "follow =",
        "folow =",
        "9:1: no `folow` in [step]; did you mean `follow`?",
    );
    check(
        "\"h1\"",
        "\"h1..\"",
        "19:9: invalid CSS selector `h1..`: no name after `.`",
    );
    check(
        "\"//dd\"",
        "\"//dd[matches()]\"",
        "24:20: invalid XPath `xpath://dd[matches()]`: XPath 1.0 has no function `matches`",
    );
    check(
        "\"float\"",
        "\"flot\"",
        "20:50: no type `flot`; did you mean `float`?",
    );
    check(
        "\"number\"",
        "\"mony\"",
        "24:36: no parse function `mony`; did you mean `money`?",
    );
    check(
        r"[\d.]+",
        "[",
        "20:33: invalid pattern: unclosed character class",
    );
    check(
        "[\"url\"]",
        "[\"ulr\"]",
        "16:8: no field `ulr`; did you mean `url`?",
    );
    check(
        "\"@url\"",
        "\"@ulr\"",
        "18:7: no `@ulr`; there are @url, @status, @depth, @main",
    );
    check(
        "{site}\"",
        "{sit}\"",
        "2:10: no argument `sit`; did you mean `site`?",
    );
    check(
        "delay =",
        "dely =",
        "7:1: unknown setting `dely`; did you mean `delay`?",
    );
    check(
        "\"1s\"",
        "\"soon\"",
        "7:1: setting `delay` is \"soon\"; it takes a duration like 500ms, 2s, 10m or 6h",
    );
    check(
        "0.5",
        "\"x\"",
        "24:56: this is no value of the type `float`",
    );
    check(
        "\"books\"",
        "\"queue\"",
        "15:9: table `queue` is the store's or the database's own; choose another name",
    );
    check("404", "99", "12:10: 99 is no HTTP status");
    check(
        "[step.list]",
        "[step.list",
        "8:11: unclosed table, expected `]`",
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What a spider without arguments asks for first, and after pages with these answers.
fn asked(text: &str, answers: &[&str]) -> Vec<String> {
    let declared = read(text).unwrap();
    let step = declared.steps()[0].name;
    let spider = declared.spider(&Args::new()).unwrap();
    let (seeds, mut sent) = crate::spider::Seeds::channel(9, None);
    let pushed = futures_util::FutureExt::now_or_never(spider.seeds(seeds));
    pushed.unwrap().unwrap();
    let mut requests = vec![sent.try_recv().unwrap()];
    for answer in answers {
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
        let last = requests.last().unwrap();
        let page = crate::page::Page::from_json(last.url.as_str(), &answer).unwrap();
        let ran = spider.run(step, last.step.args.as_deref(), page.clone());
        let ran = futures_util::FutureExt::now_or_never(ran.unwrap());
        ran.unwrap().unwrap();
        requests.extend(page.take_emitted().requests);
    }
    let written = requests.iter().map(|request| {
        let body = request.body.as_deref().unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        format!("{} {} {body}", request.method, request.url)
            .trim_end()
            .to_owned()
    });
    written.collect()
}

#[test]
fn pages_by_a_cursor() {
    let graphql = r#"
        start = "http://e.x/graphql"
        [step.users.pages]
        cursor = "json:data.users.next"
        json = { query = "query($after: ID) { users(after: $after) { next } }", variables = { after = "{cursor}", n = [1, true] } }
        "#;
    let answers = [
        r#"{"data":{"users":{"next":"a=="}}}"#,
        r#"{"data":{"users":{"next":null}}}"#,
    ];
    let body = |after: &str| {
        format!(
            "POST http://e.x/graphql {{\"query\":\"query($after: ID) {{ users(after: $after) {{ next }} }}\",\
             \"variables\":{{\"after\":{after},\"n\":[1,true]}}}}"
        )
    };
    assert_eq!(asked(graphql, &answers), [body("null"), body("\"a==\"")]);
    let in_url =
        "start = 'http://e.x/a'\n[step.a.pages]\nurl = '?from={cursor}'\ncursor = 'json:next'";
    let answers = [r#"{"next":"a=="}"#, r#"{"next":20}"#, r#"{"next":""}"#];
    let expected = [
        "GET http://e.x/a",
        "GET http://e.x/a?from=a%3D%3D",
        "GET http://e.x/a?from=20",
    ];
    assert_eq!(asked(in_url, &answers), expected);
}

#[test]
fn pages_by_post() {
    let form = r#"
        start = { url = "http://e.x/", form = { q = "{q}" } }
        [args]
        q = "silk"
        [step.a.pages]
        url = "/more"
        form = { q = "{q}", p = "{page}", from = "{cursor}" }
        from = 0
        last = 1
        "#;
    let expected = ["POST http://e.x/ q=silk", "POST http://e.x/more q=silk&p=1"];
    assert_eq!(asked(form, &["{}", "{}"]), expected);
    // A body of pages without a URL of their own is that of the start, too; one with a URL is not.
    let same = "start = 'http://e.x/'\n[step.a.pages]\njson = { p = '{page}' }\nlast = 2";
    let expected = ["POST http://e.x/ {\"p\":1}", "POST http://e.x/ {\"p\":2}"];
    assert_eq!(asked(same, &["{}", "{}"]), expected);
    let other = same.replace("json", "url = '/x'\njson");
    assert_eq!(
        asked(&other, &["{}"]),
        ["GET http://e.x/", "POST http://e.x/x {\"p\":2}"]
    );
}

#[test]
fn links_and_maps() {
    let text = r#"
        start = "http://e.x/"
        [step.a.links]
        hosts = ["*.cdn.x", "e.x"]
        step = "a"
        [step.map.sitemap]
        hreflang = "de"
        since = "2026-01-02"
        step = "a"
        "#;
    let spider = read(text).unwrap().spider(&Args::new()).unwrap();
    let urls = |step: &str, html: &str| {
        let page = crate::page::Page::from_html("http://e.x/", html).unwrap();
        let ran = spider.run(step, None, page.clone()).unwrap();
        futures_util::FutureExt::now_or_never(ran).unwrap().unwrap();
        let requests = page.take_emitted().requests;
        requests
            .iter()
            .map(|request| request.url.to_string())
            .collect::<Vec<_>>()
    };
    let html = "<a href=/1><a href='http://i.cdn.x/2'><a href='http://o.x/3'>";
    assert_eq!(urls("a", html), ["http://e.x/1", "http://i.cdn.x/2"]);
    let alternate = |language: &str| {
        format!("<xhtml:link rel='alternate' hreflang='{language}' href='/{language}'/>")
    };
    let map = format!(
        "<urlset><url><loc>/en</loc><lastmod>2026-01-03</lastmod>{}{}</url>\
         <url><loc>/old</loc><lastmod>2026-01-01</lastmod></url></urlset>",
        alternate("en"),
        alternate("de")
    );
    assert_eq!(urls("map", &map), ["http://e.x/de"]);
}

#[test]
fn what_a_spider_needs() {
    let check = |text: &str, expected: &str| {
        assert_eq!(read(text).unwrap_err().to_string(), expected, "{text}");
    };
    check("", "books.toml:1:1: a spider needs a step: [step.NAME]");
    check(
        "[step.a]",
        "books.toml:1:1: a spider needs a `start`: its first URLs",
    );
    check(
        "start = 'http://e.x/'\n[step.a.pages]\nurl = '?p={page}'",
        "books.toml:2:1: [pages] needs an end: `while`, `last` or `cursor`",
    );
    let start = "start = 'http://e.x/'\n";
    let pages = |rest: &str, expected: &str| {
        check(
            &format!("{start}[step.a.pages]\n{rest}"),
            &format!("books.toml:{expected}"),
        );
    };
    let place = "somewhere: in its `url`, as in";
    pages(
        "url = '?page=2'\nlast = 2",
        &format!("2:1: [pages] needs {{page}} {place} `?page={{page}}`, or in `json` or `form`"),
    );
    pages(
        "url = '?page={page}'\ncursor = 'json:next'",
        &format!(
            "2:1: [pages] needs {{cursor}} {place} `?cursor={{cursor}}`, or in `json` or `form`"
        ),
    );
    pages(
        "json = { p = '{pag}' }\nlast = 2",
        "3:8: no argument `pag`; did you mean `{page}`?",
    );
    pages(
        "form = { p = ['{page}'] }\nlast = 2",
        "3:8: `form` takes names, each with a text or number",
    );
    pages(
        "form = { p = '{page}' }\njson = 1\nlast = 2",
        "3:8: a request has one of `json` and `form`",
    );
    let first = |start: &str, expected: &str| {
        let text =
            format!("start = {start}\n[args]\nsite = ''\n[step.a.item]\nfields = {{ t = 'h1' }}");
        check(&text, &format!("books.toml:1:{expected}"));
    };
    first(
        "'shop.example/a'",
        "9: `shop.example/a` is no whole URL; did you mean `https://shop.example/a`?",
    );
    first(
        "'//e.x/'",
        "9: `//e.x/` is no whole URL; did you mean `https://e.x/`?",
    );
    first(
        "'ftp://e.x/'",
        "9: `ftp://e.x/` can't be fetched: it begins with ftp://",
    );
    first(
        "['http://e.x/', { ulr = '' }]",
        "27: no `ulr` in [start]; did you mean `url`?",
    );
    first("{ step = 'a' }", "9: [start] needs a `url` or a `file`");
    let given = "start = '{site}/a'\n[args]\nsite = ''\n[step.a.item]\nfields = { t = 'h1' }";
    assert!(read(given).is_ok());
    check(
        &format!("{start}[step.a.sitemap]\nsince = 'soon'\nstep = 'a'"),
        "books.toml:3:9: `soon` is no day or moment, as 2026-11-30 is",
    );
    check(
        "start = 'http://e.x/'\n[step.a.item.fields]\na = {}",
        "books.toml:3:5: [a] needs a selector: `css`, `xpath`, `json` or `select`",
    );
}
