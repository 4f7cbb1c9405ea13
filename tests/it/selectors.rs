//! One notation: CSS, XPath and JSON paths, by hand and in `derive(Item)`.

use std::path::Path;

use nephila::parse::{date, money, number};
use nephila::prelude::*;
use serde_json::Value;

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/xpath");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The text, its length and its beginning, as the answers have them.
fn short(text: &str) -> (u64, String) {
    (text.chars().count() as u64, text.chars().take(60).collect())
}

#[test]
fn xpath_answers_as_libxml2() {
    let answers: Value = serde_json::from_str(&data("answers.json")).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for name in ["mdbook", "texinfo", "zlib"] {
        let page = Page::from_html("http://docs.example/", data(&format!("{name}.html"))).unwrap();
        let ask = |expression: &str| -> String {
            let found: Option<String> = page.get(format!("xpath:{expression}")).unwrap();
            found.unwrap_or_default()
        };
        for expression in data("expressions.txt").lines() {
            let expected = &answers[expression][name];
            let is = if expected.is_string() {
                Value::from(ask(&format!("string({expression})")))
            } else {
                let count: u64 = page.get(format!("xpath:count({expression})")).unwrap();
                let first = short(&ask(&format!("string({expression})")));
                let last = short(&ask(&format!("string(({expression})[last()])")));
                serde_json::json!([count, first.0, first.1, last.0, last.1])
            };
            compared += 1;
            if is != *expected {
                wrong.push(format!("{name} {expression}: {is}, not {expected}"));
            }
        }
    }
    assert_eq!(compared, 126);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Item, Debug, PartialEq)]
#[item(table = "books")]
struct Book {
    #[xpath("//h1")]
    title: String,
    #[css("p.none")]
    #[or_xpath("//p[@class='price']/text()")]
    #[re(r"([\d.]+)")]
    price: f64,
    #[xpath("//dt[.='Sold']/following-sibling::dd[1]", parse = number)]
    sold: f64,
    #[css("dt:contains('Weight') + dd", parse = money)]
    weight: f64,
    #[xpath("//dd[@class='date']", parse = date)]
    printed: Option<jiff::civil::Date>,
    #[css("script#data >> json:$.tags[*].name")]
    tags: Vec<String>,
    #[css("script#none >> json:isbn")]
    #[or_css("ld:Product >> json:isbn")]
    isbn: String,
    #[css("div::html")]
    html: String,
}

#[test]
fn all_notations_in_one_item() -> Result {
    let html = r#"<h1> Orb
        webs</h1><p class=price>now <b>£</b> 51.77</p><dl><dt>Sold<dd>1,234 times<dt>Weight<dd>1.234 g
        <dt>Printed<dd class=date>12 March 2026</dl><div><i>a</i></div>
        <script id=data>window.data = {"isbn": 7, "tags": [{"name": "silk"}, {"name": "orb"}]};</script>
        <script type="application/ld+json">{"@type": "Product", "isbn": "978"}</script>"#;
    let page = Page::from_html("http://shop.example/", html)?;
    let expected = Book {
        title: "Orb webs".to_owned(),
        price: 51.77,
        sold: 1234.0,
        weight: 1234.0,
        printed: Some(jiff::civil::date(2026, 3, 12)),
        tags: vec!["silk".to_owned(), "orb".to_owned()],
        isbn: "978".to_owned(),
        html: "<div><i>a</i></div>".to_owned(),
    };
    assert_eq!(page.item::<Book>()?, expected);
    let error = page.get::<String>("json:isbn").unwrap_err().to_string();
    assert_eq!(
        error,
        "the page is no JSON: expected value at line 1 column 1"
    );
    Ok(())
}

#[derive(Item, Debug, PartialEq)]
struct Said {
    #[json("text")]
    text: String,
    #[json("author.name")]
    author: String,
    #[json("$.tags[*]")]
    tags: Vec<String>,
    #[json("likes")]
    likes: Option<u32>,
    #[json("is_new")]
    is_new: bool,
    #[json("source")]
    source: Value,
    #[json("link")]
    link: Option<Url>,
}

#[test]
fn a_json_page_gives_items() -> Result {
    let json = serde_json::json!({"next": "/api?page=2", "quotes": [
        {"text": " a\n", "author": {"name": "Ann"}, "tags": ["x", "y"], "likes": 3, "is_new": true,
         "source": {"page": 1}, "link": "/a"},
        {"text": "b", "author": {"name": "Bob"}, "tags": [], "likes": null, "is_new": false,
         "source": "x"},
    ]});
    let page = Page::from_json("http://api.example/api", &json)?;
    let found: Vec<Said> = page.items("json:$.quotes[*]")?;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].text, " a\n");
    assert_eq!((found[0].likes, found[1].likes), (Some(3), None));
    assert_eq!((found[0].is_new, found[1].is_new), (true, false));
    assert_eq!(found[0].tags, ["x", "y"]);
    assert_eq!(found[0].source["page"], 1);
    assert_eq!(
        found[0].link.as_ref().unwrap().as_str(),
        "http://api.example/a"
    );
    page.follow("json:$.next", nephila::request::StepRef::named("list"))?;
    let emitted = page.emitted();
    assert_eq!(
        emitted.requests[0].url.as_str(),
        "http://api.example/api?page=2"
    );
    Ok(())
}

#[derive(Item, Debug, PartialEq)]
struct Whole {
    #[css("meta:og:title")]
    title: String,
    #[css("meta:og:image")]
    images: Vec<Url>,
    #[css("link:next")]
    next: Option<Url>,
    #[css("main:")]
    text: String,
}

#[test]
fn what_a_page_says_as_a_whole() -> Result {
    let html = "<base href=/b/><meta property=og:title content=Silk><meta property=og:image content=1.png>
        <meta property='og:image x' content=/2.png><link rel='next nofollow' href='?page=2'><p>menu</p>
        <main><h1>Silk</h1><p>It is <b>spun</b>.</p></main>";
    let page = Page::from_html("http://shop.example/", html)?;
    let url = |text: &str| Url::parse(text);
    let expected = Whole {
        title: "Silk".to_owned(),
        images: vec![
            url("http://shop.example/b/1.png")?,
            url("http://shop.example/2.png")?,
        ],
        next: Some(url("http://shop.example/b/?page=2")?),
        text: "# Silk\n\nIt is **spun**.".to_owned(),
    };
    assert_eq!(page.item::<Whole>()?, expected);
    let none = page.get::<Option<String>>("link:prev")?;
    assert_eq!(none, None);

    let mut response = nephila::request::Response::new(url("http://api.example/a/b")?, "[]");
    let links = "<c?page=2>; rel=\"next\", </0>; rel=first";
    response.headers.insert("link", links.parse()?);
    let page = Page::new(response, nephila::page::Context::default());
    assert_eq!(
        page.follow("link:next", nephila::request::StepRef::named("a"))?,
        1
    );
    let emitted = page.emitted();
    assert_eq!(
        emitted.requests[0].url.as_str(),
        "http://api.example/a/c?page=2"
    );
    Ok(())
}
