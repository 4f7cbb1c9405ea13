//! `nephila gen`: what it makes of five kinds of lists crawls them without an edit.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::Value;

use super::lists;
use super::project::Project;
use super::server::serve_with;
use super::{Folder, Ran, site};

/// Generates a spider for `url`, crawls it, and gives the rows of its table.
pub(super) fn generated(name: &str, url: &str) -> Vec<Value> {
    generated_in(&Folder::new(), name, url)
}

/// The table of a spider.
fn table(name: &str) -> String {
    name.replace('-', "_")
}

fn generated_in(folder: &Folder, name: &str, url: &str) -> Vec<Value> {
    let ran = folder.run(&format!("gen {name} {url} -s delay=0s"));
    assert_eq!(ran.code, 0, "{}\n{}", ran.stderr, ran.stdout);
    let file = folder.read(&format!("spiders/{name}.toml"));
    let ran = folder.run(&format!("crawl {name} -s delay=0s"));
    assert_eq!(ran.code, 0, "{file}\n{}", ran.stderr);
    let sql = format!("select * from {} order by _id", table(name));
    let ran = folder.run_args(&["query", "--format", "jsonl", &sql]);
    let rows = rows_of(&ran);
    assert!(!rows.is_empty(), "{file}");
    rows
}

fn rows_of(ran: &Ran) -> Vec<Value> {
    let rows = ran.stdout.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().unwrap()
}

/// The same lists by Rust spiders, in a project as `nephila new` makes it: they compile, and find what the TOML
/// spiders find.
#[tokio::test(flavor = "multi_thread")]
async fn in_rust() {
    let Some(project) = Project::new("lists") else {
        return;
    };
    let site = site().await;
    let (cities, news, offers) = (cities(), news(), offers());
    let of = |server: SocketAddr, path: &str| format!("http://{server}/{path}");
    let lists = [
        ("the-books", site.url().to_string()),
        ("quotes", format!("{}api/quotes?page=1", site.url())),
        ("cities", of(cities, "list")),
        ("news", of(news, "news")),
        ("item", of(offers, "offers")),
        ("feed", format!("{}feed.xml", site.url())),
        ("mapped", format!("{}robots.txt", site.url())),
        ("towns", of(lists::serve(), "towns")),
    ];
    for (name, url) in &lists {
        let ran = project.run(&format!("gen {name} {url} --rust -s delay=0s"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stderr.contains(&format!("nephila crawl {name}")),
            "{}",
            ran.stderr
        );
    }
    let again = project.run(&format!("gen quotes {} --rust", lists[1].1));
    assert!(
        again.stderr.contains("spiders/quotes.rs is there already"),
        "{}",
        again.stderr
    );
    let other = project.run(&format!("gen quotes {}", lists[1].1));
    assert!(
        other.stderr.contains("may be a spider `quotes` already"),
        "{}",
        other.stderr
    );
    let sorted = |mut rows: Vec<Value>| {
        for row in &mut rows {
            let columns = row.as_object_mut().unwrap();
            columns.retain(|name, _| !name.starts_with('_'));
        }
        rows.sort_by_key(Value::to_string);
        rows
    };
    for (name, url) in &lists {
        let db = format!("{name}.db");
        let ran = project.run(&format!("crawl {name} --db {db} -s delay=0s"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let rows = rows_of(&project.run_args(&[
            "query",
            "--db",
            &db,
            "--format",
            "jsonl",
            &format!("select * from {}", table(name)),
        ]));
        let (rows, expected) = (sorted(rows), sorted(generated(name, url)));
        assert_eq!(rows.len(), expected.len(), "{name}");
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "{name}");
        }
    }
}

#[test]
fn in_rust_without_a_project() {
    let server = offers();
    let folder = Folder::new();
    let ran = folder.run(&format!("gen offers http://{server}/offers --rust"));
    insta::assert_snapshot!(ran.said(), @r"
    error: there is no Rust project here
         nephila new DIR makes one; --stdout only shows the file
    exit 2
    ");
    let ran = folder.run(&format!(
        "gen offers http://{server}/offers --rust --stdout"
    ));
    insta::assert_snapshot!(super::normalised(&ran.stdout), @r#"
    //! Made from http://127.0.0.1:PORT/offers by nephila gen: names and types are guesses.

    use nephila::prelude::*;

    /// A row of the table `offers`.
    #[derive(Item)]
    #[item(table = "offers", key = "image")]
    struct Row {
        #[css("img::attr(src)")]
        image: Url,
        #[css("h4")]
        title: String,
        #[css("span.price", parse = nephila::parse::money)]
        price: f64,
    }

    #[derive(Default)]
    struct Offers;

    #[spider(name = "offers", start = "http://127.0.0.1:PORT/offers")]
    impl Offers {
        async fn list(&self, page: Page) -> Result<Vec<Row>> {
            page.items("div.card")
        }
    }
    "#);
    assert!(!folder.path("spiders").exists());
}

/// The row whose `column` is `value`.
pub(super) fn row<'a>(rows: &'a [Value], column: &str, value: &Value) -> &'a Value {
    let found = rows.iter().find(|row| row[column] == *value);
    found.unwrap_or_else(|| panic!("no row with {column} {value}; the first is {}", rows[0]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_with_pages_of_products() {
    let site = site().await;
    let rows = generated("books", site.url().as_str());
    assert_eq!(rows.len(), 60);
    let book = row(&rows, "url", &format!("{}book/7", site.url()).into());
    assert!(
        book["title"]
            .as_str()
            .is_some_and(|title| !title.is_empty()),
        "{book}"
    );
    assert!(book["price"].is_f64(), "{book}");
    assert_eq!(book["sku"].as_str().map(str::len), Some(16), "{book}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_api() {
    let site = site().await;
    let rows = generated("quotes", &format!("{}api/quotes?page=1", site.url()));
    assert_eq!(rows.len(), 100);
    assert!(rows[0]["author_name"].is_string(), "{}", rows[0]);
    assert!(
        rows[0]["text"].is_string() && rows[0]["tags"].is_array(),
        "{}",
        rows[0]
    );
}

/// A table of 30 rows on three pages.
fn cities() -> SocketAddr {
    serve_with(|path, _| {
        let page: usize = match path {
            "/list" => 1,
            "/list?p=2" => 2,
            "/list?p=3" => 3,
            _ => return (404, String::new()),
        };
        let mut rows = String::new();
        for n in 0..10 {
            let n = page * 10 + n;
            let _ = write!(
                rows,
                "<tr class={}><td>City {n}</td><td>{},{n:03}</td><td>2026-03-{:02}</td><td>x</td></tr>",
                if n.is_multiple_of(2) { "even" } else { "odd" },
                n,
                n % 28 + 1,
            );
        }
        let next = if page < 3 {
            format!("<a href='/list?p={}'>Next page</a>", page + 1)
        } else {
            String::new()
        };
        let html = format!(
            "<nav><ul><li><a href=/>Home</a><li><a href=/a>About us</a><li><a href=/c>Contact</a></ul></nav>
            <table id=cities><tr><th>Name</th><th>People</th><th>Counted on</th><th></th></tr>{rows}</table>{next}"
        );
        (200, html)
    })
}

#[test]
fn a_table_over_several_pages() {
    let server = cities();
    let rows = generated("cities", &format!("http://{server}/list"));
    assert_eq!(rows.len(), 30);
    let city = row(&rows, "name", &"City 27".into());
    assert_eq!(
        (&city["people"], &city["counted_on"]),
        (&27_027.into(), &"2026-03-28".into())
    );
    assert!(rows[0].get("column_4").is_none(), "{}", rows[0]);
}

/// A list of eight stories, each with a page of its own.
fn news() -> SocketAddr {
    serve_with(|path, _| {
        if path == "/news" {
            let mut items = String::new();
            for n in 1..=8 {
                let _ = write!(
                    items,
                    "<li class=teaser><a href='/news/{n}'>Story {n} of the day</a> <span>read</span></li>"
                );
            }
            return (200, format!("<h1>News</h1><ul>{items}</ul>"));
        }
        let Some(n) = path.strip_prefix("/news/") else {
            return (404, String::new());
        };
        let json = format!(
            "{{\"@type\":\"NewsArticle\",\"headline\":\"Story {n}\",\"datePublished\":\"2026-0{n}-01\",\
             \"author\":{{\"name\":\"Ann {n}\"}}}}"
        );
        let html = format!(
            "<script type='application/ld+json'>{json}</script><main><h1>Story {n}</h1>
            <p class=lead>It happened {n} times.</p></main>"
        );
        (200, html)
    })
}

#[test]
fn news_whose_articles_describe_themselves() {
    let server = news();
    let rows = generated("news", &format!("http://{server}/news"));
    assert_eq!(rows.len(), 8);
    let story = row(&rows, "title", &"Story 3".into());
    assert_eq!(story["date_published"], "2026-03-01", "{story}");
    assert_eq!(story["author"], "Ann 3", "{story}");
    assert_eq!(story["lead"], "It happened 3 times.", "{story}");
}

/// Twelve cards.
fn offers() -> SocketAddr {
    serve_with(|path, _| {
        if path != "/offers" {
            return (404, String::new());
        }
        let mut cards = String::new();
        for n in 1..=12 {
            let old = if n % 3 == 0 {
                "<s class=was>€ 99,00</s>"
            } else {
                ""
            };
            let _ = write!(
                cards,
                "<div class='card card-{n} col-4'><img src='/i/{n}.png'><h4>Lamp {n}</h4>
                <span class='price now'>€ 1.{n:03},50</span>{old}<b class=badge>Sale</b></div>"
            );
        }
        (
            200,
            format!("<div class=grid>{cards}</div><div class=foot><p>a<p>b<p>c</div>"),
        )
    })
}

#[test]
fn cards_without_pages_of_their_own() {
    let server = offers();
    let url = format!("http://{server}/offers");
    let rows = generated("offers", &url);
    assert_eq!(rows.len(), 12);
    let lamp = row(&rows, "title", &"Lamp 6".into());
    assert_eq!(lamp["price"], 1006.5, "{lamp}");
    assert_eq!(lamp["image"], format!("http://{server}/i/6.png"), "{lamp}");
    assert!(lamp.get("badge").is_none(), "{lamp}");

    let folder = Folder::new();
    let ran = folder.run(&format!("gen offers {url} --stdout"));
    assert!(
        ran.stdout
            .contains("price = { select = \"span.price\", parse = \"money\" }"),
        "{}",
        ran.stdout
    );
    assert!(!folder.path("spiders").exists());
    let ran = folder.run(&format!("gen 2offers {url}"));
    assert!(
        ran.stderr.contains("`2offers` is no name of a spider"),
        "{}",
        ran.stderr
    );
}

/// All in one folder, and so in one database.
#[tokio::test(flavor = "multi_thread")]
async fn feeds_maps_xml_csv_and_links_of_headers() {
    let site = site().await;
    let folder = Folder::new();
    let rows = generated_in(&folder, "feed", &format!("{}feed.xml", site.url()));
    assert_eq!(rows.len(), 20);
    let first = &rows[0];
    assert!(
        first["published"].is_string() && first["categories"].is_array(),
        "{first}"
    );
    let rows = generated_in(&folder, "mapped", &format!("{}robots.txt", site.url()));
    assert_eq!(rows.len(), 60);
    assert!(rows[0]["price"].is_f64(), "{}", rows[0]);

    let server = serve_with(|path, _| {
        let rows = |row: &dyn Fn(usize) -> String| (1..=5).map(row).collect::<String>();
        let text = match path {
            "/all.csv" => format!(
                "id;name;price\n{}",
                rows(&|n| format!("{n};\"Lamp; {n}\";{n},50\n"))
            ),
            "/all" => {
                let row = |n| {
                    format!(
                        "<g:lamp id='{n}'><g:name>Lamp {n}</g:name><on>2026-01-0{n}</on></g:lamp>"
                    )
                };
                format!(
                    "<?xml version='1.0'?><g:lamps xmlns:g='http://g.x/'>{}</g:lamps>",
                    rows(&row)
                )
            }
            "/map.xml" => {
                let row = |n| format!("<url><loc>/lamp/{n}</loc></url><url><loc>/a{n}</loc></url>");
                format!("<?xml version='1.0'?><urlset>{}</urlset>", rows(&row))
            }
            _ => format!("<title>Lamp of {path}</title>"),
        };
        (200, text)
    });
    let of =
        |name: &str, path: &str| generated_in(&folder, name, &format!("http://{server}/{path}"));
    let rows = of("csv", "all.csv");
    assert_eq!(rows.len(), 5);
    let lamp = row(&rows, "id", &2.into());
    assert_eq!(
        (&lamp["name"], &lamp["price"]),
        (&"Lamp; 2".into(), &2.5.into()),
        "{lamp}"
    );
    let rows = of("xml", "all");
    assert_eq!(
        (rows.len(), &rows[1]["g_name"], &rows[1]["on"]),
        (5, &"Lamp 2".into(), &"2026-01-02".into())
    );
    assert_eq!((&rows[1]["id"], rows[1].get("xmlns_g")), (&2.into(), None));
    // Of a map the largest folder, if that is half of it.
    let rows = of("map", "map.xml");
    assert_eq!(rows.len(), 5);
    row(&rows, "title", &"Lamp of /lamp/1".into());
}

#[test]
fn what_is_no_list() {
    let server = serve_with(|path, _| match path {
        "/a" => (200, "<h1>Hello</h1><p>One<p>Two<p>Three".to_owned()),
        _ => (404, String::new()),
    });
    let folder = Folder::new();
    let ran = folder.run(&format!("gen hello http://{server}/a"));
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no list was found on this page"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        folder.run(&format!("gen hello http://{server}/none")).code,
        1
    );
    folder.run(&format!("gen hello http://{server}/a --force"));
    assert!(!folder.path("spiders/hello.toml").exists());
}
