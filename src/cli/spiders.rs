//! Spiders by name: those of the program, and those in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::{Failure, meant};
use crate::declared::Declared;
use crate::spider::{Args, Registration, Spider, StepInfo, find, packages, registered};

/// The spider that follows the links of any site.
pub(super) const GENERIC: &str = "links";

/// A spider that can be made.
pub(super) enum Known {
    /// In the program.
    Rust(&'static Registration),
    /// In a file.
    File(Arc<Declared>),
    /// In a file that can't be read: the name it would have, and why.
    Broken(String, Failure),
}

impl Known {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Rust(registration) => registration.name,
            Self::File(declared) => declared.name(),
            Self::Broken(name, _) => name,
        }
    }

    pub(super) fn about(&self) -> String {
        match self {
            Self::Rust(registration) => registration.about.to_owned(),
            Self::File(declared) => declared.about().to_owned(),
            Self::Broken(_, failure) => failure.to_string(),
        }
    }

    pub(super) fn steps(&self) -> &[StepInfo] {
        match self {
            Self::Rust(registration) => (registration.steps)(),
            Self::File(declared) => declared.steps(),
            Self::Broken(..) => &[],
        }
    }

    fn make(self, args: &Args) -> Result<Arc<dyn Spider>, Failure> {
        match self {
            Self::Rust(registration) => Ok((registration.make)(args)?),
            Self::File(declared) => Ok(declared.spider(args)?),
            Self::Broken(_, failure) => Err(failure),
        }
    }
}

/// Whether what is to be crawled is a spider's file.
pub(super) fn is_file(target: &str) -> bool {
    let path = Path::new(target);
    !target.contains("://")
        && path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("toml"))
}

/// Makes the spider called `name`, or the one in a file.
pub(super) fn make(name: &str, args: &Args) -> Result<Arc<dyn Spider>, Failure> {
    if is_file(name) {
        return read(Path::new(name))?.make(args);
    }
    named(name)?.make(args)
}

/// Makes the spider that follows the links of any site, whatever else is called like it here.
pub(super) fn generic(args: &Args) -> Result<Arc<dyn Spider>, Failure> {
    match find(GENERIC).filter(|_| is_bundled()) {
        Some(registration) => Known::Rust(registration).make(args),
        None => make(GENERIC, args),
    }
}

fn named(name: &str) -> Result<Known, Failure> {
    let in_file = files().into_iter().find(|known| known.name() == name);
    match (find(name), in_file) {
        (Some(registration), None) => return Ok(Known::Rust(registration)),
        (None, Some(known)) => return Ok(known),
        (Some(_), Some(known)) if is_bundled() => return Ok(known),
        (Some(registration), Some(known)) => {
            let file = match &known {
                Known::File(declared) => declared.path().display().to_string(),
                _ => format!("spiders/{name}.toml"),
            };
            let failure = Failure::usage(format!("two spiders are called `{name}`"));
            return Err(failure.more(format!("{} and {file}: rename one", registration.file)));
        }
        (None, None) => {}
    }
    let all = all();
    let meant = meant(name, all.iter().map(Known::name));
    let failure = Failure::usage(format!("no spider `{name}`{meant}"));
    let failure = match all.len() {
        0 => failure.more("there are no spiders here: nephila new DIR makes a project"),
        all => failure.more(format!("nephila list shows all {all}")),
    };
    let is_host = name
        .split_once('.')
        .is_some_and(|(_, end)| !matches!(end, "rs" | "toml"));
    Err(failure.maybe(is_host.then(|| format!("if it is a site: nephila crawl https://{name}"))))
}

/// Whether the spiders of this program are examples that came with it: a file of the same name is
/// somebody's own, and goes before.
fn is_bundled() -> bool {
    packages().all(|package| package.folder == env!("CARGO_MANIFEST_DIR"))
}

/// Whether the spider of this name stands in a file of the project.
pub(super) fn is_declared(name: &str) -> bool {
    let is_own = |known: &Known| matches!(known, Known::File(_)) && known.name() == name;
    all().iter().any(is_own)
}

/// All spiders by name, those of the program and those in files.
pub(super) fn all() -> Vec<Known> {
    let mut all = files();
    let hidden = |name: &str| is_bundled() && all.iter().any(|file| file.name() == name);
    let rust: Vec<_> = registered()
        .into_iter()
        .filter(|registration| !hidden(registration.name))
        .map(Known::Rust)
        .collect();
    all.extend(rust);
    all.sort_by(|one, other| one.name().cmp(other.name()));
    all
}

/// The folder of spiders of this project: in this folder, or above it beside what makes a project.
pub(super) fn folder() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let folder = |above: &Path| {
        let is_project = ["nephila.toml", "Cargo.toml"]
            .iter()
            .any(|file| above.join(file).is_file());
        (above == here || is_project)
            .then(|| above.join("spiders"))
            .filter(|path| path.is_dir())
    };
    let found = here.ancestors().find_map(folder)?;
    // As short as it can be said.
    Some(
        found
            .strip_prefix(&here)
            .map_or(found.clone(), Path::to_owned),
    )
}

/// The spiders in `spiders/*.toml`.
fn files() -> Vec<Known> {
    let Some(Ok(entries)) = folder().map(std::fs::read_dir) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    paths.sort();
    let known = |path: PathBuf| {
        read(&path).unwrap_or_else(|failure| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            Known::Broken(stem.into_owned(), failure)
        })
    };
    paths.into_iter().map(known).collect()
}

fn read(path: &Path) -> Result<Known, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("can't read {}: {error}", path.display())))?;
    let declared = Declared::parse(path, &text);
    declared
        .map(Known::File)
        .map_err(|error| Failure::usage(error.to_string()))
}
