//! Inside a Cargo project the commands are those of the project's own program, because its spiders
//! are in it: build it and run it, as `cargo run` would.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::failure::Failure;
use super::output;
use crate::spider::packages;

/// Set for a program that was started from here: it is the project's own, whatever it looks like.
pub(super) const INSIDE: &str = "NEPHILA_INSIDE";

/// Runs the project's own program, if this one is not it; the code that it ended with.
pub(super) fn run_project(arguments: &[OsString]) -> Result<Option<u8>, Failure> {
    let Some(manifest) = foreign_project()? else {
        return Ok(None);
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What another Cargo tells of its own package would make this one build things anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
        if told.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
        .args(["run", "--quiet", "--manifest-path"])
        .arg(&manifest)
        .arg("--")
        .args(arguments)
        .env(INSIDE, "1");
    run(command, &manifest).map(Some)
}

/// On Unix this process becomes the other, so that signals and the terminal are its own.
#[cfg(unix)]
fn run(mut command: Command, manifest: &Path) -> Result<u8, Failure> {
    use std::os::unix::process::CommandExt;
    Err(cannot(&command.exec(), manifest))
}

#[cfg(not(unix))]
fn run(mut command: Command, manifest: &Path) -> Result<u8, Failure> {
    let status = command.status().map_err(|error| cannot(&error, manifest))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(70))
}

fn cannot(error: &std::io::Error, manifest: &Path) -> Failure {
    Failure::usage(format!(
        "can't run cargo for {}: {error}",
        manifest.display()
    ))
    .more("the spiders of this project are Rust: install Rust from https://rustup.rs")
}

/// The nearest `Cargo.toml` whose package uses nephila and is not the one this program is of.
fn foreign_project() -> Result<Option<PathBuf>, Failure> {
    if output::variable(INSIDE).is_some() {
        return Ok(None);
    }
    let here = std::env::current_dir()?;
    let manifests = here.ancestors().map(|folder| folder.join("Cargo.toml"));
    for manifest in manifests {
        let Ok(text) = std::fs::read_to_string(&manifest) else {
            continue;
        };
        // A program that only uses the library has other things to say than our commands.
        if is_project(&text) && manifest.with_file_name("spiders").is_dir() {
            return Ok((!is_own(manifest.parent())).then_some(manifest));
        }
    }
    Ok(None)
}

/// Whether a `Cargo.toml` is of a package that uses nephila.
fn is_project(text: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else {
        return false;
    };
    let name = table.get("package").and_then(|package| package.get("name"));
    let uses = table.get("dependencies").and_then(|all| all.get("nephila"));
    name.is_some_and(|name| name.as_str() != Some(env!("CARGO_PKG_NAME"))) && uses.is_some()
}

/// Whether this program was built from the package in `folder`: it says so itself, or lies in it.
fn is_own(folder: Option<&Path>) -> bool {
    let Some(folder) = folder else { return false };
    let built_from = packages().any(|package| Path::new(package.folder) == folder);
    built_from || std::env::current_exe().is_ok_and(|program| program.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects() {
        let check = |text, expected| assert_eq!(is_project(text), expected, "{text}");
        check(
            "[package]\nname='shop'\n[dependencies]\nnephila='0.1'",
            true,
        );
        check(
            "[package]\nname='shop'\n[dependencies]\nnephila={path='..'}",
            true,
        );
        check("[package]\nname='shop'\n[dependencies]\nserde='1'", false);
        check(
            "[package]\nname='nephila'\n[dependencies]\nnephila='0.1'",
            false,
        );
        check("[workspace]\nmembers=['a']", false);
        check("not toml", false);
    }
}
