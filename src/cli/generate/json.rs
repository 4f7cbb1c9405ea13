//! Lists in JSON answers.

use std::collections::HashSet;

use serde_json::Value;

use super::columns::{Column, Kind, settled};
use super::draft::{Draft, Next};
use crate::page::Page;

/// How deep lists are looked for.
const DEPTH: usize = 5;
/// Columns that are made at the most.
const COLUMNS: usize = 20;

/// Names of what says whether there is a next page.
const FLAGS: [&str; 5] = [
    "has_next",
    "has_more",
    "hasNext",
    "hasMore",
    "has_next_page",
];

/// The longest list of objects.
pub(super) fn look(page: &Page, value: &Value) -> Option<Draft> {
    let mut lists = Vec::new();
    find(value, "$", DEPTH, &mut lists);
    let (path, rows) = lists.into_iter().max_by_key(|(_, rows)| rows.len())?;
    let columns = columns(rows, true);
    (!columns.is_empty()).then(|| Draft {
        count: rows.len(),
        each: format!("json:{path}[*]"),
        columns,
        next: next(page, value),
        details: None,
    })
}

fn find<'a>(value: &'a Value, path: &str, depth: usize, into: &mut Vec<(String, &'a [Value])>) {
    match value {
        Value::Array(rows) if rows.len() >= 2 && rows.iter().all(Value::is_object) => {
            into.push((path.to_owned(), rows));
        }
        Value::Object(object) if depth > 0 => {
            for (key, value) in object {
                find(value, &format!("{path}{}", step(key)), depth - 1, into);
            }
        }
        _ => {}
    }
}

/// A key as a step of a JSON path.
fn step(key: &str) -> String {
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name {
        format!(".{key}")
    } else {
        format!("['{}']", key.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

/// The columns of rows. Where all that is not nested is text (`is_typed` is not so), numbers are written as
/// texts.
pub(super) fn columns(rows: &[Value], is_typed: bool) -> Vec<Column> {
    let mut paths: Vec<Vec<&str>> = Vec::new();
    for row in rows {
        for (key, value) in row.as_object().into_iter().flatten() {
            match value {
                _ if key.starts_with("@xmlns") => {}
                Value::Object(inner) => {
                    let plain = inner.iter().filter(|(_, value)| !value.is_object());
                    paths.extend(plain.map(|(second, _)| vec![key.as_str(), second.as_str()]));
                }
                _ => paths.push(vec![key]),
            }
        }
    }
    let mut known = HashSet::new();
    paths.retain(|path| known.insert(path.clone()));
    let columns = paths.into_iter().take(COLUMNS).filter_map(|path| {
        let values: Vec<Option<&Value>> = rows.iter().map(|row| at(row, &path)).collect();
        column(&path.join("_"), &written(&path), &values, is_typed)
    });
    settled(columns.collect(), &[])
}

/// Keys as a JSON path.
fn written(keys: &[&str]) -> String {
    let steps = keys.iter().map(|key| step(key));
    format!("${}", steps.collect::<String>())
}

/// What stands under these keys.
fn at<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    let found = keys.iter().try_fold(value, |value, key| value.get(*key))?;
    (!found.is_null()).then_some(found)
}

fn column(name: &str, path: &str, values: &[Option<&Value>], is_typed: bool) -> Option<Column> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let texts = values.iter().map(|value| value.map(text)).collect();
    let is_list = values.iter().flatten().any(|value| value.is_array());
    let selector = if is_list {
        format!("json:{path}[*]")
    } else {
        format!("json:{path}")
    };
    let mut column = Column::of(name, selector, texts)?;
    let all = |is: fn(&Value) -> bool| values.iter().flatten().all(|value| is(value));
    column.kind = if is_list {
        let parts = || {
            values
                .iter()
                .flatten()
                .filter_map(|value| value.as_array())
                .flatten()
        };
        Kind::List(if parts().all(Value::is_i64) {
            "int"
        } else if parts().any(|part| part.is_object() || part.is_array()) {
            "json"
        } else {
            "text"
        })
    } else if all(Value::is_boolean) {
        Kind::Bool
    } else if is_typed && all(Value::is_string) && matches!(column.kind, Kind::Int | Kind::Float) {
        Kind::Text
    } else {
        column.kind
    };
    let is_name = matches!(column.name.as_str(), "id" | "url" | "uuid" | "slug");
    column.is_key = is_name && !column.optional;
    Some(column)
}

/// Whether an answer says that there is more, though not where.
pub(super) fn has_more(value: &Value) -> bool {
    FLAGS
        .iter()
        .any(|flag| value.get(flag).is_some_and(|more| more == true))
}

/// The next page: its URL in the answer, or a number in this page's URL that is counted on.
fn next(page: &Page, value: &Value) -> Next {
    let links: [&[&str]; 5] = [
        &["next"],
        &["next_page_url"],
        &["next_url"],
        &["links", "next"],
        &["paging", "next"],
    ];
    if matches!(page.get::<Option<String>>("link:next"), Ok(Some(_))) {
        return Next::Link("link:next".to_owned());
    }
    for keys in links {
        if at(value, keys).is_some_and(Value::is_string) {
            return Next::Link(format!("json:{}", written(keys)));
        }
    }
    let flag = FLAGS
        .into_iter()
        .find(|flag| at(value, &[flag]).is_some_and(Value::is_boolean));
    let number = page.url().query_pairs().find_map(|(name, value)| {
        let is_page = matches!(&*name, "page" | "p" | "pg" | "page_number");
        let number: u32 = value.parse().ok()?;
        is_page.then(|| (name.into_owned(), number))
    });
    match (flag, number) {
        (Some(flag), Some((name, from))) => {
            let url = page.url().query().unwrap_or_default();
            let (old, new) = (format!("{name}={from}"), format!("{name}={{page}}"));
            Next::Numbered {
                url: format!("?{}", url.replacen(&old, &new, 1)),
                from,
                condition: format!("json:$.{flag}"),
            }
        }
        _ => Next::None,
    }
}
