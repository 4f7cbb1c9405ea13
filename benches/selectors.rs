//! What reading a page costs: `get`, `items` and `derive(Item)` against the same by hand with scraper.
//!
//! ```text
//! cargo bench --bench selectors              2,000 rounds on a list of the bundled shop
//! ```
//!
//! Both read the same values of the same page, 20 rows of three fields and a title. Once without parsing, and once
//! with it. The two take turns; what is shown is the median of the rounds' times.

#![allow(clippy::print_stdout, reason = "the figures")]

use std::hint::black_box;
use std::time::Duration;

use nephila::engine::Fetcher;
use nephila::page::{Context, ReadLimits};
use nephila::prelude::*;
use nephila::request::{Response, StepRef};
use nephila::settings::Settings;
use nephila::site::Site;
use scraper::{Html, Selector};
use tokio::time::Instant;

#[derive(Item)]
struct Row {
    #[css("h3 a::attr(href)")]
    link: String,
    #[css("h3 a")]
    title: String,
    #[css("p.price, p.price_color")]
    #[re(r"([\d.]+)")]
    price: f64,
}

struct Selectors {
    row: Selector,
    link: Selector,
    price: Selector,
    title: Selector,
    pattern: regex::Regex,
}

impl Selectors {
    fn new() -> Self {
        let parse = |css| Selector::parse(css).expect("it is one");
        Self {
            row: parse("article.product"),
            link: parse("h3 a"),
            price: parse("p.price, p.price_color"),
            title: parse("h1"),
            pattern: regex::Regex::new(r"([\d.]+)").expect("it is one"),
        }
    }
}

/// As one writes it with scraper.
fn by_hand(html: &Html, selectors: &Selectors) -> Option<Vec<Row>> {
    let text = |element: scraper::ElementRef<'_>| {
        let text = element.text().collect::<String>();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    html.select(&selectors.row)
        .map(|row| {
            let link = row.select(&selectors.link).next()?;
            let price = text(row.select(&selectors.price).next()?);
            let groups = selectors.pattern.captures(&price)?;
            Some(Row {
                link: link.attr("href")?.to_owned(),
                title: text(link),
                price: groups[1].parse().ok()?,
            })
        })
        .collect()
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

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    black_box(work());
    begin.elapsed()
}

/// Two ways to the same, in turns; the medians.
fn compare(name: &str, rounds: usize, ours: &dyn Fn(), theirs: &dyn Fn()) {
    let (mut our, mut their) = (Vec::new(), Vec::new());
    for round in 0..rounds + 50 {
        let times = if round % 2 == 0 {
            let first = timed(ours);
            (first, timed(theirs))
        } else {
            let first = timed(theirs);
            (timed(ours), first)
        };
        // The first ones warm up.
        if round >= 50 {
            our.push(times.0);
            their.push(times.1);
        }
    }
    our.sort_unstable();
    their.sort_unstable();
    let median = |times: &[Duration]| times[times.len() / 2].as_secs_f64() * 1e6;
    let (our, their) = (median(&our), median(&their));
    println!(
        "{name:<24} {our:8.1} us   scraper {their:8.1} us   {:.2} of it",
        our / their
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result {
    let rounds = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let rounds = rounds.unwrap_or(2_000);
    let site = Site::start("127.0.0.1:0").await?;
    let fetcher = Fetcher::new(None, "{}", &Settings::default())?;
    fetcher.trust(&site.url());
    let response = fetcher
        .fetch(&Request::new(site.url(), StepRef::named("list")))
        .await?;
    let text = String::from_utf8(response.body.to_vec())?;
    let selectors = Selectors::new();
    let (page_of, html) = (page(&response), Html::parse_document(&text));
    let rows: Vec<Row> = page_of.items("article.product")?;
    let same = by_hand(&html, &selectors).ok_or("scraper reads nothing")?;
    assert_eq!(rows.len(), same.len());
    let is_same = |(one, other): (&Row, &Row)| {
        (&one.link, &one.title, one.price.to_bits())
            == (&other.link, &other.title, other.price.to_bits())
    };
    assert!(rows.iter().zip(&same).all(is_same), "the rows differ");
    println!("a page of {} bytes with {} rows", text.len(), rows.len());
    compare(
        "get, one value",
        rounds,
        &|| drop(black_box(page_of.get::<String>("h1"))),
        &|| {
            let title = html.select(&selectors.title).next();
            let title = title.map(|title| title.text().collect::<String>());
            black_box(title.map(|title| title.trim().to_owned()));
        },
    );
    compare(
        "items, derived",
        rounds,
        &|| drop(black_box(page_of.items::<Row>("article.product"))),
        &|| drop(black_box(by_hand(&html, &selectors))),
    );
    compare(
        "parsing and items",
        rounds,
        &|| drop(black_box(page(&response).items::<Row>("article.product"))),
        &|| drop(black_box(by_hand(&Html::parse_document(&text), &selectors))),
    );
    Ok(())
}
