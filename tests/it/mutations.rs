//! Answers that were sound once: flipped, cut, spliced, by a seed.
//!
//! `NEPHILA_MUTATIONS=10000 cargo test --release --test it mutations -- --nocapture` is the long
//! form; `NEPHILA_MUTATION=4711` with it plays the one of that seed alone.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::{Event, Stop};
use nephila::prelude::*;
use nephila::request::{Request, StepRef};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::raw::{Act, perform, read};

#[derive(Item)]
#[item(table = "mutants", key = "url")]
struct Mutant {
    url: Url,
    title: Option<String>,
    links: usize,
}

#[derive(serde::Deserialize)]
struct Mutants {
    site: Url,
    seeds: std::ops::Range<u64>,
}

#[spider]
impl Mutants {
    async fn start(&self, seeds: Seeds) -> Result {
        for seed in self.seeds.clone() {
            seeds
                .push(self.site.join(&format!("/{seed}"))?, Self::read)
                .await?;
        }
        for number in 0..PLAIN {
            let url = self.site.join(&format!("/plain/{number}"))?;
            let mut request = Request::new(url, StepRef::named("plain"));
            request.priority = -1;
            // A connection that was closed without a word may be tried first.
            request.retries = Some(5);
            seeds.send(request).await?;
        }
        Ok(())
    }

    /// What every worker still does afterwards.
    async fn plain(&self, page: Page) -> Result<Mutant> {
        Ok(Mutant {
            url: page.url().clone(),
            title: page.get("title")?,
            links: 0,
        })
    }

    /// Does all that a step may do with a page, whatever it is.
    async fn read(&self, page: Page) -> Result<Mutant> {
        let links = page.css("a, p a[href], div > *")?.len();
        page.follow("a.next", Self::read)?;
        let _ = page.json::<serde_json::Value>();
        let _ = page.submit("form", &[("a", "b")], Self::read);
        let _ = page.get::<Vec<f64>>("p.price");
        Ok(Mutant {
            url: page.url().clone(),
            title: page.get("title")?,
            links,
        })
    }
}

/// Pages that are sound, and come last.
const PLAIN: u64 = 100;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a server may well say.
fn answers() -> Vec<Vec<u8>> {
    let page = "<!doctype html><html><head><title>A page</title><meta charset=utf-8><base href=/a/></head>\
        <body><h1>caf\u{e9}</h1><form action=/f method=post><input name=t value=1><select name=s><option>x\
        </select></form><table><tr><td><a class=next href='/9?x=1&amp;y=2'>next</a></table><p class=price>3.5\
        <svg><a href=#x /></svg><!-- note --><script>if (a < b) {}</script></body></html>";
    let answer = |fields: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: x\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let chunked = |body: &[u8]| {
        let mut all =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        for chunk in body.chunks(50) {
            all.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            all.extend([chunk, b"\r\n"].concat());
        }
        all.extend(b"0\r\nX-Sum: 1\r\n\r\n");
        all
    };
    let zstd = ::zstd::stream::encode_all(page.as_bytes(), 1).unwrap();
    let utf16: Vec<u8> = page.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        answer("Content-Type: text/html; charset=utf-8\r\n", page.as_bytes()),
        answer("Content-Type: text/html\r\nContent-Encoding: gzip\r\n", &gzip(page.as_bytes())),
        answer("Content-Type: text/html\r\nContent-Encoding: gzip, zstd\r\n", &::zstd::stream::encode_all(&*gzip(page.as_bytes()), 1).unwrap()),
        answer("Content-Type: text/html\r\nContent-Encoding: zstd\r\n", &zstd),
        answer("Content-Type: text/html; charset=utf-16\r\n", &utf16),
        answer("Content-Type: text/html; charset=shift_jis\r\nLink: </a>; rel=next\r\n", page.as_bytes()),
        answer("Content-Type: application/json\r\n", br#"{"a": [1, 2.5e3, "x\u00e9", null], "b": {"c": true}}"#),
        answer("Set-Cookie: id=1; Path=/; Max-Age=60; SameSite=Lax\r\nSet-Cookie: a=b; Expires=Wed, 21 Oct 2099 07:28:00 GMT\r\n", b"cookies"),
        chunked(page.as_bytes()),
        b"HTTP/1.1 302 Found\r\nLocation: /7?from=here#there\r\nSet-Cookie: r=1\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy".to_vec(),
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<title>none</title>".to_vec(),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold".to_vec(),
    ]
}

/// The answer that a seed stands for.
fn mutated(answers: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let any = |random: &mut fastrand::Rng| answers[random.usize(..answers.len())].clone();
    let mut bytes = any(&mut random);
    for _ in 0..random.usize(1..6) {
        let (at, other) = (random.usize(..=bytes.len()), any(&mut random));
        let end = (at + random.usize(..40)).min(bytes.len());
        let from = random.usize(..other.len());
        let to = (from + random.usize(..200)).min(other.len());
        match random.u8(..8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, other[from..to].iter().copied())),
            3 => bytes.extend_from_slice(&other),
            4 => {
                let piece = bytes[at..end].repeat(random.usize(1..50));
                bytes.splice(at..at, piece);
            }
            5 => bytes[at..end].fill(random.u8(..)),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_answers_cost_themselves_at_the_most() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|number| number.parse().ok())
    };
    let seeds = match (number("NEPHILA_MUTATION"), number("NEPHILA_MUTATIONS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(400),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let answers = Arc::new(answers());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            let answers = Arc::clone(&answers);
            connections.spawn(async move {
                let head = read(&mut stream).await?;
                let path = head.split([' ', '?']).nth(1).unwrap_or_default();
                let seed = path.trim_start_matches('/').parse();
                let answer = match seed {
                    Ok(seed) => mutated(&answers, seed),
                    Err(_) if path.starts_with("/plain/") => answers[0].clone(),
                    Err(_) => mutated(&answers, 0),
                };
                perform(&mut stream, Act::Send(answer)).await
            });
        }
    });
    let count = seeds.end - seeds.start;
    let poisoned = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&poisoned);
    let plain = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&plain);
    let crawl = Crawl::new(Mutants { site, seeds })
        .db("sqlite::memory:")
        .with(|settings| {
            settings.robots = nephila::settings::RobotsMode::Ignore;
            settings.retries = 0;
            settings.first_byte_timeout = Duration::from_secs(5);
            settings.idle_timeout = Duration::from_secs(5);
            // A host so bad would be left alone for a while, and a digit makes a `Retry-After` of hours.
            settings.max_retry_after = Duration::from_millis(1);
            settings.max_retry_delay = Duration::from_millis(1);
            settings.max_host_errors = u32::MAX;
            // Of every chain of redirects one step is enough.
            settings.max_redirects = 1;
            settings.max_depth = Some(1);
        })
        .on_event(move |event| match event {
            Event::Page(page) if page.url.path().starts_with("/plain/") => {
                counted.fetch_add(u64::from(page.reason.is_none()), Ordering::SeqCst);
            }
            Event::Page(page)
                if matches!(
                    page.reason,
                    Some("panic" | "step_stuck" | "timeout" | "fetch")
                ) =>
            {
                noted.lock().unwrap().push(format!(
                    "{} {:?}: {:?}",
                    page.url, page.reason, page.message
                ));
            }
            _ => {}
        });
    let limit = Duration::from_mins(1) + Duration::from_millis(200) * count as u32;
    let report = tokio::time::timeout(limit, crawl.run())
        .await
        .expect("an end")
        .unwrap();
    assert_eq!(report.stop, Stop::Finished);
    let plain = plain.load(Ordering::SeqCst);
    assert_eq!(plain, PLAIN, "plain pages, after all the others");
    let statistics = &report.statistics;
    let all = statistics.pages + statistics.failed + statistics.skipped + statistics.redirects;
    println!(
        "{count} answers: {} pages, {} failed, {} skipped",
        statistics.pages, statistics.failed, statistics.skipped
    );
    assert!(all >= count, "{all} of {count}");
    let poisoned = poisoned.lock().unwrap();
    assert!(
        poisoned.is_empty(),
        "play one with NEPHILA_MUTATION=seed:\n{}",
        poisoned.join("\n")
    );
}
