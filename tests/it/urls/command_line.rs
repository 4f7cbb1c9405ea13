//! The same from the command line: what is said of links that were not followed, and why.

use std::path::Path;
use std::process::Command;

use super::*;

/// What a command says, with the port taken out.
fn nephila(folder: &Path, web: &Web, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nephila"))
        .args(args)
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let port = web.url("/").port().unwrap().to_string();
    String::from_utf8(text).unwrap().replace(&port, "PORT")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_explained() {
    let web = Web::serve(|hit: &Hit| match hit.path.as_str() {
        "/" => Answer::html(
            "<a href='/book/1?utm_source=mail'></a><a href=/login></a><a href=/about></a>
             <a href=/cal/2040/01></a><a href=/cal/2040/02></a><a href=/cal/2040/03></a>
             <a href=/x/y/x/y/x/y></a>",
        ),
        _ => Answer::html("<a href=/book/2></a>"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| nephila(folder.path(), &web, args);
    let start = web.url("/").to_string();
    let said = run(&[
        "crawl",
        &start,
        "--include",
        "/book/*",
        "--include",
        "/cal/**",
        "--include",
        "/x/**",
        "--include",
        "/login",
        "--exclude",
        "/login",
        "-s",
        "drop_params=@tracking",
        "-s",
        "max_far_dates=2",
        "--depth",
        "1",
        "--progress",
        "none",
    ]);
    for expected in [
        "1 link was excluded by /login, for example http://127.0.0.1:PORT/login",
        "1 link was outside of what include names, for example http://127.0.0.1:PORT/about",
        "a trap? 1 link of 127.0.0.1:PORT/cal/{n}/{n} beyond max_far_dates, for example \
         http://127.0.0.1:PORT/cal/2040/03",
        "a trap? 1 link beyond max_path_repeats, for example http://127.0.0.1:PORT/x/y/x/y/x/y",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let explain = |path: &str| run(&["explain", web.url(path).as_str()]);
    let check = |path: &str, expected: &[&str]| {
        let said = explain(path);
        for line in expected {
            assert!(said.contains(line), "{path}: {said}");
        }
    };
    check(
        "/book/1?utm_source=x",
        &[
            "  normalised  http://127.0.0.1:PORT/book/1   (was /book/1?utm_source=x: tracking parameter \
         dropped: utm_source)",
            "done 200   links, step page, depth 1",
        ],
    );
    check("/book/1", &["done 200"]);
    check(
        "/login",
        &[
            "not crawled",
            "in scope  no: excluded by /login",
            "to allow it:  take the pattern out of  exclude",
        ],
    );
    check(
        "/about",
        &["in scope  no: it matches none of  include = [\"/book/*\", "],
    );
    check(
        "/cal/2041/07",
        &[
            "trap      yes: 127.0.0.1:PORT/cal/{n}/{n} went beyond max_far_dates",
            "refused so far: 1 link like it",
        ],
    );
    check(
        "/x/y/x/y/x/y",
        &["trap      yes: its path is beyond max_path_repeats"],
    );
    check(
        "/book/2",
        &[
            "in scope  yes",
            "perhaps no: 3 links were deeper than max_depth",
        ],
    );
    let long = format!("/book/{}", "x".repeat(9_000));
    check(
        &long,
        &["length    no: ", "the limit is 8192 (max_url_bytes)"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_do_not_fit_are_refused() {
    let web = Web::serve(|_: &Hit| Answer::html("")).await;
    let folder = tempfile::tempdir().unwrap();
    let start = web.url("/").to_string();
    for setting in [
        "include=re:(",
        "exclude=re:[",
        "drop_params=@trackers",
        "max_path_depth=-1",
        "max_refresh_delay=soon",
    ] {
        let said = nephila(folder.path(), &web, &["crawl", &start, "-s", setting]);
        assert!(said.contains("it takes a"), "{setting}: {said}");
    }
    assert_eq!(web.hits().len(), 0);
}
