//! What the documentation says is so: settings, tables, commands, links between pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nephila::declared::Declared;
use nephila::prelude::*;
use nephila::settings::{FileKind, HOST_SETTINGS, Layer, Origin, SETTINGS, Settings, SettingsFile};
use nephila::site::Site;
use nephila::{Crawl, fetch::FailureKind};
use sqlx::{Connection, SqliteConnection};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every page of documentation, by its path from the root.
fn pages() -> Vec<String> {
    let mut all = Vec::new();
    for folder in ["", "docs", "docs/howto"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root()).unwrap();
                all.push(name.to_string_lossy().into_owned());
            }
        }
    }
    all.sort();
    all
}

/// The cells of every table row under a heading: `(heading, cells)`, header and rule left out.
fn rows(markdown: &str) -> Vec<(String, Vec<String>)> {
    let mut heading = String::new();
    let mut all = Vec::new();
    let mut in_table = false;
    for line in markdown.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.replace('`', "");
        }
        let is_row = line.starts_with("| ") || line.starts_with("|-");
        if is_row && in_table && !line.starts_with("|-") {
            let cells = line.trim_matches('|').split(" | ");
            all.push((
                heading.clone(),
                cells.map(|cell| cell.trim().into()).collect(),
            ));
        }
        in_table = is_row;
    }
    all
}

/// The code blocks of one language.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let parts = markdown.split(&opening).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

fn bare(cell: &str) -> String {
    cell.replace('`', "")
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let rows = rows(&read("docs/settings.md"));
    let (mut known, mut hosts) = (BTreeSet::new(), BTreeSet::new());
    for (_, cells) in &rows {
        let [name, default, takes, _] = &cells[..] else {
            panic!("a row of settings has four cells: {cells:?}");
        };
        let (name, default) = (bare(name), bare(default));
        if let Some(name) = name.strip_prefix("host.HOST.") {
            let setting = HOST_SETTINGS.iter().find(|setting| setting.name == name);
            assert_eq!(
                setting.map(|setting| setting.expects),
                Some(takes.as_str()),
                "{name}"
            );
            assert!(hosts.insert(name.to_owned()), "{name} stands twice");
            continue;
        }
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let setting = setting.unwrap_or_else(|| panic!("`{name}` is no setting"));
        assert_eq!(setting.expects, takes, "{name}");
        assert!(known.insert(name.clone()), "{name} stands twice");
        let settings = match default.as_str() {
            "unset" => Settings::default(),
            text => {
                let layer = Layer::from_texts([(name.as_str(), text, Origin::Default)]).unwrap();
                Settings::from_layers([&layer]).unwrap().0
            }
        };
        let value = |settings| serde_json::to_value::<Settings>(settings).unwrap()[&name].clone();
        let expected = value(Settings::default());
        assert_eq!(value(settings), expected, "the default of {name}");
        assert_eq!(default == "unset", expected.is_null(), "{name}");
    }
    let missing: Vec<_> = SETTINGS
        .iter()
        .map(|setting| setting.name)
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let of_hosts = HOST_SETTINGS.iter().map(|setting| setting.name.to_owned());
    assert_eq!(hosts, of_hosts.collect());
}

#[test]
fn settings_files_in_the_documentation_are_read() {
    for page in pages() {
        for block in blocks(&read(&page), "toml") {
            if block.contains("[dependencies]") {
                continue;
            }
            if block.starts_with("start = ") {
                let spider = Declared::parse(Path::new("spider.toml"), &block);
                assert!(spider.is_ok(), "{page}: {}\n{block}", spider.unwrap_err());
                continue;
            }
            let file = SettingsFile::parse(FileKind::Project, Path::new("nephila.toml"), &block);
            assert!(file.is_ok(), "{page}: {}\n{block}", file.unwrap_err());
        }
    }
}

#[test]
fn every_key_of_a_spiders_file_is_documented() {
    let page = read("docs/toml.md");
    let names = |schema: &serde_json::Value| -> Vec<String> {
        let properties = schema["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    };
    let schema = nephila::declared::json_schema();
    let sections = schema["$defs"].as_object().unwrap().iter();
    let sections = sections.filter(|(name, _)| *name != "fields");
    let of_sections = sections.flat_map(|(_, section)| names(section));
    for name in names(&schema).into_iter().chain(of_sections) {
        let is_said = page.contains(&format!("`{name}`")) || page.contains(&format!("[{name}]"));
        let is_shown = page.contains(&format!("\n{name} = "));
        assert!(
            is_said || is_shown,
            "docs/toml.md does not say what `{name}` is"
        );
    }
    let types = schema["$defs"]["field"]["properties"]["type"]["enum"].as_array();
    for name in types.unwrap().iter().filter_map(|name| name.as_str()) {
        let bare = name.trim_matches(['[', ']', '?']);
        assert!(
            page.contains(&format!("`{bare}`")),
            "docs/toml.md lacks the type `{bare}`"
        );
    }
}

#[derive(Item)]
#[item(table = "quotes", key = "text")]
struct Quote {
    text: String,
    author: Option<String>,
}

#[derive(serde::Deserialize)]
struct DocsQuotes {
    site: String,
}

#[spider]
impl DocsQuotes {
    async fn start(&self, seeds: Seeds) -> Result {
        seeds
            .push(format!("{}api/quotes?page=1", self.site), Self::page)
            .await
    }

    async fn page(&self, page: Page) -> Result<Vec<Quote>> {
        let answer: serde_json::Value = page.json()?;
        let quotes = answer["quotes"].as_array().ok_or("no quotes")?;
        let quote = |quote: &serde_json::Value| Quote {
            text: quote["text"].to_string(),
            author: None,
        };
        Ok(quotes.iter().map(quote).collect())
    }
}

/// A database after a crawl.
async fn crawled(folder: &Path) -> SqliteConnection {
    let site = Site::start("127.0.0.1:0").await.unwrap();
    let url = format!("sqlite:{}", folder.join("crawl.db").display());
    let spider = DocsQuotes {
        site: site.url().to_string(),
    };
    let report = Crawl::new(spider).db(&url).run().await.unwrap();
    assert_eq!(report.exit_code(), 0, "{report:?}");
    SqliteConnection::connect(&url).await.unwrap()
}

/// Columns and their types, by table or view.
async fn columns(db: &mut SqliteConnection) -> BTreeMap<String, BTreeMap<String, String>> {
    let all: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT m.name, c.name, iif(m.type = 'view', '', c.type)
         FROM sqlite_schema m JOIN pragma_table_info(m.name) c
         WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '_sqlx%'",
    )
    .fetch_all(db)
    .await
    .unwrap();
    let mut tables = BTreeMap::<_, BTreeMap<_, _>>::new();
    for (table, column, kind) in all {
        tables.entry(table).or_default().insert(column, kind);
    }
    tables
}

#[tokio::test]
async fn every_column_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let mut there = columns(&mut crawled(folder.path()).await).await;
    // Of a table of items, what the store adds to the struct.
    let mut items = there.remove("quotes").unwrap();
    items.retain(|column, _| column.starts_with('_'));
    there.insert("Items".to_owned(), items);
    let mut documented = BTreeMap::<_, BTreeMap<_, _>>::new();
    for (heading, cells) in rows(&read("docs/database.md")) {
        if !matches!(cells[0].as_str(), "done" | "failed" | "skipped") {
            let kind = if heading == "url" { "" } else { &cells[1] };
            let columns = documented.entry(heading).or_default();
            let twice = columns.insert(bare(&cells[0]), kind.to_owned());
            assert_eq!(twice, None, "{cells:?}");
        }
    }
    assert_eq!(documented, there);
}

#[test]
fn every_kind_of_failure_is_documented() {
    let kinds = [
        FailureKind::Dns,
        FailureKind::Connect,
        FailureKind::Proxy,
        FailureKind::Tls,
        FailureKind::Timeout,
        FailureKind::Reset,
        FailureKind::Protocol,
        FailureKind::TooLarge,
        FailureKind::Encoding,
        FailureKind::Blocked,
        FailureKind::BlockPage,
        FailureKind::Other,
    ];
    let reasons: String = rows(&read("docs/database.md"))
        .into_iter()
        .filter(|(_, cells)| cells[0] == "failed")
        .map(|(_, cells)| cells[1].clone())
        .collect();
    for kind in kinds {
        let name = format!("`{}`", kind.as_str());
        assert!(reasons.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn queries_in_the_documentation_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = crawled(folder.path()).await;
    for block in blocks(&read("docs/database.md"), "sql") {
        let query = sqlx::raw_sql(sqlx::AssertSqlSafe(block.clone()));
        let outcome = query.execute(&mut db).await;
        assert!(outcome.is_ok(), "{}\n{block}", outcome.unwrap_err());
    }
}

/// A command line as its words; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn commands_in_the_documentation_exist() {
    let mut count = 0;
    for page in pages() {
        for line in blocks(&read(&page), "sh").join("\n").lines() {
            let line = line.split(" #").next().unwrap_or_default();
            for command in line.split("&&") {
                let words = words(command.trim());
                let args = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    ["nephila", ref args @ ..]
                    | ["cargo", "run", "--release", "--", ref args @ ..] => args.to_vec(),
                    _ => continue,
                };
                // Help comes after the rest was understood.
                let ran = std::process::Command::new(env!("CARGO_BIN_EXE_nephila"))
                    .args(args)
                    .arg("--help")
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&ran.stderr);
                assert!(ran.status.success(), "{page}: {command}\n{said}");
                count += 1;
            }
        }
    }
    assert!(count > 3);
}

/// What `nephila COMMAND --help` says, as text of a fixed width.
fn help(args: &[&str]) -> String {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_nephila"))
        .args(args)
        .arg("--help")
        .env("COLUMNS", "100")
        .env_remove("NEPHILA_DB")
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// `docs/commands.md` is made from the program: `UPDATE_DOCS=1 cargo test --test it docs::` writes it.
#[test]
fn the_reference_of_commands_is_current() {
    let all = help(&[]);
    let commands = all.split("Commands:\n").nth(1).unwrap();
    let commands = commands.split("\n\n").next().unwrap().lines();
    let names = commands.filter_map(|line| {
        let is_name = line.starts_with("  ") && !line.starts_with("   ");
        is_name.then(|| line.split_whitespace().next()).flatten()
    });
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 20, "{names:?}");
    let mut page =
        format!("# Commands\n\nWhat `nephila COMMAND --help` says.\n\n```text\n{all}\n```\n");
    for name in names {
        page.extend(["\n## ", name, "\n\n```text\n", &help(&[name]), "\n```\n"]);
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join("docs/commands.md"), &page).unwrap();
    }
    let is_same = read("docs/commands.md") == page;
    assert!(
        is_same,
        "docs/commands.md is old: UPDATE_DOCS=1 cargo test --test it docs::"
    );
}

/// Each example has its line in the gallery, and there are no others.
#[test]
fn every_example_is_in_the_gallery() {
    let shown = rows(&read("docs/gallery.md"));
    let shown: BTreeSet<String> = shown.iter().map(|(_, cells)| bare(&cells[0])).collect();
    let files = std::fs::read_dir(root().join("examples")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let names = files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    assert_eq!(shown, names.collect::<BTreeSet<_>>());
}

/// Code that only a test can run is shown as it stands in one.
#[test]
fn ignored_code_stands_in_a_test() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let tests = squeezed(&read("tests/it/tutorial.rs"))
        .replace(",]", "]")
        .replace(",)", ")");
    let mut count = 0;
    for page in pages() {
        for block in blocks(&read(&page), "rust,ignore") {
            assert!(tests.contains(&squeezed(&block)), "{page}:\n{block}");
            count += 1;
        }
    }
    assert!(count > 0);
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.trim().replace(' ', "-")
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        let folder = root().join(&page);
        let folder = folder.parent().unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            if target.starts_with("http") || target.starts_with("crate::") {
                continue;
            }
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                root().join(&page)
            } else {
                folder.join(file)
            };
            assert!(path.exists(), "{page} links to {target}");
            if !place.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let known = headings
                    .map(|line| anchor(line.trim_start_matches('#')))
                    .any(|anchor| anchor == place);
                assert!(known, "{page} links to {target}");
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn anchors() {
    let check = |heading, expected| assert_eq!(anchor(heading), expected);
    check(" `crawl`", "crawl");
    check("Why you might not want this", "why-you-might-not-want-this");
    check("Decisions: what, because", "decisions-what-because");
}
