//! Pages that were kept, with what a step made of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::declared::Declared;
use crate::engine::{Tried, try_step};
use crate::request::{Response, Result, without_logins};
use crate::settings::Settings;
use crate::spider::{Args, Spider, find};

/// The layout of a fixture's file.
const VERSION: u32 = 1;

/// A page that was kept, and what a step gave for it. `nephila snap` makes them.
///
/// On disk it is two files side by side: the page's body as it came, and a JSON file that is meant to be
/// read, and to be compared by version control.
#[derive(Clone, Debug)]
pub struct Fixture {
    path: PathBuf,
    kept: Kept,
    body: Vec<u8>,
}

/// What stands in the JSON file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    spider: String,
    #[serde(default, skip_serializing_if = "Args::is_empty")]
    args: Args,
    step: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_args: Option<String>,
    url: String,
    status: u16,
    headers: Vec<(String, String)>,
    /// The file of the body.
    body: String,
    #[serde(flatten)]
    given: Given,
}

/// What a step gives for a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// Items in order, each with its table: `{"table": "books", "title": "Silk"}`.
    pub items: Vec<Json>,
    /// Requests in order: `book GET http://shop.example/7`.
    pub requests: Vec<String>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Headers that say how a body is to be read, and that steps look at; of others nothing is kept.
const HEADERS: [&str; 5] = [
    "content-type",
    "link",
    "last-modified",
    "etag",
    "content-language",
];

impl Fixture {
    /// A fixture that `path` (ending in `.json`) is going to be, with what `tried` gave.
    pub fn new(
        path: impl Into<PathBuf>,
        (spider, args): (&dyn Spider, &Args),
        (step, step_args): (&str, Option<&str>),
        response: &Response,
        tried: &Tried,
    ) -> Self {
        let path = path.into();
        let kind = response.header("content-type").unwrap_or_default();
        let end = match kind.split(';').next().unwrap_or_default().trim() {
            "text/html" | "application/xhtml+xml" | "" => "html",
            kind if kind.ends_with("xml") => "xml",
            _ => "body",
        };
        let body = path.with_extension(end);
        let name = body.file_name().unwrap_or_default().to_string_lossy();
        let header = |name: &&str| Some(((*name).to_owned(), response.header(name)?.to_owned()));
        let kept = Kept {
            version: VERSION,
            spider: spider.name().to_owned(),
            args: args.clone(),
            step: step.to_owned(),
            step_args: step_args.map(str::to_owned),
            url: without_logins(response.url.as_str()).into_owned(),
            status: response.status.as_u16(),
            headers: HEADERS.iter().filter_map(header).collect(),
            body: name.into_owned(),
            given: Given::of(tried),
        };
        Self {
            path,
            kept,
            body: response.body.to_vec(),
        }
    }

    /// Reads a fixture's JSON file and the body beside it.
    ///
    /// # Errors
    /// If one of them can't be read, with its name.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let cannot = |path: &Path, error: &dyn std::fmt::Display| {
            format!("can't read the fixture {}: {error}", path.display())
        };
        let text = std::fs::read_to_string(&path).map_err(|error| cannot(&path, &error))?;
        let kept: Kept = serde_json::from_str(&text).map_err(|error| cannot(&path, &error))?;
        if kept.version != VERSION {
            return Err(cannot(&path, &format!("its version is {}", kept.version)).into());
        }
        let name = Path::new(&kept.body);
        if name.components().count() != 1 {
            return Err(cannot(&path, &format!("`{}` is no file beside it", kept.body)).into());
        }
        let beside = path.with_file_name(name);
        let body = std::fs::read(&beside).map_err(|error| cannot(&beside, &error))?;
        Ok(Self { path, kept, body })
    }

    /// Writes both files.
    ///
    /// # Errors
    /// If that can't be done, with the file's name.
    pub fn write(&self) -> Result {
        let cannot =
            |path: &Path, error: std::io::Error| format!("can't write {}: {error}", path.display());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
        }
        let body = self.path.with_file_name(&self.kept.body);
        std::fs::write(&body, &self.body).map_err(|error| cannot(&body, error))?;
        let text = serde_json::to_string_pretty(&self.kept)? + "\n";
        Ok(std::fs::write(&self.path, text).map_err(|error| cannot(&self.path, error))?)
    }

    /// Its JSON file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its spider's name.
    pub fn spider(&self) -> &str {
        &self.kept.spider
    }

    /// The spider's arguments.
    pub fn args(&self) -> &Args {
        &self.kept.args
    }

    /// Its step's name.
    pub fn step(&self) -> &str {
        &self.kept.step
    }

    /// The page's URL.
    pub fn url(&self) -> &str {
        &self.kept.url
    }

    /// What the step gave when it was kept.
    pub fn given(&self) -> &Given {
        &self.kept.given
    }

    /// The page as it was answered.
    ///
    /// # Errors
    /// If its URL is none.
    pub fn response(&self) -> Result<Response> {
        let mut response = Response::new(self.kept.url.parse()?, self.body.clone());
        response.status = StatusCode::from_u16(self.kept.status)?;
        for (name, value) in &self.kept.headers {
            let (name, value) = (HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
            response.headers.append(name, value);
        }
        Ok(response)
    }

    /// What the step gives for it now.
    ///
    /// # Errors
    /// If the spider does not have the step any more.
    pub async fn replay(&self, spider: &dyn Spider, settings: &Settings) -> Result<Given> {
        let args = self.kept.step_args.as_deref();
        let response = self.response()?;
        let tried = try_step(spider, settings, &self.kept.step, args, response).await;
        let tried = tried.ok_or_else(|| {
            let (spider, step) = (spider.name(), &self.kept.step);
            format!(
                "spider `{spider}` has no step `{step}`: snap the page anew, or remove the fixture"
            )
        })?;
        Ok(Given::of(&tried))
    }

    /// Takes what the step gives now for what it is to give.
    pub fn accept(&mut self, given: Given) {
        self.kept.given = given;
    }
}

impl Given {
    /// What a step gave.
    pub fn of(tried: &Tried) -> Self {
        let item = |record: &crate::item::Record| {
            let mut object = serde_json::Map::new();
            object.insert("table".to_owned(), record.schema().table().into());
            if let Json::Object(row) = record.to_json() {
                object.extend(row);
            }
            Json::Object(object)
        };
        let request = |request: &crate::request::Request| {
            let url = without_logins(request.url.as_str());
            format!("{} {} {url}", request.step.name, request.method)
        };
        Self {
            items: tried.emitted.records.iter().map(item).collect(),
            requests: tried.emitted.requests.iter().map(request).collect(),
            failure: tried.failure.clone(),
        }
    }

    /// In what `now` differs from this, a line each; none if they are the same.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.failure != now.failure {
            let said =
                |failure: &Option<String>| failure.clone().unwrap_or("no failure".to_owned());
            lines.push(format!(
                "failure: {} -> {}",
                said(&self.failure),
                said(&now.failure)
            ));
        }
        if self.items.len() != now.items.len() {
            lines.push(format!(
                "items: {} -> {}",
                self.items.len(),
                now.items.len()
            ));
        }
        for (at, (was, is)) in self.items.iter().zip(&now.items).enumerate() {
            fields(at, was, is, &mut lines);
        }
        for lost in self
            .requests
            .iter()
            .filter(|was| !now.requests.contains(was))
        {
            lines.push(format!("- {lost}"));
        }
        for new in now.requests.iter().filter(|is| !self.requests.contains(is)) {
            lines.push(format!("+ {new}"));
        }
        if lines.is_empty() && self.requests != now.requests {
            lines.push("requests: the same in another order or number".to_owned());
        }
        lines
    }
}

/// The fields of an item that differ.
fn fields(at: usize, was: &Json, is: &Json, lines: &mut Vec<String>) {
    let empty = serde_json::Map::new();
    let (was, is) = (
        was.as_object().unwrap_or(&empty),
        is.as_object().unwrap_or(&empty),
    );
    let table = was.get("table").and_then(Json::as_str).unwrap_or_default();
    let names = was
        .keys()
        .chain(is.keys().filter(|name| !was.contains_key(*name)));
    for name in names {
        let (was, is) = (was.get(name), is.get(name));
        if was != is {
            let shown = |value: Option<&Json>| value.map_or("nothing".to_owned(), short);
            lines.push(format!(
                "{table} {}: {name}: {} -> {}",
                at + 1,
                shown(was),
                shown(is)
            ));
        }
    }
}

fn short(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text,
    }
}

/// The fixtures in a folder and the folders in it, by path; none if there is no such folder.
///
/// # Errors
/// The first one that can't be read.
pub fn fixtures(folder: impl AsRef<Path>) -> Result<Vec<Fixture>> {
    let mut paths = Vec::new();
    let mut open = vec![folder.as_ref().to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "json") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.into_iter().map(Fixture::read).collect()
}

/// Replays the fixtures in a folder, offline: each page goes through its step again, and what comes of it
/// is compared with what is kept. Spiders are found by name, in this program or in `spiders/NAME.toml`.
///
/// ```no_run
/// #[tokio::test]
/// async fn pages_are_read_as_before() -> nephila::Result {
///     nephila::testing::check_fixtures("fixtures").await
/// }
/// ```
///
/// # Errors
/// All differences, a line each; or if there are no fixtures.
pub async fn check_fixtures(folder: impl AsRef<Path>) -> Result {
    let folder = folder.as_ref();
    let all = fixtures(folder)?;
    if all.is_empty() {
        return Err(format!(
            "no fixtures in {}: nephila snap makes them",
            folder.display()
        )
        .into());
    }
    let mut wrong = String::new();
    for fixture in &all {
        let spider = spider(fixture)?;
        let settings = Settings::for_spider(spider.settings())?;
        let lines = match fixture.replay(&*spider, &settings).await {
            Ok(now) => fixture.given().differences(&now),
            Err(error) => vec![error.to_string()],
        };
        if !lines.is_empty() {
            let _ = write!(wrong, "\n{}:", fixture.path().display());
            for line in lines {
                let _ = write!(wrong, "\n  {line}");
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("fixtures differ (nephila check --review accepts what is right):{wrong}").into())
}

/// A fixture's spider, by its name.
fn spider(fixture: &Fixture) -> Result<Arc<dyn Spider>> {
    let name = fixture.spider();
    if let Some(registration) = find(name) {
        return Ok((registration.make)(fixture.args())?);
    }
    let path = Path::new("spiders").join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!(
            "no spider `{name}` in this program, and {}: {error}",
            path.display()
        )
    })?;
    Ok(Declared::parse(&path, &text)?.spider(fixture.args())?)
}

#[cfg(test)]
mod tests;
