//! What the compiler says to mistakes in spiders and items: `tests/compile_fail/*.rs`, each with
//! its errors in a snapshot.
//!
//! The compiler is called on the library that these tests are linked with. A project of its own for
//! each case would compile every dependency a second time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

#[test]
fn mistakes_are_compile_errors() {
    let cases = files(&root().join("tests/compile_fail"), ".rs");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let library = library();
    let errors = |part: &[PathBuf]| part.iter().map(|case| errors(case, &library)).collect();
    let all: Vec<(PathBuf, String)> = std::thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(threads));
        let running = parts.map(|part| scope.spawn(move || -> Vec<_> { errors(part) }));
        let running = running.collect::<Vec<_>>().into_iter();
        let all = running.flat_map(|thread| thread.join().unwrap());
        cases.iter().cloned().zip(all).collect()
    });
    assert!(all.len() > 10);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("tests/compile_fail"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for (case, errors) in all {
        let name = case.file_stem().unwrap().to_str().unwrap();
        insta::assert_snapshot!(name, errors);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of this test and its libraries.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// The library that was built last.
fn library() -> PathBuf {
    let modified = |file: &PathBuf| file.metadata().and_then(|file| file.modified());
    let all = files(&libraries(), ".rlib").into_iter().filter(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("libnephila-")
    });
    all.max_by_key(|file| modified(file).unwrap_or(SystemTime::UNIX_EPOCH))
        .expect("the test is linked with it")
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files = paths
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect::<Vec<_>>();
    files.sort();
    files
}

/// What the compiler says about a file.
fn errors(case: &Path, library: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let mut library_is = std::ffi::OsString::from("nephila=");
    library_is.push(library);
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let outcome = Command::new(compiler)
        .current_dir(root())
        .args(["--edition=2024", "--crate-type=bin", "--emit=metadata"])
        .args(["--error-format=json", "--cap-lints=allow", "--out-dir"])
        .arg(out.path())
        .arg("-L")
        .arg(libraries())
        .arg("--extern")
        .arg(library_is)
        .arg(case.strip_prefix(root()).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert!(!outcome.status.success(), "{} compiles", case.display());
    let mut report = String::new();
    for line in said.lines() {
        let diagnostic = serde_json::from_str::<Value>(line).unwrap();
        let is_end = text(&diagnostic, "message").starts_with("aborting due to");
        if text(&diagnostic, "level") == "error" && !is_end {
            write_error(&mut report, &diagnostic);
        }
    }
    report
}

/// The message, the code it points at, and the advice; nothing of the library's own sources, which
/// change more often than what they say.
fn write_error(report: &mut String, error: &Value) {
    let code = error["code"]["code"].as_str();
    let code = code.map(|code| format!("[{code}]")).unwrap_or_default();
    writeln!(report, "error{code}: {}", text(error, "message")).unwrap();
    write_spans(report, error);
    for advice in list(error, "children") {
        let (level, message) = (text(advice, "level"), text(advice, "message"));
        let about_library = [
            "consider using `--verbose`",
            "required",
            "the following other types",
            "the full name for the type",
            "the trait `",
            "this error originates",
        ];
        let spans = list(advice, "spans");
        let is_elsewhere = !spans.is_empty() && !spans.iter().all(is_here);
        if !is_elsewhere && !about_library.iter().any(|start| message.starts_with(start)) {
            writeln!(report, "  = {level}: {}", message.replace('\n', "\n    ")).unwrap();
            write_spans(report, advice);
        }
    }
    report.push('\n');
}

fn write_spans(report: &mut String, diagnostic: &Value) {
    let mut spans = list(diagnostic, "spans").iter().collect::<Vec<_>>();
    spans.sort_by_key(|span| span["is_primary"] != true);
    for span in spans {
        let mut span = span;
        while !is_here(span) && span["expansion"].is_object() {
            span = &span["expansion"]["span"];
        }
        if !is_here(span) {
            continue;
        }
        let (line, column) = (&span["line_start"], &span["column_start"]);
        let source = &span["text"][0];
        let end = |name: &str| source[name].as_u64().map_or(0, |at| at as usize - 1);
        let chars = text(source, "text").chars();
        let code = chars
            .take(end("highlight_end"))
            .skip(end("highlight_start"));
        let code = code.collect::<String>();
        let label = span["label"].as_str().unwrap_or_default();
        let line = format!("  {line}:{column}  {code}  {label}");
        writeln!(report, "{}", line.trim_end()).unwrap();
    }
}

fn is_here(span: &Value) -> bool {
    text(span, "file_name").starts_with("tests/compile_fail/")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
