//! What is read afterwards: `query`, `list`, `stats`, `explain`, `-o`.

use std::io::Read;

use super::{Folder, normalised, site};
use crate::postgres;

/// A folder with three pages of quotes.
async fn quotes() -> Folder {
    let site = site().await;
    let folder = Folder::new();
    let line = format!("crawl quotes -a site={} -a pages=3", site.url());
    let ran = folder.run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn formats() {
    let folder = quotes().await;
    let ask = |format: &str| {
        let sql = "select author, tags, length(text) as chars, null as missing from quotes \
                   order by author, text limit 2";
        let ran = folder.run_args(&["query", sql, "--format", format]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    insta::assert_snapshot!(ask("table"), @r#"
    ┌───────────┬─────────────────┬───────┬─────────┐
    │ author    │ tags            │ chars │ missing │
    ├───────────┼─────────────────┼───────┼─────────┤
    │ Ada Marsh │ ["time","time"] │    76 │ NULL    │
    │ Ada Marsh │ ["life","life"] │    62 │ NULL    │
    └───────────┴─────────────────┴───────┴─────────┘
    "#);
    insta::assert_snapshot!(ask("json"), @r#"
    [
    {"author":"Ada Marsh","tags":["time","time"],"chars":76,"missing":null},
    {"author":"Ada Marsh","tags":["life","life"],"chars":62,"missing":null}
    ]
    "#);
    insta::assert_snapshot!(ask("jsonl"), @r#"
    {"author":"Ada Marsh","tags":["time","time"],"chars":76,"missing":null}
    {"author":"Ada Marsh","tags":["life","life"],"chars":62,"missing":null}
    "#);
    insta::assert_snapshot!(ask("csv"), @r#"
    author,tags,chars,missing
    Ada Marsh,"[""time"",""time""]",76,
    Ada Marsh,"[""life"",""life""]",62,
    "#);
    insta::assert_snapshot!(ask("md"), @r#"
    | author | tags | chars | missing |
    | --- | --- | --- | --- |
    | Ada Marsh | ["time","time"] | 76 |  |
    | Ada Marsh | ["life","life"] | 62 |  |
    "#);
    let pipe = folder.run_args(&["query", "select count(*) as n from quotes"]);
    assert_eq!(pipe.stdout, "{\"n\":30}\n", "JSON Lines in a pipe");
    assert_eq!(
        folder.run("query").stdout,
        "{\"table\":\"quotes\",\"rows\":30,\"key\":\"author, text\",\"columns\":\"author, text, tags\"}\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_refused() {
    let folder = quotes().await;
    let ask = |sql: &str| folder.run_args(&["query", sql]);
    for (sql, expected) in [
        (
            "select autor from quotes",
            "no such column: autor\n     did you mean `author`?",
        ),
        (
            "select * from quots",
            "no such table: quots\n     did you mean `quotes`?",
        ),
        (
            "select * from zzz",
            "no such table: zzz\n     tables of items: quotes",
        ),
        (
            "delete from quotes",
            "`DELETE` is no query: the results can only be read here",
        ),
        (
            "selec",
            "`SELEC` is no query: the results can only be read here",
        ),
        ("select 1; select 2", "one query at a time"),
        ("select", "incomplete input"),
    ] {
        let ran = ask(sql);
        assert_eq!((ran.stdout.as_str(), ran.code), ("", 2), "{sql}");
        assert_eq!(ran.stderr, format!("error: {expected}\n"), "{sql}");
    }
    assert_eq!(
        ask("select count(*) as n from quotes").stdout,
        "{\"n\":30}\n"
    );
}

#[test]
fn nothing_to_ask() {
    let folder = Folder::new();
    insta::assert_snapshot!(folder.run("query").said(), @r"
    error: there is no database crawl.db
         crawl something first:  nephila crawl SPIDER   (nephila list shows them)
         or say where it is:  --db FILE
    exit 2
    ");
    folder.write("other.db", "no database");
    insta::assert_snapshot!(folder.run("stats --db other.db").said(), @r"
    error: can't open the database other.db: it is no SQLite database
    exit 2
    ");
    assert!(!folder.path("crawl.db").exists(), "reading makes no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away() {
    let folder = quotes().await;
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";
    let mut child = folder.nephila(&["query", sql]).spawn().unwrap();
    let mut first = [0; 8];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    // The pipe is closed now, and the endless query ends.
    let output = child.wait_with_output().unwrap();
    assert_eq!(&first, b"{\"i\":1}\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_spiders() {
    let folder = quotes().await;
    let shown = |line: &str| normalised(&folder.run(line).stdout);
    insta::assert_snapshot!(shown("list --format csv"), @r#"
    spider,about,steps,tables,last run,state,items
    books,"Books of a shop: the demo's, or `-a site=https://books.toscrape.com/`","list, book",books,,,
    links,"Every page that links lead to from `-a start=URL`, on the same host",page,links,,,
    orders,Orders behind the demo shop's login,"login, orders",orders,,,
    quotes,"Quotes from a JSON API: the demo site's, or `-a site=https://quotes.toscrape.com/`",page,quotes,DATE,finished,30
    "#);
    insta::assert_snapshot!(shown("stats --format csv"), @r"
    run,spider,started,state,pages,failed,skipped,items,retries,bytes
    1,quotes,DATE,finished,3,0,0,30,0,4598
    ");
    insta::assert_snapshot!(shown("stats last --format table"), @r"
    run 1 of quotes  finished
      started  DATE
      ended    DATE
      pages    3 pages, 0 redirects, 4.6 kB of body
      lost     0 failed, 0 skipped, 0 retried
      items    30 (30 new, 0 changed)
    ");
    let json: serde_json::Value = serde_json::from_str(&folder.run("stats 1").stdout).unwrap();
    assert_eq!(json["report"]["items"]["quotes"]["emitted"], 30);
    assert_eq!(json["settings"]["concurrency"], 32);
    assert_eq!(json["args"]["pages"], "3");
    insta::assert_snapshot!(folder.run("stats 7").said(), @r"
    error: no run `7` in crawl.db
         nephila stats shows all
    exit 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_url() {
    let site = site().await;
    let folder = Folder::new();
    folder.run(&format!("crawl {} --limit 5 -j 1", site.url()));
    let explain = |path: &str| {
        let url = site.page(path);
        normalised(&folder.run(&format!("explain {url}")).stdout)
    };
    insta::assert_snapshot!(explain("/"), @r"
    done 200   links, step page, depth 0
      at          DATE, MS, BYTES
      found on    it is a start URL
      item        links, _id 1
    ");
    insta::assert_snapshot!(explain("/category/art#top"), @r"
    queued   links, step page, depth 1
      found on    http://127.0.0.1:PORT/
    ");
    insta::assert_snapshot!(explain("/private/notes"), @r#"
    not crawled
      normalised  http://127.0.0.1:PORT/private/notes
      links
        in scope  yes
        robots    BLOCKED by  Disallow: /private/  (robots.txt line 2, fetched DATE)
                  to crawl it anyway:  robots = "ignore"  under [spider.links], if you may
        found     on no page that was read so far
    "#);
    let other = folder.run("explain HTTP://Cdn.Shop.example:80/a/../x");
    insta::assert_snapshot!(normalised(&other.stdout), @r#"
    not crawled
      normalised  http://cdn.shop.example/x
      links
        in scope  no: cdn.shop.example is no host of the crawl
                  to allow it:  hosts = ["cdn.shop.example"]
    "#);
    insta::assert_snapshot!(folder.run("explain /book/7").said(), @r"
    error: `/book/7` is no URL: relative URL without a base
         write it whole: nephila explain https://shop.example/book/7
    exit 2
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_as_files() {
    let folder = quotes().await;
    let export = |args: &[&str]| {
        let ran = folder.run_args(&[&["export"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran
    };
    let said = export(&["quotes", "-o", "quotes.jsonl"]).stderr;
    let lines = folder.read("quotes.jsonl");
    let rows = lines.lines().count();
    assert!(
        rows >= 10 && said == format!("  {rows} rows in quotes.jsonl\n"),
        "{said}"
    );
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(
        first["tags"].is_array() && first.get("_url").is_none(),
        "{first}"
    );
    assert_eq!(export(&["quotes"]).stdout, lines);
    export(&["quotes", "-o", "all.json", "--provenance"]);
    let all: serde_json::Value = serde_json::from_str(&folder.read("all.json")).unwrap();
    assert!(all[0]["_url"].is_string(), "{}", all[0]);

    export(&["quotes", "-o", "quotes.jsonl.gz"]);
    let mut unpacked = String::new();
    let packed = std::fs::File::open(folder.path("quotes.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, lines);
    export(&["quotes", "-o", "quotes.jsonl.zst"]);
    let packed = std::fs::read(folder.path("quotes.jsonl.zst")).unwrap();
    assert_eq!(zstd::decode_all(&packed[..]).unwrap(), lines.as_bytes());
    export(&[
        "select author, count(*) from quotes group by 1 order by 1 limit 1",
        "-o",
        "top.xml",
    ]);
    let xml = folder.read("top.xml");
    assert!(
        xml.contains("<row><author>") && xml.contains("<column name=\"count(*)\">"),
        "{xml}"
    );
    export(&["select '=1+1' as a", "-o", "a.csv", "--escape-formulas"]);
    assert_eq!(folder.read("a.csv"), "a\n'=1+1\n");

    let said = export(&["quotes", "-o", "part.jsonl", "--split", "1KB"]).stderr;
    let mut parts = Vec::new();
    while let Ok(text) =
        std::fs::read_to_string(folder.path(&format!("part-{:04}.jsonl", parts.len() + 1)))
    {
        parts.push(text);
    }
    let count = parts.len();
    let expected = format!("{count} files, part-0001.jsonl to part-{count:04}.jsonl");
    assert_eq!(said, format!("  {rows} rows in {expected}\n"));
    // Each ends with the row that makes it large enough.
    let is_large = |part: &String| (1_000..2_000).contains(&part.len());
    assert!(count > 2 && parts[..count - 1].iter().all(is_large));
    assert_eq!(parts.concat(), lines);
    // CSV has a header in each file; parts that an export of more files has left go.
    let parts_of = |size: &str| {
        export(&["quotes", "-o", "part.csv", "--split", size]);
        let all = (1..).map(|number| folder.path(&format!("part-{number:04}.csv")));
        let there = all.take_while(|path| path.exists());
        there
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect::<Vec<_>>()
    };
    let small = parts_of("1KB");
    let last = small.len() - 1;
    assert!(last > 1 && small[..last].iter().all(is_large), "{small:?}");
    assert!(
        small
            .iter()
            .all(|part| part.starts_with("author,text,tags\n"))
    );
    assert_eq!(parts_of("1MB").len(), 1);
    let ran = folder.run("export quotes -o - --split 1KB");
    assert!(ran.stderr.contains("--split makes files"), "{}", ran.stderr);

    // What can't be written whole leaves the file that was there.
    let ran = folder.run_args(&["export", "select nope from quotes", "-o", "quotes.jsonl"]);
    assert_eq!(ran.code, 2);
    assert_eq!(folder.read("quotes.jsonl"), lines);
    let ran = folder.run("export quote -o q.csv");
    assert_eq!(ran.code, 2);
    let expected =
        "error: no table of items `quote`; did you mean `quotes`?\n     there are: quotes\n";
    assert_eq!(ran.stderr, expected);
    assert!(!folder.path("q.csv").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn items_as_files() {
    let site = site().await;
    let folder = Folder::new();
    let line = format!(
        "crawl quotes -a site={} -a pages=2 --progress none",
        site.url()
    );
    let check = |flags: &str, code: i32| {
        let ran = folder.run(&format!("{line} {flags}"));
        assert_eq!(ran.code, code, "{}", ran.stderr);
        ran
    };
    let refused = check("-o quotes.txt", 2);
    insta::assert_snapshot!(refused.said(), @r"
    error: -o quotes.txt: its name says no format
         write .jsonl, .csv, .json, .xml or .parquet, perhaps with .gz or .zst after it; or - for JSON Lines on standard output
    exit 2
    ");
    insta::assert_snapshot!(check("-o no/such/folder/q.csv", 2).said(), @r"
    error: can't write no/such/folder/q.csv: No such file or directory (os error 2)
    exit 2
    ");
    assert!(!folder.path("crawl.db").exists());

    // The second run goes on, and the file has the items of both.
    check("-o quotes.jsonl --limit 1", 3);
    assert_eq!(folder.read("quotes.jsonl").lines().count(), 10);
    let whole = check("-o quotes.jsonl", 0);
    assert!(
        whole.stderr.ends_with("  20 items in quotes.jsonl\n"),
        "{}",
        whole.stderr
    );
    let text = folder.read("quotes.jsonl");
    assert_eq!(text.lines().count(), 20);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(first["tags"].is_array(), "{first}");

    check("-o quotes.csv", 0);
    let csv = folder.read("quotes.csv");
    assert!(csv.starts_with("author,text,tags\n"), "{csv}");
    let stdout = check("-o -", 0).stdout;
    assert_eq!(stdout.lines().count(), 20);
    let left: Vec<_> = std::fs::read_dir(folder.path(""))
        .unwrap()
        .flatten()
        .collect();
    let parts = left
        .iter()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "part"));
    assert_eq!(parts.count(), 0);
}

#[test]
fn settings_and_where_they_come_from() {
    let folder = Folder::new();
    folder.write(
        "nephila.toml",
        "[defaults]\nretries = 1\n[spider.books]\ndelay = '2s'\n",
    );
    std::fs::create_dir_all(folder.path("config/nephila")).unwrap();
    folder.write(
        "config/nephila/config.toml",
        "[defaults]\nretries = 9\njitter = 0.5\n",
    );
    let mut command = folder.nephila(&[
        "config",
        "books",
        "--origin",
        "--format",
        "csv",
        "-j",
        "4",
        "-s",
        "jitter=default",
    ]);
    let output = command.env("NEPHILA_MAX_DEPTH", "3").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let set: Vec<_> = text
        .lines()
        .filter(|line| !line.ends_with(",default"))
        .collect();
    insta::assert_snapshot!(set.join("\n"), @r"
    setting,value,from
    concurrency,4,-j 4
    delay,2s,nephila.toml:4:1 [spider.books]
    jitter,0.25,-s jitter=default
    retries,1,nephila.toml:2:1 [defaults]
    max_depth,3,NEPHILA_MAX_DEPTH
    ");
}

#[test]
fn the_demo_ends_with_a_thousand_books() {
    let folder = Folder::new();
    let ran = folder.run("demo --port 0");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout, @r"
    ┌────────────────────┬───────┬───────┐
    │ category           │ books │ price │
    ├────────────────────┼───────┼───────┤
    │ Art                │   100 │ 34.74 │
    │ Childrens          │   100 │ 33.21 │
    │ Food and Drink     │   100 │ 32.28 │
    │ Historical Fiction │   100 │  37.7 │
    │ Music              │   100 │ 36.66 │
    │ Mystery            │   100 │ 34.49 │
    │ Philosophy         │   100 │ 33.87 │
    │ Poetry             │   100 │ 34.14 │
    │ Science & Nature   │   100 │ 35.09 │
    │ Travel             │   100 │    35 │
    └────────────────────┴───────┴───────┘
    ");
    assert!(
        ran.stderr.contains("1 050 pages, 1 000 items in "),
        "{}",
        ran.stderr
    );
    let count =
        "select count(*) as n, count(distinct upc) as upcs, count(stars) as rated from books";
    let counted = folder.run_args(&["query", "--db", "demo.db", count]);
    assert_eq!(counted.stdout, "{\"n\":1000,\"upcs\":1000,\"rated\":900}\n");
    // Another time on another port: another shop, and still a thousand books on screen.
    let again = folder.run("demo --port 0");
    assert_eq!(again.stdout, ran.stdout);
}

#[tokio::test]
async fn the_demo_ends_on_a_server_as_in_a_file() {
    let Some(db) = postgres::database().await else {
        return;
    };
    let folder = Folder::new();
    let ran = folder.run_args(&["demo", "--port", "0", "--db", &db]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, folder.run("demo --port 0").stdout);
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Folder::new().run(&format!("completions {shell}"));
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("explain"), "{shell}");
    }
}

#[cfg(not(any(feature = "parquet", feature = "s3")))]
#[test]
fn what_is_not_built_in_is_said() {
    let folder = Folder::new();
    let check = |file: &str, what: &str, feature: &str| {
        let ran = folder.run(&format!("export books -o {file}"));
        let expected = format!("error: this nephila was built without {what}\n");
        assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("--features {feature},")),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.code, 2);
    };
    check("books.parquet", "Parquet", "parquet");
    check("s3://shop/books.csv", "S3-compatible stores", "s3");
}
