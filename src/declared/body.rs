//! What is sent along with a request: JSON, or a form, with places for what changes.

use serde_json::{Map, Value as Json};
use toml::de::DeValue;

use super::source::{Keys, Read};
use crate::request::RequestBuilder;
use crate::settings::closest;

/// The place of a page's number.
pub(super) const PAGE: &str = "page";
/// The place of what the page before said the next one is asked with.
pub(super) const CURSOR: &str = "cursor";

/// A body. A text in it that is `{name}` and nothing else is a place: braces within a text, as GraphQL has
/// them, are its own.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Json(Json),
    Form(Map<String, Json>),
}

/// The name of the place that a text is.
fn place(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

impl Body {
    /// The body of a section that may have one, with places for `page`, `cursor` and arguments.
    pub(super) fn read(keys: &Keys<'_>, args: &[&str]) -> Read<Option<Self>> {
        let (key, value) = match (keys.value("json"), keys.value("form")) {
            (None, None) => return Ok(None),
            (Some(json), None) => ("json", json),
            (None, Some(form)) => ("form", form),
            (Some(_), Some(form)) => {
                let reason = "a request has one of `json` and `form`";
                return Err(keys.error(form.span().start, reason));
            }
        };
        let offset = value.span().start;
        let body = match (key, json(value.get_ref())) {
            ("json", Some(json)) => Self::Json(json),
            ("form", Some(Json::Object(fields))) if !fields.values().any(is_nested) => {
                Self::Form(fields)
            }
            ("json", _) => return Err(keys.error(offset, "this is no JSON value")),
            _ => return Err(keys.error(offset, "`form` takes names, each with a text or number")),
        };
        let known = || args.iter().copied().chain([PAGE, CURSOR]);
        let unknown = body
            .places()
            .into_iter()
            .find(|name| !known().any(|own| own == *name));
        match unknown {
            None => Ok(Some(body)),
            Some(name) => {
                let meant = closest(name, known())
                    .map_or_else(String::new, |name| format!("; did you mean `{{{name}}}`?"));
                Err(keys.error(offset, format!("no argument `{name}`{meant}")))
            }
        }
    }

    /// Whether it has this place.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places().contains(&name)
    }

    fn places(&self) -> Vec<&str> {
        fn collect<'a>(json: &'a Json, found: &mut Vec<&'a str>) {
            match json {
                Json::String(text) => found.extend(place(text)),
                Json::Array(all) => all.iter().for_each(|json| collect(json, found)),
                Json::Object(all) => all.values().for_each(|json| collect(json, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        match self {
            Self::Json(json) => collect(json, &mut found),
            Self::Form(fields) => fields.values().for_each(|json| collect(json, &mut found)),
        }
        found
    }

    /// Sends it with a request, its places filled; a form's field that is filled with nothing is left out.
    pub(super) fn add_to<'a>(
        &self,
        request: RequestBuilder<'a>,
        value: &dyn Fn(&str) -> Option<Json>,
    ) -> RequestBuilder<'a> {
        match self {
            Self::Json(json) => request.json(&filled(json, value)),
            Self::Form(fields) => {
                let filled = fields
                    .iter()
                    .map(|(name, json)| (name, filled(json, value)));
                let some = filled.filter(|(_, json)| !json.is_null());
                request.form(
                    &some
                        .map(|(name, json)| (name, text(&json)))
                        .collect::<Vec<_>>(),
                )
            }
        }
    }
}

/// A value as it stands in a URL or a form.
pub(super) fn text(json: &Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

fn is_nested(json: &Json) -> bool {
    json.is_array() || json.is_object()
}

fn filled(json: &Json, value: &dyn Fn(&str) -> Option<Json>) -> Json {
    match json {
        Json::String(text) => {
            let filled = place(text).and_then(value);
            filled.unwrap_or_else(|| json.clone())
        }
        Json::Array(all) => all.iter().map(|json| filled(json, value)).collect(),
        Json::Object(all) => {
            let entries = all
                .iter()
                .map(|(name, json)| (name.clone(), filled(json, value)));
            Json::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// A TOML value as JSON.
fn json(value: &DeValue<'_>) -> Option<Json> {
    Some(match value {
        DeValue::Array(all) => {
            let all = all.iter().map(|value| json(value.get_ref()));
            all.collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let entries = super::source::entries(table).into_iter();
            let entries =
                entries.map(|(name, value)| Some((name.value.to_owned(), json(value.get_ref())?)));
            Json::Object(entries.collect::<Option<_>>()?)
        }
        DeValue::Datetime(moment) => moment.to_string().into(),
        other => super::read::scalar(other)?,
    })
}
