//! Quotes as JSON, and two pages that only a browser fills.

use serde_json::{Value, json};

use super::call::Call;
use super::html::Html;
use super::reply::Reply;
use super::words::Dice;

/// How many quotes `/api/quotes` has: ten pages of ten.
pub const QUOTES: usize = 100;

const PER_PAGE: usize = 10;
const AUTHORS: [&str; 8] = [
    "Ada Marsh",
    "Bruno Vale",
    "Clara O'Neill",
    "Dorian Ash",
    "Edith Søndergård",
    "Félix Roux",
    "Greta Lind",
    "Hugo Winter",
];
const TAGS: [&str; 9] = [
    "life", "books", "love", "time", "work", "silk", "night", "travel", "patience",
];

/// `/api/quotes?page=N`; a page beyond the last is empty.
pub(super) fn quotes(call: &Call) -> Reply {
    let page = call.number("page").unwrap_or(1).max(1) as usize;
    let before = (page - 1).saturating_mul(PER_PAGE);
    let quotes: Vec<_> = (0..QUOTES).skip(before).take(PER_PAGE).map(quote).collect();
    let has_next = page < QUOTES / PER_PAGE;
    Reply::json(&json!({ "has_next": has_next, "page": page, "quotes": quotes }))
}

fn quote(number: usize) -> Value {
    let mut dice = Dice::new(number as u64 ^ 0x40_07e5);
    let mut text = Html::default();
    dice.sentence(&mut text);
    let text = text.into_string();
    let tags: Vec<_> = (0..=dice.below(3)).map(|_| dice.pick(&TAGS)).collect();
    json!({
        "text": format!("“{}”", text.trim()),
        "author": { "name": dice.pick(&AUTHORS) },
        "tags": tags,
    })
}

/// `/scroll`: a page that asks for more when its end is seen. Its `data-next` and its script say
/// where.
pub(super) fn scroll() -> Reply {
    let mut html = Html::small("Endless quotes");
    html.push(
        "<h1>Endless quotes</h1>\n\
         <div id=\"quotes\" data-next=\"/api/quotes?page=1\"></div>\n\
         <p class=\"loading\">Loading…</p>\n\
         <script>\nconst list = document.getElementById('quotes');\n\
         async function more() {\n\
         \u{20} if (!list.dataset.next) return;\n\
         \u{20} const answer = await (await fetch(list.dataset.next)).json();\n\
         \u{20} for (const quote of answer.quotes) {\n\
         \u{20}   const entry = document.createElement('blockquote');\n\
         \u{20}   entry.className = 'quote';\n\
         \u{20}   entry.textContent = quote.text + ' ' + quote.author.name;\n\
         \u{20}   list.append(entry);\n\
         \u{20} }\n\
         \u{20} list.dataset.next = answer.has_next ? '/api/quotes?page=' + (answer.page + 1) : '';\n\
         }\n\
         new IntersectionObserver(more).observe(document.querySelector('.loading'));\n\
         </script>\n",
    );
    Reply::html(html.end())
}

/// `/js`: the quotes are in the page, but in a script.
pub(super) fn script() -> Reply {
    let quotes: Vec<_> = (0..PER_PAGE).map(quote).collect();
    let mut html = Html::small("Quotes by script");
    writeln!(
        html,
        "<h1>Quotes by script</h1>\n<div id=\"quotes\"></div>\n<script>\n\
         var data = {};\n\
         for (const quote of data) {{\n\
         \u{20} const entry = document.createElement('blockquote');\n\
         \u{20} entry.className = 'quote';\n\
         \u{20} entry.textContent = quote.text;\n\
         \u{20} document.getElementById('quotes').append(entry);\n\
         }}\n</script>",
        Value::from(quotes)
    );
    Reply::html(html.end())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::client::{get, site};

    #[tokio::test]
    async fn the_pages_have_all_quotes() {
        let site = site().await;
        let mut texts = std::collections::HashSet::new();
        for page in 1..=10 {
            let answer = get(&site, &format!("/api/quotes?page={page}")).await;
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let answer: Value = serde_json::from_str(&answer.text()).expect("JSON");
            assert_eq!(answer["page"], page);
            assert_eq!(answer["has_next"], page < 10);
            for quote in answer["quotes"].as_array().expect("a list") {
                assert!(quote["author"]["name"].is_string());
                assert!(!quote["tags"].as_array().expect("a list").is_empty());
                texts.insert(quote["text"].as_str().expect("text").to_owned());
            }
        }
        assert_eq!(texts.len(), super::QUOTES);
    }

    #[tokio::test]
    async fn beyond_the_end_is_nothing() {
        let site = site().await;
        for page in ["11", "18446744073709551615"] {
            let answer = get(&site, &format!("/api/quotes?page={page}")).await.text();
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!(answer["has_next"], false);
            assert_eq!(answer["quotes"], Value::Array(Vec::new()));
        }
    }

    #[tokio::test]
    async fn pages_for_browsers_say_where_their_data_is() {
        let site = site().await;
        let next = get(&site, "/scroll").await.between("data-next=\"", "\"");
        assert_eq!(next.as_deref(), Some("/api/quotes?page=1"));
        let data = get(&site, "/js")
            .await
            .between("var data = ", ";\n")
            .expect("data");
        let data: Value = serde_json::from_str(&data).expect("JSON");
        assert_eq!(data.as_array().map(Vec::len), Some(10));
    }
}
