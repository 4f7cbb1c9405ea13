//! Runs the cases from outside that lie beside the source tree, where they do.

#![expect(
    clippy::panic,
    reason = "clippy's exceptions for tests do not reach the functions that tests call"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use nephila::page::{ChangeFreq, Context, Page, SitemapEntry, SitemapKind};
use nephila::policy::retry::{LONGEST, parse_retry_after};
use nephila::policy::robots::{MAX_BYTES, Robots, path_to_match, to_text};
use nephila::request::{LinkParam, Refresh, Response, WebLink};
use serde_json::{Map, Value};
use url::Url;

/// The cases of a file, or `None`, said aloud, where the folder is absent.
fn cases(file: &str) -> Option<Value> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    if !folder.is_dir() {
        crate::skipped(&format!("no folder of shared cases for {file}"));
        return None;
    }
    let text = fs::read_to_string(folder.join(file)).expect("the file of cases is readable");
    Some(serde_json::from_str(&text).expect("the file of cases is JSON"))
}

/// Fails with all the cases that fail, not with the first.
fn check_all(file: &str, cases: &Value, failure: impl Fn(&Value) -> Option<String>) {
    let cases = cases.as_array().expect("a list of cases");
    assert!(!cases.is_empty(), "no cases in {file}");
    let failures: Vec<String> = cases.iter().filter_map(failure).collect();
    let (failed, total) = (failures.len(), cases.len());
    assert!(
        failures.is_empty(),
        "{file}: {failed} of {total} failed\n{}",
        failures.join("\n")
    );
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {case}"))
}

fn from_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut buffer, mut bits) = (0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| ALPHABET.iter().position(|known| *known == byte))
    {
        buffer = buffer << 6 | u32::try_from(digit).expect("a digit of base 64 is below 64");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    bytes
}

fn robots_body(case: &Value) -> Vec<u8> {
    match case["robots_b64"].as_str() {
        Some(encoded) => from_base64(encoded),
        None => text(case, "robots_txt").as_bytes().to_vec(),
    }
}

#[test]
fn robots_cases() {
    let file = "robots_cases.json";
    let Some(cases) = cases(file) else { return };
    check_all(file, &cases, |case| {
        let (body, path) = (robots_body(case), path_to_match(text(case, "url")));
        let expected = case["allowed"].as_bool().expect("allowed is true or false");
        let agent = text(case, "user_agent");
        let direct = Robots::parse(&body, agent).verdict(&path).allowed;
        let stored = Robots::parse(to_text(&body, MAX_BYTES).as_bytes(), agent)
            .verdict(&path)
            .allowed;
        ((direct, stored) != (expected, expected)).then(|| case.to_string())
    });
}

/// The crawler asks with URLs that `url` has parsed, and so percent-encoded.
#[test]
fn robots_cases_with_parsed_urls() {
    let file = "robots_cases.json";
    let Some(cases) = cases(file) else { return };
    check_all(file, &cases, |case| {
        let Ok(url) = Url::parse(text(case, "url")) else {
            return None;
        };
        let robots = Robots::parse(&robots_body(case), text(case, "user_agent"));
        let verdict = robots.verdict(&path_to_match(url.as_str()));
        (Some(verdict.allowed) != case["allowed"].as_bool()).then(|| case.to_string())
    });
}

#[test]
fn robots_crawl_delay_and_sitemaps() {
    let file = "robots_crawl_delay_and_sitemaps.json";
    let Some(cases) = cases(file) else { return };
    check_all(file, &cases, |case| {
        let robots = Robots::parse(&robots_body(case), text(case, "user_agent"));
        let delay = case["crawl_delay_ms"].as_u64().map(Duration::from_millis);
        let base = Url::parse(text(case, "base_url")).expect("a base URL");
        let found: Vec<String> = robots
            .sitemap_urls(&base)
            .iter()
            .map(Url::to_string)
            .collect();
        let passes = robots.crawl_delay() == delay && Value::from(found) == case["sitemaps"];
        (!passes).then(|| case.to_string())
    });
}

#[test]
fn retry_after() {
    let file = "retry_after.json";
    let Some(data) = cases(file) else { return };
    let now = data["now_unix"].as_i64().expect("now_unix is a number");
    let now = Timestamp::from_second(now).expect("now_unix is a time");
    // Waits that a crawl may be configured to grant: more is "cap".
    let configured = Duration::from_hours(1);
    check_all(file, &data["cases"], |case| {
        let wait = parse_retry_after(text(case, "value"), now);
        let passes = match &case["expected"] {
            Value::Null => wait.is_none(),
            Value::String(word) if word == "cap" => {
                wait.is_some_and(|wait| configured < wait && wait <= LONGEST)
            }
            Value::String(_) => wait.is_none_or(|wait| wait == Duration::from_mins(2)),
            seconds => wait.map(|wait| wait.as_secs()) == seconds.as_u64() && wait.is_some(),
        };
        (!passes).then(|| format!("{case} gave {wait:?}"))
    });
}

#[test]
fn meta_refresh() {
    let file = "meta_refresh.json";
    let Some(cases) = cases(file) else { return };
    let base = Url::parse("http://e.x/a/b?c").expect("a URL");
    check_all(file, &cases, |case| {
        let refresh = Refresh::parse(text(case, "content"));
        let join = |target: &str| base.join(target).ok();
        let passes = match (&case["expected"], refresh) {
            (Value::Null, refresh) => refresh.is_none(),
            (_, None) => false,
            (expected, Some(refresh)) => {
                Some(refresh.delay.as_secs()) == expected["seconds"].as_u64()
                    && join(refresh.target) == join(text(expected, "url"))
            }
        };
        (!passes).then(|| format!("{case} gave {refresh:?}"))
    });
}

/// A link as the cases write it, once for each of its relations.
fn references(link: &WebLink) -> Vec<Value> {
    let value = |param: &LinkParam| match &param.language {
        None => Value::from(param.value.clone()),
        Some(language) => serde_json::json!({
            "language": language, "encoding": param.charset, "value": param.value,
        }),
    };
    let mut fields = Map::new();
    fields.insert("uri".to_owned(), link.target.clone().into());
    for param in &link.params {
        let value = value(param);
        match fields.get_mut(&param.name) {
            None => drop(fields.insert(param.name.clone(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    let rels: Vec<String> = match fields.get("rel") {
        Some(Value::String(rel)) => rel.split(' ').map(str::to_owned).collect(),
        _ => return vec![fields.into()],
    };
    let with = |rel: String| {
        let mut fields = fields.clone();
        fields.insert("rel".to_owned(), rel.into());
        Value::from(fields)
    };
    rels.into_iter().map(with).collect()
}

#[test]
fn link_header() {
    let file = "link_header.json";
    let Some(cases) = cases(file) else { return };
    check_all(file, &cases, |case| {
        let links = WebLink::parse(text(case, "input"));
        let found: Vec<_> = links.iter().flat_map(references).collect();
        let expected = case["refs"].as_array().cloned().unwrap_or_default();
        (found != expected).then(|| format!("{case} gave {found:?}"))
    });
}

fn has(case: &Value, setting: &str) -> bool {
    text(case, "config").contains(&format!("{setting}=true"))
}

/// The URL as the source had it, which in one test put parameters in order and dropped fragments.
fn location(case: &Value, url: &Url) -> String {
    if !text(case, "test").contains("filterUrls") {
        return url.to_string();
    }
    let mut url = url.clone();
    url.set_fragment(None);
    let mut pairs: Vec<_> = url.query().unwrap_or_default().split('&').collect();
    pairs.sort_unstable();
    let query = pairs.join("&");
    url.set_query((!query.is_empty()).then_some(&query));
    url.to_string()
}

fn matches_entry(case: &Value, entry: &SitemapEntry, expected: &Value) -> bool {
    let is_page = case["is_index"] == false;
    let freq = |freq: ChangeFreq| format!("{freq:?}").to_uppercase();
    let priority = f64::from(entry.priority.unwrap_or(0.5));
    let expected_priority = expected["priority"].as_f64().unwrap_or(0.5);
    entry.is_map != is_page
        && location(case, &entry.url) == expected["loc"]
        && Value::from(entry.lastmod.map(|moment| moment.to_string())) == expected["lastmod"]
        && (!is_page || Value::from(entry.changefreq.map(freq)) == expected["changefreq"])
        && (priority - expected_priority).abs() < 1e-6
}

#[test]
fn sitemaps() {
    let file = "sitemaps.json";
    let Some(cases) = cases(file) else { return };
    check_all(file, &cases, |case| {
        let body = match case["body_b64"].as_str() {
            Some(encoded) => from_base64(encoded),
            None => text(case, "body").as_bytes().to_vec(),
        };
        let url = Url::parse(text(case, "url")).expect("a URL");
        let mut response = Response::new(url, body);
        let kind = text(case, "content_type")
            .parse()
            .expect("a header's value");
        response.headers.insert("content-type", kind);
        let page = Page::new(response, Context::default());
        let map = match page.sitemap() {
            Ok(map) if has(case, "strict") => map.strict(),
            Ok(map) => map,
            Err(error) => return case["error"].is_null().then(|| format!("{case}: {error}")),
        };
        let kind = map.kind();
        let (mut entries, mut error) = (Vec::new(), None);
        for entry in map {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(broken) => error = Some(broken),
            }
        }
        if !case["error"].is_null() {
            return error.is_none().then(|| format!("{case}: no error"));
        }
        let kinds = match kind {
            SitemapKind::Index => "INDEX",
            SitemapKind::Urls => "XML",
            SitemapKind::Text => "TEXT",
            SitemapKind::Rss => "RSS",
            SitemapKind::Atom => "ATOM",
            _ => "",
        };
        let expected = case["entries"].as_array().expect("a list of entries");
        let passes = kinds == text(case, "type")
            && (error.is_none() || has(case, "allowPartial"))
            && entries.len() == expected.len()
            && entries
                .iter()
                .zip(expected)
                .all(|(entry, expected)| matches_entry(case, entry, expected));
        (!passes).then(|| format!("{case} gave {entries:?} {error:?}"))
    });
}
