//! `nephila shell` and `nephila view`.

use std::io::Write;
use std::process::Stdio;

use super::{Folder, Ran, site};

/// What commands from a pipe answer.
fn piped(folder: &Folder, url: &str, commands: &str) -> Ran {
    let mut command = folder.nephila(&["shell", url]);
    command.env("XDG_CACHE_HOME", folder.path("cache"));
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(commands.as_bytes()).unwrap();
    drop(stdin);
    Ran::from(&child.wait_with_output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_from_a_pipe() {
    let site = site().await;
    let folder = Folder::new();
    let url = site.page("/book/7").to_string();
    let check = |commands: &str, stdout: &str, code: i32| {
        let ran = piped(&folder, &url, commands);
        assert_eq!(
            (ran.stdout.as_str(), ran.code),
            (stdout, code),
            "{commands}: {}",
            ran.stderr
        );
    };
    let title = {
        let ran = piped(&folder, &url, "css h1");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains("1 match"), "{}", ran.stderr);
        ran.stdout
    };
    assert!(title.trim().len() > 2);
    check("xpath //h1/text()\n", &title, 0);
    check("response.xpath('//h1/text()').get()", &title, 0);
    check(
        "response.css(\"h1::text\").getall()\nresponse.css('h1')",
        &format!("{title}{title}"),
        0,
    );
    check(
        "h1\n\n# a comment\ncount h1\nquit\ncss h1",
        &format!("{title}1\n"),
        0,
    );
    let word = title.split_whitespace().next().unwrap();
    check("re <h1>(\\w+)", &format!("{word}\n"), 0);
    check("css h1.nothing\ncss h1", &title, 1);
    let wrong = piped(
        &folder,
        &url,
        "css h1.titel\ncss h1[\nxpth //h1\nfind nowhere at all",
    );
    let said = [
        "nothing matches; `h1` matches 1",
        "invalid CSS selector",
        "no command `xpth`; did you mean `xpath`?",
        "it is not on the page",
    ];
    for text in said {
        assert!(wrong.stderr.contains(text), "{text}: {}", wrong.stderr);
    }
    // What `find` proposes finds it.
    let found = piped(&folder, &url, &format!("find \"{}\"", title.trim()));
    let first = found
        .stdout
        .lines()
        .next()
        .unwrap()
        .split("  ")
        .next()
        .unwrap()
        .to_owned();
    check(&format!("css {first}"), &title, 0);
    // Elsewhere, relative to the page.
    let there = piped(&folder, &url, "fetch /book/8\nheaders");
    assert!(there.stdout.contains("/book/8"), "{}", there.stdout);
    let many = piped(&folder, &url, "p");
    assert!(many.stderr.contains(" matches"), "{}", many.stderr);
    let help = piped(&folder, &url, "help");
    for word in ["css SELECTOR", "find TEXT", "quit"] {
        assert!(help.stdout.contains(word), "{word}");
    }
}

#[test]
fn a_file_is_a_page() {
    let folder = Folder::new();
    folder.write("a.html", "<h1>Silk</h1><a href=/b>b</a>");
    let ran = piped(&folder, "a.html", "h1\nlinks");
    assert_eq!(ran.stdout, "Silk\nfile:///b  b\n", "{}", ran.stderr);
    let ran = piped(&folder, "b.html", "h1");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("`b.html` is no URL"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_for_the_browser() {
    let site = site().await;
    let folder = Folder::new();
    let url = site.page("/book/7").to_string();
    let mut command = folder.nephila(&["view", &url]);
    // Whatever is said to be the browser is not started where there is no terminal.
    command
        .env("XDG_CACHE_HOME", folder.path("cache"))
        .env("BROWSER", "/bin/false");
    let ran = Ran::from(&command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let path = ran.stdout.trim();
    assert!(
        path.starts_with(folder.path("cache").to_str().unwrap()),
        "{path}"
    );
    assert!(!ran.stderr.contains("browser"), "{}", ran.stderr);
    let html = std::fs::read_to_string(path).unwrap();
    assert!(html.contains(&format!("<base href=\"{url}\">")), "{html}");
}
