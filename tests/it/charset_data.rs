//! Runs the charset cases of html5lib that lie beside the source tree, where they do.

use std::fs;
use std::path::Path;

use encoding_rs::Encoding;
use nephila::request::charset;
use serde_json::Value;

#[test]
fn prescan() {
    let file = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/data/charset_prescan.json"
    ));
    if !file.is_file() {
        crate::skipped("the shared cases of charsets are not here");
        return;
    }
    let text = fs::read_to_string(file).expect("the cases are readable");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the cases are a JSON list");
    assert!(cases.len() > 30, "{} cases", cases.len());
    let failures: Vec<String> = cases.iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn failure(case: &Value) -> Option<String> {
    let html = from_base64(case["html_b64"].as_str().expect("html_b64 is a string"));
    let label = case["expected_encoding"].as_str().expect("a label");
    let expected = Encoding::for_label(label.as_bytes()).expect("a known label");
    let found = charset::detect(Some("text/html"), &html);
    (found != expected).then(|| {
        let start = String::from_utf8_lossy(&html[..html.len().min(80)]).into_owned();
        format!("{} for {label}: {start:?}", found.name())
    })
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<usize> = text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte))
        .collect();
    let bits = |group: &[usize]| {
        group
            .iter()
            .zip([18, 12, 6, 0])
            .map(|(digit, shift)| digit << shift)
            .sum::<usize>()
    };
    digits
        .chunks(4)
        .flat_map(|group| {
            let [_, high, middle, low] = (bits(group) as u32).to_be_bytes();
            [high, middle, low].into_iter().take(group.len() - 1)
        })
        .collect()
}
