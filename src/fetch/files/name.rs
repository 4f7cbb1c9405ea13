//! Names of downloaded files, whatever URLs and headers say.
//!
//! A name is a list of components, none of which any system takes for anything but a plain name: no
//! separator, no `..`, no control character, no leading dot, no trailing dot or space, no device of
//! Windows, and not too long.

use sha2::{Digest, Sha256};
use url::Url;

use crate::fetch::cache::hex;

/// Folders that a URL's path may make.
const MAX_FOLDERS: usize = 8;
/// Bytes of a component; systems allow 255.
const MAX_BYTES: usize = 100;
/// Bytes of a file's ending.
const MAX_ENDING: usize = 8;

/// By content: `3f/3fa9….jpg`. The same content has the same name.
pub(super) fn of_hash(sha256: &str, url: &Url, kind: Option<&str>) -> Vec<String> {
    let folder = sha256.get(..2).unwrap_or("00").to_owned();
    vec![folder, format!("{sha256}{}", ending(url, kind))]
}

/// By URL: `shop.example/img/cover-1b2c3d4e.jpg`. The same URL has the same name; others never have,
/// on systems that take upper for lower case, too.
pub(super) fn of_url(url: &Url, kind: Option<&str>) -> Vec<String> {
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}_{port}"),
        None => host.to_owned(),
    };
    let mut names = vec![component(&host)];
    let mut parts: Vec<&str> = url
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let last = parts.pop().unwrap_or("index");
    names.extend(
        parts
            .iter()
            .take(MAX_FOLDERS)
            .map(|part| component(&decoded(part))),
    );
    let ending = ending(url, kind);
    let last = decoded(last);
    let stem = last.get(..last.len().saturating_sub(ending.len()));
    let stem = stem.filter(|_| last.to_ascii_lowercase().ends_with(&ending));
    let hash = hex(&Sha256::digest(url[..url::Position::AfterQuery].as_bytes()));
    let hash = hash.get(..8).unwrap_or_default();
    names.push(format!(
        "{}-{hash}{ending}",
        component(stem.unwrap_or(&last))
    ));
    names
}

/// `.jpg`: what the URL says, else by the type; empty if neither is plain.
fn ending(url: &Url, kind: Option<&str>) -> String {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let said = last
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let is_plain = |ending: &String| {
        (1..=MAX_ENDING).contains(&ending.len())
            && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match said.filter(is_plain) {
        Some(ending) => format!(".{ending}"),
        None => by_type(kind).map_or_else(String::new, |ending| format!(".{ending}")),
    }
}

fn by_type(kind: Option<&str>) -> Option<&'static str> {
    let kind = kind?.split(';').next()?.trim().to_ascii_lowercase();
    Some(match kind.as_str() {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/avif" => "avif",
        "image/svg+xml" => "svg",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "application/gzip" => "gz",
        "application/json" => "json",
        "application/xml" | "text/xml" => "xml",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/csv" => "csv",
        "video/mp4" => "mp4",
        "audio/mpeg" => "mp3",
        _ => return None,
    })
}

/// Percent-decoded, once.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `text` as one component of a path.
fn component(text: &str) -> String {
    let plain = |c: char| match c {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        c if c.is_control() || is_invisible(c) => '_',
        c => c,
    };
    let mut name: String = text.chars().map(plain).collect();
    let mut end = name.len().min(MAX_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    let trimmed = name.trim_end_matches(['.', ' ']).trim_start_matches(' ');
    let hidden = trimmed.starts_with('.') || trimmed.is_empty() || is_device(trimmed);
    if hidden {
        format!("_{trimmed}")
    } else {
        trimmed.to_owned()
    }
}

/// Marks that turn the direction of writing, and spaces of no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

/// Names that Windows takes for devices, with any ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    let numbered = |prefix| {
        let digit = stem
            .strip_prefix(prefix)
            .map(|rest| rest.chars().collect::<Vec<_>>());
        matches!(digit.as_deref(), Some(['0'..='9' | '¹' | '²' | '³']))
    };
    let plain = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    plain.contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(url: &str, expected: &str) {
        let names = of_url(&url.parse().unwrap(), Some("image/png"));
        let last = names.last().unwrap();
        let (stem, rest) = last.rsplit_once('-').unwrap();
        let shown = format!("{stem}{}", rest.get(8..).unwrap());
        let mut names = names.clone();
        *names.last_mut().unwrap() = shown;
        assert_eq!(names.join("/"), expected, "{url}");
    }

    #[test]
    fn names_of_urls() {
        check("http://e.x/img/a.jpg", "e.x/img/a.jpg");
        check("http://e.x:8080/a", "e.x_8080/a.png");
        check("http://e.x/", "e.x/index.png");
        check("http://e.x/a.JPG?x=1", "e.x/a.jpg");
        check(
            "http://e.x/..%2f..%2fetc%2fpasswd",
            "e.x/_.._.._etc_passwd.png",
        );
        check("http://e.x/%2e%2e%5c%2e%2e%5cx", "e.x/_.._.._x.png");
        check("http://e.x/a%00b", "e.x/a_b.png");
        check("http://e.x/C:/x", "e.x/C_/x.png");
        check("http://e.x/.bashrc", "e.x/_.bashrc");
        check("http://e.x/a./b%20/c", "e.x/a/b/c.png");
        check("http://e.x/con/nul.txt", "e.x/_con/_nul.txt");
        check("http://e.x/LPT1%20.x/aux", "e.x/_LPT1 .x/_aux.png");
        check("http://e.x/%E2%80%AEgpj.exe", "e.x/_gpj.exe");
        check(
            "http://e.x/a/b/c/d/e/f/g/h/i/j/k",
            "e.x/a/b/c/d/e/f/g/h/k.png",
        );
        check("http://e.x/a%", "e.x/a%.png");
        check("http://[::1]/a", "[__1]/a.png");
    }

    #[test]
    fn names_of_content() {
        let url = "http://e.x/../x/..%2f.sh;rm".parse().unwrap();
        let hash = "ab".repeat(32);
        let names = of_hash(&hash, &url, Some("text/csv; charset=x"));
        assert_eq!(names, ["ab".to_owned(), format!("{hash}.csv")]);
    }

    #[test]
    fn different_urls_have_different_names() {
        let name = |url: &str| of_url(&url.parse().unwrap(), None).join("/").to_lowercase();
        assert_ne!(name("http://e.x/A"), name("http://e.x/a"));
        assert_ne!(name("http://e.x/a?x=1"), name("http://e.x/a?x=2"));
        assert_eq!(name("http://e.x/a#1"), name("http://e.x/a#2"));
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_folder(path in "(/|%2f|%5c|\\.|%2e|%00|%c0%af|[ -~]|\\PC){0,60}") {
            let mut url: Url = "http://e.x/".parse().unwrap();
            url.set_path(&path);
            for names in [of_url(&url, Some(&path)), of_hash(&"0".repeat(64), &url, Some(&path))] {
                prop_assert!(names.len() <= MAX_FOLDERS + 2);
                for name in names {
                    prop_assert!(!name.is_empty() && name.len() < 200, "{name:?}");
                    prop_assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{name:?}");
                    prop_assert!(!name.contains(['/', '\\', ':']), "{name:?}");
                    prop_assert!(!name.chars().any(char::is_control), "{name:?}");
                    prop_assert!(!is_device(&name), "{name:?}");
                    let path = std::path::Path::new(&name);
                    prop_assert_eq!(path.components().count(), 1);
                }
            }
        }
    }
}
