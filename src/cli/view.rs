//! `nephila view URL`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::looker::{LookFlags, Looker};
use super::output;
use crate::export::WholeFile;
use crate::page::Page;
use crate::request::Response;
use crate::settings::Settings;
use crate::ui::clean;

const EXAMPLES: &str = "\
Examples:
  nephila view https://shop.example/book/7
  nephila view https://shop.example/account --as shop   with the spider's settings and middleware
  nephila view https://shop.example/ --print            writes the file and prints its path only";

/// Open a page in the browser as the crawler saw it
///
/// What the server sent is written to a file, with a <base> so that pictures and styles are found, and without
/// leave to run scripts: a crawler runs none. The file's path goes to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct View {
    /// An absolute URL, or a file
    url: String,
    /// Print the file's path only; so it is where there is no terminal
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    look: LookFlags,
}

impl View {
    pub(super) fn needs_spiders(&self) -> bool {
        self.look.needs_spiders()
    }

    pub(super) async fn run(self) -> Result<u8, Failure> {
        let looker = self.look.looker()?;
        let example = "nephila view https://shop.example/book/7";
        let Some(response) = looker.see(&self.url, example).await? else {
            return Ok(1);
        };
        let path = write(&looker, &response)?;
        let mut to = output::stdout();
        writeln!(to, "{}", path.display())?;
        to.flush()?;
        if !self.print && output::stdout_is_terminal() {
            open(&path);
        }
        Ok(0)
    }
}

/// Writes a page where a browser finds it.
pub(super) fn write(looker: &Looker, response: &Response) -> Result<PathBuf, Failure> {
    let folder = folder(&looker.settings);
    let (end, body) = content(&looker.page(response));
    let hash = Sha256::digest(response.url.as_str());
    let hash = u64::from_be_bytes(std::array::from_fn(|at| hash[at]));
    let name = format!("{hash:016x}");
    let host = response
        .url
        .host_str()
        .unwrap_or("file")
        .replace([':', '[', ']'], "_");
    let path = folder.join(format!("{host}-{name}.{end}"));
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("can't write {}: {error}", path.display()))
            .more("another folder:  -s cache_folder=DIR")
    };
    std::fs::create_dir_all(&folder).map_err(cannot)?;
    let mut file = WholeFile::create(&path).map_err(cannot)?;
    file.write_all(&body).map_err(cannot)?;
    file.publish().map_err(cannot)?;
    Ok(path)
}

fn folder(settings: &Settings) -> PathBuf {
    let root = settings.cache_root();
    root.unwrap_or_else(|| PathBuf::from(".nephila"))
        .join("view")
}

/// What a browser is to be shown, and the ending of its file.
fn content(page: &Page) -> (&'static str, Vec<u8>) {
    let kind = page
        .response()
        .header("content-type")
        .unwrap_or("text/html");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        "text/html" | "application/xhtml+xml" => ("html", html(page).into_bytes()),
        kind if kind.ends_with("json") => ("json", page.text().as_bytes().to_vec()),
        kind if kind.ends_with("xml") => ("xml", page.text().as_bytes().to_vec()),
        "image/png" => ("png", page.body().to_vec()),
        "image/jpeg" => ("jpg", page.body().to_vec()),
        "image/gif" => ("gif", page.body().to_vec()),
        "image/webp" => ("webp", page.body().to_vec()),
        "application/pdf" => ("pdf", page.body().to_vec()),
        _ => ("txt", page.text().as_bytes().to_vec()),
    }
}

/// The page's HTML with its base URL in it, and no leave to run scripts.
fn html(page: &Page) -> String {
    let text = page.text();
    let base = page
        .base()
        .as_str()
        .replace('&', "&amp;")
        .replace('"', "&quot;");
    let head = format!(
        "<meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"script-src 'none'; \
         object-src 'none'; frame-src 'none'; form-action 'none'\"><base href=\"{base}\">"
    );
    let at = head_at(text);
    [&text[..at], &head, &text[at..]].concat()
}

/// Where what is inserted belongs to the head: after `<head>`, else `<html>`, else the doctype.
fn head_at(text: &str) -> usize {
    let lower = text.to_ascii_lowercase();
    let after = |tag: &str| {
        let begin = lower.match_indices(tag).find(|(at, _)| {
            let next = lower.as_bytes().get(at + tag.len());
            next.is_some_and(|byte| *byte == b'>' || byte.is_ascii_whitespace())
        });
        let (at, _) = begin?;
        Some(at + lower[at..].find('>')? + 1)
    };
    let found = after("<head").or_else(|| after("<html"));
    found.or_else(|| after("<!doctype")).unwrap_or(0)
}

/// Opens a file in the browser, if there is one.
pub(super) fn open(path: &Path) {
    let browser = std::env::var("BROWSER")
        .ok()
        .filter(|name| !name.is_empty());
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let program = match browser {
        Some(program) => program,
        None if cfg!(target_os = "macos") => "open".to_owned(),
        None if cfg!(windows) => "explorer".to_owned(),
        None if has_screen => "xdg-open".to_owned(),
        None => return,
    };
    let mut command = Command::new(&program);
    command
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        output::say(&format!(
            "can't start a browser ({}): {error}; set BROWSER, or open the file by hand",
            clean(&program)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_goes_into_the_head() {
        let check = |html: &str, expected: &str| {
            let page = Page::from_html("http://e.x/a/b?c=1&d=2", html).unwrap();
            let shown = self::html(&page);
            let base = "<base href=\"http://e.x/a/b?c=1&amp;d=2\">";
            assert!(shown.contains(base), "{shown}");
            let csp = shown.find("<meta charset").unwrap();
            let rest = &shown[shown.find(base).unwrap() + base.len()..];
            assert_eq!(format!("{}|{rest}", &shown[..csp]), expected);
            assert!(shown.contains("script-src 'none'"));
        };
        check(
            "<!doctype html><head><title>x",
            "<!doctype html><head>|<title>x",
        );
        check("<HEAD lang=x><p>", "<HEAD lang=x>|<p>");
        check("<html><header>x", "<html>|<header>x");
        check("<!DOCTYPE html><p>x", "<!DOCTYPE html>|<p>x");
        check("x\u{130}<head>", "x\u{130}<head>|");
        check("", "|");
    }
}
