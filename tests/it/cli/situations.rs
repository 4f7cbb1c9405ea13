//! Bad situations: what is said, and the code.

use super::server::{self, serve};
use super::{Folder, site};

const FAST: &str = "-s retries=1 -s retry_delay=1ms";

#[test]
fn a_field_that_can_not_be_read() {
    const PAGES: &[server::Answer] = &[
        (
            "/",
            200,
            "<article><h3><a href=/1>1</a><a href=/2>2</a><a href=/3>3</a></h3></article>",
        ),
        ("/1", 200, GOOD),
        ("/2", 200, BAD),
        ("/3", 200, BAD),
    ];
    const GOOD: &str = "<ul class=breadcrumb><li><a>Art</a><li>A</ul><h1>A</h1>\
        <p class=price>£5.00</p><table><tr><td>u1</td></tr></table>";
    const BAD: &str = "<ul class=breadcrumb><li><a>Art</a><li>B</ul><h1>B</h1>\
        <p class=price>Call \x1b[mus</p><table><tr><td>u2</td></tr></table>";
    let address = serve(PAGES);
    let ran = Folder::new().run(&format!("crawl books -a site=http://{address}/"));
    insta::assert_snapshot!(ran.said(), @r#"
    ✗ books  run 1: 2 pages, 1 item in TIME   exit 1
    error: books::book failed on 2 of 3 pages: field `price`: `p.price, p.price_color` matches nothing (the pattern does not match "Call \u{1b}[mus")
         selector  p.price, p.price_color =~ ([\d.]+)
         page      http://127.0.0.1:PORT/2  (from http://127.0.0.1:PORT/)
         fix       make it optional, or widen its selector or pattern
         again     nephila retry 1 --error 154410e8
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 1
    "#);
}

#[test]
fn nobody_listens() {
    // Bound and let go: a port where nobody listens.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ran = Folder::new().run(&format!("crawl http://{address}/ {FAST}"));
    insta::assert_snapshot!(ran.said(), @r"
    ✗ links  run 1: 0 pages, 0 items in TIME   exit 1
    error: can't connect to 127.0.0.1:PORT: connection refused, 2 tries; nothing was crawled
         nothing listens there. If it is the demo shop: nephila demo --serve
    exit 1
    ");
}

#[test]
fn no_such_host() {
    let ran = Folder::new().run(&format!("crawl http://no-such-host.invalid/ {FAST}"));
    insta::assert_snapshot!(ran.said(), @r"
    ✗ links  run 1: 0 pages, 0 items in TIME   exit 1
    error: no such host: no-such-host.invalid; nothing was crawled
    exit 1
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_url_that_is_not_there() {
    let site = site().await;
    let ran = Folder::new().run(&format!("crawl {}", site.page("/nope")));
    insta::assert_snapshot!(ran.said(), @r"
    ✗ links  run 1: 0 pages, 0 items in TIME   exit 1
    error: start URL http://127.0.0.1:PORT/nope answered 404 Not Found; nothing was crawled
    exit 1
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_scraped() {
    let site = site().await;
    let folder = Folder::new();
    let line = format!("crawl books -a site={}", site.page("/?layout=2"));
    insta::assert_snapshot!(folder.run(&line).said(), @r"
    ✗ books  run 1: 1 page, 0 items in TIME   exit 1
    error: nothing was scraped: 1 page, 0 items
         books::list ran on 1 page and returned no item; 1 x `article h3 a` matches nothing; 1 x `li.next a` matches nothing
         --allow-empty if that is meant
    exit 1
    ");
    let ran = folder.run(&format!("{line} --fresh --allow-empty"));
    insta::assert_snapshot!(ran.said(), @r"
    ✓ books  run 2: 1 page, 0 items in TIME
    exit 0
    ");
}

#[test]
fn links_that_leave_the_hosts() {
    const PAGES: &[server::Answer] = &[(
        "/",
        200,
        "<title>t</title><a href=http://cdn.shop.example/1>1</a><a href=http://cdn.shop.example/2>2</a>\
         <a href=//blog.shop.example/>b</a><a href=mailto:ann@shop.example>m</a><a href=/>self</a>",
    )];
    let address = serve(PAGES);
    let ran = Folder::new().run(&format!("crawl http://{address}/"));
    insta::assert_snapshot!(ran.said(), @r#"
    ✓ links  run 1: 1 page, 1 item in TIME
    warning: 3 links left the allowed hosts and were not followed: cdn.shop.example (2), blog.shop.example (1)
         allow them:  hosts = ["cdn.shop.example", "blog.shop.example"]
      db crawl.db (SIZE)   query: nephila query "select * from links limit 5"
    exit 0
    "#);
}

#[test]
fn what_robots_forbid() {
    const PAGES: &[server::Answer] = &[
        ("/robots.txt", 200, "User-agent: *\nDisallow: /private\n"),
        (
            "/",
            200,
            "<title>t</title><a href=/private/1>1</a><a href=/private/2>2</a>",
        ),
    ];
    let address = serve(PAGES);
    let ran = Folder::new().run(&format!("crawl http://{address}/"));
    // Which of the two is shown is a matter of chance.
    let said = ran.said().replace("/private/2", "/private/1");
    insta::assert_snapshot!(said, @r#"
    ✓ links  run 1: 1 page, 1 item in TIME
    note: robots.txt of 127.0.0.1 forbids 2 URLs: Disallow: /private (robots.txt line 2)
         explain:  nephila explain http://127.0.0.1:PORT/private/1
      db crawl.db (SIZE)   query: nephila query "select * from links limit 5"
    exit 0
    "#);
}

/// A shop whose books have no stars.
fn without_stars() -> &'static [server::Answer] {
    let links = (1..=20).map(|n| format!("<a href=/{n}>{n}</a>"));
    let links = links.collect::<Vec<_>>().concat();
    let list = format!("<article><h3>{links}</h3></article>");
    let book = |n| {
        format!(
            "<ul class=breadcrumb><li><a>Art</a><li>B</ul><h1>B{n}</h1>\
             <p class=price>£1.00</p><table><tr><td>u{n}</td></tr></table>"
        )
    };
    let leak = |text: String| -> &'static str { text.leak() };
    let mut pages = vec![("/", 200, leak(list))];
    pages.extend((1..=20).map(|n| (leak(format!("/{n}")), 200, leak(book(n)))));
    pages.leak()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_lost() {
    let address = serve(without_stars());
    let folder = Folder::new();
    let line = format!("crawl books -a site=http://{address}/");
    assert_eq!(folder.run(&line).code, 0);
    // As if they had had some, and as if all of them had been in stock.
    change(
        &folder,
        "UPDATE run SET report = json_set(report, '$.items.books.empty.stars', 2)",
    )
    .await;
    let expected = folder.run(&line).said();
    insta::assert_snapshot!(expected, @r#"
    ✗ books  run 2: 21 pages, 20 items in TIME   exit 1
    error: `stars` of books was found in no item (90 % in run 1)
         the site may have changed: look at its selector; --allow-empty if that is meant
    warning: `stock` of books is empty in all 20 rows
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 1
    "#);
    // It is told until it is mended, or meant.
    assert_eq!(
        folder.run(&line).said(),
        expected.replace("run 2:", "run 3:")
    );
    insta::assert_snapshot!(folder.run(&format!("{line} --allow-empty")).said(), @r#"
    ✓ books  run 4: 21 pages, 20 items in TIME
    warning: `stars` of books was found in no item (90 % in run 1)
    warning: `stock` of books is empty in all 20 rows
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_found_less_often() {
    let site = site().await;
    let folder = Folder::new();
    let line = format!("crawl books -a site={}", site.url());
    assert_eq!(folder.run(&line).code, 0);
    change(
        &folder,
        "UPDATE run SET report = json_set(report, '$.items.books.empty.stars', 0)",
    )
    .await;
    insta::assert_snapshot!(folder.run(&line).said(), @r#"
    ✓ books  run 2: 63 pages, 60 items in TIME
    warning: `stars` of books was found in 90 % of the items (100 % in run 1)
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);
}

#[test]
fn a_host_that_says_too_many_requests() {
    const PAGES: &[server::Answer] = &[
        ("/", 200, "<title>t</title><a href=/1>1</a><a href=/2>2</a>"),
        ("/1", 429, ""),
        ("/2", 429, ""),
    ];
    let address = serve(PAGES);
    let line = format!("crawl http://{address}/ -j 1");
    let ran = Folder::new().run(&format!("{line} --time 1s -s retry_delay=10m"));
    insta::assert_snapshot!(ran.said(), @r"
    ■ links  run 1: stopped at max_time (2 queued), 1 page, 1 item in TIME   exit 3
    warning: http://127.0.0.1:PORT was slowed down once: 429 Too Many Requests; it is left alone until TIME
      db crawl.db (SIZE)   go on: nephila crawl http://127.0.0.1:PORT/ -s retry_delay=10m -j 1
    exit 3
    ");
    let ran = Folder::new().run(&format!("{line} -s retries=1 -s retry_delay=1ms"));
    insta::assert_snapshot!(ran.said(), @r#"
    ✗ links  run 1: 1 page, 1 item in TIME   exit 1
    error: links::page failed on 2 of 3 pages: answered 429 Too Many Requests, 2 tries
         page      http://127.0.0.1:PORT/1  (from http://127.0.0.1:PORT/)
         again     nephila retry 1 --error bf6bc9c3
    note: http://127.0.0.1:PORT was slowed down 4 times: 429 Too Many Requests
      db crawl.db (SIZE)   query: nephila query "select * from links limit 5"
    exit 1
    "#);
}

#[test]
fn settings_that_do_not_exist() {
    let folder = Folder::new();
    folder.write("nephila.toml", "[defaults]\nretries = 2\nconcurency = 4\n");
    insta::assert_snapshot!(folder.run("crawl books").said(), @r"
    error: unknown setting `concurency` in nephila.toml:3:1; did you mean `concurrency`?
    exit 2
    ");
    folder.write("nephila.toml", "[spider.boks]\nretries = 2\n");
    insta::assert_snapshot!(folder.run("crawl books").said(), @r"
    error: unknown section `spider.boks` in nephila.toml:1:9; did you mean `spider.books`?
    exit 2
    ");
    folder.write("nephila.toml", "[spider.books]\nretries = \"often\"\n");
    insta::assert_snapshot!(folder.run("config").said(), @r#"
    error: setting `retries` in nephila.toml:2:1 is "often"; it takes a whole number, 0 to 100
    exit 2
    "#);
    folder.write("nephila.toml", "");
    insta::assert_snapshot!(folder.run("crawl books -s delai=1s").said(), @r"
    error: unknown setting `delai` in `-s delai=1s`; did you mean `delay`?
    exit 2
    ");
    let mut command = folder.nephila(&["crawl", "books"]);
    let output = command.env("NEPHILA_CONCURRENCI", "4").output().unwrap();
    insta::assert_snapshot!(super::Ran::from(&output).said(), @r"
    error: unknown environment variable `NEPHILA_CONCURRENCI`; did you mean `NEPHILA_CONCURRENCY`?
    exit 2
    ");
}

#[test]
fn spiders_and_arguments_that_do_not_exist() {
    let folder = Folder::new();
    insta::assert_snapshot!(folder.run("crawl boks").said(), @r"
    error: no spider `boks`; did you mean `books`?
         nephila list shows all 4
    exit 2
    ");
    insta::assert_snapshot!(folder.run("crawl shop.example").said(), @r"
    error: no spider `shop.example`
         nephila list shows all 4
         if it is a site: nephila crawl https://shop.example
    exit 2
    ");
    insta::assert_snapshot!(folder.run("crawl quotes -a page=3").said(), @r"
    error: spider `quotes` has no argument `page`; did you mean `pages`?
         `quotes` takes: site, pages
    exit 2
    ");
    insta::assert_snapshot!(folder.run("crawl quotes -a pages=three").said(), @r"
    error: arguments of spider `quotes`: invalid digit found in string (given: pages=three)
    exit 2
    ");
    insta::assert_snapshot!(folder.run("craw quotes").said(), @r"
    error: unrecognized subcommand 'craw'

      tip: a similar subcommand exists: 'crawl'

    Usage: nephila [OPTIONS] <COMMAND>

    For more information, try '--help'.
    exit 2
    ");
    assert!(
        !folder.path("crawl.db").exists(),
        "nothing was to be crawled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database() {
    let folder = Folder::new();
    let path = folder.path("crawl.db");
    let store = nephila::store::open(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    let ran = folder.run("crawl books");
    drop(store);
    insta::assert_snapshot!(ran.said(), @r"
    error: database crawl.db is locked by process PID (opening it, since TIME)
         let it end, or crawl into another file: --db other.db
    exit 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_gone() {
    let site = site().await;
    let folder = Folder::new();
    let line = format!("crawl books -a site={}", site.url());
    assert_eq!(folder.run(&format!("{line} --limit 5 -j 1")).code, 3);
    // As if the step had been renamed since.
    change(
        &folder,
        "UPDATE queue SET step = 'boook' WHERE step = 'book'",
    )
    .await;
    insta::assert_snapshot!(folder.run(&line).said(), @r#"
    error: 16 requests queued for step `boook`, which spider `books` no longer has
         renamed to `book`?  add #[step(was = "boook")] above it
         or drop them:  nephila retry 1 --step boook --discard
         or start anew:  --fresh
    exit 2
    "#);
    insta::assert_snapshot!(folder.run("retry 1 --step boook --discard").said(), @r"
    16 requests for step `boook` given up; go on:  nephila crawl books -a site=http://127.0.0.1:PORT/
    exit 0
    ");
    let ran = folder.run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(folder.run(&format!("{line} --fresh")).code, 0);
}

/// Changes the database of a folder behind everybody's back.
async fn change(folder: &Folder, sql: &'static str) {
    let path = folder.path("crawl.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut database = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query(sql).execute(&mut database).await.unwrap();
    sqlx::Connection::close(database).await.unwrap();
}
