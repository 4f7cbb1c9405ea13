//! `crawl`: a whole one, one that stops at a limit, one that is interrupted.

use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::Duration;

use nephila::site::Options;

use super::{Folder, Ran, site, site_with};

#[tokio::test(flavor = "multi_thread")]
async fn from_start_to_end() {
    let site = site().await;
    let ran = Folder::new().run(&format!("crawl books -a site={}", site.url()));
    insta::assert_snapshot!(ran.said(), @r#"
    ✓ books  run 1: 63 pages, 60 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);
    assert_eq!(ran.stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_spiders() {
    let site = site().await;
    let folder = Folder::new();
    let quotes = folder.run(&format!("crawl quotes -a site={}", site.url()));
    insta::assert_snapshot!(quotes.said(), @r#"
    ✓ quotes  run 1: 10 pages, 100 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from quotes limit 5"
    exit 0
    "#);
    let three = folder.run(&format!("crawl quotes -a site={} -a pages=3", site.url()));
    insta::assert_snapshot!(three.said(), @r#"
    ✓ quotes  run 2: 3 pages, 30 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from quotes limit 5"
    exit 0
    "#);
    let orders = folder.run(&format!("crawl orders -a site={}", site.url()));
    insta::assert_snapshot!(orders.said(), @r#"
    ✓ orders  run 3: 4 pages, 30 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from orders limit 5"
    exit 0
    "#);
    let mut command = folder.nephila(&["crawl", "orders", "--fresh", "-a"]);
    let wrong = command
        .arg(format!("site={}", site.url()))
        .env("SHOP_PASSWORD", "wrong");
    insta::assert_snapshot!(Ran::from(&wrong.output().unwrap()).said(), @r"
    ✗ orders  run 4: 1 page, 0 items in TIME   exit 1
    error: orders::orders failed on 1 of 1 page: answered 403 Forbidden to POST
         page      http://127.0.0.1:PORT/login  (from http://127.0.0.1:PORT/login)
         again     nephila retry 4 --error aaaeb4bc
    error: nothing was scraped: 1 page, 0 items
         orders::login ran on 1 page and returned no item
         --allow-empty if that is meant
    exit 1
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_the_rest() {
    let site = site().await;
    let folder = Folder::new();
    let line = format!("crawl books -a site={}", site.url());
    let first = folder.run(&format!("{line} --limit 10 -j 1"));
    insta::assert_snapshot!(first.said(), @r"
    ■ books  run 1: stopped at max_pages (12 queued), 10 pages, 9 items in TIME   exit 3
      db crawl.db (SIZE)   go on: nephila crawl books -a site=http://127.0.0.1:PORT/ -j 1
    exit 3
    ");
    let second = folder.run(&line);
    insta::assert_snapshot!(second.said(), @r#"
    going on with books: 10 pages done, 12 queued (stopped DATE; --fresh starts anew)
    ✓ books  run 2: 53 pages after 10 before, 51 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);
    let third = folder.run(&line);
    insta::assert_snapshot!(third.said(), @r#"
    ✓ books  run 3: 63 pages, 60 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_and_logs() {
    let site = site_with(Options {
        products: 200,
        latency: Duration::from_millis(20),
        ..Options::default()
    })
    .await;
    let folder = Folder::new();
    let site_arg = format!("site={}", site.url());
    let args = [
        "crawl",
        "books",
        "-a",
        &site_arg,
        "-j",
        "2",
        "--log-format",
        "json",
    ];
    let mut child = folder
        .nephila(&args)
        .env("NEPHILA_LOG", "nephila=debug")
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut answered = None;
    let mut looked = Vec::new();
    for line in stderr.lines() {
        let line = line.unwrap();
        if line.contains("\"answered\"") && answered.is_none() {
            answered = Some(line.clone());
            let kill = Command::new("kill")
                .args(["-USR1", &child.id().to_string()])
                .status();
            assert!(kill.unwrap().success());
        }
        // Everything is an object: what people are told, too.
        let object: serde_json::Value = serde_json::from_str(&line).expect(&line);
        if object["target"] == "nephila" {
            looked.push(object["message"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log: serde_json::Value = serde_json::from_str(&answered.unwrap()).unwrap();
    assert_eq!(
        (&log["status"], &log["level"]),
        (&200.into(), &"DEBUG".into())
    );
    let span = &log["span"];
    assert_eq!(
        (&span["spider"], &span["step"], &span["attempt"]),
        (&"books".into(), &"list".into(), &1.into())
    );
    assert_eq!(span["host"], "127.0.0.1");
    let looked = looked.join("\n");
    for part in [
        "limited by ",
        "hosts: 1 leased",
        "requests: ",
        "steps: ",
        "\u{2713} books",
    ] {
        assert!(looked.contains(part), "{part} in\n{looked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_and_resumed() {
    let site = site_with(Options {
        products: 200,
        latency: Duration::from_millis(20),
        ..Options::default()
    })
    .await;
    let folder = Folder::new();
    let site_arg = format!("site={}", site.url());
    let args = ["crawl", "books", "-a", &site_arg];
    let mut child = folder
        .nephila(&[&args[..], &["--progress", "json", "-j", "2"]].concat())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // Progress says when something is stored; the crawl lasts for seconds yet.
    while !line.contains("\"pages\":") || line.contains("\"pages\":0,") {
        line.clear();
        assert!(
            stderr.read_line(&mut line).unwrap() > 0,
            "the crawl ended too soon"
        );
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(
        rest.contains("finishing what is in flight; again to stop now"),
        "{rest}"
    );
    assert!(rest.contains("\"exit\":130"), "{rest}");

    let resumed = folder.run_args(&args);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(
        resumed.stderr.starts_with("going on with books: "),
        "{}",
        resumed.stderr
    );
    let pages = site.log();
    let mut books: Vec<_> = pages.iter().map(|hit| hit.path.as_str()).collect();
    books.retain(|path| path.starts_with("/book/"));
    books.sort_unstable();
    assert_eq!(books.len(), 200, "every book once, by both runs together");
    books.dedup();
    assert_eq!(books.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_twice() {
    let site = site().await;
    let folder = Folder::new();
    let url = site.page("/slow?ms=60000").to_string();
    let mut child = folder
        .nephila(&["crawl", &url, "-s", "stop_timeout=1h", "-s", "timeout=1h"])
        .spawn()
        .unwrap();
    let asked = || site.log().iter().any(|hit| hit.path.starts_with("/slow"));
    while !asked() {
        tokio::task::yield_now().await;
    }
    let id = child.id().to_string();
    let interrupt = || {
        let kill = Command::new("kill").args(["-INT", &id]).status();
        assert!(kill.unwrap().success());
    };
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    interrupt();
    stderr.read_line(&mut said).unwrap();
    interrupt();
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    let code = child.wait().unwrap().code();
    insta::assert_snapshot!(super::normalised(&said), @r"
    finishing what is in flight; again to stop now
    stopping now; the same command goes on later
    ■ links  run 1: interrupted (1 queued), 0 pages, 0 items in TIME   exit 130
      db crawl.db (SIZE)   go on: nephila crawl 'http://127.0.0.1:PORT/slow?ms=60000' -s stop_timeout=1h -s timeout=1h
    ");
    assert_eq!(code, Some(130));
}
