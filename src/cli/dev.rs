//! `nephila dev SPIDER`: what a spider makes of kept pages, each time it is saved.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;
use super::flags::SetFlag;
use super::project::Project;
use super::{output, spiders};
use crate::spider::packages;
use crate::ui::{clean, plural, shorten};

const EXAMPLES: &str = "\
Examples:
  nephila crawl books --cache keep --limit 50   keeps some pages
  nephila dev books                             reads them again on every save, and shows what differs";

/// How often files are looked at.
const PAUSE: Duration = Duration::from_millis(300);
/// Differences that are shown of each kind.
const SHOWN: usize = 20;

/// Read kept pages again each time the spider is saved, and show in what the items differ from before
///
/// Pages are kept by crawls with --cache keep or --cache dev; nothing is fetched and nothing stored. A spider in
/// Rust is built anew first. ^C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Dev {
    /// The spider's name, or its TOML file
    spider: String,
    /// Only pages of this step
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// An argument of the spider
    #[arg(short = 'a', long = "arg", value_name = "NAME=VALUE")]
    args: Vec<String>,
    #[command(flatten)]
    set: SetFlag,
}

/// An item as `reparse --raw` prints it.
#[derive(Debug, Deserialize, PartialEq)]
struct Item {
    table: String,
    key: String,
    url: String,
    row: serde_json::Map<String, Value>,
}

/// Items by table, key and the number among those of one key.
type Items = BTreeMap<(String, String, usize), Item>;

impl Dev {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let watched = self.watched()?;
        let mut seen = None;
        let mut before: Option<Items> = None;
        loop {
            let now = newest(&watched);
            if seen != Some(now) {
                // What is saved while it is read is seen the next time.
                seen = Some(now);
                if let Some(items) = self.read()? {
                    show(before.as_ref(), &items)?;
                    before = Some(items);
                }
                output::say("  waiting for the next save; ^C ends");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is looked at: the spider's file, or all that a project is made of.
    fn watched(&self) -> Result<Vec<PathBuf>, Failure> {
        if spiders::is_file(&self.spider) {
            let path = PathBuf::from(&self.spider);
            if !path.is_file() {
                return Err(Failure::usage(format!(
                    "there is no file {}",
                    path.display()
                )));
            }
            return Ok(vec![path]);
        }
        let folder = Project::find()?.folder;
        let parts = ["spiders", "src", "Cargo.toml", "nephila.toml", "build.rs"];
        Ok(parts.iter().map(|part| folder.join(part)).collect())
    }

    /// The items of the kept pages; none if the spider can't be built or read, which is said then.
    fn read(&self) -> Result<Option<Items>, Failure> {
        let mut command = program()?;
        command.args(["reparse", &self.spider, "--raw"]);
        for (flag, values) in [("-a", &self.args), ("-s", &self.set.set)] {
            for value in values {
                command.args([flag, value]);
            }
        }
        if let Some(step) = &self.step {
            command.args(["--step", step]);
        }
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let ran = command.output()?;
        let text = String::from_utf8_lossy(&ran.stdout);
        match ran.status.code() {
            // Pages that fail are told, and the others are there.
            Some(0 | 1) => Ok(Some(items(&text))),
            _ => Ok(None),
        }
    }
}

/// This program; or if it is a project's own, that as Cargo builds it anew.
fn program() -> Result<Command, Failure> {
    let own = packages().find(|package| package.folder != env!("CARGO_MANIFEST_DIR"));
    let Some(package) = own else {
        return Ok(Command::new(std::env::current_exe()?));
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let manifest = Path::new(package.folder).join("Cargo.toml");
    command
        .args(["run", "--quiet", "--manifest-path"])
        .arg(manifest)
        .arg("--");
    Ok(command)
}

fn items(text: &str) -> Items {
    let mut all = Items::new();
    for item in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Item>(line).ok())
    {
        let mut number = 0;
        while all.contains_key(&(item.table.clone(), item.key.clone(), number)) {
            number += 1;
        }
        all.insert((item.table.clone(), item.key.clone(), number), item);
    }
    all
}

/// The latest change of a file in these places.
fn newest(places: &[PathBuf]) -> Option<SystemTime> {
    fn of(path: &Path, depth: usize) -> Option<SystemTime> {
        let data = std::fs::metadata(path).ok()?;
        if !data.is_dir() {
            return data.modified().ok();
        }
        // The folder's own time says that a file has gone.
        let own = data.modified().ok();
        let entries = std::fs::read_dir(path).ok()?.filter(|_| depth < 8);
        let within = entries.filter_map(|entry| of(&entry.ok()?.path(), depth + 1));
        within.chain(own).max()
    }
    places.iter().filter_map(|path| of(path, 0)).max()
}

fn show(before: Option<&Items>, now: &Items) -> Result<(), Failure> {
    let mut to = output::stdout();
    let Some(before) = before else {
        for item in now.values().take(3) {
            let row = Value::from(item.row.clone()).to_string();
            writeln!(to, "{}  {}", clean(&item.table), shorten(&row, 300))?;
        }
        to.flush()?;
        output::say(&format!(
            "  {} from the kept pages",
            plural(now.len() as u64, "item")
        ));
        return Ok(());
    };
    let (mut changed, mut lost, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for (key, item) in now {
        match before.get(key) {
            None => new.push(item),
            Some(was) if was.row != item.row => changed.push((was, item)),
            Some(_) => {}
        }
    }
    lost.extend(
        before
            .iter()
            .filter(|(key, _)| !now.contains_key(*key))
            .map(|(_, item)| item),
    );
    for (was, is) in changed.iter().take(SHOWN) {
        for (name, value) in &is.row {
            let before = was.row.get(name).unwrap_or(&Value::Null);
            if before != value {
                writeln!(
                    to,
                    "~ {} {}  {}: {} -> {}",
                    clean(&is.table),
                    shorten(&is.key, 100),
                    clean(name),
                    shorten(&before.to_string(), 100),
                    shorten(&value.to_string(), 100)
                )?;
            }
        }
    }
    for (mark, items) in [("-", &lost), ("+", &new)] {
        for item in items.iter().take(SHOWN) {
            let (table, key, url) = (
                clean(&item.table),
                shorten(&item.key, 100),
                clean(&item.url),
            );
            writeln!(to, "{mark} {table} {key}  {url}")?;
        }
    }
    to.flush()?;
    output::say(&format!(
        "  {}: {} changed, {} lost, {} new",
        plural(now.len() as u64, "item"),
        changed.len(),
        lost.len(),
        new.len()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_that_comes_goes_or_changes_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let places = [folder.path().to_owned()];
        let (file, old) = (folder.path().join("a.toml"), SystemTime::UNIX_EPOCH);
        let at = |path: &Path, seconds| {
            let file = std::fs::File::open(path).unwrap();
            file.set_modified(old + Duration::from_secs(seconds))
                .unwrap();
        };
        std::fs::write(&file, "").unwrap();
        at(&file, 1);
        at(folder.path(), 2);
        assert_eq!(newest(&places), Some(old + Duration::from_secs(2)));
        at(&file, 3);
        assert_eq!(newest(&places), Some(old + Duration::from_secs(3)));
        std::fs::remove_file(&file).unwrap();
        assert!(newest(&places) > Some(old + Duration::from_secs(3)));
        assert_eq!(newest(&[folder.path().join("none")]), None);
    }
}
