//! `nephila try`: one step on one page.

use serde_json::Value;

use super::server::serve;
use super::{Folder, site};

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_say_where_they_come_from() {
    let site = site().await;
    let folder = Folder::new();
    let ran = folder.run(&format!("try books {}book/7 --step book", site.url()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let all = rows(&ran.stdout);
    let price = all.iter().find(|row| row["field"] == "price").unwrap();
    assert_eq!(price["item"], "books 1");
    assert_eq!(price["type"], "REAL");
    assert!(price["value"].is_f64(), "{price}");
    assert_eq!(price["selector"], r"p.price, p.price_color  =~ ([\d.]+)");
    assert_eq!(price["matches"], 1);
    assert!(
        price["from"]
            .as_str()
            .unwrap()
            .starts_with("<p class=\"price\">"),
        "{price}"
    );
    let url = all.iter().find(|row| row["field"] == "url").unwrap();
    assert_eq!(url["selector"], Value::Null);
    assert!(!folder.path("crawl.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_file() {
    let site = site().await;
    let folder = Folder::new();
    folder.write(
        "shop.toml",
        "start = 'http://e.x/'
        [step.list]
        url = '/'
        [step.list.follow]
        'article h3 a' = 'book'
        'li.nxt a' = 'list'
        [step.book]
        url = '/book/{id}'
        [step.book.item]
        fields = { title = 'h1', note = { css = 'p.nota', type = 'text?' } }",
    );
    let ran = folder.run(&format!("try shop.toml {}", site.url()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let all = rows(&ran.stdout);
    let missing = all
        .iter()
        .find(|row| row["selector"] == "li.nxt a")
        .unwrap();
    assert_eq!(
        (&missing["matches"], &missing["from"]),
        (&0.into(), &"nothing matches".into())
    );
    let links = all.iter().filter(|row| row["step"] == "book").count();
    assert!(links >= 20, "{links}");
    // The step is chosen by its `url`.
    let ran = folder.run(&format!("try shop.toml {}book/7", site.url()));
    assert!(ran.stderr.contains("step  book of shop"), "{}", ran.stderr);
    let all = rows(&ran.stdout);
    assert_eq!(all[1]["value"], Value::Null);
    assert_eq!(all[1]["from"], "nothing matches");
}

#[test]
fn a_step_that_fails() {
    let server = serve(&[
        ("/robots.txt", 404, ""),
        ("/b", 200, "<h1>x</h1>"),
        ("/n", 404, "no"),
    ]);
    let folder = Folder::new();
    let ran = folder.run(&format!("try books http://{server}/b --step book"));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr
            .contains("error: field `price`: `p.price, p.price_color` matches nothing"),
        "{}",
        ran.stderr
    );
    let all = rows(&ran.stdout);
    assert_eq!(
        (&all[0]["field"], &all[0]["from"]),
        (&"title".into(), &"<h1>x</h1>".into())
    );
    // And what the fields after it find.
    let stars = all.iter().find(|row| row["field"] == "stars").unwrap();
    assert_eq!(stars["matches"], 0, "{stars}");
    let ran = folder.run(&format!("try books http://{server}/n --step book"));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("book does not read 404"),
        "{}",
        ran.stderr
    );
    let ran = folder.run(&format!("try books http://{server}/b --step bok"));
    assert_eq!(ran.code, 2);
    let expected =
        "error: spider `books` has no step `bok`; did you mean `book`?\n     it has: list, book\n";
    assert_eq!(ran.stderr, expected);
}

#[test]
fn all_fields_of_a_file_are_tried_though_the_first_fails() {
    let server = serve(&[
        ("/robots.txt", 404, ""),
        ("/1", 200, "<h1>Silk</h1><p class=price>2</p>"),
    ]);
    let folder = Folder::new();
    folder.write(
        "shop.toml",
        "start = 'http://e.x/'
        [step.book.item]
        fields = { title = 'h1.titel', price = 'p.prise', note = 'p' }",
    );
    let ran = folder.run(&format!("try shop.toml http://{server}/1"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let matches = rows(&ran.stdout)
        .iter()
        .map(|row| row["matches"].clone())
        .collect::<Vec<_>>();
    assert_eq!(matches, [0, 0, 1]);
    let error = "error: field `title`: `h1.titel` matches nothing (`h1` matches 1)\n";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_behind_a_login() {
    let site = site().await;
    let folder = Folder::new();
    folder.write(
        "mine.toml",
        &"start = '{site}orders'
        [settings]
        secrets = { password = { env = 'SHOP_PASSWORD' } }
        [login]
        url = '{site}login'
        form = 'form.login'
        fields = { user = 'ann', pass = { secret = 'password' } }
        check = 'tr.order'
        [step.orders.item]
        each = 'tr.order'
        fields = { number = 'td.id' }"
            .replace("{site}", site.url().as_str()),
    );
    let orders = format!("{}orders", site.url());
    let run = |args: &[&str], password: &str| {
        let mut command = folder.nephila(args);
        command
            .env("SHOP_PASSWORD", password)
            .stdin(std::process::Stdio::null());
        super::Ran::from(&command.output().unwrap())
    };
    let ran = run(&["try", "mine.toml", &orders], "secret");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("\"field\":\"number\""),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.starts_with("     login  as mine does\n"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    let ran = run(&["snap", "mine.toml", &orders], "secret");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = run(&["fetch", &orders, "--as", "mine.toml"], "secret");
    assert!(
        ran.stdout.contains("class=\"order\"") || ran.stdout.contains("class=order"),
        "{}",
        ran.stdout
    );
    let ran = run(&["try", "mine.toml", &orders], "wrong");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("error: login failed: "),
        "{}",
        ran.stderr
    );
    let ran = folder.run(&format!("try mine.toml {orders}"));
    let unset =
        "error: login failed: the environment variable `SHOP_PASSWORD` of a secret is not set\n";
    assert!(ran.stderr.ends_with(unset), "{}", ran.stderr);
}

#[test]
fn a_start_url_is_asked_for_as_by_the_spider() {
    let server = super::server::serve_with(|path, header| match path {
        "/graphql"
            if header
                .to_ascii_lowercase()
                .contains("content-type: application/json") =>
        {
            (200, "{\"users\":[{\"id\":7}]}".to_owned())
        }
        "/graphql" => (400, "no".to_owned()),
        _ => (404, String::new()),
    });
    let folder = Folder::new();
    let url = format!("http://{server}/graphql");
    folder.write(
        "users.toml",
        &format!(
            "start = ['http://{server}/other', {{ url = '{url}', json = {{ query = '{{ users {{ id }} }}' }} }}]
            [step.users.item]
            each = 'json:users[*]'
            fields = {{ id = 'json:id' }}"
        ),
    );
    let ran = folder.run(&format!("try users.toml {url}"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(rows(&ran.stdout)[0]["value"], "7");
}
