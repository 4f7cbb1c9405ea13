//! One crawl over everything that a server can do to its visitors.
//!
//! What is much work without optimisation, and time-outs as they are by default, are for the long form:
//! `cargo build --release && HOSTILE=$PWD/target/release/nephila cargo test --test it hostile:: --
//! --nocapture`. Only that measures time. `HOSTILE_CASES=deep,hang` runs those whose names begin so.

mod cases;
mod server;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use server::{PLAIN, Server};
use tokio::time::Instant;

/// What a crawl of the real binary came to.
struct Crawled {
    code: Option<i32>,
    peak_kb: u64,
    took: Duration,
    output: String,
    /// State, reason and title by URL.
    pages: HashMap<String, Page>,
    dir: tempfile::TempDir,
}

impl Crawled {
    /// What the crawl knows of a page's life.
    fn explain(&self, url: &str) -> String {
        let explain = nephila(self.dir.path(), &["explain", url, "--db", "it.db"]).output();
        String::from_utf8(explain.unwrap().stdout).unwrap()
    }
}

#[derive(serde::Deserialize, Debug)]
struct Page {
    url: String,
    state: String,
    reason: Option<String>,
    message: Option<String>,
    title: Option<String>,
    stored: u32,
}

fn nephila(dir: &Path, args: &[&str]) -> Command {
    let built = std::env::var_os("HOSTILE").filter(|path| Path::new(path).is_file());
    let program = built.unwrap_or_else(|| env!("CARGO_BIN_EXE_nephila").into());
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(dir)
        .env_remove("DATABASE_URL")
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .env("NO_PROXY", "*")
        .stdin(Stdio::null());
    command
}

async fn crawl(url: &str, flags: &[&str]) -> Crawled {
    let dir = tempfile::tempdir().unwrap();
    let args = [&["crawl", url, "--db", "it.db"], flags].concat();
    let output = dir.path().join("output");
    let file = std::fs::File::create(&output).unwrap();
    let started = Instant::now();
    let mut child = nephila(dir.path(), &args)
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut peak_kb = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak_kb = peak_kb.max(high_water_mark(child.id()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let took = started.elapsed();
    let sql =
        "SELECT u.url, u.state, u.reason, u.message, max(l.title) AS title, count(l.url) AS stored
               FROM url u LEFT JOIN links l ON l.url = u.url GROUP BY u.page";
    let answer = nephila(
        dir.path(),
        &["query", "--db", "it.db", sql, "--format", "jsonl"],
    )
    .output()
    .unwrap();
    let rows = String::from_utf8(answer.stdout).unwrap();
    let pages = rows
        .lines()
        .map(|row| serde_json::from_str::<Page>(row).expect(row))
        .map(|page| (page.url.clone(), page))
        .collect();
    Crawled {
        code: status.code(),
        peak_kb,
        took,
        output: std::fs::read_to_string(&output).unwrap(),
        pages,
        dir,
    }
}

/// The most memory that a process ever had, in kB.
fn high_water_mark(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn outcome(page: Option<&Page>, name: &str) -> String {
    let Some(page) = page else {
        return "none".to_owned();
    };
    match (page.state.as_str(), page.reason.as_deref(), &page.title) {
        ("done", Some("redirect"), _) => "redirect".to_owned(),
        ("done", None, Some(title)) if title == name => "page".to_owned(),
        ("done", None, Some(title)) => format!("titled {title}"),
        ("done", None, None) => "untitled".to_owned(),
        (state, reason, _) => format!("{state} {}", reason.unwrap_or("?")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once() {
    let long = std::env::var_os("HOSTILE");
    let mut cases = cases::all();
    assert!(cases.len() >= 400, "{}", cases.len());
    if let Ok(some) = std::env::var("HOSTILE_CASES") {
        cases.retain(|case| some.split(',').any(|name| case.name.starts_with(name)));
    }
    if long.is_none() {
        cases.retain(|case| !case.is_heavy);
    }
    let expected: Vec<_> = cases
        .iter()
        .map(|case| (case.name.clone(), case.expected.clone()))
        .collect();
    let server = Server::start(cases).await;
    let site = format!("http://{}", server.address);
    let mut flags = vec!["--max-errors", "100%", "-s", "hosts=*"];
    if long.is_none() {
        flags.extend([
            "-s",
            "first_byte_timeout=2s",
            "-s",
            "idle_timeout=2s",
            "-s",
            "timeout=6s",
            "-s",
            "retries=1",
            "-s",
            "retry_delay=100ms",
        ]);
    }
    let crawled = crawl(&format!("{site}/"), &flags).await;
    let (gap, meanwhile) = server.longest_gap();
    println!(
        "{} cases, {} pages, {:?}, peak {} kB, longest gap {gap:?}, exit {:?}\n{}",
        expected.len(),
        crawled.pages.len(),
        crawled.took,
        crawled.peak_kb,
        crawled.code,
        crawled.output,
    );
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        let page = crawled.pages.get(&format!("{site}/case/{name}"));
        let outcome = outcome(page, name);
        if expected != "any"
            && expected != &outcome
            && !expected.split('|').any(|one| one == outcome)
        {
            let shown = |text: &str| text.chars().take(60).collect::<String>();
            wrong.push(format!(
                "{name}: {} instead of {} ({:?})",
                shown(&outcome),
                shown(expected),
                page.and_then(|page| page.message.as_deref())
            ));
        }
    }
    for number in 0..PLAIN {
        let page = crawled.pages.get(&format!("{site}/plain/{number}"));
        let name = format!("plain {number}");
        if outcome(page, &name) != "page" || page.is_none_or(|page| page.stored != 1) {
            wrong.push(format!("{name}: {page:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        !crawled.output.contains('\u{1b}'),
        "an escape reached the terminal"
    );
    if long.is_some() {
        assert!(
            gap <= Duration::from_secs(2),
            "{gap:?} without a plain page:\n{}\n{}",
            meanwhile.join("\n"),
            meanwhile
                .last()
                .and_then(|last| last.split_once(' '))
                .map(|(_, path)| crawled.explain(&format!("{site}{path}")))
                .unwrap_or_default(),
        );
    }
    assert!(crawled.peak_kb <= 100_000, "{} kB", crawled.peak_kb);
}
