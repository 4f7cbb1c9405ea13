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
         fix       make it an Option, or widen its selector or pattern
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
    let path = folder.path("crawl.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut database = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE queue SET step = 'boook' WHERE step = 'book'")
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::Connection::close(database).await.unwrap();
    insta::assert_snapshot!(folder.run(&line).said(), @r#"
    error: 16 requests queued for step `boook`, which spider `books` no longer has
         renamed to `book`?  add #[step(was = "boook")] above it
         or start anew:  --fresh
    exit 2
    "#);
    assert_eq!(folder.run(&format!("{line} --fresh")).code, 0);
}
