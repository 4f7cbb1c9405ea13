//! Runs after the first: resume, retry, what failed, hosts, and making room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::serve_with;
use super::{Folder, normalised, site};

const FAST: &str = "-s retries=0 -j 1";

/// A list of eight pages; those with an odd number fail with 500 as long as `broken` is above their
/// number.
pub(super) fn flaky(broken: &Arc<AtomicUsize>) -> std::net::SocketAddr {
    let broken = Arc::clone(broken);
    serve_with(
        move |path, _| match path.trim_start_matches('/').parse::<usize>() {
            Ok(number) if number % 2 == 1 && number < broken.load(Ordering::Relaxed) => {
                (500, "broken".to_owned())
            }
            Ok(number) if number <= 8 => (200, format!("<title>page {number}</title>")),
            _ if path == "/" => {
                let links = (1..=8).map(|number| format!("<a href=/{number}>{number}</a>"));
                (
                    200,
                    format!("<title>list</title>{}", links.collect::<String>()),
                )
            }
            _ => (404, String::new()),
        },
    )
}

fn titles(folder: &Folder) -> String {
    let sql = "select count(*) as n, count(distinct title) as d from links";
    folder.run_args(&["query", sql, "--format", "csv"]).stdout
}

#[test]
fn failed_pages_are_tried_again() {
    let broken = Arc::new(AtomicUsize::new(9));
    let address = flaky(&broken);
    let folder = Folder::new();
    let first = folder.run(&format!("crawl http://{address}/ {FAST}"));
    insta::assert_snapshot!(first.said(), @r#"
    ✗ links  run 1: 5 pages, 5 items in TIME   exit 1
    error: links::page failed on 4 of 9 pages: answered 500 Internal Server Error
         page      http://127.0.0.1:PORT/1  (from http://127.0.0.1:PORT/)
         again     nephila retry 1 --error c23176d7
      db crawl.db (SIZE)   query: nephila query "select * from links limit 5"
    exit 1
    "#);
    insta::assert_snapshot!(normalised(&folder.run("failed --format csv").stdout), @r"
    error,pages,step,reason,message,sample,found on
    c23176d7,4,page,status,answered * Internal Server Error,http://127.0.0.1:PORT/1,http://127.0.0.1:PORT/
    ");
    insta::assert_snapshot!(folder.run("retry 1 --status 404").said(), @r"
    error: no page of run 1 is to be tried again
         what failed:  nephila failed 1
    exit 2
    ");
    insta::assert_snapshot!(folder.run("retry 1 --status 6xx").said(), @r"
    error: `--status 6xx`: write 404, 5xx, or 0 for no answer
    exit 2
    ");
    insta::assert_snapshot!(folder.run("retry 9").said(), @r"
    error: no run `9` in crawl.db
         nephila stats shows all
    exit 2
    ");
    // The canary dies: three pages were not tried.
    let canary = folder.run(&format!("retry last --canary 1 --status 5xx {FAST}"));
    insta::assert_snapshot!(canary.said(), @r"
    trying 1 of 4 first
    ✗ links  run 2: stopped at max_pages (0 queued), 0 pages after 8 before, 0 items in TIME   exit 1
    error: links::page failed on 1 of 1 page: answered 500 Internal Server Error
         page      http://127.0.0.1:PORT/1  (from http://127.0.0.1:PORT/)
         again     nephila retry 2 --error c23176d7
      db crawl.db (SIZE)   go on: nephila crawl http://127.0.0.1:PORT/
    1 of 1 failed again: the other 3 were not tried; to try them all the same, leave out --canary
    exit 1
    ");
    // All are mended.
    broken.store(0, Ordering::Relaxed);
    let left = folder.run(&format!("retry 1 {FAST} --canary 1"));
    insta::assert_snapshot!(left.said(), @r#"
    trying 1 of 3 first
    ■ links  run 3: stopped at max_pages (0 queued), 1 page after 8 before, 1 item in TIME   exit 3
      db crawl.db (SIZE)   go on: nephila crawl http://127.0.0.1:PORT/
    trying 2 pages again
    ✓ links  run 4: 2 pages after 7 before, 2 items in TIME
    warning: `a[href], area[href]` matches nothing on any of 2 pages of links::page
      db crawl.db (SIZE)   query: nephila query "select * from links limit 5"
    exit 0
    "#);
    let bird = folder.run("retry 2");
    assert_eq!(bird.code, 0, "{}", bird.stderr);
    insta::assert_snapshot!(titles(&folder), @r"
    n,d
    9,9
    ");
}

#[test]
fn one_page_by_a_condition() {
    let broken = Arc::new(AtomicUsize::new(9));
    let address = flaky(&broken);
    let folder = Folder::new();
    folder.run(&format!("crawl http://{address}/ {FAST}"));
    broken.store(0, Ordering::Relaxed);
    let filter = "url like '%/3' -- no more";
    let ran = folder.run_args(&["retry", "1", "--where", filter]);
    insta::assert_snapshot!(ran.said(), @r#"
    trying 1 page again
    ✓ links  run 2: 1 page after 8 before, 1 item in TIME
      db crawl.db (SIZE)   query: nephila query "select * from links limit 5"
    exit 0
    "#);
    let wrong = folder.run_args(&["retry", "1", "--where", "colour = 'red'"]);
    insta::assert_snapshot!(wrong.said(), @r"
    error: no such column: colour
         --where is about the view url: url, state, status, reason, message, step, depth, tries, at, ms, bytes
    exit 2
    ");
    let url = format!("http://{address}/3");
    insta::assert_snapshot!(normalised(&folder.run(&format!("explain {url}")).stdout), @r"
    done 200   links, step page, depth 1
      at          DATE, MS, BYTES
      found on    http://127.0.0.1:PORT/
      tried       DATE   answered 500 Internal Server Error
      item        links, _id 6
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn resumed_by_name_and_by_number() {
    let site = site().await;
    let folder = Folder::new();
    insta::assert_snapshot!(folder.run("resume").said(), @r"
    error: there is no database crawl.db
         crawl something first:  nephila crawl SPIDER   (nephila list shows them)
         or say where it is:  --db FILE
    exit 2
    ");
    folder.run(&format!(
        "crawl books -a site={} --limit 10 -j 1",
        site.url()
    ));
    let second = folder.run("resume --limit 5 -j 1");
    insta::assert_snapshot!(second.said(), @r"
    going on with books: 10 pages done, 12 queued (stopped DATE; --fresh starts anew)
    ■ books  run 2: stopped at max_pages (7 queued), 5 pages after 10 before, 5 items in TIME   exit 3
      db crawl.db (SIZE)   go on: nephila crawl books -a site=http://127.0.0.1:PORT/
    exit 3
    ");
    let third = folder.run("resume 1");
    insta::assert_snapshot!(third.said(), @r#"
    going on with books: 15 pages done, 7 queued (stopped DATE; --fresh starts anew)
    ✓ books  run 3: 48 pages after 15 before, 46 items in TIME
      db crawl.db (SIZE)   query: nephila query "select * from books limit 5"
    exit 0
    "#);
    insta::assert_snapshot!(folder.run("resume").said(), @r"
    error: no crawl in crawl.db was stopped: all have finished
         to crawl again:  nephila crawl SPIDER
    exit 2
    ");
    insta::assert_snapshot!(folder.run("resume 2").said(), @r"
    error: run 2 left nothing to do
         to crawl it again:  nephila crawl books -a site=http://127.0.0.1:PORT/
    exit 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_what_they_wait_for() {
    let site = site().await;
    let folder = Folder::new();
    folder.run(&format!(
        "crawl books -a site={} --limit 10 -j 1",
        site.url()
    ));
    let shown = normalised(&folder.run("hosts --format csv").stdout);
    let pattern = regex::Regex::new(r",\d+,read").unwrap();
    insta::assert_snapshot!(pattern.replace(&shown, ",MS,read"), @r"
    host,queued,done,failed,skipped,ms,robots,state
    http://127.0.0.1:PORT,12,10,0,0,MS,read,ready
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_made() {
    let site = site().await;
    let folder = Folder::new();
    let line = format!("crawl books -a site={}", site.url());
    folder.run(&line);
    let bytes = regex::Regex::new(r"\d+(\.\d+)? [kM]B").unwrap();
    let said = |line: &str| {
        bytes
            .replace_all(&folder.run(line).said(), "SIZE")
            .into_owned()
    };
    insta::assert_snapshot!(said("gc --crawls 1d --dry-run"), @r"
    would forget 0 pages of 0 crawls and 0 items
    exit 0
    ");
    insta::assert_snapshot!(said("gc --crawls 0s --dry-run"), @r"
    would forget 63 pages of 1 crawl and 0 items
    exit 0
    ");
    insta::assert_snapshot!(said("gc --crawls 0s --items 0s"), @r"
    forgot 63 pages of 1 crawl and 0 items; SIZE became SIZE
    exit 0
    ");
    insta::assert_snapshot!(said("gc --crawls soon"), @r"
    error: `soon` is no duration: write 500ms, 2s, 10m, 6h or 7d
    exit 2
    ");
    insta::assert_snapshot!(said("retry last"), @r"
    error: the pages of run 1 are gone
         a newer crawl of books took its place, or nephila gc made room
    exit 2
    ");
    let items = folder.run_args(&["query", "select count(*) as n from books"]);
    assert_eq!(items.stdout, "{\"n\":60}\n");
    assert_eq!(folder.run(&line).code, 0);
}

/// A file outside of `spiders/` whose name is also that of a spider in the program.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_resumed_by_its_file() {
    let (folder, site) = (Folder::new(), site().await);
    let spider = format!(
        "start = \"{}\"\n[settings]\nexclude = [\"/x/*\"]\n[step.list]\nfollow = {{ \"article.product h3 a\" = \"book\" }}\n\
         [step.book.item]\ntable = \"mine\"\nfields = {{ title = \"h1\" }}\n",
        site.url()
    );
    folder.write("books.toml", &spider);
    let first = folder.run("crawl books.toml --limit 5 -j 1");
    assert_eq!(first.code, 3, "{}", first.stderr);
    let second = folder.run("resume");
    assert_eq!(second.code, 0, "{}", second.stderr);
    let third = folder.run("resume 1");
    assert!(
        third
            .stderr
            .contains("to crawl it again:  nephila crawl books.toml\n"),
        "{}",
        third.stderr
    );
    let rows = folder.run_args(&["query", "--format", "csv", "select count(*) from mine"]);
    assert_eq!(rows.stdout.lines().last(), Some("20"), "{}", rows.stdout);

    // Its settings explain, and those of the crawl that is there, not of those before it.
    assert_eq!(folder.run("crawl books.toml --fresh").code, 0);
    let said = folder.run(&format!("explain {}x/1", site.url())).stdout;
    assert_eq!(said.matches("in scope").count(), 1, "{said}");
    assert!(said.contains("exclude"), "{said}");
}
