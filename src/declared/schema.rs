//! The JSON Schema of a spider's file, for editors.

use serde_json::{Map, Value, json};

use super::keys::{FILE, Section, Takes, parsers, sections, types};
use super::plan::FACTS;
use crate::settings::SETTINGS;

/// The schema of a spider's file (JSON Schema, draft 2020-12).
pub fn json_schema() -> Value {
    let mut schema = section(&FILE);
    let definitions = sections()
        .into_iter()
        .filter(|section| !section.name.is_empty())
        .map(|known| (known.name.to_owned(), section(known)));
    let facts: Vec<&str> = FACTS.iter().map(|(name, ..)| *name).collect();
    let text =
        json!({ "type": "string", "description": format!("A selector, or {}.", facts.join(", ")) });
    let mut definitions: Map<String, Value> = definitions.collect();
    definitions.insert(
        "fields".to_owned(),
        json!({ "type": "object", "additionalProperties": { "anyOf": [text, reference("field")] } }),
    );
    let object = schema.as_object_mut();
    if let Some(object) = object {
        object.shift_insert(
            0,
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("required".to_owned(), json!(["start", "step"]));
        object.insert("$defs".to_owned(), definitions.into());
    }
    schema
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn section(section: &Section) -> Value {
    let properties = section.keys.iter().map(|key| {
        let mut takes = takes(&key.takes);
        if let Some(object) = takes.as_object_mut() {
            object.insert("description".to_owned(), json!(key.about));
        }
        (key.name.to_owned(), takes)
    });
    json!({
        "type": "object",
        "description": section.about,
        "properties": properties.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

fn several(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

fn takes(takes: &Takes) -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let object = |values: &Value| json!({ "type": "object", "additionalProperties": values });
    match takes {
        Takes::Text | Takes::Selector | Takes::Step => text,
        Takes::Texts | Takes::Selectors => several(&text),
        Takes::Number => number,
        Takes::Numbers => several(&number),
        Takes::Type => json!({ "type": "string", "enum": types() }),
        Takes::Parser => json!({ "type": "string", "enum": parsers() }),
        Takes::Scalar => scalar,
        Takes::Section(section) => reference(section.name),
        Takes::Sections(section) => several(&reference(section.name)),
        Takes::Named(section) => object(&reference(section.name)),
        Takes::Follow => object(&text),
        Takes::Pairs => object(&json!({ "type": ["string", "integer"] })),
        Takes::Fields => reference("fields"),
        Takes::Form => object(&json!({ "anyOf": [text, {
            "type": "object",
            "properties": { "env": text, "secret": text },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        }] })),
        Takes::Json => json!({}),
        Takes::Start(section) => several(&json!({ "anyOf": [text, reference(section.name)] })),
        Takes::Settings => {
            let settings = SETTINGS.iter().map(|setting| {
                let takes = json!({ "description": format!("Takes {}.", setting.expects) });
                (setting.name.to_owned(), takes)
            });
            let host = ("host".to_owned(), json!({ "type": "object" }));
            json!({
                "type": "object",
                "properties": settings.chain([host]).collect::<Map<_, _>>(),
                "additionalProperties": false,
            })
        }
    }
}
