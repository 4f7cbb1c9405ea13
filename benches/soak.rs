//! A soak: a crawl at full speed, with faults, for as long as one wants, which must not grow.
//!
//! ```text
//! cargo bench --bench soak             1 minute
//! cargo bench --bench soak -- 20       20 minutes
//! ```
//!
//! The bundled graph of ten million pages runs in a process of its own; it answers 503, redirects, and
//! some steps fail, panic or take their time. The queue grows by more than ten requests with each page, on
//! disk. Every second it is noted what the process holds; from the second third on nothing of that may
//! grow. Ends with an error if something does, or if the database says anything but the truth.

#![allow(clippy::print_stdout, reason = "the figures")]
#![expect(clippy::panic, reason = "a step that panics is one of the faults")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::Stop;
use nephila::item::Value;
use nephila::prelude::*;
use nephila::site::{Options, Site};
use nephila::store;
use serde::Deserialize;
use tokio::time::{Instant, interval};

/// Memory may grow by so much a minute, by the line through all that was noted.
const MAX_SLOPE_MB: f64 = 0.5;
/// The log may have this size: four times of what it is written back at.
const MAX_LOG_MB: f64 = 64.0;
/// Tasks of the runtime that may live at once.
const MAX_TASKS: usize = 400;

#[derive(Item)]
#[item(table = "nodes", key = "url")]
struct Node {
    #[url]
    url: Url,
    #[css("h1")]
    title: String,
    #[css("p.value")]
    value: u32,
}

#[derive(Deserialize)]
struct Graph {
    start: Url,
}

#[spider]
impl Graph {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.start, Self::node).await
    }

    async fn node(&self, page: Page) -> Result<Node> {
        let node: Node = page.item()?;
        match node.value % 1_000 {
            500 => return Err("one in a thousand fails".into()),
            501 => panic!("one in a thousand panics"),
            502..512 => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => {}
        }
        page.follow("a", Self::node)?;
        Ok(node)
    }
}

fn main() -> Result {
    // As the program does.
    nephila_heap::return_large_blocks();
    let args: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if args.first().is_some_and(|arg| arg == "serve") {
        return runtime.block_on(serve());
    }
    let minutes: f64 = args.first().map_or(Ok(1.0), |arg| arg.parse())?;
    // A step that panics is part of it.
    std::panic::set_hook(Box::new(|_| {}));
    runtime.block_on(soak(Duration::from_secs_f64(minutes * 60.0)))
}

/// Serves the graph until standard input closes.
async fn serve() -> Result {
    let options = Options {
        log: false,
        ..Options::default()
    };
    let site = Site::start_with("127.0.0.1:0", options).await?;
    println!("{}", site.url());
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

/// What was noted at some moment.
struct Note {
    seconds: f64,
    memory: f64,
    log: f64,
    tasks: usize,
}

async fn soak(time: Duration) -> Result {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    BufReader::new(server.stdout.take().ok_or("no stdout")?).read_line(&mut url)?;
    let start = Url::parse(url.trim())?.join("/graph/0?of=10000000&fail=2&redirect=10")?;
    let folder = tempfile::tempdir()?;
    let db = folder.path().join("soak.db");
    let crawl = Crawl::new(Graph { start }).db(db.display().to_string());
    let crawl = crawl.concurrency(32).with(|settings| {
        settings.concurrency_per_host = 32;
        settings.max_time = Some(time);
        // At full speed: a host that says 503 is asked again at once.
        settings.retry_delay = Duration::from_millis(5);
        settings.max_retry_delay = Duration::from_millis(20);
        settings.max_host_errors = u32::MAX;
        // The graph has no end, which others would be protected from.
        settings.max_pages_per_host = 0;
        settings.max_query_mixes = 0;
    });
    let crawl = crawl.run();
    tokio::pin!(crawl);
    let (mut notes, begun) = (Vec::new(), Instant::now());
    let mut tick = interval(Duration::from_secs(1));
    let mut pages = nephila_heap::FreePages::default();
    let report = loop {
        tokio::select! {
            report = &mut crawl => break report?,
            _ = tick.tick() => {
                pages.give_back();
                notes.push(Note {
                    seconds: begun.elapsed().as_secs_f64(),
                    memory: resident(),
                    log: megabytes(&db.with_extension("db-wal")),
                    tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
                });
            }
        }
    };
    drop(server.stdin.take());
    server.wait()?;
    if report.stop != Stop::Limit("max_time") {
        return Err(format!("stopped by {:?}: {:?}", report.stop, report.statistics).into());
    }
    let statistics = &report.statistics;
    println!(
        "{:.1} minutes, {} pages, {} failed, {} redirects, {} retries, {} items, {:.0} pages/s, file {:.0} MB",
        report.elapsed.as_secs_f64() / 60.0,
        statistics.pages,
        statistics.failed,
        statistics.redirects,
        statistics.retries,
        statistics.item_count(),
        statistics.pages as f64 / report.elapsed.as_secs_f64(),
        megabytes(&db),
    );
    truth(&db, statistics.item_count()).await?;
    judge(&notes[notes.len() / 3..])
}

/// Says what was noted, and what of it grew.
fn judge(notes: &[Note]) -> Result {
    let most = |of: fn(&Note) -> f64| notes.iter().map(of).fold(0.0, f64::max);
    let slope = slope(notes) * 60.0;
    let (memory, log) = (most(|note| note.memory), most(|note| note.log));
    let tasks = notes.iter().map(|note| note.tasks).max().unwrap_or(0);
    println!(
        "memory at most {memory:.1} MB, {slope:+.2} MB a minute; log at most {log:.1} MB; {tasks} tasks at most"
    );
    if slope > MAX_SLOPE_MB || log > MAX_LOG_MB || tasks > MAX_TASKS {
        return Err("something grows".into());
    }
    Ok(())
}

/// Growth of memory per second, by least squares.
fn slope(notes: &[Note]) -> f64 {
    let count = notes.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Note) -> f64| notes.iter().map(of).sum::<f64>() / count;
    let (at, memory) = (mean(&|note| note.seconds), mean(&|note| note.memory));
    let covariance = mean(&|note| (note.seconds - at) * (note.memory - memory));
    let variance = mean(&|note| (note.seconds - at).powi(2));
    covariance / variance.max(f64::EPSILON)
}

/// Nothing lost, nothing double, and all that the report says.
async fn truth(db: &Path, items: u64) -> Result {
    let reader = store::open_reader(&db.display().to_string()).await?;
    let laws = [
        "SELECT (SELECT count(*) FROM seen) - (SELECT count(*) FROM queue) - (SELECT count(*) FROM page)",
        "SELECT (SELECT count(*) FROM page) - (SELECT sum(done + failed + skipped) FROM run)",
        &format!("SELECT (SELECT count(*) FROM nodes) - {items}"),
        "SELECT (SELECT count(*) FROM nodes)
              - (SELECT count(*) FROM page WHERE state = 'done' AND reason IS NULL)",
    ];
    for law in laws {
        let (_, rows) = store::collect(&*reader, law).await?;
        if rows != [[Value::Integer(0)]] {
            return Err(format!("{rows:?}: {law}").into());
        }
    }
    Ok(())
}

/// Memory of this process in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1e3
}

fn megabytes(path: &Path) -> f64 {
    std::fs::metadata(path).map_or(0.0, |file| file.len() as f64 / 1e6)
}
