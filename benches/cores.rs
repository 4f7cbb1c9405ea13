//! What a second core brings: `cargo bench --bench cores -- [pages] [rounds]`.
//!
//! Crawls pages of 24 KB with 70 links, made in memory, so that nothing but reading and storing them costs, on one
//! core and on two (`taskset`), each in a process of its own, in turn. What came of it: `benches/README.md`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measurement prints, measures time, and fails loudly"
)]

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use nephila::Crawl;
use nephila::fetch::{Fetch, FetchError};
use nephila::prelude::*;
use nephila::request::{Request, Response};
use nephila::settings::RobotsMode;

const LINKS: u64 = 70;
const BYTES: usize = 24_000;

fn main() {
    let args: Vec<_> = std::env::args()
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    if let [_, kind, pages, db] = &args[..]
        && kind == "crawl"
    {
        return tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(crawl(pages.parse().unwrap(), db));
    }
    let number = |at: usize, default: u64| args.get(at).map_or(default, |arg| arg.parse().unwrap());
    let (pages, rounds) = (number(1, 10_000), number(2, 5));
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (one, two) = (rate("0", pages), rate("0,1", pages));
        println!(
            "{one:>6.0} pages/s on one core, {two:>6.0} on two: {:.2}",
            two / one
        );
        ratios.push(two / one);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}

/// Pages per second on these cores.
fn rate(cores: &str, pages: u64) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("taskset")
        .args(["-c", cores])
        .arg(std::env::current_exe().unwrap())
        .args(["crawl", &pages.to_string()])
        .arg(folder.path().join("cores.db"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim().parse().unwrap_or_else(|_| {
        panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
    })
}

/// Page N leads to 2N + 1, 2N + 2 and pages before it.
struct Shelf {
    pages: u64,
}

impl Fetch for Shelf {
    async fn fetch(&self, request: &Request) -> std::result::Result<Response, FetchError> {
        let number: u64 = request.url.path().trim_start_matches('/').parse().unwrap();
        let mut html = format!("<title>Page {number}</title><h1>Page {number}</h1><ul>");
        for link in 0..LINKS {
            let to = match link {
                0 | 1 => (2 * number + 1 + link).min(self.pages - 1),
                _ => number * link / LINKS,
            };
            write!(
                html,
                "<li class=row><a href=/{to}>Page {to}</a> <b>and</b> <span>why</span>"
            )
            .unwrap();
        }
        html.push_str("</ul>");
        while html.len() < BYTES {
            html.push_str(
                "<div class=box><p>Some text with <em>marks</em>, and more of it.</p></div>",
            );
        }
        Ok(Response::new(request.url.clone(), html))
    }
}

#[derive(Item)]
#[item(table = "pages", key = "url")]
struct Title {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
}

#[derive(Default)]
struct Cores;

#[spider(name = "cores", start = "https://www.shelf.example/0")]
impl Cores {
    async fn page(&self, page: Page) -> Result<Title> {
        page.follow("a[href]", Self::page)?;
        page.item()
    }
}

async fn crawl(pages: u64, db: &str) {
    let crawl = Crawl::new(Cores)
        .db(db)
        .fetch(Shelf { pages })
        .with(|settings| {
            settings.robots = RobotsMode::Ignore;
            settings.delay = Some(std::time::Duration::ZERO);
            settings.autothrottle = Some(false);
            settings.max_same_pages = 0;
            settings.concurrency = 64;
            settings.concurrency_per_host = 64;
        });
    let start = Instant::now();
    let report = crawl.run().await.unwrap();
    assert_eq!(report.statistics.pages, pages, "{report:?}");
    println!("{}", pages as f64 / start.elapsed().as_secs_f64());
}
