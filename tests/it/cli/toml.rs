//! Spiders in TOML files, run as people run them.

use std::path::Path;

use super::{Folder, site};

fn bundled(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("spiders");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn folder_with(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("spiders")).unwrap();
    for (name, text) in files {
        folder.write(&format!("spiders/{name}"), text);
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_gives_the_rows_of_the_same_spider_in_rust() {
    let site = site().await;
    let folder = folder_with(&[
        ("shop.toml", &bundled("shop.toml")),
        ("sayings.toml", &bundled("sayings.toml")),
    ]);
    for (rust, file, table, columns) in [
        (
            "books",
            "shop",
            "books",
            "url, title, price, stars, category, stock, upc",
        ),
        ("quotes", "sayings", "quotes", "author, text, tags"),
    ] {
        let mut rows = Vec::new();
        for spider in [rust, file] {
            let db = format!("{spider}.db");
            let ran = folder.run(&format!("crawl {spider} -a site={} --db {db}", site.url()));
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            let sql = format!("select {columns} from {table} order by 1, 2");
            let query = ["query", "--db", &db, "--format", "jsonl", &sql];
            rows.push(folder.run_args(&query).stdout);
            let kinds = format!(
                "select name, type, \"notnull\" from pragma_table_info('{table}') where name not like '\\_%' escape '\\'"
            );
            let query = ["query", "--db", &db, "--format", "jsonl", &kinds];
            rows.push(folder.run_args(&query).stdout);
        }
        assert!(rows[0].lines().count() >= 50, "{}", rows[0]);
        assert_eq!(rows[0], rows[2], "{file}");
        assert_eq!(rows[1], rows[3], "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_forms_links_and_sitemaps() {
    let site = site().await;
    let folder = folder_with(&[
        (
            "mine.toml",
            "start = '{site}orders'
        [args]
        site = ''
        [settings]
        secrets = { password = { env = 'SHOP_PASSWORD' } }
        [login]
        url = '{site}login'
        form = 'form.login'
        fields = { user = 'ann', pass = { secret = 'password' } }
        check = 'a[href=\"/logout\"], form[action=\"/logout\"], tr.order'
        [step.orders.follow]
        'a[rel=next]' = 'orders'
        [step.orders.item]
        key = 'number'
        each = 'tr.order'
        [step.orders.item.fields]
        number = 'td.id'
        total = { css = 'td.total', parse = 'money' }",
        ),
        (
            "mapped.toml",
            "start = '{site}robots.txt'
        [args]
        site = ''
        [step.map.sitemap]
        only = '/book/*'
        step = 'book'
        [step.book.item.fields]
        title = 'h1'",
        ),
        (
            "linked.toml",
            "start = '{site}'
        [args]
        site = ''
        [[step.list.links]]
        allow = '/book/*'
        step = 'book'
        [[step.list.links]]
        within = 'li.next'
        step = 'list'
        [step.book.item.fields]
        title = 'h1'",
        ),
    ]);
    let count = |table: &str| {
        let sql = format!("select count(*) as n from {table}");
        folder
            .run_args(&["query", "--format", "jsonl", &sql])
            .stdout
    };
    let crawl = |name: &str| {
        let site = format!("site={}", site.url());
        let mut command = folder.nephila(&["crawl", name, "-a", &site]);
        super::Ran::from(&command.env("SHOP_PASSWORD", "secret").output().unwrap())
    };
    let ran = crawl("mine");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(count("orders").contains("\"n\":") && !count("orders").contains("\"n\":0"));
    for (name, expected) in [("mapped", 60), ("linked", 60)] {
        let ran = crawl(name);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let table = "book";
        assert_eq!(count(table), format!("{{\"n\":{expected}}}\n"), "{name}");
        std::fs::remove_file(folder.path("crawl.db")).unwrap();
    }
    let ran = folder.run(&format!("crawl mine -a site={} --fresh", site.url()));
    let unset = "login failed: the environment variable `SHOP_PASSWORD` of a secret is not set; nothing was";
    assert!(ran.stderr.contains(unset), "{}", ran.stderr);
    assert!(!ran.stderr.contains("tries"), "{}", ran.stderr);
}

#[test]
fn mistakes_in_files() {
    let folder = folder_with(&[
        ("bad.toml", "start = 'http://e.x/'\n[step.a]\nfolow = {}\n"),
        ("books.toml", "start = 'http://e.x/'\n[step.a]\n"),
        (
            "good.toml",
            "start = 'http://e.x/'\nabout = 'Fine'\n[step.a.item]\nfields = { t = 'h1' }\n",
        ),
    ]);
    let ran = folder.run("crawl bad");
    let error = "error: spiders/bad.toml:3:1: no `folow` in [step]; did you mean `follow`?\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (2, error));
    assert_eq!(folder.run("crawl spiders/bad.toml").stderr, error);
    let ran = folder.run("crawl none.toml");
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.starts_with("error: can't read none.toml: "),
        "{}",
        ran.stderr
    );
    let ran = folder.run("crawl god");
    assert!(
        ran.stderr.contains("no spider `god`; did you mean `good`?"),
        "{}",
        ran.stderr
    );
    let listed = folder.run("list --format jsonl").stdout;
    let good = "{\"spider\":\"good\",\"about\":\"Fine\",\"steps\":\"a\",\"tables\":\"a\"";
    assert!(listed.contains(good), "{listed}");
    assert!(listed.contains("spiders/bad.toml:3:1"), "{listed}");
    // A file goes before the example of the same name.
    let books = listed
        .lines()
        .filter(|line| line.contains("\"spider\":\"books\""));
    assert!(
        books.eq([listed
            .lines()
            .find(|line| line.contains("\"steps\":\"a\",\"tables\":\"\""))
            .unwrap()]),
        "{listed}"
    );
}

/// The spider of `nephila crawl URL` is called so, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_called_links() {
    let site = site().await;
    let folder = folder_with(&[(
        "links.toml",
        "start = '{site}'\n[args]\nsite = ''\n[step.a.submit]\nform = 'from'\nstep = 'a'",
    )]);
    let ran = folder.run(&format!("crawl {} --limit 3 --db site.db", site.url()));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let ran = folder.run("resume --limit 2 --db site.db");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let ran = folder.run(&format!("crawl links -a site={}login", site.url()));
    let error = "failed: no form: `from` matches nothing (`form` matches 1)";
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
}

#[test]
fn the_schema_is_current() {
    let schema = Folder::new().run("schema").stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/spider.schema.json");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == schema,
        "run: nephila schema > docs/spider.schema.json"
    );
}
