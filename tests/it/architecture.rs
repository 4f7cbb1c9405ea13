//! The map of the modules: who may use whom, and which crate is named where.
//!
//! Innermost first. A module may use those listed with it and nothing else of the crate, so that
//! dependencies point inwards and there are no cycles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Module, and what it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("panics", &[]),
    ("parse", &[]),
    ("item", &[]),
    ("request", &[]),
    ("settings", &["request"]),
    ("policy", &["settings", "request"]),
    ("page", &["request", "item", "clock", "settings", "policy"]),
    ("pipeline", &["page", "request", "item"]),
    ("spider", &["page", "pipeline", "request", "item", "fetch"]),
    (
        "declared",
        &["spider", "page", "request", "item", "settings", "parse"],
    ),
    ("frontier", &["request", "policy"]),
    (
        "store",
        &["item", "settings", "request", "frontier", "clock"],
    ),
    ("fetch", &["settings", "request", "clock", "frontier"]),
    ("export", &["item"]),
    (
        "engine",
        &[
            "clock", "panics", "item", "settings", "request", "page", "pipeline", "spider",
            "policy", "frontier", "fetch", "store",
        ],
    ),
    ("site", &[]),
    (
        "testing",
        &[
            "engine", "fetch", "page", "spider", "declared", "settings", "request", "item",
        ],
    ),
    ("ui", &["engine", "store", "clock", "policy"]),
];

/// Crates that only one part of the library names.
const NAMED_ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("reqwest", &["fetch"]),
    ("rustls", &["fetch"]),
    ("cookie_store", &["fetch"]),
    ("scraper", &["page"]),
    ("selectors", &["page"]),
    ("xpath_eval", &["page"]),
    ("nephila_notation", &["page"]),
    ("governor", &["frontier"]),
    ("quick_xml", &["page"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("hyper", &["site", "fetch"]),
    ("csv", &["export", "cli", "page"]),
    ("parquet", &["export"]),
    ("object_store", &["export"]),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
        {
            into.push(path);
        }
    }
}

/// Every source file with its top module and its code: comments and tests left out.
fn modules() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 20, "only {} files found", paths.len());
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().to_path_buf();
        let first = relative
            .iter()
            .next()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        (module, relative, code.collect::<Vec<_>>().join("\n"))
    };
    paths.into_iter().map(read).collect()
}

/// Names that follow `crate::` in `code`, in paths and in `use crate::{..}` lists.
fn used(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let name = |text: &str| {
            let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
            text[..end.unwrap_or(text.len())].to_owned()
        };
        match rest.strip_prefix('{') {
            None => names.extend([name(rest)]),
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                names.extend(list.split(',').map(|part| name(part.trim())));
            }
        }
    }
    names
}

#[test]
fn dependencies_point_inwards() {
    let mut wrong = Vec::new();
    for (module, path, code) in modules() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for name in used(&code) {
            let is_module = MAY_USE.iter().any(|(known, _)| *known == name) || name == "cli";
            if is_module && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("src/{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not on the map:\n{}", wrong.join("\n"));
}

#[test]
fn the_map_knows_every_module() {
    for (module, path, _) in modules() {
        let known = MAY_USE.iter().any(|(name, _)| *name == module);
        assert!(
            known || ["lib", "cli", "private"].contains(&module.as_str()),
            "{} is on no map",
            path.display()
        );
    }
}

#[test]
fn crates_are_named_where_they_belong() {
    let mut wrong = Vec::new();
    for (module, path, code) in modules() {
        for (name, places) in NAMED_ONLY_IN {
            let named =
                code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
            if named && !places.contains(&module.as_str()) {
                wrong.push(format!("src/{} names {name}", path.display()));
            }
        }
        if module != "cli" && (code.contains("println!(") || code.contains("eprintln!(")) {
            wrong.push(format!("src/{} prints", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "named out of place:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn uses_are_found() {
    let code = "use crate::page::Page;\nuse crate::{item, request::Request};\ncrate::store::x()";
    let names: Vec<_> = used(code).into_iter().collect();
    assert_eq!(names, ["item", "page", "request", "store"]);
}
