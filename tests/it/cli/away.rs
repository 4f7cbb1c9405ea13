//! A server that can't be used: what each command says, with which code it ends, and that no password is told.

use std::process::Stdio;

use super::{Folder, site};
use crate::postgres::{self, Server, database_of, missing};

/// Commands that need the database, as one types them after `nephila`.
const COMMANDS: &[&str] = &[
    "list",
    "stats",
    "hosts",
    "failed",
    "query 'select 1'",
    "explain http://a.example/",
    "doctor",
    "export Books",
    "retry 1",
    "resume",
    "gc",
    "crawl http://127.0.0.1:9/",
];

fn says(folder: &Folder, db: &str, code: i32, expected: &[&str]) {
    for command in COMMANDS {
        let mut args: Vec<_> = command
            .split(' ')
            .map(|arg| arg.trim_matches('\''))
            .collect();
        if command.starts_with("query") {
            args = vec!["query", "select 1"];
        }
        args.extend(["--db", db]);
        let ran = folder.run_args(&args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, code, "{command}: {said}");
        for expected in expected {
            assert!(
                said.contains(expected),
                "{command}: {expected} is not in {said}"
            );
        }
        assert!(!said.contains("hunter2"), "{command}: {said}");
        if *command == "list" {
            assert!(
                said.contains("links"),
                "the spiders are listed all the same: {said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let folder = Folder::new();
    let place = |db: &str, name: &str| {
        says(
            &folder,
            db,
            70,
            &[
                &format!("error: can't reach the database {name}: "),
                "refused",
                "is the server up, and is that its address?",
            ],
        );
    };
    // Nothing listens on port 1.
    let one = "postgres://127.0.0.1:1/crawls";
    place("postgres://ann:hunter2@127.0.0.1:1/crawls", one);
    let two = "postgres://127.0.0.1:1,127.0.0.1:2/crawls";
    place("postgres://ann:hunter2@127.0.0.1:1,127.0.0.1:2/crawls", two);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_place_is_told() {
    let folder = Folder::new();
    let db = "postgres://ann:hunter2@127.0.0.1:99999/crawls";
    let said = folder.run_args(&["stats", "--db", db]);
    assert_eq!(said.code, 2);
    let expected = "error: can't open the database postgres://…: invalid port number";
    assert!(said.stderr.contains(expected), "{}", said.stderr);
    let Some(url) = postgres::database().await else {
        return;
    };
    let empty = folder.run_args(&["stats", "--db", &url]);
    assert_eq!(empty.code, 2);
    let expected =
        "there is no crawl in it\n     crawl something into it first:  nephila crawl SPIDER";
    assert!(empty.stderr.contains(expected), "{}", empty.stderr);
    // There, no spider has run yet; that is no failure of `list`.
    assert_eq!(folder.run_args(&["list", "--db", &url]).code, 0);
    let missing = url.replace("nephila_test", "nephila_none");
    let said = folder.run_args(&["crawl", site().await.url().as_str(), "--db", &missing]);
    assert_eq!(said.code, 2);
    let expected = "does not exist (`createdb` makes one)";
    assert!(said.stderr.contains(expected), "{}", said.stderr);
}

/// An outage is said once when it begins and once when it ends, by each process; who comes second says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_once() {
    let Some(server) = Server::start().or_else(missing) else {
        return;
    };
    let db = database_of(&server.url).await;
    let (folder, site) = (Folder::new(), site().await);
    let start = || {
        let url = site.url();
        let line = [
            "crawl",
            url.as_str(),
            "--db",
            &db,
            "-s",
            "delay=20ms",
            "-s",
            "lease=2s",
        ];
        let mut command = folder.nephila(&line);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let wait_for = async |hits: usize| {
        while site.hits() < hits {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let first = start();
    wait_for(5).await;
    let second = start();
    wait_for(20).await;
    tokio::task::block_in_place(|| server.restart());
    for (process, begins) in [(first, ""), (second, "joining links: ")] {
        let ended = tokio::task::spawn_blocking(|| process.wait_with_output());
        let output = ended.await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        for (text, times) in [("trying again", 1), ("answers again, after", 1)] {
            assert_eq!(said.matches(text).count(), times, "{text}: {said}");
        }
        assert!(said.contains(begins), "{said}");
    }
}
