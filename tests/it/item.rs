//! `#[derive(Item)]`: what it reads, what it stores, and what it says when it can't.

use nephila::item::{Field, Item as _, ItemError, Json, Kind, Value};
use nephila::page::Extract;
use nephila::prelude::*;

const SHOP: &str = "http://shop.example/books/7?ref=x";

fn page(html: &str) -> Page {
    Page::from_html(SHOP, html).unwrap()
}

fn read<T: Extract>(html: &str) -> std::result::Result<T, String> {
    page(html).item::<T>().map_err(|error| error.to_string())
}

#[derive(Item, Debug, PartialEq)]
#[item(table = "books", key = "url", validate = Book::check)]
struct Book {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.price")]
    #[re(r"([\d.]+)")]
    price: f64,
    #[css("p.stars::attr(data-n)")]
    stars: Option<u8>,
    #[css("ul.tags li")]
    tags: Vec<String>,
    #[css("p.sold-out")]
    sold_out: bool,
    note: Option<String>,
}

impl Book {
    fn check(&self) -> std::result::Result<(), String> {
        if self.price > 0.0 {
            Ok(())
        } else {
            Err(format!("a price of {}", self.price))
        }
    }
}

const FULL: &str = "<h1> A <b>Web</b>\n</h1><p class=price>now &pound;51.77</p>
    <p class=stars data-n=3></p><ul class=tags><li>silk<li>orb</ul><p class=sold-out>";

#[test]
fn fields_come_from_selectors() {
    let book = Book {
        url: Url::parse(SHOP).unwrap(),
        title: "A Web".into(),
        price: 51.77,
        stars: Some(3),
        tags: vec!["silk".into(), "orb".into()],
        sold_out: true,
        note: None,
    };
    assert_eq!(read(FULL), Ok(book));
    let bare = read::<Book>("<h1>A</h1><p class=price>7</p>").unwrap();
    assert_eq!((bare.price, bare.stars), (7.0, None));
    assert!(bare.tags.is_empty() && !bare.sold_out);
}

#[test]
fn a_key_does_not_depend_on_the_fragment_of_the_first_link() {
    let url = Url::parse("http://shop.example/7?a=b#reviews").unwrap();
    let answer = nephila::request::Response::new(url, "<h1>A</h1><p class=price>7</p>");
    let page = Page::new(answer, nephila::page::Context::default());
    assert_eq!(page.url().as_str(), "http://shop.example/7?a=b");
    let book: Book = page.item().unwrap();
    assert_eq!(book.url, *page.url());
}

#[test]
fn a_struct_is_a_table() {
    let schema = Book::schema();
    let columns = schema.columns().iter();
    let columns = columns.map(|column| (&*column.name, column.kind, column.nullable));
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [
            ("url", Kind::Text, false),
            ("title", Kind::Text, false),
            ("price", Kind::Real, false),
            ("stars", Kind::Integer, true),
            ("tags", Kind::Json, false),
            ("sold_out", Kind::Boolean, false),
            ("note", Kind::Text, true),
        ]
    );
    assert_eq!(schema.table(), "books");
    assert_eq!(schema.key_positions(), [0]);
    assert!(std::sync::Arc::ptr_eq(&schema, &Book::schema()));

    let record = read::<Book>(FULL).unwrap().into_record().unwrap();
    assert_eq!(
        record.values(),
        [
            Value::Text(SHOP.into()),
            Value::Text("A Web".into()),
            Value::Real(51.77),
            Value::Integer(3),
            Value::Json(r#"["silk","orb"]"#.into()),
            Value::Boolean(true),
            Value::Null,
        ]
    );
}

#[test]
fn its_own_check_may_refuse_an_item() {
    let book = read::<Book>("<h1>A</h1><p class=price>0</p>").unwrap();
    let error = book.into_record().unwrap_err();
    assert!(matches!(error, ItemError::Refused { .. }));
    assert_eq!(error.to_string(), "item of `books` refused: a price of 0");
}

#[test]
fn errors_name_field_and_text() {
    let check = |html: &str, expected: &str| {
        assert_eq!(read::<Book>(html).unwrap_err(), expected);
    };
    check(
        "<p class=price>7</p>",
        "field `title`: `h1` matches nothing",
    );
    check(
        "<h1>A</h1><p class=prize>7</p>",
        "field `price`: `p.price` matches nothing (`p.prize` matches 1)",
    );
    check(
        "<h1>A</h1><p class=price>Call us</p>",
        "field `price`: `p.price` matches nothing (the pattern does not match \"Call us\")",
    );
    check(
        "<h1>A</h1><p class=price>1.2.3</p>",
        "field `price`: can't read \"1.2.3\" as f64",
    );
    check(
        "<h1>A</h1><p class=price>1</p><p class=stars data-n=many>",
        "field `stars`: can't read \"many\" as u8",
    );
}

mod digits {
    pub(super) fn grouped(text: &str) -> Result<u32, std::num::ParseIntError> {
        text.replace(',', "").parse()
    }
}

#[derive(Item, Debug, PartialEq)]
struct ParsedByHand {
    #[css("b", parse = digits::grouped)]
    one: u32,
    #[css("i", parse = digits::grouped)]
    perhaps: Option<u32>,
    #[css("u", parse = digits::grouped)]
    all: Vec<u32>,
    #[css("s", parse = digits::grouped, default = 9)]
    else_nine: u32,
    #[css("em", parse = |text: &str| if text.is_empty() { Err("empty") } else { Ok(text.len()) })]
    #[or_css("strong")]
    length: usize,
}

#[test]
fn functions_parse_texts() {
    let expected = ParsedByHand {
        one: 1234,
        perhaps: None,
        all: vec![1, 2],
        else_nine: 9,
        length: 3,
    };
    let rest = "<u>1</u><u>2</u><strong>abc</strong>";
    assert_eq!(read(&format!("<b>1,234</b>{rest}")), Ok(expected));
    let check = |html: &str, expected: &str| {
        let error = read::<ParsedByHand>(&format!("{html}{rest}")).unwrap_err();
        assert_eq!(error, expected);
    };
    check("", "field `one`: `b` matches nothing");
    check(
        "<b>x</b>",
        "field `one`: can't read \"x\": invalid digit found in string",
    );
    check(
        "<b>1</b><i>x</i>",
        "field `perhaps`: can't read \"x\": invalid digit found in string",
    );
    check(
        "<b>1</b><u>x</u>",
        "field `all`: can't read \"x\": invalid digit found in string",
    );
    check(
        "<b>1</b><s>x</s>",
        "field `else_nine`: can't read \"x\": invalid digit found in string",
    );
    check(
        "<b>1</b><em></em>",
        "field `length`: can't read \"\": empty",
    );
}

fn seven() -> u64 {
    7
}

#[derive(Item, Debug, Default, PartialEq)]
struct Filled {
    #[css("h1", default)]
    title: String,
    #[css("h2", default = "none")]
    subtitle: String,
    #[css("b", default = seven() + 1)]
    count: u64,
    #[item(default)]
    seen: u32,
    #[item(default = 3)]
    weight: i64,
    #[item(skip, default = "x")]
    mark: String,
}

#[derive(Item, Debug, PartialEq)]
struct FilledShortly {
    #[css("h1")]
    title: String,
    #[default]
    seen: u32,
    #[default = 3]
    weight: i64,
    #[default(vec![seven()])]
    list: Vec<u64>,
    #[default = "x"]
    mark: String,
}

#[test]
fn defaults_fill_what_is_missing_and_nothing_else() {
    let filled = Filled {
        title: String::new(),
        subtitle: "none".into(),
        count: 8,
        seen: 0,
        weight: 3,
        mark: "x".into(),
    };
    assert_eq!(read("<p>"), Ok(filled));
    assert_eq!(Filled::schema().columns().len(), 5);
    let filled = FilledShortly {
        title: "A".into(),
        seen: 0,
        weight: 3,
        list: vec![7],
        mark: "x".into(),
    };
    assert_eq!(read("<h1>A"), Ok(filled));
    let read_all = read::<Filled>("<h1>A</h1><h2>B</h2><b>1</b>").unwrap();
    assert_eq!(
        (&*read_all.title, &*read_all.subtitle, read_all.count),
        ("A", "B", 1)
    );
    assert_eq!(
        read::<Filled>("<b>many</b>").unwrap_err(),
        "field `count`: can't read \"many\" as u64"
    );
}

#[derive(Item, Debug, PartialEq)]
struct Offer {
    #[css("::attr(id)")]
    id: u32,
    #[css("a::text")]
    #[or_css("b")]
    #[or_css("i::attr(title)")]
    name: String,
    #[css("a::attr(href)")]
    link: Option<Url>,
}

#[test]
fn a_scope_is_an_element_and_fallbacks_come_in_order() {
    let html = "<div class=o id=1><a href=/1>one <s>not</s></a><b>no</b></div>
        <div class=o id=2><b>two</b><i title=no></i></div><div class=o id=3><i title=three>no</i></div>";
    let offers = page(html).items::<Offer>("div.o").unwrap();
    let link = Url::parse("http://shop.example/1").unwrap();
    let offer = |id, name: &str, link| Offer {
        id,
        name: name.into(),
        link,
    };
    assert_eq!(
        offers,
        [
            offer(1, "one", Some(link)),
            offer(2, "two", None),
            offer(3, "three", None),
        ]
    );
    let error = page("<div class=o id=4>").items::<Offer>("div.o");
    assert_eq!(
        error.unwrap_err().to_string(),
        "field `name`: `a::text` matches nothing"
    );
}

#[derive(Item, Debug, PartialEq)]
#[item(key = ["sku", "type"])]
struct HTTPOffer2 {
    #[css("::attr(data-sku)")]
    sku: String,
    #[item(name = "type")]
    #[css("p")]
    kind: String,
    #[css("q", default)]
    r#for: String,
    #[css("div.maker")]
    maker: Maker,
    #[css("div.part")]
    parts: Vec<Maker>,
    #[css("div.none")]
    owner: Option<Maker>,
}

#[derive(Item, Debug, PartialEq)]
struct Maker {
    #[css("b")]
    name: String,
    #[css("i")]
    since: Option<u16>,
}

#[test]
fn items_nest_as_json() {
    let html = "<div id=x data-sku=s1><p>book</p><q>kids</q>
        <div class=maker><b>Ann</b></div><div class=part><b>A</b><i>1999</i></div>
        <div class=part><b>B</b></div></div>";
    let offer = page(html).items::<HTTPOffer2>("#x").unwrap().remove(0);
    assert_eq!(offer.parts[0].since, Some(1999));
    let record = offer.into_record().unwrap();
    assert_eq!(record.schema().table(), "http_offer2");
    assert_eq!(record.schema().key_positions(), [0, 1]);
    assert_eq!(
        record.to_json(),
        serde_json::json!({
            "sku": "s1", "type": "book", "for": "kids",
            "maker": {"name": "Ann", "since": null},
            "parts": [{"name": "A", "since": 1999}, {"name": "B", "since": null}],
            "owner": null,
        })
    );
    assert_eq!(<Maker as Field>::KIND, Kind::Json);
    let broken = html.replace("<b>B</b>", "");
    let error = page(&broken).items::<HTTPOffer2>("#x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "field `parts`: field `name`: `b` matches nothing"
    );
}

#[derive(Item, serde::Deserialize)]
struct Quote {
    text: String,
    author: Option<String>,
    #[item(name = "data")]
    raw: Json<Vec<(u8, bool)>>,
    large: u64,
}

#[test]
fn items_without_selectors_come_from_json() {
    let quote = |large: u64| {
        let json =
            serde_json::json!({"text": "a", "author": null, "raw": [[1, true]], "large": large});
        serde_json::from_value::<Quote>(json).unwrap()
    };
    let record = quote(1).into_record().unwrap();
    assert_eq!(
        record.to_json(),
        serde_json::json!({"text": "a", "author": null, "data": [[1, true]], "large": 1})
    );
    assert_eq!(
        quote(u64::MAX).into_record().unwrap_err().to_string(),
        "field `large` of `quote`: 18446744073709551615 is too large"
    );
}

#[derive(Item)]
struct Linked {
    #[url]
    #[item(name = "source")]
    url: String,
}

#[test]
fn the_url_may_be_text() {
    assert_eq!(read::<Linked>("").unwrap().url, SHOP);
}

#[test]
fn checked_selectors() {
    let page = page("<h3><a href=/1>one</a></h3>");
    let selector = css!("h3 a::attr(href)");
    assert_eq!(selector.source(), "h3 a::attr(href)");
    assert_eq!(page.get::<String>(&selector).unwrap(), "/1");
    assert_eq!(page.css(css!("h3")).unwrap().len(), 1);
}
