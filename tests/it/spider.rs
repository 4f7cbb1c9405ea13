//! `#[spider]`: methods called by name, with what the store knows of them.

use std::any::TypeId;
use std::cell::RefCell;
use std::rc::Rc;

use nephila::item::Item as _;
use nephila::prelude::*;
use nephila::request::{Step, StepRef};
use nephila::spider::{self, Args, ArgsError, Named};
use serde::{Deserialize, Serialize};

fn page(html: &str) -> Page {
    Page::from_html("http://shop.example/list", html).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(future)
}

/// Runs a step as the engine does, by what the store knows.
fn run(spider: &dyn Spider, step: &str, args: Option<&str>, page: &Page) -> Option<Result> {
    spider.run(step, args, page.clone()).map(wait)
}

fn seeds(spider: &dyn Spider) -> Vec<(String, StepRef)> {
    wait(async {
        let (seeds, mut requests) = Seeds::channel(8, spider.type_of_steps());
        let pushing = spider.seeds(seeds);
        pushing.await.unwrap();
        let mut all = Vec::new();
        while let Some(request) = requests.recv().await {
            all.push((request.url.to_string(), request.step.clone()));
        }
        all
    })
}

#[derive(Item)]
#[item(table = "books")]
struct Book {
    #[css("h1")]
    title: String,
}

#[derive(Serialize, Deserialize)]
struct At {
    page: u32,
}

type Found<T> = Result<T>;

#[derive(Default)]
struct BookShop;

/// Books of a shop.
///
/// Second paragraph.
#[spider(
    start = ["http://shop.example/", "https://shop.example/b"],
    delay = "1s",
    concurrency = 4,
    jitter = 0.5,
    cookies = false,
    hosts = ["a.example", "b \"c\" \\ \u{1}.example"],
)]
impl BookShop {
    const NEXT: &str = "li.next a";

    async fn list(&self, page: Page) -> Result {
        page.follow("h3 a", Self::book)?;
        page.follow(Self::NEXT, Self::list)?;
        page.visit("/numbered", (Self::numbered, At { page: 2 }))
    }

    #[step(was = ["detail", "item"], url = "/book/{id}", status = [404, 410], failed = lost)]
    async fn book(&self, page: Page) -> Result<Book> {
        page.item()
    }

    #[step(name = "by-number", was = "number", status = 403)]
    async fn numbered(&self, _: Page, at: At) -> Result<Option<Book>> {
        let title = format!("page {}", at.page);
        Ok((at.page > 0).then_some(Book { title }))
    }

    async fn pair(&self, page: nephila::page::Page, (a, b): (u8, String)) -> Found<Vec<Book>> {
        let shared = Rc::new(RefCell::new(Vec::new()));
        tokio::task::yield_now().await;
        for number in 0..a {
            let title = format!("{b}{number} of {page:?}");
            shared.borrow_mut().push(Book { title });
        }
        Ok(shared.take())
    }

    #[cfg(any())]
    async fn never(&self, page: Page) -> Result {
        page.does_not_compile()
    }

    async fn lost(&self, failure: Failure) -> Result<Book> {
        let title = format!("{}: {}", failure.reason(), failure.message());
        Ok(Book { title })
    }

    fn body(page: Page) -> Page {
        page
    }

    fn title(&self, page: &Page) -> Result<(String, *const Self)> {
        Ok((page.get("h1")?, self))
    }
}

fn titles(page: &Page) -> Vec<String> {
    let records = page.take_emitted().records.into_iter();
    let title = |record: nephila::item::Record| record.to_json()["title"].as_str().map(Into::into);
    records.filter_map(title).collect()
}

#[test]
fn steps_run_by_name_present_or_former() {
    let page = page("<h1>Silk</h1>");
    for name in ["book", "detail", "item"] {
        assert!(run(&BookShop, name, None, &page).unwrap().is_ok());
        assert_eq!(titles(&page), ["Silk"], "{name}");
    }
    for name in ["buch", "numbered", "never", "lost", "body", ""] {
        assert!(run(&BookShop, name, None, &page).is_none(), "{name}");
    }
}

#[test]
fn what_a_step_returns_is_emitted() {
    let page = page("<p>");
    let error = run(&BookShop, "book", None, &page).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "field `title`: `h1` matches nothing");
    run(&BookShop, "by-number", Some(r#"{"page":0}"#), &page);
    assert!(titles(&page).is_empty());
    run(&BookShop, "number", Some(r#"{"page":3}"#), &page);
    assert_eq!(titles(&page), ["page 3"]);
    run(&BookShop, "pair", Some(r#"[2,"x"]"#), &page);
    let of = "of Page(200 http://shop.example/list)";
    assert_eq!(titles(&page), [format!("x0 {of}"), format!("x1 {of}")]);
}

#[test]
fn arguments_are_checked() {
    let check = |args: Option<&str>, expected: &str| {
        let outcome = run(&BookShop, "by-number", args, &page("")).unwrap();
        assert_eq!(outcome.unwrap_err().to_string(), expected);
    };
    check(
        None,
        "step `by-number` takes an argument, but its request has none",
    );
    check(
        Some(r#"{"side":1}"#),
        "step `by-number` can't read its argument `{\"side\":1}`: missing field `page` at line 1 \
         column 10",
    );
}

#[test]
fn a_step_refers_to_others_by_method() {
    let page = page("<h3><a href=/1>1</a></h3><li class=next><a href=/2>2</a></li>");
    run(&BookShop, "list", None, &page).unwrap().unwrap();
    let requests = page.take_emitted().requests.into_iter();
    let step = |name: &'static str, args: Option<&str>| StepRef {
        name: name.into(),
        args: args.map(Into::into),
        spider: Some(TypeId::of::<BookShop>()),
    };
    assert_eq!(
        requests
            .map(|request| request.step.clone())
            .collect::<Vec<_>>(),
        [
            step("book", None),
            step("list", None),
            step("by-number", Some(r#"{"page":2}"#)),
        ]
    );
    assert_eq!(BookShop.type_of_steps(), Some(TypeId::of::<BookShop>()));
}

#[test]
fn only_steps_have_names() {
    fn id<F: 'static>(_: F) -> TypeId {
        TypeId::of::<F>()
    }
    assert_eq!(BookShop::step_name(id(BookShop::book)), Some("book"));
    assert_eq!(
        BookShop::step_name(id(BookShop::numbered)),
        Some("by-number")
    );
    assert_eq!(BookShop::step_name(id(BookShop::lost)), None);
    assert_eq!(BookShop::body(page("abc")).body(), b"abc");
    assert_eq!(BookShop.title(&page("<h1>a")).unwrap().0, "a");
    let outside = async |_: &BookShop, _: Page| -> Result { Ok(()) };
    let error = outside.step().unwrap_err().to_string();
    assert!(
        error.contains("is no step of") && error.contains("BookShop"),
        "{error}"
    );
}

#[test]
fn what_is_known_of_steps() {
    let steps = BookShop.steps().iter().map(|step| {
        let tables = step.tables();
        let tables = tables.iter().map(|schema| schema.table().to_owned());
        let tables = tables.collect::<Vec<_>>().join(" ");
        (
            step.name,
            step.was,
            step.accepts,
            step.url.unwrap_or_default(),
            tables,
        )
    });
    let books = Book::schema().table().to_owned();
    assert_eq!(
        steps.collect::<Vec<_>>(),
        [
            ("list", &[][..], &[][..], "", String::new()),
            (
                "book",
                &["detail", "item"],
                &[404, 410],
                "/book/{id}",
                books.clone()
            ),
            ("by-number", &["number"], &[403], "", books.clone()),
            ("pair", &[], &[], "", books),
        ]
    );
    let step = spider::step_named(&BookShop, "item").unwrap();
    assert_eq!(step.name, "book");
}

#[test]
fn failures_have_a_handler() {
    let failed = |step: &str| {
        let page = page("");
        let failure = Failure::new(page.clone(), "timeout", "30 s");
        BookShop.failed(step, failure).map(|handling| {
            wait(handling).unwrap();
            titles(&page)
        })
    };
    assert_eq!(failed("book"), Some(vec!["timeout: 30 s".to_owned()]));
    assert_eq!(failed("detail"), Some(vec!["timeout: 30 s".to_owned()]));
    assert_eq!(failed("list"), None);
}

#[test]
fn settings_are_toml() {
    let settings = BookShop.settings();
    assert_eq!(
        settings,
        "delay = \"1s\"\nconcurrency = 4\njitter = 0.5\ncookies = false\n\
         hosts = [\"a.example\", \"b \\\"c\\\" \\\\ \\u0001.example\"]\n"
    );
    let table = settings.parse::<toml::Table>().unwrap();
    assert_eq!(table["hosts"][1].as_str(), Some("b \"c\" \\ \u{1}.example"));
}

#[test]
fn seeds_come_from_the_attribute() {
    let list = StepRef {
        spider: Some(TypeId::of::<BookShop>()),
        ..StepRef::named("list")
    };
    assert_eq!(
        seeds(&BookShop),
        [
            ("http://shop.example/".to_owned(), list.clone()),
            ("https://shop.example/b".to_owned(), list),
        ]
    );
}

#[test]
fn spiders_register_themselves() {
    let registration = spider::find("book_shop").unwrap();
    assert_eq!(registration.about, "Books of a shop");
    assert!(registration.file.ends_with("spider.rs"));
    let spider = (registration.make)(&Args::new()).unwrap();
    assert_eq!(spider.name(), "book_shop");
    let args = Args::from([("max".to_owned(), "1".to_owned())]);
    assert!(matches!(
        (registration.make)(&args),
        Err(ArgsError::Unknown { .. })
    ));
    let names = spider::registered().into_iter().map(|it| it.name);
    let names = names.collect::<Vec<_>>();
    assert!(names.is_sorted() && names.contains(&"limited") && names.contains(&"book_shop"));
    assert!(spider::find("shop").is_none());
}

#[derive(Deserialize)]
struct Computed {
    #[serde(default)]
    max: u32,
}

#[spider(name = "limited", start = "http://shop.example/first")]
impl Computed {
    async fn start(&self, seeds: Seeds) -> Result {
        for page in 1..=self.max {
            let url = format!("http://shop.example/?page={page}");
            seeds.push(url, (Self::numbered, page)).await?;
        }
        Ok(())
    }

    async fn r#first(&self, _: Page) -> Result {
        Ok(())
    }

    async fn numbered(&self, _: Page, number: u32) -> Result {
        if number > self.max {
            return Err("past the end".into());
        }
        Ok(())
    }
}

#[test]
fn a_spider_computes_seeds_and_takes_arguments() {
    let registration = spider::find("limited").unwrap();
    let make = |max: &str| {
        let args = Args::from([("max".to_owned(), max.to_owned())]);
        (registration.make)(&args)
    };
    let spider = make("2").unwrap();
    let step = |name: &'static str, args: Option<&str>| StepRef {
        name: name.into(),
        args: args.map(Into::into),
        spider: Some(TypeId::of::<Computed>()),
    };
    assert_eq!(
        seeds(&*spider),
        [
            ("http://shop.example/first".to_owned(), step("first", None)),
            (
                "http://shop.example/?page=1".to_owned(),
                step("numbered", Some("1"))
            ),
            (
                "http://shop.example/?page=2".to_owned(),
                step("numbered", Some("2"))
            ),
        ]
    );
    assert_eq!(registration.about, "");
    assert!(make("many").is_err());
    let past = run(&*spider, "numbered", Some("3"), &page("")).unwrap();
    assert_eq!(past.unwrap_err().to_string(), "past the end");
}

#[test]
fn a_step_is_an_ordinary_method() {
    let page = page("<h1>Silk</h1>");
    assert_eq!(wait(BookShop.book(page.clone())).unwrap().title, "Silk");
    wait(BookShop.list(page.clone())).unwrap();
    let missed = page.emitted().missed.clone();
    assert_eq!(missed, ["h3 a", "li.next a"]);
}
