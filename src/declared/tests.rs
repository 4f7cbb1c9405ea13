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
        "books.toml:2:1: [pages] needs an end: `while` or `last`",
    );
    check(
        "start = 'http://e.x/'\n[step.a.item.fields]\na = {}",
        "books.toml:3:5: [a] needs a selector: `css`, `xpath`, `json` or `select`",
    );
}
