//! What a page costs: `crawl` against a hand-written loop, in CPU time.
//!
//! ```text
//! cargo bench --bench page_cost                      5,000 books, 5 rounds
//! cargo bench --bench page_cost -- 50000 1           50,000 books, one round
//! cargo bench --bench page_cost -- 5000 5 pinned     the site on one core, the candidate on another (taskset)
//! ```
//!
//! The bundled site runs in a process of its own. The two candidates take turns, each in a new
//! process, on the same pages, and write the same rows: one per page, one per book. The loop is what one
//! would write with tokio, reqwest, scraper and sqlx for this site alone: its frontier is a queue and
//! a set in memory, and it has no robots.txt, retries, scope, politeness or resume. CPU time is the
//! process's own (user and system), from its first to its last instruction.

#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::{HashSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nephila::Crawl;
use nephila::prelude::*;
use nephila::site::{Options, Site};
use scraper::{Html, Selector};
use serde::Deserialize;
use sqlx::{Connection, SqliteConnection};

type Anything<T = ()> = Result<T>;

fn main() -> Anything {
    let args: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    match args.first().map(String::as_str) {
        Some("serve") => runtime()?.block_on(serve(args[1].parse()?)),
        Some("loop") => {
            let pages = runtime()?.block_on(hand_written(args[1].parse()?, args[2].clone()))?;
            say_cost(pages)
        }
        Some("crawl") => {
            let pages = runtime()?.block_on(crawl(args[1].parse()?, &args[2]))?;
            say_cost(pages)
        }
        _ => {
            let number = |at: usize, default| args.get(at).map_or(Ok(default), |arg| arg.parse());
            let is_pinned = args.get(2).is_some_and(|arg| arg == "pinned");
            compare(number(0, 5_000)?, number(1, 5)?, is_pinned)
        }
    }
}

/// Serves the shop until standard input closes.
async fn serve(products: usize) -> Anything {
    let site = Site::start_with(
        "127.0.0.1:0",
        Options {
            products,
            log: false,
            ..Options::default()
        },
    );
    let site = site.await?;
    println!("{}", site.url());
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

/// Pages, CPU seconds, wall seconds and peak memory of this process.
fn say_cost(pages: u64) -> Anything {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let now: f64 = uptime.split(' ').next().unwrap_or_default().parse()?;
    let wall = now - fields[19].parse::<f64>()? / 100.0;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    let peak = peak.split_whitespace().nth(1).unwrap_or("0");
    println!("{pages} {} {wall} {peak}", ticks as f64 / 100.0);
    Ok(())
}

struct Cost {
    pages: f64,
    cpu: f64,
    wall: f64,
    peak_mb: f64,
}

/// This program, on one core if it is said which.
fn program(core: Option<&str>) -> Anything<Command> {
    let program = std::env::current_exe()?;
    let Some(core) = core else {
        return Ok(Command::new(program));
    };
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", core]).arg(program);
    Ok(pinned)
}

fn run(mut program: Command, kind: &str, url: &str, db: &str) -> Anything<Cost> {
    let output = program.args([kind, url, db]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text
        .split_whitespace()
        .map(str::parse)
        .collect::<std::result::Result<Vec<f64>, _>>()?;
    match numbers[..] {
        [pages, cpu, wall, peak] => Ok(Cost {
            pages,
            cpu,
            wall,
            peak_mb: peak / 1024.0,
        }),
        _ => Err(format!("{kind}: {text} {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Rows of the table `books` and their checksum: a run whose rows are not the truth is void.
fn rows(db: &str) -> Anything<(i64, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite:{db}")).await?;
        let sql = "SELECT count(DISTINCT url), total(price) FROM books";
        Ok(sqlx::query_as(sql).fetch_one(&mut connection).await?)
    })
}

fn compare(products: usize, rounds: usize, is_pinned: bool) -> Anything {
    let mut server = program(is_pinned.then_some("0"))?
        .args(["serve", &products.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    let stdout = server.stdout.take().ok_or("no stdout")?;
    BufReader::new(stdout).read_line(&mut url)?;
    let folder = tempfile::tempdir()?;
    println!(
        "{:>6} {:>8} {:>12} {:>8} {:>8} {:>8}",
        "", "pages", "CPU us/page", "pages/s", "peak MB", "ratio"
    );
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut costs = Vec::new();
        let mut truth = Vec::new();
        for kind in ["loop", "crawl"] {
            let db = folder
                .path()
                .join(format!("{kind}{round}.db"))
                .display()
                .to_string();
            let program = program(is_pinned.then_some("1"))?;
            costs.push(run(program, kind, url.trim(), &db)?);
            truth.push(rows(&db)?);
        }
        if truth[0] != truth[1] || truth[0].0 != i64::try_from(products)? {
            return Err(format!("void: rows differ: {truth:?}").into());
        }
        let per_page = |cost: &Cost| cost.cpu / cost.pages * 1e6;
        let ratio = per_page(&costs[1]) / per_page(&costs[0]);
        ratios.push(ratio);
        let rate = |cost: &Cost| cost.pages / cost.wall;
        rates.push(rate(&costs[1]) / rate(&costs[0]));
        for (kind, cost) in ["loop", "crawl"].iter().zip(&costs) {
            let ratio = if *kind == "crawl" {
                format!("{ratio:.2}")
            } else {
                String::new()
            };
            let (cpu, rate) = (per_page(cost), rate(cost));
            println!(
                "{kind:>6} {:>8} {cpu:>12.0} {rate:>8.0} {:>8.1} {ratio:>8}",
                cost.pages, cost.peak_mb
            );
        }
    }
    ratios.sort_by(f64::total_cmp);
    rates.sort_by(f64::total_cmp);
    println!(
        "median ratio of CPU per page {:.2}, of pages per second {:.2}",
        ratios[ratios.len() / 2],
        rates[rates.len() / 2]
    );
    drop(server.stdin.take());
    server.wait()?;
    Ok(())
}

#[derive(Item)]
#[item(table = "books", key = "url")]
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
}

#[derive(Deserialize)]
struct Shop {
    start: Url,
}

#[spider]
impl Shop {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::page).await
    }

    async fn page(&self, page: Page) -> Result<Option<Book>> {
        page.follow("a[href]", Self::page)?;
        if page.url().path().starts_with("/book/") {
            page.item().map(Some)
        } else {
            Ok(None)
        }
    }
}

async fn crawl(start: Url, db: &str) -> Anything<u64> {
    let report = Crawl::new(Shop { start })
        .db(db)
        .concurrency(32)
        .with(|settings| {
            settings.concurrency_per_host = 32;
        });
    let report = report.run().await?;
    if report.exit_code() != 0 {
        return Err(format!("{report:?}").into());
    }
    Ok(report.statistics.pages)
}

/// A fetched and parsed page of the loop.
struct Parsed {
    url: String,
    status: u16,
    links: Vec<String>,
    book: Option<(String, f64, Option<i64>)>,
}

async fn hand_written(start: Url, db: String) -> Anything<u64> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(
            rustls::ClientConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
        )
        .build()?;
    let selectors = Arc::new(Selectors::new());
    let (to_writer, from_loop) = tokio::sync::mpsc::channel(200);
    let writer = tokio::spawn(write(db, from_loop));
    let mut seen = HashSet::from([start.to_string()]);
    let mut queue = VecDeque::from([start.to_string()]);
    let mut tasks = tokio::task::JoinSet::new();
    let mut pages = 0;
    loop {
        while tasks.len() < 32
            && let Some(url) = queue.pop_front()
        {
            tasks.spawn(fetch(client.clone(), Arc::clone(&selectors), url));
        }
        let Some(parsed) = tasks.join_next().await else {
            break;
        };
        let mut parsed = parsed??;
        for link in parsed.links.drain(..) {
            if seen.insert(link.clone()) {
                queue.push_back(link);
            }
        }
        pages += 1;
        to_writer.send(parsed).await?;
    }
    drop(to_writer);
    writer.await??;
    Ok(pages)
}

struct Selectors {
    link: Selector,
    title: Selector,
    price: Selector,
    stars: Selector,
}

impl Selectors {
    fn new() -> Self {
        let parse = |css| Selector::parse(css).expect("a fixed selector");
        Self {
            link: parse("a[href]"),
            title: parse("h1"),
            price: parse("p.price"),
            stars: parse("p.stars"),
        }
    }
}

async fn fetch(
    client: reqwest::Client,
    selectors: Arc<Selectors>,
    url: String,
) -> Anything<Parsed> {
    let response = client.get(&url).send().await?;
    let status = response.status().as_u16();
    let text = String::from_utf8(response.bytes().await?.into())?;
    let base = Url::parse(&url)?;
    let html = Html::parse_document(&text);
    let mut links = Vec::new();
    for element in html.select(&selectors.link) {
        let mut link = base.join(element.attr("href").unwrap_or_default())?;
        link.set_fragment(None);
        if link.host_str() == base.host_str() && link.port() == base.port() {
            links.push(link.into());
        }
    }
    let mut book = None;
    if base.path().starts_with("/book/") {
        let text = |selector| {
            let element = html.select(selector).next();
            element.map(|element| element.text().collect::<String>().trim().to_owned())
        };
        let price = text(&selectors.price).ok_or("no price")?;
        let price = price
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()?;
        let stars = html.select(&selectors.stars).next();
        let stars = stars.and_then(|stars| stars.attr("data-n")?.parse().ok());
        book = Some((text(&selectors.title).ok_or("no title")?, price, stars));
    }
    Ok(Parsed {
        url,
        status,
        links,
        book,
    })
}

async fn write(db: String, mut pages: tokio::sync::mpsc::Receiver<Parsed>) -> Anything {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(db)
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Normal);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let schema = "CREATE TABLE page (id INTEGER PRIMARY KEY, url TEXT, status INTEGER);
        CREATE TABLE books (url TEXT PRIMARY KEY, title TEXT, price REAL, stars INTEGER)";
    sqlx::raw_sql(schema).execute(&mut connection).await?;
    let mut batch = Vec::with_capacity(100);
    while pages.recv_many(&mut batch, 100).await > 0 {
        let mut transaction = connection.begin().await?;
        let mut sql = sqlx::QueryBuilder::new("INSERT INTO page (url, status) ");
        sql.push_values(&batch, |mut row, page| {
            row.push_bind(&page.url).push_bind(page.status);
        });
        sql.build().execute(&mut *transaction).await?;
        let books: Vec<_> = batch.iter().filter(|page| page.book.is_some()).collect();
        if !books.is_empty() {
            let mut sql = sqlx::QueryBuilder::new("INSERT OR REPLACE INTO books ");
            sql.push_values(books, |mut row, page| {
                let (title, price, stars) = page.book.as_ref().expect("filtered");
                row.push_bind(&page.url)
                    .push_bind(title)
                    .push_bind(price)
                    .push_bind(stars);
            });
            sql.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        batch.clear();
    }
    Ok(())
}
