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

/// The longest list of objects.
pub(super) fn look(page: &Page, value: &Value) -> Option<Draft> {
    let mut lists = Vec::new();
    find(value, "$", DEPTH, &mut lists);
    let (path, rows) = lists.into_iter().max_by_key(|(_, rows)| rows.len())?;
    let columns = columns(rows);
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

fn columns(rows: &[Value]) -> Vec<Column> {
    let mut paths: Vec<Vec<&str>> = Vec::new();
    for row in rows {
        for (key, value) in row.as_object().into_iter().flatten() {
            match value {
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
        column(&path.join("_"), &written(&path), &values)
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

fn column(name: &str, path: &str, values: &[Option<&Value>]) -> Option<Column> {
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
        Kind::Texts
    } else if all(Value::is_boolean) {
        Kind::Bool
    } else if all(Value::is_string) && matches!(column.kind, Kind::Int | Kind::Float) {
        Kind::Text
    } else {
        column.kind
    };
    column.is_key = matches!(name, "id" | "url" | "uuid" | "slug") && !column.optional;
    Some(column)
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
    for keys in links {
        if at(value, keys).is_some_and(Value::is_string) {
            return Next::Link(format!("json:{}", written(keys)));
        }
    }
    let flags = [
        "has_next",
        "has_more",
        "hasNext",
        "hasMore",
        "has_next_page",
    ];
    let flag = flags
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
