//! Downloads: bodies that become files.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nephila::Crawl;
use nephila::engine::{Event, Report};
use nephila::item::Value;
use nephila::prelude::*;
use nephila::settings::FileNames;
use nephila::store::{collect, open_reader};
use sha2::{Digest, Sha256};

/// Says what it likes to a request for a path; the connection is closed then.
fn serve(
    say: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let say = Arc::new(say);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let say = Arc::clone(&say);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines
                    .next()
                    .and_then(std::result::Result::ok)
                    .unwrap_or_default();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let path = first.split(' ').nth(1).unwrap_or_default();
                // A client that goes away is no failure of ours.
                let _ = say(path, &mut stream);
            });
        }
    });
    address
}

fn head(to: &mut TcpStream, kind: &str, length: usize) -> std::io::Result<()> {
    write!(
        to,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )
}

fn body(to: &mut TcpStream, kind: &str, body: &[u8]) -> std::io::Result<()> {
    head(to, kind, body.len())?;
    to.write_all(body)
}

fn nothing(to: &mut TcpStream) -> std::io::Result<()> {
    write!(
        to,
        "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[derive(serde::Deserialize)]
struct Gallery {
    site: Url,
}

#[spider]
impl Gallery {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds.push(&self.site, Self::page).await
    }

    async fn page(&self, page: Page) -> Result {
        page.download("img, a")?;
        Ok(())
    }
}

fn crawl(address: SocketAddr, folder: &Path) -> Crawl {
    let site = format!("http://{address}/").parse().unwrap();
    let files = folder.join("files").display().to_string();
    Crawl::new(Gallery { site })
        .db(format!("sqlite:{}", folder.join("crawl.db").display()))
        .with(|settings| {
            settings.files = files;
            settings.retries = 0;
            settings.allow_empty = true;
        })
}

/// The rows of `file`: the path of the URL, where the file is, its hash, size and type.
async fn rows(folder: &Path) -> Vec<(String, PathBuf, String, i64, String)> {
    let db = format!("sqlite:{}", folder.join("crawl.db").display());
    let reader = open_reader(&db).await.unwrap();
    let sql = "select url, path, sha256, bytes, type from file order by url";
    let (_, rows) = collect(&*reader, sql).await.unwrap();
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let row = |row: Vec<Value>| {
        let url: Url = text(&row[0]).parse().unwrap();
        let Value::Integer(bytes) = row[3] else {
            panic!("{row:?}")
        };
        let path = folder.join("files").join(text(&row[1]));
        (
            url.path().to_owned(),
            path,
            text(&row[2]),
            bytes,
            text(&row[4]),
        )
    };
    rows.into_iter().map(row).collect()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn gallery() -> SocketAddr {
    serve(|path, to| match path {
        "/" => {
            let page = "<img src=/a.png><img src=/a.png><img src=/same.png><img src=/moved>\
                <a href='/..%2f..%2fout'>x</a><a href=/missing.png>x</a><a href=/cut>x</a>\
                <a href=/large>x</a><a href=http://elsewhere.example/b.png>x</a>";
            body(to, "text/html", page.as_bytes())
        }
        "/a.png" | "/same.png" => body(to, "image/png", b"picture"),
        "/moved" => write!(
            to,
            "HTTP/1.1 302 Found\r\nLocation: /a.png\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        "/..%2f..%2fout" => {
            let name = "attachment; filename=\"../../../../etc/cron.d/x\"";
            write!(
                to,
                "HTTP/1.1 200 OK\r\nContent-Disposition: {name}\r\nContent-Type: text/plain\r\n\
                Connection: close\r\n\r\nout"
            )
        }
        "/cut" => {
            head(to, "text/plain", 1_000)?;
            to.write_all(b"not all of it")
        }
        "/large" => body(to, "text/plain", &vec![b'x'; 20_000]),
        _ => nothing(to),
    })
}

async fn run(address: SocketAddr, folder: &Path, names: FileNames) -> Report {
    let crawl = crawl(address, folder).with(|settings| {
        settings.file_names = names;
        settings.max_file = 10_000;
    });
    crawl.run().await.unwrap()
}

#[tokio::test]
async fn files_are_named_by_content_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(gallery(), folder.path(), FileNames::Hash).await;
    let rows = rows(folder.path()).await;
    let urls: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(
        urls,
        ["/..%2f..%2fout", "/a.png", "/moved", "/same.png"],
        "{report:?}"
    );
    for (url, path, hash, bytes, kind) in &rows {
        let content = std::fs::read(path).unwrap();
        assert_eq!(
            (content.len() as i64, &sha256(&content)),
            (*bytes, hash),
            "{url}"
        );
        assert_eq!(
            kind.as_str(),
            if url.contains("out") {
                "text/plain"
            } else {
                "image/png"
            }
        );
    }
    // Three URLs, one content: one file. Nothing is left of what did not come whole.
    assert_eq!(files(folder.path().join("files").as_path()).len(), 2);
    let mut reasons: Vec<_> = report
        .statistics
        .errors
        .iter()
        .map(|error| error.reason.clone())
        .collect();
    reasons.sort();
    assert_eq!(reasons, ["reset", "status", "too_large"]);
    // A link out of scope is refused as any other.
    assert!(
        report
            .statistics
            .refused
            .contains_key("scope elsewhere.example"),
        "{report:?}"
    );
}

#[tokio::test]
async fn names_by_url_stay_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    run(gallery(), folder.path(), FileNames::Url).await;
    let root = folder.path().join("files").canonicalize().unwrap();
    let rows = rows(folder.path()).await;
    assert_eq!(rows.len(), 4);
    for (url, path, ..) in &rows {
        assert!(
            path.canonicalize().unwrap().starts_with(&root),
            "{url}: {}",
            path.display()
        );
    }
    // Two of them led to one.
    assert_eq!(files(&root).len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_folder_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let address = gallery();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    let host = format!("127.0.0.1_{}", address.port());
    std::os::unix::fs::symlink(outside.path(), folder.path().join("files").join(host)).unwrap();
    let report = run(address, folder.path(), FileNames::Url).await;
    assert!(files(outside.path()).is_empty());
    assert!(
        report
            .statistics
            .errors
            .iter()
            .any(|error| error.message.contains("is no folder"))
    );
    assert!(files(&folder.path().join("files")).is_empty());
}

#[tokio::test]
async fn a_crawl_that_is_stopped_half_way_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let content = vec![b'y'; 300_000];
    let whole = content.clone();
    let address = serve(move |path, to| match path {
        "/" => body(to, "text/html", b"<img src=/big.bin>"),
        "/big.bin" => {
            head(to, "application/x-big", whole.len())?;
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                return to.write_all(&whole);
            }
            to.write_all(&whole[..200_000])?;
            // The rest never comes, as long as the other side is there.
            let _ = std::io::copy(to, &mut std::io::sink());
            Ok(())
        }
        _ => nothing(to),
    });
    let first = crawl(address, folder.path());
    let part = folder.path().join("files/.part");
    let half = async {
        while files(&part)
            .first()
            .is_none_or(|file| file.metadata().is_ok_and(|data| data.len() == 0))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The crawl is broken off in the middle of the file.
    let stop = first.stop_handle();
    let (report, ()) = tokio::join!(first.run(), async {
        half.await;
        stop.abort();
    });
    assert_eq!(report.unwrap().exit_code(), 130);
    assert!(files(&folder.path().join("files")).is_empty());
    let report = crawl(address, folder.path()).run().await.unwrap();
    assert_eq!(report.exit_code(), 0, "{report:?}");
    let rows = rows(folder.path()).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(std::fs::read(&rows[0].1).unwrap(), content);
    assert_eq!(files(&folder.path().join("files")).len(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // A third run knows it.
    let again = crawl(address, folder.path()).on_event(|event| {
        assert!(!matches!(event, Event::StartFailed(_)));
    });
    again.run().await.unwrap();
    assert_eq!(files(&folder.path().join("files")).len(), 1);
}

const CHILD: &str = "NEPHILA_TEST_LARGE_FILE";
const LARGE: usize = 64 << 20;

fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}

/// Runs in a process of its own, so that nothing but the download is measured.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_costs_no_memory() {
    if std::env::var_os(CHILD).is_some() {
        return large_file();
    }
    let test = std::env::current_exe().unwrap();
    let mut child = Command::new(test);
    child.args([
        "downloads::a_large_file_costs_no_memory",
        "--exact",
        "--nocapture",
    ]);
    let output = child.env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = said
        .lines()
        .find(|line| line.contains("peak"))
        .expect("the child measured");
    println!("{line}");
}

fn large_file() {
    let address = serve(|path, to| match path {
        "/" => body(to, "text/html", b"<img src=/large.bin>"),
        "/large.bin" => {
            head(to, "application/x-large", LARGE)?;
            let piece = vec![b'z'; 64 << 10];
            (0..LARGE / piece.len()).try_for_each(|_| to.write_all(&piece))
        }
        _ => nothing(to),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    // What a crawl costs by itself is there before the file comes.
    let small = tempfile::tempdir().unwrap();
    runtime
        .block_on(crawl(gallery(), small.path()).run())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let before = peak_bytes();
    let report = runtime
        .block_on(crawl(address, folder.path()).run())
        .unwrap();
    let grown = peak_bytes() - before;
    assert_eq!(report.statistics.items["file"].emitted, 1, "{report:?}");
    let all = files(&folder.path().join("files"));
    assert_eq!(all[0].metadata().unwrap().len(), LARGE as u64);
    println!(
        "a file of {} MiB: peak grown by {} KiB",
        LARGE >> 20,
        grown >> 10
    );
    assert!(grown < 16 << 20, "{grown}");
}
