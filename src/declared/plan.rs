//! What a file says, checked: what to start with, and what to do with each page.

use std::sync::Arc;

use jiff::Timestamp;
use regex::Regex;
use serde_json::Value as Json;

use super::body::Body;
use crate::item::{Schema, Value};
use crate::page::{Links, Rule};
use crate::parse::Parser;
use crate::request::StepRef;

/// Types of fields, and what they are as columns.
pub(super) const TYPES: [(&str, Type); 9] = [
    ("text", Type::Text),
    ("int", Type::Integer),
    ("float", Type::Real),
    ("bool", Type::Boolean),
    ("url", Type::Url),
    ("date", Type::Date),
    ("datetime", Type::DateTime),
    ("timestamp", Type::Timestamp),
    ("json", Type::Json),
];

/// What a field is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
    Real,
    Boolean,
    Url,
    Date,
    DateTime,
    Timestamp,
    Json,
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    Optional,
    All,
}

/// A start URL, or a file of them, and the step that reads it.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) from: From,
    pub(super) step: StepRef,
    pub(super) body: Option<Body>,
    /// The number of the first page.
    pub(super) page: u32,
}

#[derive(Clone, Debug)]
pub(super) enum From {
    /// With `{name}` of arguments, `{1..50}` and `{a,b}`.
    Template(String),
    /// A line is a URL; empty ones and those that begin with `#` are left out.
    File(String),
}

/// What is filled into a form.
#[derive(Clone, Debug)]
pub(super) enum Filled {
    Text(String),
    /// Of the environment.
    Env(String),
    /// Of the settings: in logins only.
    Secret(String),
}

/// `[login]`
#[derive(Debug)]
pub(super) struct Login {
    pub(super) url: String,
    pub(super) form: String,
    pub(super) fields: Vec<(String, Filled)>,
    pub(super) check: Option<String>,
}

/// What a step does with a page.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) follow: Vec<(String, StepRef)>,
    pub(super) download: Vec<String>,
    /// Where no step is said, links that fit are nobody's.
    pub(super) links: Vec<(Links, Option<StepRef>)>,
    pub(super) pages: Option<Pages>,
    pub(super) submit: Option<Submit>,
    pub(super) sitemap: Option<Sitemap>,
    pub(super) items: Vec<Item>,
}

/// `[step.NAME.pages]`
#[derive(Debug)]
pub(super) struct Pages {
    /// Else it is that of the page before.
    pub(super) url: Option<String>,
    pub(super) body: Option<Body>,
    pub(super) cursor: Option<String>,
    pub(super) from: u32,
    pub(super) by: u32,
    pub(super) last: Option<u32>,
    pub(super) condition: Option<String>,
}

/// `[step.NAME.submit]`
#[derive(Debug)]
pub(super) struct Submit {
    pub(super) form: String,
    pub(super) fields: Vec<(String, Filled)>,
    pub(super) step: StepRef,
}

/// `[step.NAME.sitemap]`
#[derive(Debug)]
pub(super) struct Sitemap {
    pub(super) only: Vec<String>,
    pub(super) languages: Vec<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) step: StepRef,
}

/// `[step.NAME.item]`
#[derive(Debug)]
pub(super) struct Item {
    pub(super) schema: Arc<Schema>,
    pub(super) each: Option<String>,
    pub(super) fields: Vec<Field>,
}

/// `[step.NAME.item.fields.NAME]`
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) kind: Type,
    pub(super) shape: Shape,
    pub(super) default: Option<Value>,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The page itself: its URL, its status, how deep it lies, its main content.
    Page(Fact),
    /// It is always the same.
    Fixed(Value),
    Rule(Rule),
    Parsed(Rule, Parser),
    /// An object of fields, or one of every match.
    Nested(Rule, Vec<Field>),
}

/// What is known of a page as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Url,
    Status,
    Depth,
    /// Its main content, as Markdown.
    Main,
}

/// By the names that a file gives them.
pub(super) const FACTS: [(&str, Fact, Type); 4] = [
    ("@url", Fact::Url, Type::Url),
    ("@status", Fact::Status, Type::Integer),
    ("@depth", Fact::Depth, Type::Integer),
    ("@main", Fact::Main, Type::Text),
];

/// The value of a JSON value, as a column of this type holds it.
pub(super) fn value(json: &Json, kind: Type) -> Option<Value> {
    Some(match (kind, json) {
        (Type::Integer, Json::Number(number)) => Value::Integer(number.as_i64()?),
        (Type::Real, Json::Number(number)) => Value::Real(number.as_f64()?),
        (Type::Boolean, Json::Bool(is)) => Value::Boolean(*is),
        (Type::Json, json) => Value::Json(json.to_string()),
        (Type::Integer | Type::Real | Type::Boolean, _) => return None,
        (_, Json::String(text)) => Value::Text(text.clone()),
        _ => return None,
    })
}

/// A pattern of a field.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let last = error.to_string();
        let last = last.lines().last().unwrap_or_default();
        format!("invalid pattern: {}", last.trim_start_matches("error: "))
    })
}
