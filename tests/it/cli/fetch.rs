//! `fetch`, and what pages try to do to a terminal.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use super::{Folder, normalised, site};

/// Answers every request with what is said for its path, byte by byte.
fn raw(answers: &'static [(&'static str, &'static [u8])]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let path = first.split(' ').nth(1).unwrap_or_default();
            let known = answers.iter().find(|(known, _)| *known == path);
            let none = &b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"[..];
            let _ = stream.write_all(known.map_or(none, |(_, answer)| answer));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_as_a_crawl_gets_it() {
    let site = site().await;
    let folder = Folder::new();
    let ran = folder.run(&format!("fetch {}", site.page("/book/7")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("<!DOCTYPE html>"), "{}", ran.stdout);
    assert!(ran.stderr.contains("robots   allowed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("read as UTF-8"), "{}", ran.stderr);
    // Where it redirects to is fetched, too; with the headers of both.
    let ran = folder.run(&format!("fetch {} --headers", site.page("/page/1")));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for line in [
        "> GET /page/1",
        "> user-agent: nephila/",
        "< 301 Moved",
        "> GET /\n",
        "< 200 OK",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    let ran = folder.run(&format!(
        "fetch {} -s max_redirects=0",
        site.page("/page/1")
    ));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("more than 0 redirects"),
        "{}",
        ran.stderr
    );
    let ran = folder.run(&format!("fetch {}", site.page("/nothing-here")));
    assert_eq!(ran.code, 1);
    assert_eq!(folder.run("fetch ftp://e.x/").code, 2);
    assert_eq!(folder.run("fetch /book/7").code, 2);
    assert_eq!(folder.run("fetch http://e.x/ --as boks").code, 2);
    // As a spider that has settings of its own.
    folder.write(
        "nephila.toml",
        "[defaults]\nuser_agent = \"all/1\"\n[spider.books]\nuser_agent = \"reader/1\"\nheaders = { x-club = \"7\" }\n",
    );
    for (of, agent, has_header) in [("--as books", "reader/1", true), ("", "all/1", false)] {
        let ran = folder.run(&format!("fetch {} --headers {of}", site.page("/book/7")));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let agent = format!("> user-agent: {agent}");
        assert!(ran.stderr.contains(&agent), "{agent}: {}", ran.stderr);
        assert_eq!(ran.stderr.contains("> x-club: 7"), has_header);
    }
}

const REFRESH: &[(&str, &[u8])] = &[
    (
        "/",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
          <meta http-equiv=refresh content='1; url=/next'>",
    ),
    (
        "/next",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\nhere",
    ),
];

#[test]
fn a_refresh_is_followed_as_in_a_crawl() {
    let url = format!("http://{}/", raw(REFRESH));
    let folder = Folder::new();
    let ran = folder.run(&format!("fetch {url}"));
    assert_eq!((ran.code, &*ran.stdout), (0, "here"), "{}", ran.stderr);
    assert!(ran.stderr.contains("refresh  leads to"), "{}", ran.stderr);
    let ran = folder.run(&format!("fetch {url} -s follow_refresh=false"));
    assert!(ran.stdout.starts_with("<meta"), "{}", ran.stdout);
}

const AWAY: &[(&str, &[u8])] = &[(
    "/",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/\r\nConnection: close\r\n\r\n",
)];

/// A start URL that leads into one's own network says how to allow that.
#[test]
fn what_leads_into_a_private_network_says_how_to_allow_it() {
    let url = format!("http://{}/", raw(AWAY));
    let folder = Folder::new();
    let ran = folder.run(&format!("crawl {url}"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for part in [
        "error: 127.0.0.2 may not be asked: 127.0.0.2 is a loopback address",
        "if it is yours:  -s hosts=127.0.0.2",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    for allowed in ["hosts=127.0.0.2", "private_networks=127.0.0.0/8"] {
        let ran = folder.run(&format!("crawl {url} --fresh -s retries=0 -s {allowed}"));
        assert!(
            ran.stderr
                .contains("can't connect to 127.0.0.2:9: connection refused"),
            "{allowed}: {}",
            ran.stderr
        );
    }
    let ran = folder.run(&format!("crawl {url} -s private_networks=intern"));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}

const ESCAPES: &[(&str, &[u8])] = &[
    (
        "/",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=latin1\r\n\
          Set-Cookie: a=\xc2\x9b31m\r\nX-Odd: \xc2\x9b2Jx\xe2\x80\xaey\r\nConnection: close\r\n\r\n\
          <title>\x1b]0;owned\x07caf\xe9 \x9b31m</title><a href=/x\x1b[31m>x</a><a href=/t>t</a>",
    ),
    (
        "/t",
        b"HTTP/1.1 503 \x1b[31mNo\r\nRetry-After: 0\r\nConnection: close\r\n\r\n\x1b[2J",
    ),
];

#[test]
fn robots_are_asked() {
    const PAGES: &[(&str, &[u8])] = &[(
        "/robots.txt",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nUser-agent: *\nDisallow: /private\n",
    )];
    let address = raw(PAGES);
    let folder = Folder::new();
    let ran = folder.run(&format!("fetch http://{address}/private/x"));
    insta::assert_snapshot!(ran.said(), @r"
      robots   BLOCKED by  Disallow: /private  (robots.txt line 2)
               to fetch it anyway:  -s robots=ignore, if you may
    exit 1
    ");
    let ran = folder.run(&format!(
        "fetch http://{address}/private/x -s robots=ignore"
    ));
    assert!(ran.stderr.contains("404"), "{}", ran.stderr);
}

#[test]
fn curl_shows_no_secret() {
    let folder = Folder::new();
    let args = ["fetch", "http://ann:pa55@127.0.0.1:9/a?b=it's", "--curl"];
    let ran = folder.run_args(&args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!(normalised(&ran.stdout), @r"
    curl --silent --show-error --compressed \
      --connect-timeout 10 --max-time 60 \
      --header 'user-agent: nephila/0.1.0' \
      --header 'accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' \
      --header 'authorization: ***' \
      'http://127.0.0.1:PORT/a?b=it%27s'
    ");
}

/// Whatever a terminal could obey: escapes, and C1 controls.
fn is_harmless(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}')
}

#[test]
fn nothing_from_pages_commands_the_terminal() {
    let address = raw(ESCAPES);
    let folder = Folder::new();
    let ran = folder.run(&format!("fetch http://{address}/ --headers"));
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("x-odd: "), "{}", ran.stderr);
    assert!(is_harmless(&ran.stderr), "{:?}", ran.stderr);
    // In a pipe the body is data, as text in UTF-8.
    assert!(
        ran.stdout.contains("\u{1b}]0;owned\u{7}caf\u{e9}"),
        "{:?}",
        ran.stdout
    );
    let all = [
        format!("crawl http://{address}/ -s retries=0 --max-errors 9"),
        format!("fetch http://{address}/t --headers -s retries=0"),
        format!("explain http://{address}/t"),
        "stats".to_owned(),
        "list".to_owned(),
    ];
    for line in all {
        let ran = folder.run(&line);
        assert!(is_harmless(&ran.stderr), "{line}: {:?}", ran.stderr);
        if !line.starts_with("fetch") {
            assert!(is_harmless(&ran.stdout), "{line}: {:?}", ran.stdout);
        }
    }
    for format in ["table", "md"] {
        let args = ["query", "--format", format, "select title, url from links"];
        let ran = folder.run_args(&args);
        assert!(ran.stdout.contains("owned"), "{}", ran.stdout);
        assert!(is_harmless(&ran.stdout), "{format}: {:?}", ran.stdout);
    }
}

#[test]
fn formulas_are_escaped_if_wanted() {
    const PAGES: &[(&str, &[u8])] = &[(
        "/",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
          <title>=HYPERLINK(1)</title>",
    )];
    let address = raw(PAGES);
    let folder = Folder::new();
    let crawl = format!("crawl http://{address}/ --fresh -o x.csv");
    assert_eq!(folder.run(&crawl).code, 0);
    assert!(folder.read("x.csv").contains(",=HYPERLINK(1),"));
    assert_eq!(folder.run(&format!("{crawl} --escape-formulas")).code, 0);
    assert!(folder.read("x.csv").contains(",'=HYPERLINK(1),"));
    let sql = "select title from links";
    let ran = folder.run_args(&["query", "--format", "csv", "--escape-formulas", sql]);
    assert!(ran.stdout.contains("\n'=HYPERLINK(1)\n"), "{}", ran.stdout);
}
