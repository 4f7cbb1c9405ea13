//! No dependency comes with a licence that `deny.toml` does not allow.
//!
//! What `cargo deny check licenses` does, without having to be installed. Platforms other than this one
//! are left to it, because their crates need not be on disk.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Name and licence of every package that a build on this platform takes in.
fn packages() -> Vec<(String, String)> {
    let version = output("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut args = vec![
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform",
        host.unwrap(),
    ];
    // What features bring need not be on disk where none is built; CI builds them.
    if cfg!(any(feature = "parquet", feature = "s3")) {
        args.push("--all-features");
    }
    let metadata = output(env!("CARGO"), &args);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let package = |package: &Value| (text(&package["name"]), text(&package["license"]));
    packages.iter().map(package).collect()
}

/// What `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml"));
    let table: toml::Table = text.unwrap().parse().unwrap();
    let list = table["licenses"]["allow"].as_array().unwrap();
    list.iter()
        .map(|licence| licence.as_str().unwrap().to_owned())
        .collect()
}

/// Whether the licences allowed are enough for an SPDX expression. `AND` binds closer than `OR`; an old
/// `/` is an `OR`; an exception takes nothing away.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    let fits = any(&mut tokens, allowed);
    fits && tokens.next().is_none()
}

type Tokens<'a, 'b> = &'b mut std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(tokens: Tokens<'_, '_>, allowed: &BTreeSet<String>) -> bool {
    let mut fits = all(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        fits |= all(tokens, allowed);
    }
    fits
}

fn all(tokens: Tokens<'_, '_>, allowed: &BTreeSet<String>) -> bool {
    let mut fits = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        fits &= one(tokens, allowed);
    }
    fits
}

fn one(tokens: Tokens<'_, '_>, allowed: &BTreeSet<String>) -> bool {
    match tokens.next() {
        Some("(") => {
            let fits = any(tokens, allowed);
            fits & (tokens.next() == Some(")"))
        }
        Some(licence) => {
            if tokens.next_if_eq(&"WITH").is_some() {
                tokens.next();
            }
            allowed.contains(licence)
        }
        None => false,
    }
}

#[test]
fn every_licence_is_allowed() {
    let (packages, allowed) = (packages(), allowed());
    assert!(packages.len() > 100, "{} packages", packages.len());
    let wrong: Vec<_> = packages
        .iter()
        .filter(|(_, licence)| !is_allowed(licence, &allowed))
        .collect();
    assert!(wrong.is_empty(), "not allowed: {wrong:?}");
}

#[test]
fn expressions() {
    let allowed = ["MIT", "Zlib"].map(String::from).into();
    let check = |expression, fits| {
        assert_eq!(is_allowed(expression, &allowed), fits, "{expression}");
    };
    check("MIT", true);
    check("GPL-3.0-only", false);
    check("", false);
    check("GPL-3.0-only OR MIT", true);
    check("GPL-3.0-only/MIT", true);
    check("MIT AND GPL-3.0-only", false);
    check("MIT AND (GPL-3.0-only OR Zlib)", true);
    check("(MIT OR Zlib) AND GPL-3.0-only", false);
    check("MIT OR Zlib AND GPL-3.0-only", true);
    check("MIT WITH LLVM-exception", true);
    check("GPL-2.0-only WITH Classpath-exception-2.0 OR Zlib", true);
    check("MIT Zlib", false);
}
