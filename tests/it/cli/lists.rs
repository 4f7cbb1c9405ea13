//! Lists that are not as a shop's: `nephila gen` makes a spider of each that finds all of its rows.

use std::net::SocketAddr;

use serde_json::Value;

use super::generate::{generated, row};
use super::server::serve_with;

/// Rows, one after the other.
fn all(rows: impl Iterator<Item = usize>, row: impl Fn(usize) -> String) -> String {
    rows.map(row).collect()
}

/// A glossary, things in JSON-LD alone, a table over pages with numbers, news with odd and even rows and a row of
/// two elements.
pub(super) fn serve() -> SocketAddr {
    serve_with(|path, _| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let number = query
            .rsplit('=')
            .next()
            .and_then(|number| number.parse().ok());
        let html = match path {
            "/glossary" => {
                let terms = all(0..12, |n| {
                    format!("<dt>Term {n}<dd>What {n} means, in short.")
                });
                format!(
                    "<nav><ul><li><a href=/>Home</a><li>A<li>B</ul></nav><h1>Words</h1><dl>{terms}</dl>"
                )
            }
            "/things" => {
                let thing = |n| {
                    format!(
                        r#"{{"@type":"ListItem","item":{{"@type":"Product","name":"Lamp {n}","sku":"0{n}",
                        "offers":{{"@type":"Offer","price":"{n}.50"}}}}}},"#
                    )
                };
                let list = all(1..9, thing);
                format!(
                    "<script type=application/ld+json>{{\"@type\":\"ItemList\",\"itemListElement\":[{}]}}</script>
                    <div id=app></div>",
                    list.trim_end_matches(',')
                )
            }
            "/towns" => {
                let from = number.unwrap_or(0);
                let town = |n| {
                    format!(
                        "<tr><td>{n}.<td><a href=/town/{n}>Town {n}</a><td>{},000<td>{}/03/2026<td><a href=/drop/{n}>x</a>",
                        n + 1,
                        n % 24 + 5
                    )
                };
                let links = all(1..5, |n| {
                    format!("<a href='/towns?from={}'>{n}</a> ", (n - 1) * 10)
                });
                format!(
                    "<table><tr><th>#<th>Town<th>People<th>Counted<th></tr>{}</table><p>{links}",
                    all(from..from + 10, town)
                )
            }
            "/news" => {
                let page = number.unwrap_or(1);
                let story = |n| {
                    let kind = if n % 2 == 0 { "even" } else { "odd" };
                    format!(
                        "<li class='story story--{kind}'><h2>Story {n}</h2> <time datetime=2026-03-{:02}>then</time>",
                        n % 28 + 1
                    )
                };
                let next = if page < 3 {
                    format!("<a href='/news?p={}'>\u{203a}</a>", page + 1)
                } else {
                    String::new()
                };
                format!(
                    "<ol>{}</ol><div>{next}</div>",
                    all((page - 1) * 9..page * 9, story)
                )
            }
            "/links" => {
                let link = |n| {
                    format!(
                        "<tr class=thing><td>{n}.<td><a href=http://e{n}.example/>Link {n}</a>
                        <tr><td><td class=about><span class=score>{n} points</span> by <a href=/u/{n} class=who>Ann {n}</a>
                        <tr class=gap>"
                    )
                };
                format!(
                    "<table>{}<tr><td><td><a href='/links?p=2'>More</a></table>",
                    all(1..16, link)
                )
            }
            _ => match of_links(path) {
                Some(html) => html,
                None => return (404, String::new()),
            },
        };
        (200, html)
    })
}

/// Rows that are links, and links in sections.
fn of_links(path: &str) -> Option<String> {
    match path {
        "/jobs" => {
            let job = |n| {
                format!(
                    "<a class=job href=/job/{n}><b>Job {n}</b><i>{n}0,000 to {n}5,000 $</i></a>"
                )
            };
            Some(format!("<div>{}</div>", all(1..8, job)))
        }
        "/names" => {
            let names =
                |of, count| all(0..count, |n| format!("<li><a href=/{of}/{n}>{of} {n}</a>"));
            Some(format!(
                    "<nav><ul><li><a href=/a>About all of this</a><li><a href=/b>B</a><li>C</ul></nav><main>
                    <h2>Macros</h2><ul class=names>{}</ul><h2>Types</h2><ul class=names>{}</ul>
                    <h2>Functions</h2><ul class=names>{}</ul></main>",
                    names("macro", 3),
                    names("type", 20),
                    names("function", 9)
                ))
        }
        _ => None,
    }
}

fn rows(name: &str) -> Vec<Value> {
    generated(name, &format!("http://{}/{name}", serve()))
}

#[test]
fn a_glossary() {
    let rows = rows("glossary");
    assert_eq!(rows.len(), 12);
    let term = row(&rows, "term", &"Term 7".into());
    assert_eq!(term["meaning"], "What 7 means, in short.");
}

#[test]
fn things_that_a_script_shows() {
    let rows = rows("things");
    assert_eq!(rows.len(), 8);
    let lamp = row(&rows, "name", &"Lamp 3".into());
    assert_eq!(
        (&lamp["sku"], &lamp["offers_price"]),
        (&"03".into(), &3.5.into())
    );
}

#[test]
fn pages_by_their_numbers() {
    let rows = rows("towns");
    assert_eq!(rows.len(), 40, "each once");
    let town = row(&rows, "town", &"Town 33".into());
    let expected: [(&str, Value); 3] = [
        ("number", 33.into()),
        ("people", 34_000.into()),
        ("counted", "2026-03-14".into()),
    ];
    for (column, value) in expected {
        assert_eq!(town[column], value, "{column}");
    }
}

#[test]
fn odd_and_even_rows() {
    let rows = rows("news");
    assert_eq!(rows.len(), 27);
    assert_eq!(
        row(&rows, "title", &"Story 26".into())["date"],
        "2026-03-27"
    );
}

#[test]
fn rows_of_two_elements() {
    let rows = rows("links");
    assert_eq!(rows.len(), 15);
    let link = row(&rows, "title", &"Link 9".into());
    let said = ["url", "score", "who"].map(|column| link[column].as_str().unwrap_or_default());
    assert_eq!(said, ["http://e9.example/", "9 points", "Ann 9"]);
}

#[test]
fn rows_that_are_links() {
    let rows = rows("jobs");
    assert_eq!(rows.len(), 7);
    let job = row(&rows, "title", &"Job 5".into());
    assert!(
        job["url"]
            .as_str()
            .is_some_and(|url| url.ends_with("/job/5")),
        "{job}"
    );
    assert_eq!(job["i"], "50,000 to 55,000 $");
}

#[test]
fn a_list_in_sections() {
    let rows = rows("names");
    assert_eq!(rows.len(), 32);
    row(&rows, "title", &"macro 2".into());
    row(&rows, "title", &"function 8".into());
}
