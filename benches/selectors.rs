//! What reading a page costs: `get`, `items` and `derive(Item)` against the same by hand with scraper.
//!
//! ```text
//! cargo bench --bench selectors              1,000 rounds on pages of the bundled shop and a real one
//! ```
//!
//! Both have their selectors parsed before, read the same values of the same page, and are compared once with the
//! page parsed before and once with its parsing. The two take turns; what is shown is the median of the rounds'
//! times, each of as many repetitions as take 50 us.

#![allow(clippy::print_stdout, reason = "the figures")]

use std::hint::black_box;

use nephila::engine::Fetcher;
use nephila::page::{Context, ReadLimits};
use nephila::prelude::*;
use nephila::request::{Response, StepRef};
use nephila::settings::Settings;
use nephila::site::Site;
use scraper::{ElementRef, Html, Selector};
use tokio::time::Instant;

/// A page of zlib's documentation, 30 kB.
const REAL: &str = include_str!("../tests/data/xpath/zlib.html");

#[derive(Debug, PartialEq, Item)]
struct Row {
    #[css("h3 a::attr(href)")]
    link: String,
    #[css("h3 a")]
    title: String,
    #[css("p.price, p.price_color")]
    #[re(r"([\d.]+)")]
    price: f64,
}

#[derive(Debug, PartialEq, Item)]
struct Book {
    #[css("h1")]
    title: String,
    #[css("p.price")]
    #[re(r"([\d.]+)")]
    price: f64,
    #[css("p.stars::attr(data-n)")]
    stars: Option<u8>,
    #[css("table.facts td")]
    facts: Vec<String>,
    #[css("#description p")]
    description: String,
}

fn css(source: &str) -> Selector {
    Selector::parse(source).expect("it is one")
}

/// The text within, as short as one can write it: no white space is folded, which these pages need not.
fn text(element: ElementRef<'_>) -> String {
    let text = element.text().collect::<String>();
    text.trim().to_owned()
}

/// A list by hand: the link is looked for once, and read twice.
struct Rows {
    row: Selector,
    link: Selector,
    price: Selector,
    pattern: regex::Regex,
}

impl Rows {
    fn new() -> Self {
        Self {
            row: css("article.product"),
            link: css("h3 a"),
            price: css("p.price, p.price_color"),
            pattern: regex::Regex::new(r"([\d.]+)").expect("it is one"),
        }
    }

    fn read(&self, html: &Html) -> Option<Vec<Row>> {
        let row = |row: ElementRef<'_>| {
            let link = row.select(&self.link).next()?;
            let price = text(row.select(&self.price).next()?);
            Some(Row {
                link: link.attr("href")?.to_owned(),
                title: text(link),
                price: self.pattern.captures(&price)?[1].parse().ok()?,
            })
        };
        html.select(&self.row).map(row).collect()
    }
}

/// A book by hand.
struct Books {
    title: Selector,
    price: Selector,
    stars: Selector,
    facts: Selector,
    description: Selector,
    pattern: regex::Regex,
}

impl Books {
    fn new() -> Self {
        Self {
            title: css("h1"),
            price: css("p.price"),
            stars: css("p.stars"),
            facts: css("table.facts td"),
            description: css("#description p"),
            pattern: regex::Regex::new(r"([\d.]+)").expect("it is one"),
        }
    }

    fn read(&self, html: &Html) -> Option<Book> {
        let price = text(html.select(&self.price).next()?);
        let stars = html.select(&self.stars).next();
        let stars = stars.and_then(|stars| stars.attr("data-n"));
        Some(Book {
            title: text(html.select(&self.title).next()?),
            price: self.pattern.captures(&price)?[1].parse().ok()?,
            stars: stars.map(str::parse).transpose().ok()?,
            facts: html.select(&self.facts).map(text).collect(),
            description: text(html.select(&self.description).next()?),
        })
    }
}

fn page(response: &Response) -> Page {
    let reading = ReadLimits {
        looks: u64::MAX,
        text: usize::MAX,
        json_values: usize::MAX,
    };
    let context = Context {
        reading,
        ..Context::default()
    };
    Page::new(response.clone(), context)
}

/// Microseconds that each repetition takes.
fn timed(repetitions: u32, work: &dyn Fn()) -> f64 {
    let begin = Instant::now();
    for _ in 0..repetitions {
        work();
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(repetitions)
}

/// Two ways to the same, in turns; the medians.
fn compare(name: &str, rounds: usize, ours: &dyn Fn(), theirs: &dyn Fn()) {
    let once = timed(20, theirs);
    let repetitions = (50.0 / once).ceil().max(1.0) as u32;
    let (mut our, mut their) = (Vec::new(), Vec::new());
    for round in 0..rounds + 50 {
        let times = if round % 2 == 0 {
            let first = timed(repetitions, ours);
            (first, timed(repetitions, theirs))
        } else {
            let first = timed(repetitions, theirs);
            (timed(repetitions, ours), first)
        };
        // The first ones warm up.
        if round >= 50 {
            our.push(times.0);
            their.push(times.1);
        }
    }
    our.sort_unstable_by(f64::total_cmp);
    their.sort_unstable_by(f64::total_cmp);
    let (our, their) = (our[our.len() / 2], their[their.len() / 2]);
    println!(
        "{name:<44} {our:9.2} us   scraper {their:9.2} us   {:.2} of it",
        our / their
    );
}

/// A page, and its tree as scraper parses it.
struct Both {
    response: Response,
    text: String,
    page: Page,
    html: Html,
}

impl Both {
    fn new(response: Response) -> Result<Self> {
        let text = String::from_utf8(response.body.to_vec())?;
        Ok(Self {
            page: page(&response),
            html: Html::parse_document(&text),
            text,
            response,
        })
    }

    /// A value: of the parsed page, and with its parsing.
    fn get(&self, rounds: usize, selector: &str) {
        let (found, attribute) = taken(selector);
        let own = css(found);
        let by_hand = |html: &Html| {
            let element = html.select(&own).next()?;
            match attribute {
                None => Some(text(element)),
                Some(name) => element.attr(name).map(|value| value.trim().to_owned()),
            }
        };
        let ours = |page: &Page| page.get::<Option<String>>(selector).ok().flatten();
        assert_eq!(ours(&self.page), by_hand(&self.html), "{selector}");
        let name = format!("get {selector}");
        self.compare(rounds, &name, &ours, &by_hand);
    }

    /// All values.
    fn get_all(&self, rounds: usize, selector: &str) {
        let (found, attribute) = taken(selector);
        let own = css(found);
        let by_hand = |html: &Html| {
            let found = html.select(&own);
            let values: Vec<String> = match attribute {
                None => found.map(text).collect(),
                Some(name) => found
                    .filter_map(|element| Some(element.attr(name)?.trim().to_owned()))
                    .collect(),
            };
            Some(values)
        };
        let ours = |page: &Page| page.get::<Vec<String>>(selector).ok();
        assert_eq!(ours(&self.page), by_hand(&self.html), "{selector}");
        let name = format!("get all {selector}");
        self.compare(rounds, &name, &ours, &by_hand);
    }

    fn compare<T>(
        &self,
        rounds: usize,
        name: &str,
        ours: &dyn Fn(&Page) -> T,
        theirs: &dyn Fn(&Html) -> T,
    ) {
        compare(
            name,
            rounds,
            &|| drop(black_box(ours(black_box(&self.page)))),
            &|| drop(black_box(theirs(black_box(&self.html)))),
        );
        compare(
            "    with parsing",
            rounds,
            &|| drop(black_box(ours(&page(&self.response)))),
            &|| drop(black_box(theirs(&Html::parse_document(&self.text)))),
        );
    }
}

/// The CSS of a selector, and the attribute that it takes.
fn taken(selector: &str) -> (&str, Option<&str>) {
    match selector.split_once("::attr(") {
        Some((found, name)) => (found, name.strip_suffix(')')),
        None => (selector, None),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result {
    let rounds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let rounds = rounds.unwrap_or(1_000);
    let site = Site::start("127.0.0.1:0").await?;
    let fetcher = Fetcher::new(None, "{}", &Settings::default())?;
    fetcher.trust(&site.url());
    let both_at = async |path: &str| -> Result<Both> {
        let request = Request::new(site.url().join(path)?, StepRef::named("page"));
        Both::new(fetcher.fetch(&request).await?)
    };
    let (list, book) = (both_at("/").await?, both_at("/book/7").await?);
    let real = Both::new(Response::new(site.url(), REAL))?;

    println!("a list of {} bytes", list.text.len());
    list.get(rounds, "h1");
    list.get(rounds, "p.results");
    list.get(rounds, "li.next a::attr(href)");
    list.get(rounds, "#nowhere");
    list.get_all(rounds, "article.product h3 a");
    list.get_all(rounds, "article.product > h3 > a::attr(href)");
    list.get_all(rounds, "a[href^='/book/']::attr(href)");
    list.get_all(rounds, "article:has(p.stars) h3");
    let rows = Rows::new();
    let ours = |page: &Page| page.items::<Row>("article.product").ok();
    assert_eq!(ours(&list.page), rows.read(&list.html));
    list.compare(rounds, "items, derived", &ours, &|html| rows.read(html));

    println!("a book of {} bytes", book.text.len());
    book.get(rounds, "#description h2");
    let books = Books::new();
    let ours = |page: &Page| page.item::<Book>().ok();
    assert_eq!(ours(&book.page), books.read(&book.html));
    book.compare(rounds, "item, derived", &ours, &|html| books.read(html));

    println!(
        "a page of zlib's documentation of {} bytes",
        real.text.len()
    );
    real.get(rounds, "title");
    real.get_all(rounds, "a::attr(href)");
    real.get_all(rounds, "h3");
    Ok(())
}
