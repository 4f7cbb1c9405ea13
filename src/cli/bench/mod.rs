//! `nephila bench`.

mod shop;
mod truth;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::interrupt::Signals;
use super::output;
use crate::Crawl;
use crate::clock;
use crate::site::{Options, Site};
use crate::store::{self, collect};
use crate::ui::count;
use shop::Shop;
use truth::{Row, Truth};

/// Measure a crawl of the bundled shop, offline: pages, time, CPU, memory, and rows against the truth
///
/// The shop runs in a process of its own, and every page of it is fetched and parsed. Time is that of
/// the crawl, CPU time and memory are those of its process as a whole. A run whose rows are not the truth
/// is void, and ends with code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    /// Books in the shop; it has some lists more
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    books: usize,
    /// Requests in flight
    #[arg(long, value_name = "N", default_value_t = 32)]
    concurrency: usize,
    /// Only serve the shop, until Ctrl-C, for others to be measured on; its URL goes to standard output
    #[arg(long, conflicts_with = "check")]
    serve: bool,
    /// The port to serve on; 0 is a free one
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "serve")]
    port: u16,
    /// Compare rows that others have scraped with the truth: CSV with url, title, price and stars
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Serve until standard input ends
    #[arg(long, hide = true, requires = "serve")]
    attached: bool,
}

impl Bench {
    pub(super) async fn run(self, db: Option<&str>) -> Result<u8, Failure> {
        if self.serve {
            return self.serve().await;
        }
        if let Some(file) = &self.check {
            let truth = Truth::of(self.books, read(file)?);
            writeln!(output::stdout(), "{truth}")?;
            return Ok(truth.code());
        }
        let shop = Served::start(self.books)?;
        let scratch = Scratch::new();
        let file = db.map_or_else(|| scratch.database(), str::to_owned);
        let started = Instant::now();
        let report = Crawl::new(Shop::new(&shop.url))
            .db(&file)
            .fresh(true)
            .concurrency(self.concurrency)
            .with(|settings| settings.concurrency_per_host = self.concurrency)
            .run()
            .await?;
        let took = started.elapsed();
        let cpu = clock::process_cpu();
        let truth = Truth::of(self.books, rows(&file).await?);
        let pages = report.statistics.pages;
        let line = line(pages, took, cpu, &truth);
        writeln!(output::stdout(), "{line}")?;
        let whole = pages == shop_pages(self.books).await?;
        if !whole {
            output::say("void: not every page of the shop was fetched");
        }
        Ok(if whole { truth.code() } else { 1 })
    }

    async fn serve(self) -> Result<u8, Failure> {
        let mut signals = Signals::new()?;
        let site = site(self.books, self.port).await?;
        let mut out = output::stdout();
        writeln!(out, "{}", site.url())?;
        out.flush()?;
        if self.attached {
            let end = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
            // Whatever ends it, the one who asked for the shop has gone.
            let _ = end.await;
        } else {
            signals.next().await;
        }
        site.stop().await;
        Ok(0)
    }
}

async fn site(books: usize, port: u16) -> io::Result<Site> {
    let options = Options {
        products: books,
        log: false,
        ..Options::default()
    };
    Site::start_with(&format!("127.0.0.1:{port}"), options).await
}

async fn shop_pages(books: usize) -> Result<u64, Failure> {
    let site = site(books, 0).await?;
    Ok(site.shop_pages() as u64)
}

/// What was measured, in one line that is compared with others'.
fn line(pages: u64, took: Duration, cpu: Duration, truth: &Truth) -> String {
    let each = cpu.as_secs_f64() * 1e6 / pages.max(1) as f64;
    let rate = pages as f64 / took.as_secs_f64().max(1e-3);
    let memory = peak().map_or_else(String::new, |mb| format!(", {mb} MB at most"));
    format!(
        "nephila {}: {} pages in {:.2} s, {} pages/s, {each:.0} µs CPU per page{memory}, {truth}",
        env!("CARGO_PKG_VERSION"),
        count(pages),
        took.as_secs_f64(),
        count(rate as u64),
    )
}

/// The most memory that this process has had, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes.div_ceil(1_000))
}

/// Rows of a CSV file.
fn read(file: &Path) -> Result<Vec<Row>, Failure> {
    let what = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("can't read {}: {error}", file.display()))
            .more("it should be CSV with the columns url, title, price and stars")
    };
    let open = File::open(file).map_err(|error| what(&error))?;
    let mut reader = csv::Reader::from_reader(BufReader::new(open));
    let rows = reader.deserialize::<Row>();
    rows.collect::<Result<_, _>>().map_err(|error| what(&error))
}

/// Rows of a database.
async fn rows(db: &str) -> Result<Vec<Row>, Failure> {
    let reader = store::open_reader(db).await?;
    let sql = "SELECT url, title, price, stars FROM books WHERE _gone IS NULL";
    let (_, rows) = collect(&*reader, sql).await?;
    Ok(rows
        .iter()
        .filter_map(|row| Row::from_values(row))
        .collect())
}

/// The shop in a process of its own, until it is dropped.
struct Served {
    process: Child,
    url: String,
}

impl Served {
    fn start(books: usize) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["bench", "--serve", "--attached", "--books"])
            .arg(books.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut url)?;
        }
        let url = url.trim().to_owned();
        let served = Self { process, url };
        if served.url.is_empty() {
            return Err(Failure::broken("the shop did not open"));
        }
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It ends with its standard input; then it is waited for, so that it is not left behind.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A folder that goes with the measurement.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("nephila-bench-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn database(&self) -> String {
        // If it can't be made, opening the database says so.
        let _ = std::fs::create_dir_all(&self.0);
        format!("sqlite:{}", self.0.join("bench.db").display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
